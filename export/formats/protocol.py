"""The interface of each format's package, described once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pocketknn.export.formats.conversion import Network
from pocketknn.export.formats.storage.slots import Content, Slots

from .options import Options

if TYPE_CHECKING:
    import keras

Outputs = dict[str, NDArray[Any]]


class Run(Protocol):
    """A file that is open in its runtime."""

    def __call__(self, batch: NDArray[Any], memory: NDArray[np.float32] | None = None) -> Outputs:
        """The named outputs for a batch of inputs.

        Args:
            batch: pictures (n, H, W, 3) with values 0..255, or features (n, d).
            memory: (slots, d + 1) the taught examples of a file that grows, see
                `builder.choices.growth`; None for none.

        Returns:
            `scores` (n, k) float32, `indices` (n, k) int64 and those of the head; for a file that
            grows, also `embedding` (n, d).
        """


class Format(Protocol):
    """A format: the packages `keras`, `tflite`, `coreml` and `onnx`.

    Its folder `snippets`, if any, holds templates of code for app makers.

    Attributes:
        TITLE: display name of its files.
        SUFFIX: their suffix.
        PARTS: for a format whose files are folders, each item in them and whether it is a folder;
            otherwise empty.
        LARGEST: files must be smaller than this many bytes; None for no limit.
        OF_DEVICES: whether it is for devices with limited storage.
        NEEDS: the modules needed to write it.
        CONVERTERS: the modules also needed, unless every part was converted before.
        MAY_LACK: modules from both lists; if one is missing, a build skips the format, unless the
            user named it.
        RUNTIME: the modules needed to run it.
        ENGINE: name of the builder's engine that uses its runtime, or None.
        NATIVE: whether devices use the same runtime as this machine.
        THREADS: whether its runtime takes a number of threads.
        FIXED: whether its inputs have fixed shapes: one picture, and all slots of a memory.
        PRECISION: its default precision, one of `PRECISIONS`.
        PRECISIONS: all precisions it supports.
        OPTIONS: the fields of `Options` that this format uses, but not every format.
        CONSUMER: name and default crop of the library that usually feeds it; None if that does not
            crop.
        ONE_INPUT: whether that library refuses files with a second input (a memory).
    """

    __name__: str
    TITLE: str
    SUFFIX: str
    PARTS: Mapping[str, bool]
    LARGEST: int | None
    OF_DEVICES: bool
    NEEDS: tuple[str, ...]
    CONVERTERS: tuple[str, ...]
    MAY_LACK: tuple[str, ...]
    RUNTIME: tuple[str, ...]
    ENGINE: str | None
    NATIVE: bool
    THREADS: bool
    FIXED: bool
    PRECISION: str
    PRECISIONS: tuple[str, ...]
    OPTIONS: tuple[str, ...]
    CONSUMER: Mapping[str, str] | None
    ONE_INPUT: bool

    @property
    def join(self) -> Callable[[Path, Path, Path, Slots], Slots] | None:
        """Writes one file that feeds the embedding of a backbone to a head.

        Its arguments are the backbone's file, from `image` to `embedding`; the head's file, from
        `features`; the file to create; and the places of the head's content. It returns the places
        in the new file. None for formats that convert backbone and head together.
        """

    @property
    def from_litert(self) -> Callable[[bytes, int, Path, Options, str], bool] | None:
        """Writes the file of a packaged backbone as `convert` would, but without converters.

        Its arguments are the network for LiteRT, the size of its pictures, the file to create, the
        options, and the precision. It writes nothing and returns False if a converter is needed.
        None for formats that always need one.
        """

    def backbone_bytes(self, network: Network, precision: str) -> int:
        """Approximate bytes of a backbone in a file."""

    def check_options(self, options: Options, *, bytes_: bool) -> None:
        """Check that the format supports the options.

        Args:
            options: how files are written.
            bytes_: whether some of the references are stored as int8.

        Raises:
            InputError: the format does not support them.
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
            path: the file to create.
            labels: the classes in the order of `probabilities`; empty without a vote.
            options: how files are written.
            precision: one of `PRECISIONS`.
            calibration: inputs (n, H, W, 3), 0..255, that calibrate int8.
        """

    def locate(self, path: Path, content: Content) -> Slots:
        """Locate the content in a converted file.

        Args:
            path: a file that `convert` wrote.
            content: what was converted; its values and sizes are unique in the graph.

        Raises:
            ValueError: a part of it is not found.
        """

    def narrow(self, path: Path, places: Slots, kinds: Mapping[str, str]) -> Slots:
        """Store some constants of a converted file in fewer bytes.

        The converted graph treats them as float32; products with them may become integer products.

        Args:
            path: a file that `convert` wrote; it is rewritten, with room for other numbers.
            places: where its content is.
            kinds: `float16` or `int8` for some of the constants.

        Returns:
            Where the content is now.
        """

    def fill(
        self,
        source: Path,
        path: Path,
        places: Slots,
        content: Content,
        texts: Mapping[str, str],
    ) -> None:
        """Rewrite a file with other content and its sealed texts.

        Args:
            source: a file that `convert` or `fill` wrote.
            path: the file to create.
            places: where its content is; if empty, nothing is replaced.
            content: what to put there.
            texts: the file's texts, by name.
        """

    def constants(self, path: Path, places: Slots) -> dict[str, NDArray[Any]]:
        """The constants of a file, flat, as stored; memory-mapped where possible.

        Args:
            path: a file that `fill` wrote.
            places: where the constants are.
        """

    def read(self, path: Path) -> dict[str, str]:
        """The texts of a file, by name, without running it.

        Raises:
            InputError: the file is not of this format, is broken, or is another tool's.
        """

    def check(self, path: Path) -> dict[str, str]:
        """Check a file for damage before anything relies on it; returns its texts.

        Raises:
            InputError: for the reasons of `read`, or the model in it was modified.
        """

    def load(self, path: Path, threads: int | None = None) -> Run:
        """Open a file in its own runtime.

        Args:
            path: the file.
            threads: how many the runtime may use; None for its default.

        Raises:
            InputError: for the reasons of `check`, or the runtime refuses the file.
        """
