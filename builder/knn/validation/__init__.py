"""How well references answer when they are left out."""
