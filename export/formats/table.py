"""The formats: a name each, of the package beside this file that holds all that is known of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import cast

from .protocol import Format


class Formats(Mapping[str, Format]):
    """Packages by their names, each imported when it is first asked for."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def __getitem__(self, name: str) -> Format:
        if name not in self._names:
            raise KeyError(name)
        return cast(Format, import_module(f"{__package__}.{name}"))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


FORMATS = Formats(
    "keras",
    "tflite",
    "coreml",
    "onnx",
)
