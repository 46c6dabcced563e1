"""Other references in a file that is there."""
