"""Data sets: those that come with the package, and loaders for files in their official formats."""
