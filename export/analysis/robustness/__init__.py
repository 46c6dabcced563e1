"""Accuracy on photos that are turned, darkened, blurred and so on."""
