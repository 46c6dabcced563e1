"""Turn a picture's file into an upright square of sRGB pixels."""
