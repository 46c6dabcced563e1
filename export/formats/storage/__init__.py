"""How texts and numbers are stored in a file."""
