"""pocketknn refs: references as a thing to keep; each change gives a new file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from pocketknn.builder.errors import InputError
from pocketknn.builder.references import ml5_json
from pocketknn.builder.references.csv_table import guarded
from pocketknn.builder.references.ml5_json import checked_label
from pocketknn.builder.references.references import References
from pocketknn.builder.selection.condense import condense
from pocketknn.builder.spec import Spec
from pocketknn.export.cli.console.terminal import say, shown
from pocketknn.export.cli.make.condense_option import kept_lines, plan_of
from pocketknn.export.output.atomic_file import COLUMNS, check_new, saved

from .files import (
    CSV,
    JSON,
    PARQUET,
    check_alike,
    counted,
    described,
    joined,
    located,
    opened,
    save,
    save_change,
)


@dataclass(frozen=True, kw_only=True)
class Which:
    """Some of the references.

    Attributes:
        ids: by their ids.
        classes: by their classes.
        paths: by patterns of their paths, such as `drafts/*`.
    """

    ids: Sequence[str] = ()
    classes: Sequence[str] = ()
    paths: Sequence[str] = ()

    def __bool__(self) -> bool:
        """Whether anything is named."""
        return bool(self.ids or self.classes or self.paths)

    def ids_of(self, refs: References) -> list[str]:
        """The ids, and those of the paths that a pattern fits.

        Raises:
            InputError: a pattern fits no path.
        """
        found = list(self.ids)
        for pattern in self.paths:
            fits = [row for row, path in enumerate(refs.paths) if fnmatch(path, pattern)]
            if not fits:
                raise InputError(f"no reference has a path like {pattern!r}")
            found += [refs.ids[row] for row in fits]
        return found


def remove_references(file: Path, out: Path, which: Which, force: bool) -> None:
    """Leave some references out."""
    if not which:
        raise InputError("say what to remove, by --id, --class or --path")
    refs = _opened(file, out, force)
    save_change(refs, refs.remove(which.ids_of(refs), which.classes), out, force)


def rename_classes(file: Path, out: Path, pairs: Sequence[str], force: bool) -> None:
    """Rename classes, as pairs "OLD=NEW" say; those that get one name become one class."""
    refs = _opened(file, out, force)
    names: dict[str, str] = {}
    for pair in pairs:
        old, new = split(pair, refs.labels)
        if names.setdefault(old, new) != new:
            raise InputError(f"the class {old!r} gets two names, {names[old]!r} and {new!r}")
    check_alike([label for label in refs.labels if label not in names], names.values())
    after = refs.relabel(names)
    told = [f"{shown(old)} ({refs.counts[old]}) → {shown(new)}" for old, new in names.items()]
    save_change(refs, after, out, force, changes=", ".join(told))


def move_references(file: Path, out: Path, which: Which, to: str, force: bool) -> None:
    """Put some references into a class, which may be new."""
    if not which:
        raise InputError("say what to move, by --id, --class or --path")
    refs = _opened(file, out, force)
    label, ids = checked_label(to), which.ids_of(refs)
    check_alike([one for one in refs.labels if one not in which.classes], [label])
    after = refs.relabel(dict.fromkeys(which.classes, label))
    save_change(refs, after.relabel_rows(ids, label) if ids else after, out, force)


def split(pair: str, labels: Sequence[str]) -> tuple[str, str]:
    """The two names of "OLD=NEW"; OLD is a class, however many "=" the names hold.

    Raises:
        InputError: there is no such class, the new name is empty, or more than one reading is one.
    """
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


def condense_references(
    file: Path, out: Path, spec: Spec, amount: str, by: str | None, force: bool
) -> None:
    """Keep fewer of the references, and say what that costs."""
    refs = _opened(file, out, force)
    found = condense(spec, refs, plan_of(amount, by))
    save_change(refs, found.references, out, force)
    for line in kept_lines(found.as_json()):
        say(line)


def merge_files(files: Sequence[Path], out: Path, force: bool) -> None:
    """Put the references of several files into one, each picture once in its class."""
    if len(files) < 2:
        raise InputError("merge takes two files of references or more")
    check_new(out, [PARQUET], force, [located(file) for file in files])
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


def import_references(file: Path, out: Path, dim: int | None, force: bool) -> None:
    """Make references of a data set of ml5.js or TensorFlow.js."""
    check_new(out, [PARQUET], force, [file])
    refs = ml5_json.read(file, dim)
    save(refs, out, force)
    say(f"{described(refs)}, {counted(refs.dim, 'value')} each; written to {out}")


def export_references(file: Path, out: Path, force: bool) -> None:
    """Write references as a data set of ml5's (.json), or as a plain table (.csv)."""
    check_new(out, [JSON, CSV], force, [located(file)])
    refs = opened(file)
    with saved(out, force) as path:
        if out.suffix.lower() == JSON:
            ml5_json.write(refs, path, unit_length=True)
            said = "scaled to length 1, since ml5's load does not; ids, paths and backbone left out"
        else:
            _write_table(refs, path)
            said = "as the backbone gave them, not scaled"
    say(f"{described(refs)}, {counted(refs.dim, 'value')} each; written to {out}")
    say(f"  {said}")


def _opened(file: Path, out: Path, force: bool) -> References:
    check_new(out, [PARQUET], force, [located(file)])
    return opened(file)


def _write_table(refs: References, path: Path) -> None:
    numbers = [f"e{i}" for i in range(refs.dim)]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow((*COLUMNS, *refs.target_names, *numbers))
        for row, vector in enumerate(refs.vectors):
            texts = (refs.ids[row], refs.label_of(row), refs.paths[row])
            writer.writerow((*map(guarded, texts), *refs.targets[row], *vector))
