"""pocketknn refs relabel: other names for classes, or another class for references."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pocketknn.builder.errors import InputError
from pocketknn.export.cli.console.text import shown

from .arguments import File, Force, New, Which


def relabel(
    file: File,
    renames: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="OLD=NEW",
            help="Classes to rename, all at once; two with one new name become one. Where names"
            " hold =, OLD is what is a class; --class OLD --to NEW says the same.",
        ),
    ] = None,
    *,
    out: New,
    which: Which,
    to: Annotated[
        str | None, typer.Option(help="The class to put references of --id, --class, --path into.")
    ] = None,
    force: Force = False,
) -> None:
    """Rename classes, or move references to another class."""
    if renames and to is None and not which:
        _rename(file, out, renames, force)
    elif to is not None and not renames:
        _move(file, out, which, to, force)
    else:
        raise InputError("say either OLD=NEW, or --to NAME with --id, --class or --path")


def _rename(file: Path, out: Path, pairs: Sequence[str], force: bool) -> None:
    """Rename classes, as pairs "OLD=NEW" say; those that get one name become one class."""
    from .files import check_alike, opened_for, save_change

    refs = opened_for(out, file, force)
    names: dict[str, str] = {}
    for pair in pairs:
        old, new = split(pair, refs.labels)
        if names.setdefault(old, new) != new:
            raise InputError(f"the class {old!r} gets two names, {names[old]!r} and {new!r}")
    check_alike([label for label in refs.labels if label not in names], names.values())
    after = refs.relabel(names)
    told = [f"{shown(old)} ({refs.counts[old]}) → {shown(new)}" for old, new in names.items()]
    save_change(refs, after, out, force, changes=", ".join(told))


def _move(file: Path, out: Path, which: Which, to: str, force: bool) -> None:
    """Put some references into a class, which may be new."""
    from pocketknn.builder.references.ml5_forms import checked_label

    from .files import check_alike, opened_for, save_change

    if not which:
        raise InputError("say what to move, by --id, --class or --path")
    refs = opened_for(out, file, force)
    label, ids = checked_label(to), which.ids_of(refs)
    check_alike([one for one in refs.labels if one not in (which.classes or ())], [label])
    after = refs.relabel(dict.fromkeys(which.classes or (), label))
    save_change(refs, after.relabel_rows(ids, label) if ids else after, out, force)


def split(pair: str, labels: Sequence[str]) -> tuple[str, str]:
    """The two names of "OLD=NEW"; OLD is a class, however many "=" the names hold.

    Raises:
        InputError: there is no such class, the new name is empty, or more than one reading is one.
    """
    from pocketknn.builder.references.ml5_forms import checked_label

    cuts = [place for place, letter in enumerate(pair) if letter == "="]
    readings = [(pair[:place], pair[place + 1 :]) for place in cuts]
    if not readings:
        raise InputError(f"{pair!r} is not of the form OLD=NEW")
    found = [reading for reading in readings if reading[0] in labels] or readings[:1]
    if len(found) > 1:
        told = " or ".join(f"{old!r} to {new!r}" for old, new in found)
        raise InputError(f"{pair!r} may rename {told}; say --class OLD --to NEW instead")
    old, new = found[0]
    if not new.strip():
        raise InputError(f"{pair!r} gives the class {old!r} an empty name")
    return old, checked_label(new)
