"""How texts and numbers lie in a file."""
