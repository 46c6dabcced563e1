"""The one Keras graph."""
