"""Whether a file agrees with the exact k-NN."""
