"""Data on disk: sample data sets to start with, and checks of what a config points to."""
