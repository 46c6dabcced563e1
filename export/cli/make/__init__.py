"""build, tune and demo."""
