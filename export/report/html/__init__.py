"""Blocks become one HTML page."""
