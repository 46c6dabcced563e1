"""Turn blocks into one HTML page."""
