"""What each format module offers: the same names, described once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from pocketknn.export.manifest.metadata import Metadata
from pocketknn.export.templates.slots import Content, Slots

from .options import Options

if TYPE_CHECKING:
    import keras

Outputs = dict[str, NDArray[Any]]
Run = Callable[[NDArray[Any]], Outputs]


class Target(Protocol):
    """A format: `to_keras`, `to_tflite`, `to_coreml` and `to_onnx` are such modules.

    Attributes:
        SUFFIX: how its files end.
        NEEDS: the modules that it is written with.
        RUNTIME: those that run it.
        PRECISION: what it is written in by default, `float32` or `float16`.
        PRECISIONS: all that it can be written in.
        THREADS: whether its runtime can be told how many threads to use.
    """

    SUFFIX: str
    NEEDS: tuple[str, ...]
    RUNTIME: tuple[str, ...]
    PRECISION: str
    PRECISIONS: tuple[str, ...]
    THREADS: bool

    def convert(
        self,
        model: keras.Model,
        path: Path,
        labels: Sequence[str],
        options: Options,
        precision: str,
        calibration: NDArray[Any] | None = None,
    ) -> None:
        """Write the model to `path` with the official converter.

        Args:
            model: the graph.
            path: a name that is free.
            labels: what each value of `probabilities` stands for; empty without a vote.
            options: how files are written.
            precision: one of `PRECISIONS`.
            calibration: inputs (n, H, W, 3), 0..255, that int8 takes its ranges from.
        """

    def locate(self, path: Path, content: Content) -> Slots:
        """Find where in a converted file the content lies.

        Args:
            path: what `convert` wrote.
            content: what was converted: of values and sizes that are nowhere else in the graph.

        Raises:
            ValueError: a part of it is not found.
        """

    def narrow(self, path: Path, places: Slots, kinds: Mapping[str, str]) -> Slots:
        """Make a converted file hold some of its constants in fewer bytes.

        The graph takes them for float32 numbers, which they are, and the products with them may
        become products of bytes.

        Args:
            path: what `convert` wrote; it is written again, with room for other numbers.
            places: where its content lies.
            kinds: `float16` or `int8` for some of the constants.

        Returns:
            Where the content lies now.
        """

    def fill(
        self, source: Path, path: Path, places: Slots, content: Content, metadata: Metadata
    ) -> None:
        """Write a file again with other content, and with metadata.

        Args:
            source: what `convert` or `fill` wrote.
            path: a name that is free.
            places: where in it its content lies; without any it stays.
            content: what to put there.
            metadata: what the file says about itself.
        """

    def content(self, path: Path, places: Slots) -> dict[str, NDArray[Any]]:
        """The constants of a file, flat, as they lie in it; where possible they stay there.

        Args:
            path: what `fill` wrote.
            places: where they lie.
        """

    def check(self, path: Path) -> Metadata:
        """Refuse a damaged file before anything relies on it.

        Raises:
            InputError: as `read`, or what would run is not what was written.
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
