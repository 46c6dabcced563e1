"""edit and diff."""
