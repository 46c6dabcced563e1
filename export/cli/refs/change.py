"""pocketknn refs remove, relabel, merge and condense: other references of those that are there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pocketknn import builder
from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.class_names import check_alike
from pocketknn.export.cli.console.text import say, shown
from pocketknn.export.cli.options import CondenseBy, Metric, Vote, parse_amount

from .arguments import File, Force, New, Which
from .files import check_free, located, opened, opened_for, save_change


def remove(file: File, *, out: New, which: Which, force: Force = False) -> None:
    """Leave references out, by id, class or path."""
    if not which:
        raise InputError("say what to remove, by --id, --class or --path")
    refs = opened_for(out, file, force)
    save_change(refs, refs.remove(which.ids_of(refs), which.classes or ()), out, force)


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


def merge(
    files: Annotated[list[Path], typer.Argument(help="Two files of references or more.")],
    out: New,
    force: Force = False,
) -> None:
    """Put files of references together.

    A picture that is there already, in the same class, is not added again.
    """
    if len(files) < 2:
        raise InputError("merge takes two files of references or more")
    from pocketknn.builder.references.same_picture import joined

    check_free(out, force, *map(located, files))
    first = refs = opened(files[0])
    notes = []
    for file in files[1:]:
        more = opened(file)
        try:
            refs, again = joined(refs, more)
        except InputError as error:
            raise InputError(f"{files[0]} and {file} do not go together: {error}") from error
        if again:
            notes.append(f"{again} of {file} there already")
    save_change(first, refs, out, force, notes=notes)


def condense(
    file: File,
    amount: Annotated[
        str,
        typer.Argument(
            help="500, 50%, 2MB of vectors; or edited: all that the others do not vote against."
        ),
    ],
    out: New,
    by: CondenseBy = None,
    k: Annotated[int | None, typer.Option(help="Neighbours; as a build has them.")] = None,
    metric: Metric = "cosine",
    vote: Vote = None,
    seed: Annotated[int, typer.Option(help="Draws where clusters begin, and an order.")] = 0,
    force: Force = False,
) -> None:
    """Keep fewer references that answer like all of them, for a k, a metric and a vote."""
    from pocketknn.builder.selection import condense as condensing
    from pocketknn.export.cli.console.summary import kept_lines

    spec = builder.Spec(k=k, metric=metric, vote=vote, seed=seed)
    refs = opened_for(out, file, force)
    found = condensing.condense(spec, refs, parse_amount(amount, by))
    save_change(refs, found.references, out, force)
    say(*kept_lines(found.as_json()))


def _rename(file: Path, out: Path, pairs: Sequence[str], force: bool) -> None:
    """Rename classes, as pairs "OLD=NEW" say; those that get one name become one class."""
    refs = opened_for(out, file, force)
    names: dict[str, str] = {}
    for pair in pairs:
        old, new = _split(pair, refs.labels)
        if names.setdefault(old, new) != new:
            raise InputError(f"the class {old!r} gets two names, {names[old]!r} and {new!r}")
    check_alike([label for label in refs.labels if label not in names], names.values())
    after = refs.relabel(names)
    told = [f"{shown(old)} ({refs.counts[old]}) → {shown(new)}" for old, new in names.items()]
    save_change(refs, after, out, force, changes=", ".join(told))


def _move(file: Path, out: Path, which: Which, to: str, force: bool) -> None:
    """Put some references into a class, which may be new."""
    from pocketknn.builder.references.ml5_forms import checked_label

    if not which:
        raise InputError("say what to move, by --id, --class or --path")
    refs = opened_for(out, file, force)
    label, ids = checked_label(to), which.ids_of(refs)
    check_alike([one for one in refs.labels if one not in (which.classes or ())], [label])
    after = refs.relabel(dict.fromkeys(which.classes or (), label))
    save_change(refs, after.relabel_rows(ids, label) if ids else after, out, force)


def _split(pair: str, labels: Sequence[str]) -> tuple[str, str]:
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
