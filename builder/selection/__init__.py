"""Choices by cross-validation, and which references to keep."""
