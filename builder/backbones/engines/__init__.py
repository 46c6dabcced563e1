"""Run a backbone by LiteRT, by Keras, or by numpy alone."""
