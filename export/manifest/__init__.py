"""The description of a build."""
