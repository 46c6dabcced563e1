"""What each format module offers: the same four names, described once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from .metadata import Metadata

if TYPE_CHECKING:
    import keras

Outputs = dict[str, NDArray[Any]]
Run = Callable[[NDArray[Any]], Outputs]


class Target(Protocol):
    """A format: `to_keras`, `to_tflite`, `to_coreml` and `to_onnx` are such modules.

    Attributes:
        SUFFIX: how its files end.
        PRECISION: what it is written in by default, `float32` or `float16`.
    """

    SUFFIX: str
    PRECISION: str

    def convert(self, model: keras.Model, path: Path, metadata: Metadata, precision: str) -> None:
        """Write the model, with its metadata inside, to `path`."""

    def read(self, path: Path) -> Metadata:
        """Read the metadata inside a file, without running it.

        Raises:
            InputError: the file is not of this format, is broken, or carries none.
        """

    def load(self, path: Path) -> Run:
        """Open a file in its own runtime.

        Returns:
            A function from a batch of inputs, pictures (n, H, W, 3) with values 0..255 or features
            (n, d), to the named outputs: `scores` (n, k) float32, `indices` (n, k) int64 and those
            of the head.
        """
