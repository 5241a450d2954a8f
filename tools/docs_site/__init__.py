"""The documentation as a site: what `tools/make_docs.py` and MkDocs share with their tests."""
