"""Code for app makers, beside the files."""
