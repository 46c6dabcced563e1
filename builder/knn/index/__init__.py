"""How references are stored and searched, in numpy."""
