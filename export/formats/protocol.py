"""What each format's package offers: the same names, described once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from pocketknn.export.formats.conversion import Network
from pocketknn.export.formats.storage.slots import Content, Slots

from .options import Options

if TYPE_CHECKING:
    import keras

Outputs = dict[str, NDArray[Any]]
Run = Callable[[NDArray[Any]], Outputs]


class Format(Protocol):
    """A format: `keras`, `tflite`, `coreml` and `onnx` are such packages.

    Its folder `snippets`, where it has one, holds templates of code for app makers.

    Attributes:
        TITLE: what people call its files.
        SUFFIX: how they end.
        PARTS: where they are folders, what is in them, and whether that is a folder; else empty.
        LARGEST: fewer bytes than these fit into a file; None where there is no such limit.
        OF_DEVICES: whether it is for devices, whose room is limited.
        NEEDS: the modules that it is written with.
        MAY_LACK: those of them without which a build leaves it out, as some systems have none.
        RUNTIME: those that run it.
        ENGINE: which of the builder's engines its runtime is, or None.
        NATIVE: whether what runs it on this machine is what runs it on devices.
        THREADS: whether its runtime can be told how many threads to use.
        PRECISION: what it is written in by default, one of `PRECISIONS`.
        PRECISIONS: all that it can be written in.
        OPTIONS: the fields of `Options` that make a difference to it alone or to some formats.
        CONSUMER: name and crop of what usually feeds it, and does that unless it is told
            otherwise; None where nothing crops unasked.
    """

    __name__: str
    TITLE: str
    SUFFIX: str
    PARTS: Mapping[str, bool]
    LARGEST: int | None
    OF_DEVICES: bool
    NEEDS: tuple[str, ...]
    MAY_LACK: tuple[str, ...]
    RUNTIME: tuple[str, ...]
    ENGINE: str | None
    NATIVE: bool
    THREADS: bool
    PRECISION: str
    PRECISIONS: tuple[str, ...]
    OPTIONS: tuple[str, ...]
    CONSUMER: Mapping[str, str] | None

    def backbone_bytes(self, network: Network, precision: str) -> int:
        """About how many bytes of a file a backbone takes."""

    def check_options(self, options: Options, *, bytes_: bool) -> None:
        """Refuse what the format cannot be written with.

        Args:
            options: how files are written.
            bytes_: whether a part of the references is stored in 8 bits.

        Raises:
            InputError: it cannot be.
        """

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
        self,
        source: Path,
        path: Path,
        places: Slots,
        content: Content,
        texts: Mapping[str, str],
    ) -> None:
        """Write a file again with other content, and with what it says about itself, sealed.

        Args:
            source: what `convert` or `fill` wrote.
            path: a name that is free.
            places: where in it its content lies; without any it stays.
            content: what to put there.
            texts: what the file says about itself, by name.
        """

    def constants(self, path: Path, places: Slots) -> dict[str, NDArray[Any]]:
        """The constants of a file, flat, as they lie in it; where possible they stay there.

        Args:
            path: what `fill` wrote.
            places: where they lie.
        """

    def read(self, path: Path) -> dict[str, str]:
        """What a file says about itself, by name, without running it.

        Raises:
            InputError: the file is not of this format, is broken, or another tool's.
        """

    def check(self, path: Path) -> dict[str, str]:
        """Refuse a damaged file before anything relies on it; what it says about itself.

        Raises:
            InputError: as `read`, or what would run is not what was written.
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

        Raises:
            InputError: as `check`, or its runtime refuses the file.
        """
