"""Exact k-NN in numpy: what is compared, how it votes, and how good it is."""
