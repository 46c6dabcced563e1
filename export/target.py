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
        PRECISIONS: all that it can be written in.
        THREADS: whether its runtime can be told how many threads to use.
    """

    SUFFIX: str
    PRECISION: str
    PRECISIONS: tuple[str, ...]
    THREADS: bool

    def convert(
        self,
        model: keras.Model,
        path: Path,
        metadata: Metadata,
        precision: str,
        calibration: NDArray[Any] | None = None,
    ) -> None:
        """Write the model, with its metadata inside, to `path`.

        Args:
            model: the graph.
            path: a name that is free.
            metadata: what the file says about itself.
            precision: one of `PRECISIONS`.
            calibration: inputs (n, H, W, 3), 0..255, that int8 takes its ranges from.
        """

    def read(self, path: Path) -> Metadata:
        """Read the metadata inside a file, without running it.

        Raises:
            InputError: the file is not of this format, is broken, or carries none.
        """

    def load(self, path: Path, threads: int | None = None) -> Run:
        """Open a file in its own runtime.

        Args:
            path: the file.
            threads: how many the runtime may use; what it likes when None.

        Returns:
            A function from a batch of inputs, pictures (n, H, W, 3) with values 0..255 or features
            (n, d), to the named outputs: `scores` (n, k) float32, `indices` (n, k) int64 and those
            of the head.
        """
