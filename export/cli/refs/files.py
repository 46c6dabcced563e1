"""References that are kept in files: opened, written, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pocketknn import builder
from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.remote import was_address
from pocketknn.export.cli.console.text import say, shown
from pocketknn.export.output.names import REFERENCES
from pocketknn.export.report.wording import counted

PARQUET, JSON, CSV = ".parquet", ".json", ".csv"
_NAMED = 10  # classes in a line


def located(file: Path) -> Path:
    """The file of references, which a build's folder stands for as well.

    Raises:
        InputError: there is none.
    """
    path = file / REFERENCES if file.is_dir() else file
    if file.is_dir() and not path.is_file():
        raise InputError(f"{file} is a folder without {REFERENCES}, so it is no build")
    if not path.exists():
        if address := was_address(path):
            raise InputError(
                f"{address} is an address, and references lie on this machine: copy the file",
                "address-not-read",
            )
        raise InputError(f"{path} does not exist")
    if path.suffix.lower() not in (PARQUET, JSON):
        raise InputError(f"{path} holds no references; such files end in {PARQUET} or {JSON}")
    return path


def opened(file: Path, *, vectors: bool = True) -> builder.References:
    """The references of a `.parquet`, an ml5 `.json` or a build's folder.

    Args:
        file: the file or the folder.
        vectors: hold those of a `.parquet`, which are zeros otherwise.

    Raises:
        InputError: it holds none, or does not fit into memory.
    """
    from pocketknn.builder.references.files import read_collection

    return read_collection(located(file), vectors=vectors)


def opened_for(out: Path, file: Path, force: bool) -> builder.References:
    """The references of a file, of which others are to be made in a place that is free for them.

    Raises:
        InputError: it holds none, or `out` cannot be written.
    """
    check_free(out, force, located(file))
    return opened(file)


def check_free(out: Path, force: bool, *inputs: Path) -> None:
    """Refuse a place for references that cannot be written, or is one of the files they are from.

    Raises:
        InputError: it is.
    """
    from pocketknn.export.output.new_file import check_new

    check_new(out, [PARQUET], force, inputs)


def save(refs: builder.References, out: Path, force: bool) -> None:
    """Write references, whole or not at all."""
    from pocketknn.export.output.new_file import saved

    with saved(out, force) as path:
        refs.save(path)


def save_change(
    before: builder.References,
    after: builder.References,
    out: Path,
    force: bool,
    *,
    changes: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Write references, and say in one or two lines what has changed.

    Args:
        before: what they were made of.
        after: the references.
        out: the file.
        force: replace it.
        changes: what was done; by how many each class has grown or shrunk when empty.
        notes: what else is to be said.
    """
    save(after, out, force)
    many = str(len(after)) + (f" in {len(after.labels)}" if after.labels else "")
    say(f"{described(before)} → {many}; written to {out}")
    changes = changes or _growth(before.counts, after.counts)
    if said := "; ".join(filter(None, [changes, *notes])):
        say(f"  {said}")
    if conflict := conflicts(after, before):
        say(f"warning: {conflict}")


def conflicts(refs: builder.References, before: builder.References | None = None) -> str:
    """Which picture is in two classes, and was not before, in words; "" where none is."""

    def picture(one: builder.References, row: int) -> tuple[str, str]:
        return one.sha256[row], one.label_of(row)

    known = {picture(before, row) for _, row in before.contradicting()} if before else set()
    new = [pair for pair in refs.contradicting() if picture(refs, pair[1]) not in known]
    if not new:
        return ""
    told = [f"{shown(refs.paths[row])} as {refs.label_of(row)!r}" for row in new[0]]
    more = f", and {counted(len(new) - 1, 'more such pair')}" if len(new) > 1 else ""
    return f"the same picture is in two classes: {' and '.join(told)}{more}"


def described(refs: builder.References) -> str:
    """How many references in how many classes, in words."""
    many = counted(len(refs), "reference")
    if not refs.labels:
        return f"{many}, no classes"
    return f"{many} in {counted(len(refs.labels), 'class', 'classes')}"


def _growth(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """The classes that have grown or shrunk, and by how many."""
    said = []
    for label in dict.fromkeys([*before, *after]):
        number = after.get(label, 0) - before.get(label, 0)
        mark = (
            "" if label in before and label in after else " (new)" if label in after else " (gone)"
        )
        if number or mark:
            said.append(f"{shown(label)} {number:+}{mark}")
    more = [f"and {len(said) - _NAMED} more classes"] if len(said) > _NAMED else []
    return ", ".join([*said[:_NAMED], *more])
