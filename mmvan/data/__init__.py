"""Data on disk: sample datasets to start with, and checks of what a config points to."""
