"""Which parts of a photo decide the answer."""
