"""The file formats, one folder each."""
