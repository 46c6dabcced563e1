"""The stored examples, and the files that hold them."""
