"""What converters are given."""
