"""predict, explain and web."""
