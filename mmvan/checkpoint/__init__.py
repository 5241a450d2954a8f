"""Reading and writing checkpoints: what may be loaded, from where, and in which layout."""
