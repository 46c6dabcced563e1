"""Weights of networks, from packages, downloads and files."""
