"""pocketknn refs remove, relabel, merge and condense: new references from existing ones."""

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
    """Remove references by id, class or path.

    Examples:
        pocketknn refs remove out --class apple -o smaller.parquet
        pocketknn refs remove out --path 'apple/*' -o smaller.parquet
    """
    if not which:
        raise InputError("select what to remove with --id, --class or --path", "nothing-selected")
    refs = opened_for(out, file, force)
    save_change(refs, refs.remove(which.ids_of(refs), which.classes or ()), out, force)


def relabel(
    file: File,
    renames: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="OLD=NEW",
            help="Classes to rename, all at once; two with the same new name are merged. If names"
            " contain =, OLD is the part that is an existing class; or use --class OLD --to NEW.",
        ),
    ] = None,
    *,
    out: New,
    which: Which,
    to: Annotated[
        str | None, typer.Option(help="New class for the references of --id, --class, --path.")
    ] = None,
    force: Force = False,
) -> None:
    """Rename classes, or move references to another class.

    Examples:
        pocketknn refs relabel out apple=pear -o renamed.parquet
        pocketknn refs relabel out --path 'apple/*' --to pear -o renamed.parquet
    """
    if renames and to is None and not which:
        _rename(file, out, renames, force)
    elif to is not None and not renames:
        _move(file, out, which, to, force)
    else:
        raise InputError(
            "give either OLD=NEW, or --to NAME with --id, --class or --path", "either-or"
        )


def merge(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILES", help="Two or more files of references.")
    ],
    out: New,
    force: Force = False,
) -> None:
    """Merge files of references.

    A picture that is in several of them, in the same class, is kept only once.

    Examples:
        pocketknn refs merge out refs.parquet -o both.parquet
        pocketknn refs merge one.parquet two.parquet three.parquet -o all.parquet
    """
    if len(files) < 2:
        raise InputError("merge takes two or more files of references", "one-file-only")
    from pocketknn.builder.references.same_picture import joined

    check_free(out, force, *map(located, files))
    first = refs = opened(files[0])
    notes = []
    for file in files[1:]:
        more = opened(file)
        try:
            refs, again = joined(refs, more)
        except InputError as error:
            raise InputError(
                f"{files[0]} and {file} cannot be merged: {error}", "references-differ"
            ) from error
        if again:
            notes.append(f"{again} of {file} already present")
    save_change(first, refs, out, force, notes=notes)


def condense(
    file: File,
    amount: Annotated[
        str,
        typer.Argument(
            metavar="AMOUNT",
            help="500, 50% or 2MB (of vectors), or edited, which drops those that the others"
            " outvote.",
        ),
    ],
    out: New,
    by: CondenseBy = None,
    k: Annotated[
        int | None, typer.Option(help="Number of neighbours; default: as for build.")
    ] = None,
    metric: Metric = "cosine",
    vote: Vote = None,
    seed: Annotated[int, typer.Option(help="Random seed for the clusters and the order.")] = 0,
    force: Force = False,
) -> None:
    """Keep fewer references, with much the same answers for a given k, metric and vote.

    Examples:
        pocketknn refs condense out 50% -o half.parquet
        pocketknn refs condense out edited -o edited.parquet
    """
    from pocketknn.builder.selection import condense as condensing
    from pocketknn.export.cli.console.summary import kept_lines

    spec = builder.Spec(k=k, metric=metric, vote=vote, seed=seed)
    refs = opened_for(out, file, force)
    found = condensing.condense(spec, refs, parse_amount(amount, by))
    save_change(refs, found.references, out, force)
    say(*kept_lines(found.as_json()))


def _rename(file: Path, out: Path, pairs: Sequence[str], force: bool) -> None:
    """Rename classes by pairs "OLD=NEW"; classes that get the same name are merged."""
    refs = opened_for(out, file, force)
    names: dict[str, str] = {}
    for pair in pairs:
        old, new = _split(pair, refs.labels)
        if names.setdefault(old, new) != new:
            raise InputError(
                f"the class {old!r} gets two names, {names[old]!r} and {new!r}", "two-names"
            )
    check_alike([label for label in refs.labels if label not in names], names.values())
    after = refs.relabel(names)
    changes = [f"{shown(old)} ({refs.counts[old]}) → {shown(new)}" for old, new in names.items()]
    save_change(refs, after, out, force, changes=", ".join(changes))


def _move(file: Path, out: Path, which: Which, to: str, force: bool) -> None:
    """Move some references to a class, which may be new."""
    from pocketknn.builder.references.ml5_forms import checked_label

    if not which:
        raise InputError("select what to move with --id, --class or --path", "nothing-selected")
    refs = opened_for(out, file, force)
    label, ids = checked_label(to), which.ids_of(refs)
    check_alike([one for one in refs.labels if one not in (which.classes or ())], [label])
    after = refs.relabel(dict.fromkeys(which.classes or (), label))
    save_change(refs, after.relabel_rows(ids, label) if ids else after, out, force)


def _split(pair: str, labels: Sequence[str]) -> tuple[str, str]:
    """The two names of "OLD=NEW"; OLD is a class, however many "=" the names contain.

    Raises:
        InputError: there is no "=", the new name is empty, or more than one way to split names a
            class.
    """
    from pocketknn.builder.references.ml5_forms import checked_label

    cuts = [place for place, letter in enumerate(pair) if letter == "="]
    readings = [(pair[:place], pair[place + 1 :]) for place in cuts]
    if not readings:
        raise InputError(f"{pair!r} is not of the form OLD=NEW", "bad-rename")
    found = [reading for reading in readings if reading[0] in labels] or readings[:1]
    if len(found) > 1:
        meanings = " or ".join(f"{old!r} to {new!r}" for old, new in found)
        raise InputError(
            f"{pair!r} may rename {meanings}; use --class OLD --to NEW instead", "ambiguous-rename"
        )
    old, new = found[0]
    if not new.strip():
        raise InputError(f"{pair!r} gives the class {old!r} an empty name", "empty-label")
    return old, checked_label(new)
