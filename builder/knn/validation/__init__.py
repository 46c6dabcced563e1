"""How well held-out references are answered."""
