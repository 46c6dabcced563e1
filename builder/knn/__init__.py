"""Exact k-NN in numpy: comparing, voting, and measuring accuracy."""
