"""A picture file and its bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pocketknn.builder.errors import InputError

Note = Callable[[str], None]  # receives a message for the user

# Files and folders written by operating systems, in lower case.
_LITTER = ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin")
T = TypeVar("T")


class PictureError(ValueError):
    """A picture that cannot be used; the message says why, without the path."""


class UnreadError(PictureError):
    """A picture whose file cannot be read on this machine at the moment."""


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A picture file.

    Two are equal only if they read the same file. Names need not be unique: a photo outside its
    table's folder is named by its class and file name.

    Attributes:
        name: its path relative to the searched place, with forward slashes.
        label: its class: the folders above it, joined with "/", or its label in a table; "" for
            none.
        content: reads the file's bytes; raises OSError if it cannot.
        targets: its numbers in a table, for regression.
        occasion: the occasion on which it was taken, see `occasions`; "" for a single photo.
    """

    name: str
    label: str
    content: Callable[[], bytes] = field(repr=False)
    targets: tuple[float, ...] = ()
    occasion: str = ""

    @classmethod
    def in_folders(cls, name: str, content: Callable[[], bytes]) -> Photo:
        """A photo with the folders above it as its class."""
        return cls(name=name, label=name.rpartition("/")[0], content=content)


def is_litter(part: str) -> bool:
    """Whether a file or folder is hidden, or was written by an operating system."""
    return part.startswith(".") or part.lower() in _LITTER


def read(photo: Photo) -> bytes:
    """The bytes of a photo.

    Raises:
        UnreadError: they cannot be read; the message says why.
    """
    import zipfile
    import zlib

    try:
        return photo.content()
    except OSError as error:
        raise UnreadError(error.strerror or "cannot be read") from error
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        # a damaged or encrypted member of an archive
        raise UnreadError(f"cannot be read from the archive: {error}") from error


def readable(
    photos: Sequence[Photo], read: Callable[[Photo], T], order: Iterable[int] | None = None
) -> Iterator[tuple[int, T]]:
    """The positions of photos and the result of reading each; unreadable ones are skipped.

    Args:
        photos: the photos.
        read: reads one; raises PictureError if it cannot.
        order: the positions in the order in which to read them; None for the given order.

    Raises:
        InputError: none of them can be read.
    """
    found, why = False, ""
    for place in range(len(photos)) if order is None else order:
        try:
            made = read(photos[place])
        except PictureError as error:
            why = why or f"; {photos[place].name}: {error}"
            continue
        found = True
        yield place, made
    if not found:
        none = f"none of the {len(photos)} files is" if len(photos) > 1 else "the only file is not"
        raise InputError(f"{none} a readable picture{why}", "no-readable-picture")


def drawn(
    photos: Sequence[Photo], read: Callable[[Photo], T], seed: int
) -> Iterator[tuple[int, T]]:
    """Like `readable`, but in random order."""
    import numpy as np

    order = np.random.default_rng(seed).permutation(len(photos))
    return readable(photos, read, map(int, order))
