"""Networks by name, without weights: as Keras models and as TFLite."""
