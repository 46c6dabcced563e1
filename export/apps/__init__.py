"""Code for app makers, written beside the files."""
