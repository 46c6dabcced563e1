"""k-nearest-neighbour image models that live in a single file.

The page "Python" of the documentation says what is public, and how long it stays so:
`pocketknn.builder.__all__`, `pocketknn.export.__all__`, and `__version__`.
"""


def __getattr__(name: str) -> str:
    """Look up the version on first use: reading package metadata takes milliseconds."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("pocketknn")
