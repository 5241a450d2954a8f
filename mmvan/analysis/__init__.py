"""Where a model errs: from training logs, and from the predictions that tools/test.py saves."""
