"""Change the references in an existing file."""
