"""refs: references kept in files."""
