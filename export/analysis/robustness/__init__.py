"""Accuracy on photos that are rotated, darkened, blurred and so on."""
