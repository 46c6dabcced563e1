"""A picture's file becomes an upright square of sRGB pixels."""
