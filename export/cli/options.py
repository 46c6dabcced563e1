"""Options that commands share, and parsers for the lists and amounts that users type."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.remote import place_of
from pocketknn.builder.system.cache import USUAL, Cache
from pocketknn.export.pipeline.request import Selection

if TYPE_CHECKING:
    from pocketknn.builder.selection.condense import Condense

ENDINGS = ".tflite, .onnx, .mlpackage or .keras"
Artefact = Annotated[Path, typer.Argument(metavar="MODEL", help=f"A model file: {ENDINGS}.")]
Build = Annotated[Path, typer.Argument(metavar="OUT", help="A folder written by build.")]
BuildOrFile = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="A folder written by build, or one of its model files."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Weights = Annotated[
    Path | None, typer.Option(help="Weights file for a MobileNet that --backbone names.")
]
Metric = Annotated[
    str, typer.Option(help="Distance: cosine, euclidean, manhattan or minkowski (p = 3).")
]
Vote = Annotated[
    str | None,
    typer.Option(help="Kind of vote: soft (the default for classes), uniform or distance."),
]
Crop = Annotated[str, typer.Option(help="How photos become squares: center, stretch or fit.")]
CondenseBy = Annotated[
    str | None,
    typer.Option(help="Method for choosing the references to keep; default: prototypes."),
]
OldPca = Annotated[str | None, typer.Option(hidden=True)]  # an older spelling of --projection
Exclude = Annotated[
    list[str] | None, typer.Option(help="Leave out photos whose name matches, such as 'raw/*'.")
]
Limit = Annotated[int | None, typer.Option(help="Maximum number of photos per class.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="Stop at the first picture that cannot be read.")
]
Occasions = Annotated[
    str | None,
    typer.Option(
        help="How to recognise photos of one occasion (a walk, a video), which are held out"
        " together: folders (CLASS/OCCASION/photo.jpg), time (EXIF; a gap of half an hour"
        " starts a new occasion) or a table's column."
    ),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Embed every photo again, and cache nothing.")
]
_UNITS = {"B": 1, "KB": 1e3, "MB": 1e6, "KIB": 1024, "MIB": 1 << 20}


@dataclass(frozen=True, kw_only=True)
class Network:
    """Which backbone embeds the photos; the fields are those of `Spec`."""

    backbone: Annotated[
        str,
        typer.Option(
            help="Backbone: auto, bundled, pixels, efficientnet_lite0, … or a .keras file."
        ),
    ] = "auto"
    weights: Weights = None
    alpha: Annotated[
        float | None, typer.Option(help="Width of a MobileNet that --backbone names.")
    ] = None
    size: Annotated[
        int | None, typer.Option(help="Side of the model's square input, in pixels.")
    ] = None
    input_range: Annotated[
        str, typer.Option(help="Pixel range a .keras backbone expects: 0..255, 0..1 or -1..1.")
    ] = "0..255"


@dataclass(frozen=True, kw_only=True)
class Columns:
    """How a table of photos is read."""

    path_column: Annotated[
        str, typer.Option(help="Column of a table that holds the photos' paths.")
    ] = "path"
    label_column: Annotated[
        str | None,
        typer.Option(
            help="Column that holds the classes; default: a column named label, if there is one."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Targets(Columns):
    """How a table of photos, which may have numeric targets, is read."""

    target_column: Annotated[
        list[str] | None,
        typer.Option(help="Numeric column to predict, for regression; may be repeated."),
    ] = None


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """A command for typer: each dataclass parameter becomes one option per field."""
    groups: dict[str, type] = {}
    options: list[inspect.Parameter] = []
    for one in inspect.signature(command, eval_str=True).parameters.values():
        if not (isinstance(one.annotation, type) and is_dataclass(one.annotation)):
            options.append(one.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        groups[one.name] = one.annotation
        hints = get_type_hints(one.annotation, include_extras=True)
        options += [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=hints[field.name],
            )
            for field in fields(one.annotation)
        ]

    def run(**given: Any) -> None:  # noqa: ANN401  # whatever typer parsed
        values = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**given, **values)

    update_wrapper(run, command)
    run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in options}
    return run


def names(text: str) -> tuple[str, ...]:
    """The names in a comma-separated list."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_bytes(text: str) -> int:
    """The bytes that "2MB", "500 KB", "1.5 MiB" or "900B" stand for; only 0 needs no unit.

    Raises:
        InputError: it is none of these.
    """
    match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,15})?)\s*((?:[KM]i?)?B|)\s*", text, re.IGNORECASE)
    if not match or (not match[2] and float(match[1])):  # zero needs no unit
        raise InputError(f"a size needs a unit, such as 2MB or 500KB, not {text!r}", "bad-amount")
    return int(float(match[1]) * _UNITS[match[2].upper() or "B"])


def parse_amount(amount: str | None, by: str | None) -> Condense:
    """Which references to keep.

    Args:
        amount: "500", "50%", "2MB", or a method that decides the number itself.
        by: the method for an amount; None for prototypes.

    Raises:
        InputError: the amount is none of these, or two methods are named.
    """
    from pocketknn.builder.selection.condense import GONE, METHODS, Condense

    text = (amount or "").strip()
    if text in METHODS or text in GONE:
        if by not in (None, text):
            raise InputError(
                f"--condense {text} and --condense-by {by} name two methods", "two-methods"
            )
        return Condense(by=text)
    method = by or "prototypes"
    if re.fullmatch(r"\d{1,18}", text):
        return Condense(by=method, count=int(text))
    if re.fullmatch(r"\d+(\.\d+)?%", text):
        return Condense(by=method, share=float(text[:-1]) / 100)
    if re.fullmatch(r".*\d.*[bB]", text):
        return Condense(by=method, bytes=parse_bytes(text))
    raise InputError(
        f"--condense takes a number such as 500, 50% or 2MB, or the word edited; not {text!r}",
        "bad-amount",
    )


def selection_of(
    photos: Path | str,
    columns: Columns,
    targets: Iterable[str] | None,
    exclude: list[str] | None,
    limit: int | None = None,
    labels: Path | None = None,
    occasions: str | None = None,
) -> Selection:
    """The photos given to a command."""
    return Selection(
        photos=place_of(photos) if isinstance(photos, str) else photos,
        path_column=columns.path_column,
        label_column=columns.label_column,
        target_columns=tuple(targets or ()),
        occasions=occasions,
        labels=labels,
        exclude=tuple(exclude or ()),
        limit=limit,
    )


def cache_of(no_cache: bool) -> Cache | None:
    """The cache of earlier builds, trimmed to its limit; None for no cache."""
    if no_cache:
        return None
    USUAL.trim()
    return USUAL
