"""Some of the references of a file, by their ids, classes and paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from pocketknn.builder.errors import InputError
from pocketknn.builder.references.references import References


@dataclass(frozen=True, kw_only=True)
class Which:
    """Some of the references.

    Attributes:
        ids: by their ids.
        classes: by their classes.
        paths: by patterns of their paths, such as `drafts/*`.
    """

    ids: Sequence[str] = ()
    classes: Sequence[str] = ()
    paths: Sequence[str] = ()

    def __bool__(self) -> bool:
        """Whether anything is named."""
        return bool(self.ids or self.classes or self.paths)

    def ids_of(self, refs: References) -> list[str]:
        """The ids, and those of the paths that a pattern fits.

        Raises:
            InputError: a pattern fits no path.
        """
        found = list(self.ids)
        for pattern in self.paths:
            fits = [row for row, path in enumerate(refs.paths) if fnmatch(path, pattern)]
            if not fits:
                raise InputError(f"no reference has a path like {pattern!r}")
            found += [refs.ids[row] for row in fits]
        return found
