"""Choose options by cross-validation, and choose which references to keep."""
