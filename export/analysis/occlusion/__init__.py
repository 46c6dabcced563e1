"""Which parts of a photo an answer depends on."""
