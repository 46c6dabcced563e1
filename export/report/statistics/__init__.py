"""What the sections show, as numbers."""
