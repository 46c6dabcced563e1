"""Refuse options that would have no effect, because ignoring them silently would mislead."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

from pocketknn import builder
from pocketknn.builder.errors import InputError

_COLUMNS = ("path_column", "label_column")
_OF_PHOTOS = ("exclude", "limit", *_COLUMNS, "target_column", "occasions")
_EMBEDDED = "is for photos, but {} holds references, which are already embedded"


def is_typed(context: typer.Context, name: str) -> bool:
    """Whether an option, given by its parameter's name, was typed."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def refuse(context: typer.Context, names: Iterable[str], why: str) -> None:
    """Refuse options of a command if they were typed; they are given by their parameters' names.

    Raises:
        InputError: one of them was typed; the message is the option followed by `why`.
    """
    options = {one.name: one.opts[0] for one in context.command.params}
    for name in names:
        if is_typed(context, name):
            raise InputError(f"{options[name]} {why}", "option-not-applicable")


def check_one_place(context: typer.Context) -> None:
    """Refuse more than one place of photos, and say what to do with several.

    Raises:
        InputError: there is more than one.
    """
    from pocketknn.export.report.wording import command_line

    if not context.args:
        return
    command, one, other = context.info_name, str(context.params["photos"]), context.args[0]
    if context.params["out"] is None and not Path(other).exists():
        line = command_line("pocketknn", str(command), one, "-o", other)
        raise InputError(f"name the folder to write with --out: {line}", "missing-out")
    add = command_line("pocketknn", "edit", "OUT", "--add", other, "-o", "NEW")
    raise InputError(
        f"{command} takes one folder, not {one!r} and {other!r}: if they are classes, move them"
        f" into one folder and name that; if each holds classes, build {one!r}, then: {add}",
        "too-many-places",
    )


def check_place(context: typer.Context, places: Iterable[Path | str]) -> None:
    """Refuse the options for table columns if no place is a table; `find` checks targets itself.

    Raises:
        InputError: one of them was typed.
    """
    if not any(str(place).lower().endswith((".csv", ".parquet")) for place in places):
        refuse(context, _COLUMNS, "is for a table of photos, .csv or .parquet")


def check_tune(context: typer.Context, place: Path | str) -> None:
    """Refuse the options for photos when references are tuned.

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
    """Refuse options that this build would not use, such as `--loss` without a budget.

    Raises:
        InputError: such an option was typed.
    """
    from pocketknn.builder.references.files import is_collection
    from pocketknn.export.formats.table import FORMATS

    given = context.params
    written = set(FORMATS if formats is None else formats)
    if is_collection(place):
        refuse(context, ("strict", "thumbnails", *_OF_PHOTOS), _EMBEDDED.format(place))
        _check_embedded(context, place)
    else:
        check_place(context, [place])
    if given["budget"] is None:
        refuse(context, ("loss", "agreement"), "needs --budget")
    if given["reject"] != "auto":
        refuse(context, ("false_rejection",), "needs --reject auto")
    if given["grow"] is None:
        refuse(context, ("spare",), "needs --grow")
    for option in ("outputs", "pixels", "ios", "precision"):
        takers = [name for name, one in FORMATS.items() if option in one.OPTIONS]
        if not written & {*takers}:
            why = f"is for {_titles(takers)} files, but none is written"
            if option == "precision" and written & FORMATS.keys():
                why = f"is not for {_titles(written)} files, which are float32"
            refuse(context, (option,), why)
    if plan:
        why = "needs a build; --plan writes nothing"
        needed = ("strangers", "learn_strangers", "force", "no_report", "thumbnails")
        refuse(context, needed, why)


def _titles(formats: Iterable[str]) -> str:
    """The display names of some formats."""
    from pocketknn.export.formats.table import FORMATS

    *others, last = (FORMATS[name].TITLE for name in FORMATS if name in formats)
    return f"{', '.join(others)} and {last}" if others else last


def _check_embedded(context: typer.Context, place: Path) -> None:
    """Refuse embedding options that differ from those the references were embedded with."""
    origin = None if place.suffix.lower() == ".json" else builder.References.origin(place)
    if origin is None:
        why = f"is for photos, but {place} holds vectors of an unknown backbone"
        refuse(context, ("weights", "alpha", "size", "input_range", "crop"), why)
        return
    for name in ("crop", "alpha", "input_range"):
        if context.params[name] != (used := getattr(origin, name)):
            refuse(context, (name,), f"cannot be changed: {place} was embedded with {used}")
