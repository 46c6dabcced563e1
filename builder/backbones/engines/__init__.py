"""Run a backbone in LiteRT, in Keras, or in numpy alone."""
