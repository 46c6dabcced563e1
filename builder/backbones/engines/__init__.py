"""How a backbone is run: by LiteRT, by Keras, or by numpy alone."""
