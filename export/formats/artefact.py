"""An exported file, opened in its own runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import OF_THE_MACHINE, InputError, first_line
from pocketknn.builder.photos.readers import check_file
from pocketknn.export.formats.coreml import convert as to_coreml
from pocketknn.export.formats.keras import convert as to_keras
from pocketknn.export.formats.onnx import convert as to_onnx
from pocketknn.export.formats.tflite import convert as to_tflite
from pocketknn.export.manifest.metadata import Metadata
from pocketknn.export.output.names import MODEL

from .protocol import Outputs, Run, Target
from .requirements import check, is_there, reason

FORMATS: dict[str, Target] = {
    "keras": to_keras,
    "tflite": to_tflite,
    "coreml": to_coreml,
    "onnx": to_onnx,
}

# What every build imports sooner or later, whatever it writes.
_OF_BUILDS = ("ai_edge_litert", "flatbuffers", "pyarrow", "scipy", "sklearn", "threadpoolctl")


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """An exported file that is ready to answer.

    Attributes:
        format: its name in `FORMATS`.
        metadata: what it says about itself.
        run: a batch of pictures (n, H, W, 3) 0..255, or features (n, d), to the named outputs.
    """

    format: str
    metadata: Metadata
    run: Run


def writable(note: Callable[[str], None] = lambda line: None) -> tuple[str, ...]:
    """All formats; without Core ML where coremltools is not installed.

    Args:
        note: called with a line for people on what is left out.
    """
    if is_there("coremltools"):
        return tuple(FORMATS)
    found = tuple(name for name in FORMATS if name != "coreml")
    if not _lacking(found):  # else that is what is said
        path = f"{MODEL}{FORMATS['coreml'].SUFFIX}"
        note(f"{path} is not written: it needs {reason(['coremltools'])}")
    return found


def check_formats(names: Sequence[str]) -> None:
    """Refuse what is no format or cannot be written here, before any work is done for it.

    Raises:
        InputError: an unknown name, none at all, or a converter that is not installed.
    """
    choices = ", ".join(sorted(FORMATS))
    for name in names:
        if name not in FORMATS:
            raise InputError(f"unknown format {name!r}; choose from {choices}")
    if not names:
        raise InputError(f"no format was named; choose from {choices}")
    if lacking := _lacking(names):
        modules = [module for needed in lacking.values() for module in needed]
        check(f"writing {', '.join(lacking)}", dict.fromkeys(modules))
    check("a build", _OF_BUILDS)


def _lacking(names: Sequence[str]) -> dict[str, list[str]]:
    """Of formats that cannot be written here, the modules that are missing."""
    needed = {name: (*FORMATS[name].NEEDS, *FORMATS[name].RUNTIME) for name in names}
    found = {name: [one for one in needed[name] if not is_there(one)] for name in names}
    return {name: modules for name, modules in found.items() if modules}


def load(path: Path | str) -> Artefact:
    """Open a file of any format in its own runtime.

    Raises:
        InputError: no such file, none of our formats, broken, or without our manifest.
    """
    path = Path(path)
    name = format_of(path)
    metadata = FORMATS[name].read(path)
    check(f"running {path.name}", FORMATS[name].RUNTIME)
    if "indices" not in metadata.manifest["outputs"]:
        given = ", ".join(metadata.manifest["outputs"])
        raise InputError(
            f"{path.name} answers with {given} only, for an app that ranks them itself"
        )
    shape = tuple(metadata.manifest["input"]["shape"])
    run = FORMATS[name].load(path)

    def checked(batch: NDArray[Any]) -> Outputs:
        if batch.shape[1:] != shape:
            raise InputError(f"{path.name} takes inputs {shape}, not {batch.shape[1:]}")
        try:
            outputs = run(batch)
        except (InputError, *OF_THE_MACHINE):
            raise
        except Exception as error:  # a runtime may raise anything on a file that it cannot run
            raise InputError(f"{path.name} cannot be run: {first_line(error)}") from error
        _check_answers(path.name, metadata, outputs, len(batch))
        return outputs

    return Artefact(format=name, metadata=metadata, run=checked)


def _check_answers(name: str, metadata: Metadata, outputs: Outputs, inputs: int) -> None:
    """Refuse answers that are not those of which the manifest tells.

    Raises:
        InputError: an output is missing, has another width, or an index leads to no reference.
    """
    manifest = metadata.manifest
    k, count = manifest["k"], manifest["references"]["count"]
    widths = {"scores": k, "indices": k}
    if metadata.labels:
        widths["probabilities"] = len(metadata.labels)
    if manifest["targets"]:
        widths["value"] = len(manifest["targets"])
    for what, width in widths.items():
        shape = outputs[what].shape if what in outputs else None
        if shape != (inputs, width):
            raise InputError(f"{name} is damaged: its {what} have the shape {shape}")
        if not np.isfinite(outputs[what]).all():
            raise InputError(f"{name} answers with {what} that are no numbers")
    if not ((outputs["indices"] >= 0) & (outputs["indices"] < count)).all():
        raise InputError(f"{name} is damaged: it answers with references that it does not list")


def is_artefact(out: Path) -> bool:
    """Whether a path names one file of a build, though a Core ML package is a folder as well."""
    return any(out.suffix == target.SUFFIX for target in FORMATS.values())


def artefacts_of(
    out: Path, note: Callable[[str], None] = lambda line: None
) -> list[tuple[str, Artefact]]:
    """All files of a build, opened, with their names; or the one file, where `out` is one.

    Args:
        out: the folder or the file.
        note: called with a line for people on a file whose runtime is not installed.

    Raises:
        InputError: there is none, or one of them cannot be opened.
    """
    if is_artefact(out):
        return [(out.name, load(out))]
    return [(path.name, load(path)) for path in runnable(paths_of(out), note)]


def artefact_of(out: Path) -> tuple[str, Artefact]:
    """The file that `out` is, or the first one of a build, opened, with its name.

    Raises:
        InputError: there is none, or it cannot be opened.
    """
    if is_artefact(out):
        return out.name, load(out)
    path = runnable(paths_of(out))[0]
    return path.name, load(path)


def runnable(paths: Sequence[Path], note: Callable[[str], None] = lambda line: None) -> list[Path]:
    """The files whose runtime is installed.

    Args:
        paths: files of a build.
        note: called with a line for people on each other file.

    Raises:
        InputError: it is installed for none of them.
    """
    why = {path: reason(FORMATS[format_of(path)].RUNTIME) for path in paths}
    lines = [f"{path.name} is not run: it needs {text}" for path, text in why.items() if text]
    found = [path for path in paths if not why[path]]
    if not found:
        raise InputError("; ".join(lines))
    for line in lines:
        note(line)
    return found


def picture_input(name: str, metadata: Metadata) -> dict[str, Any]:
    """What the manifest says of a file's input, which must be a picture.

    Raises:
        InputError: it takes vectors of features.
    """
    given: dict[str, Any] = metadata.manifest["input"]
    if given["name"] != "image":
        raise InputError(f"{name} takes vectors of {given['shape'][0]} features, not pictures")
    return given


def paths_of(out: Path) -> list[Path]:
    """The files of a build that answer with neighbours.

    Raises:
        InputError: there is none.
    """
    paths = [out / f"{MODEL}{target.SUFFIX}" for target in FORMATS.values()]
    if not any(path.exists() for path in paths):
        raise InputError(f"{out} holds no artefact")
    return [path for path in paths if path.exists()]


def format_of(path: Path) -> str:
    """The format of a file, by the end of its name.

    Raises:
        InputError: no such file, or none of our formats.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist")
    check_file(path)
    for name, target in FORMATS.items():
        if path.suffix == target.SUFFIX:
            return name
    endings = ", ".join(target.SUFFIX for target in FORMATS.values())
    raise InputError(f"{path.name} is no artefact; those end in {endings}")
