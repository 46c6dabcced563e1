"""Graphs that are converted once, and filled for every set of references."""
