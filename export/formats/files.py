"""The format of a file, and which formats can be written and run here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.readers import check_file
from pocketknn.export.output.names import MODEL

from .options import Options
from .requirements import check, is_there, reason
from .table import FORMATS

BY_SPEED = ("tflite", "onnx", "coreml", "keras")
# What `templates.needed` finds to need no converter.
_UNCONVERTED = "bundled and EfficientNet-Lite need no converter with default choices"
# Imported by every build sooner or later, whatever it writes.
_OF_BUILDS = ("ai_edge_litert", "flatbuffers", "pyarrow", "scipy", "sklearn", "threadpoolctl")


def format_of(path: Path) -> str:
    """The format of a file, from its suffix.

    Raises:
        InputError: the file does not exist, or is not in one of our formats.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist", "file-not-found")
    check_file(path)
    for name, target in FORMATS.items():
        if path.suffix == target.SUFFIX:
            return name
    endings = ", ".join(target.SUFFIX for target in FORMATS.values())
    if path.is_dir() and (found := sorted(one.name for one in path.iterdir() if is_artefact(one))):
        raise InputError(
            f"{path} is a folder; name one file in it: {', '.join(found)}", "not-a-file"
        )
    raise InputError(
        f"{path.name or path} is not a model file; those end in {endings}", "not-an-artefact"
    )


def is_artefact(out: Path) -> bool:
    """Whether a path names one artefact; a Core ML package is one, although it is a folder."""
    return any(out.suffix == target.SUFFIX for target in FORMATS.values())


def paths_of(out: Path) -> list[Path]:
    """The files of a build that output neighbours.

    Raises:
        InputError: there is none.
    """
    paths = [out / f"{MODEL}{target.SUFFIX}" for target in FORMATS.values()]
    if not any(path.exists() for path in paths):
        raise InputError(f"{out} holds no model file", "no-artefact")
    return [path for path in paths if path.exists()]


def runnable(paths: Sequence[Path], note: Callable[[str], None] = lambda line: None) -> list[Path]:
    """The files whose runtime is installed.

    Args:
        paths: files of a build.
        note: called with a message for the user about each file that is left out.

    Raises:
        InputError: no runtime is installed for any of them.
    """
    why = {path: reason(FORMATS[format_of(path)].RUNTIME) for path in paths}
    lines = [f"{path.name} is not run: it needs {text}" for path, text in why.items() if text]
    found = [path for path in paths if not why[path]]
    if not found:
        raise InputError("; ".join(lines), "package-not-installed")
    for line in lines:
        note(line)
    return found


def fastest(paths: Iterable[Path]) -> Path:
    """The file that can answer soonest; importing Keras, for example, takes seconds."""
    return min(paths, key=lambda path: BY_SPEED.index(format_of(path)))


def writable(
    note: Callable[[str], None] = lambda line: None, *, converting: bool = False
) -> tuple[str, ...]:
    """All formats, except optional ones for which a package is not installed.

    Args:
        note: called with a message for the user for each format left out.
        converting: whether converters are needed; often they are not, see `without_converters`.
    """
    lacking = _lacking(tuple(FORMATS), converting)
    gone = {name: modules for name, modules in lacking.items() if _is_optional(name, modules)}
    if lacking.keys() == gone.keys():  # otherwise only the missing packages are reported
        for name, modules in gone.items():
            note(f"{MODEL}{FORMATS[name].SUFFIX} is not written: it needs {reason(modules)}")
    return tuple(name for name in FORMATS if name not in gone)


def without_converters(
    lacking: Mapping[str, Sequence[str]],
    *,
    named: bool,
    note: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """The formats that can be written once it is known which converters they need.

    Args:
        lacking: for each format, the converters that it needs but that are not installed.
        named: whether the user named the formats; otherwise optional ones are left out.
        note: called with a message for the user for each format left out.

    Raises:
        InputError: a format that is not left out lacks a converter.
    """
    refused: list[str] = []
    gone: list[str] = []
    for name, modules in lacking.items():
        if modules:
            (gone if not named and _is_optional(name, modules) else refused).append(name)
    if refused:
        modules = list(dict.fromkeys(module for name in refused for module in lacking[name]))
        raise InputError(
            f"writing {', '.join(refused)} with these choices needs {reason(modules)};"
            f" {_UNCONVERTED}",
            "package-not-installed",
        )
    for name in gone:
        note(
            f"{MODEL}{FORMATS[name].SUFFIX} is not written: with these choices it needs"
            f" {reason(lacking[name])}; {_UNCONVERTED}"
        )
    return [name for name in lacking if name not in gone]


def check_formats(
    names: Sequence[str], options: Options | None = None, *, converting: bool = False
) -> None:
    """Check that formats exist and can be written here, before any work is done for them.

    Args:
        names: the formats.
        options: how the files are written.
        converting: whether converters are needed.

    Raises:
        InputError: a name is unknown, no format is named, a package is not installed, or a format
            cannot be written with the options.
    """
    choices = ", ".join(sorted(FORMATS))
    for name in names:
        if name not in FORMATS:
            raise InputError(f"unknown format {name!r}; choose from {choices}", "unknown-format")
    if not names:
        raise InputError(f"no format was named; choose from {choices}", "no-format")
    if lacking := _lacking(names, converting):
        modules = [module for needed in lacking.values() for module in needed]
        check(f"writing {', '.join(lacking)}", dict.fromkeys(modules))
    check("a build", _OF_BUILDS)
    for name in names:
        FORMATS[name].check_options(options or Options(), bytes_=False)


def _lacking(names: Sequence[str], converting: bool) -> dict[str, list[str]]:
    """The missing modules of each format that cannot be written here."""
    found = {}
    for name in names:
        target = FORMATS[name]
        needed = (*target.NEEDS, *target.RUNTIME, *(target.CONVERTERS if converting else ()))
        found[name] = [one for one in dict.fromkeys(needed) if not is_there(one)]
    return {name: modules for name, modules in found.items() if modules}


def _is_optional(name: str, modules: Sequence[str]) -> bool:
    """Whether a format that was not named is left out when these modules are missing."""
    return not set(modules).isdisjoint(FORMATS[name].MAY_LACK)
