"""Options that were typed where they mean nothing: refused, as to pass over them would mislead."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

from pocketknn import builder
from pocketknn.builder.errors import InputError

_COLUMNS = ("path_column", "label_column")
_OF_PHOTOS = ("exclude", "limit", *_COLUMNS, "target_column", "occasions")
_EMBEDDED = "is for photos, and {} holds references, which were embedded before"


def refuse(context: typer.Context, names: Iterable[str], why: str) -> None:
    """Refuse options of a command, by their parameters' names, that were typed.

    Raises:
        InputError: one of them was typed; behind the option it says why not.
    """
    options = {one.name: one.opts[0] for one in context.command.params}
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise InputError(f"{options[name]} {why}")


def check_place(context: typer.Context, places: Iterable[Path | str]) -> None:
    """Refuse the columns of tables where no place is one; of targets, `find` says more.

    Raises:
        InputError: one of them was typed.
    """
    if not any(str(place).lower().endswith((".csv", ".parquet")) for place in places):
        refuse(context, _COLUMNS, "is for a table of photos, .csv or .parquet")


def check_tune(context: typer.Context, place: Path | str) -> None:
    """Refuse what means nothing for references, of which some are tuned.

    Raises:
        InputError: such an option was typed.
    """
    from pocketknn.builder.references.files import is_collection

    if is_collection(place):
        refuse(context, (*_OF_PHOTOS, "no_cache"), _EMBEDDED.format(place))
    else:
        check_place(context, [place])


def check_build(
    context: typer.Context, place: Path | str, formats: Iterable[str] | None, *, plan: bool
) -> None:
    """Refuse what means nothing for a build from references, without a budget, and so on.

    Raises:
        InputError: such an option was typed.
    """
    from pocketknn.builder.references.files import is_collection
    from pocketknn.export.formats.table import FORMATS

    given = context.params
    written = set(FORMATS if formats is None else formats)
    if is_collection(place):
        refuse(context, ("strict", *_OF_PHOTOS), _EMBEDDED.format(place))
        _check_embedded(context, place)
    else:
        check_place(context, [place])
    if given["budget"] is None:
        refuse(context, ("loss", "agreement"), "goes with --budget")
    if given["reject"] != "auto":
        refuse(context, ("false_rejection",), "goes with --reject auto")
    for option in ("outputs", "pixels", "ios", "precision"):
        takers = [name for name, one in FORMATS.items() if option in one.OPTIONS]
        if not written & {*takers}:
            why = f"is for {_titles(takers)} files, and none is written"
            if option == "precision" and written & FORMATS.keys():
                why = f"is not for {_titles(written)} files, which are float32"
            refuse(context, (option,), why)
    if plan:
        why = "goes with a build; --plan writes nothing"
        refuse(context, ("strangers", "learn_strangers", "force", "no_report"), why)


def _titles(formats: Iterable[str]) -> str:
    """What people call the files of some formats."""
    from pocketknn.export.formats.table import FORMATS

    *others, last = (FORMATS[name].TITLE for name in FORMATS if name in formats)
    return f"{', '.join(others)} and {last}" if others else last


def _check_embedded(context: typer.Context, place: Path) -> None:
    """Refuse to embed references otherwise than it was done."""
    origin = None if place.suffix.lower() == ".json" else builder.References.origin(place)
    if origin is None:
        why = f"is for photos, and {place} holds vectors of no known backbone"
        refuse(context, ("weights", "alpha", "size", "input_range", "crop"), why)
        return
    for name in ("crop", "alpha", "input_range"):
        if context.params[name] != (there := getattr(origin, name)):
            refuse(context, (name,), f"cannot be changed: {place} was embedded with {there}")
