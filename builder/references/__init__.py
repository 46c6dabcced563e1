"""The stored examples, and the files that hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .references import References as References

__all__ = ["References"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import `References` when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import references

    return references.References
