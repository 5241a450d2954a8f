"""Reading and writing checkpoints: what may be loaded, and in which layout."""
