"""Graphs that are converted once, then filled with any references."""
