"""The file formats: a folder each."""
