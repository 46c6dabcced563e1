"""An exported file, opened in its own runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices import growth
from pocketknn.builder.choices.heads import HEADS
from pocketknn.builder.errors import OF_THE_MACHINE, InputError, first_line
from pocketknn.builder.wording import counted
from pocketknn.export.formats.files import fastest, format_of, is_artefact, paths_of, runnable
from pocketknn.export.formats.protocol import Outputs, Run
from pocketknn.export.formats.requirements import check
from pocketknn.export.formats.table import FORMATS

from .metadata import Metadata


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """An exported file, open in its runtime.

    Attributes:
        format: its name in `FORMATS`.
        metadata: its metadata.
        run: maps a batch to named outputs. A batch holds pictures (n, H, W, 3), 0..255, or features
            (n, d); a file that grows also takes the taught examples.
    """

    format: str
    metadata: Metadata
    run: Run


def metadata_of(path: Path, *, checked: bool = False) -> Metadata:
    """The metadata of a file of any format, without running it.

    Args:
        path: the file.
        checked: also verify that its graph is the one that was written.

    Raises:
        InputError: the file does not exist, is not in one of our formats, is damaged, or has no
            manifest of ours.
    """
    target = FORMATS[format_of(path)]
    metadata = Metadata.parse(target.read(path), path.name)
    if checked:
        target.check(path)
    return metadata


def load(path: Path | str) -> Artefact:
    """Open a file of any format in its own runtime.

    Raises:
        InputError: the file does not exist, is not in one of our formats, is damaged, or has no
            manifest of ours.
    """
    path = Path(path)
    name = format_of(path)
    metadata = metadata_of(path)
    check(f"running {path.name}", FORMATS[name].RUNTIME)
    if "indices" not in metadata.manifest["outputs"]:
        given = ", ".join(metadata.manifest["outputs"])
        raise InputError(
            f"{path.name} only outputs {given}, for an app that ranks them itself", "no-top-k"
        )
    shape = tuple(metadata.manifest["input"]["shape"])
    run = FORMATS[name].load(path)

    def checked(batch: NDArray[Any], memory: NDArray[np.float32] | None = None) -> Outputs:
        if batch.shape[1:] != shape:
            raise InputError(
                f"{path.name} takes inputs of shape {shape}, not {batch.shape[1:]}", "wrong-shape"
            )
        if memory is not None:
            _check_memory(path.name, metadata, memory)
        try:
            outputs = run(batch) if memory is None else run(batch, memory)
        except (InputError, *OF_THE_MACHINE):
            raise
        except Exception as error:  # a runtime may raise anything on a file it cannot run
            raise InputError(
                f"{path.name} cannot be run: {first_line(error)}", "file-cannot-run"
            ) from error
        _check_answers(path.name, metadata, outputs, len(batch))
        if growth.NAME in metadata.manifest and memory is None:
            outputs = growth.without_nobody(outputs, metadata.manifest["references"]["count"])
        return outputs

    return Artefact(format=name, metadata=metadata, run=checked)


def _check_memory(name: str, metadata: Metadata, memory: NDArray[np.float32]) -> None:
    """Check that taught examples fit a file; runtimes may accept wrong ones.

    Raises:
        InputError: the file does not grow, or the memory has another shape or NaN.
    """
    if (facts := metadata.manifest.get(growth.NAME)) is None:
        raise InputError(f"{name} does not grow; build it with --grow", "does-not-grow")
    if memory.shape != (wanted := (facts["slots"], facts["width"])):
        raise InputError(
            f"{name} takes a memory of shape {wanted}, not {memory.shape}", "wrong-shape"
        )
    if not np.isfinite(memory).all():
        raise InputError("the memory holds NaN or infinity", "memory-not-finite")


def _check_answers(name: str, metadata: Metadata, outputs: Outputs, inputs: int) -> None:
    """Check that answers match the manifest.

    Raises:
        InputError: an output is missing or has another width, or an index is out of range.
    """
    manifest = metadata.manifest
    k, count = manifest["k"], manifest["references"]["count"]
    widths = {"scores": k, "indices": k}
    if (output := HEADS[manifest["head"]].OUTPUT) is not None:
        widths[output.name] = len(metadata.labels or manifest["targets"])
    last = count
    if (memory := manifest.get(growth.NAME)) is not None:
        widths[growth.EMBEDDING] = manifest["references"]["dim"]
        last += memory["slots"]
    for what, width in widths.items():
        shape = outputs[what].shape if what in outputs else None
        if shape != (inputs, width):
            raise InputError(
                f"{name} is damaged: its {what} have the shape {shape}", "file-damaged"
            )
        if not np.isfinite(outputs[what]).all():
            raise InputError(f"{name} outputs {what} that are not finite", "file-damaged")
    if not ((outputs["indices"] >= 0) & (outputs["indices"] < last)).all():
        raise InputError(
            f"{name} is damaged: it answers with references that it does not list", "file-damaged"
        )


def artefacts_of(
    out: Path, note: Callable[[str], None] = lambda line: None
) -> list[tuple[str, Artefact]]:
    """All files of a build, opened, with their names; or just `out`, if it is a file.

    Args:
        out: the folder or the file.
        note: called with a message for the user for each file whose runtime is not installed.

    Raises:
        InputError: there is none, or one of them cannot be opened.
    """
    if is_artefact(out):
        return [(out.name, load(out))]
    return [(path.name, load(path)) for path in runnable(paths_of(out), note)]


def path_of(out: Path) -> Path:
    """`out` itself if it is a file, or a build's fastest file whose runtime is installed.

    Raises:
        InputError: there is none, or a file is not in one of our formats.
    """
    if is_artefact(out) or not out.is_dir():
        format_of(out)
        return out
    return fastest(runnable(paths_of(out)))


def picture_input(name: str, metadata: Metadata) -> dict[str, Any]:
    """The description of a file's input in its manifest; it must be a picture.

    Raises:
        InputError: it takes vectors of features.
    """
    given: dict[str, Any] = metadata.manifest["input"]
    if given["name"] != "image":
        raise InputError(
            f"{name} takes vectors of {counted(given['shape'][0], 'feature')}, not pictures; query"
            " it with pocketknn predict and a .npy, .csv or .json file of vectors",
            "takes-vectors",
        )
    return given
