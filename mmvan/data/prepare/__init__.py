"""Brings datasets into the layout that the configs expect, and looks at every file of them."""
