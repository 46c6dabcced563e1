"""Feature extractors, by name or file, with their weights."""
