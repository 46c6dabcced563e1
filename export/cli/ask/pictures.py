"""The pictures given to a command: files, folders, patterns, and standard input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from glob import glob, has_magic
from pathlib import Path

from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.photo import is_litter
from pocketknn.builder.photos.readers import LARGEST, LocalFile

STDIN = "-"
STDIN_NAME = "standard input"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A file that may turn out not to be a picture.

    Attributes:
        name: its path as typed, or as found below a folder that was typed.
        content: reads its bytes; raises OSError.
        named: whether the user named it; files merely found in a folder may be anything.
    """

    name: str
    content: Callable[[], bytes]
    named: bool = True


def pictures(words: Sequence[str]) -> list[Picture]:
    """The pictures that these words stand for, in their order; those of a folder are sorted.

    Args:
        words: paths of files or of folders, which are searched to any depth; patterns such as
            "new/*.jpg"; or "-" for one picture's bytes on standard input.

    Raises:
        InputError: a pattern or folder holds no file, or standard input is a terminal.
    """
    return [picture for word in words for picture in _of(word)]


def _of(word: str) -> Iterator[Picture]:
    if word == STDIN:
        yield _on_stdin()
        return
    path = Path(word)
    if has_magic(word) and not path.exists():
        found = sorted(glob(word, recursive=True))  # noqa: PTH207  # its ** includes the folder
        if not found:
            raise InputError(f"no file matches {word}", "file-not-found")
        for one in found:
            yield from _below(Path(one)) if Path(one).is_dir() else [_file(Path(one))]
    elif path.is_dir():
        yield from _below(path)
    else:
        yield _file(path)


def _file(path: Path, *, named: bool = True) -> Picture:
    return Picture(name=str(path), content=LocalFile(str(path.absolute())), named=named)


def _below(folder: Path) -> list[Picture]:
    """The files below a folder, except those that operating systems create."""
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(map(is_litter, path.relative_to(folder).parts))
    ]
    if not paths:
        raise InputError(f"{folder} holds no files", "no-photos")
    return [_file(path, named=False) for path in paths]


def _on_stdin() -> Picture:
    if sys.stdin.isatty():
        raise InputError(
            "- stands for a picture on standard input, which is a terminal here; name a file, or"
            " send one: cat PICTURE.jpg | pocketknn predict MODEL -",
            "stdin-is-terminal",
        )
    content = sys.stdin.buffer.read(LARGEST + 1)
    return Picture(name=STDIN_NAME, content=partial(bytes, content))
