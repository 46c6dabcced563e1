"""Open and write files of references, and report what changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pocketknn import builder
from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.remote import was_address
from pocketknn.builder.wording import counted
from pocketknn.export.cli.console.text import say, shown
from pocketknn.export.output.names import REFERENCES

PARQUET, JSON, CSV = ".parquet", ".json", ".csv"
_NAMED = 10  # classes in a line


def located(file: Path) -> Path:
    """The path of a file of references; for a build's folder, of the file in it.

    Raises:
        InputError: there is none.
    """
    path = file / REFERENCES if file.is_dir() else file
    if file.is_dir() and not path.is_file():
        raise InputError(
            f"{file} is a folder without {REFERENCES}, so it is not a build", "no-build"
        )
    if not path.exists():
        if address := was_address(path):
            raise InputError(
                f"{address} is an address, but the file must be on this machine: copy it here",
                "address-not-read",
            )
        raise InputError(f"{path} does not exist", "file-not-found")
    if path.suffix.lower() not in (PARQUET, JSON):
        raise InputError(
            f"{path} is not a file of references: those end in {PARQUET} or {JSON}", "wrong-suffix"
        )
    return path


def opened(file: Path, *, vectors: bool = True) -> builder.References:
    """The references of a `.parquet`, an ml5 `.json` or a build's folder.

    Args:
        file: the file or the folder.
        vectors: whether to read the vectors of a `.parquet`; if not, they are zeros.

    Raises:
        InputError: it holds none, or does not fit into memory.
    """
    from pocketknn.builder.references.files import read_collection

    return read_collection(located(file), vectors=vectors)


def opened_for(out: Path, file: Path, force: bool) -> builder.References:
    """The references of a file, after checking that the result can be written to `out`.

    Raises:
        InputError: it holds none, or `out` cannot be written.
    """
    check_free(out, force, located(file))
    return opened(file)


def check_free(out: Path, force: bool, *inputs: Path) -> None:
    """Check that references can be written to `out`, and that it is none of the inputs.

    Raises:
        InputError: `out` cannot be written, or is one of the inputs.
    """
    from pocketknn.export.output.new_file import check_new

    check_new(out, [PARQUET], force, inputs)


def save(refs: builder.References, out: Path, force: bool) -> None:
    """Write references, completely or not at all."""
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
    """Write references, and print what has changed in one or two lines.

    Args:
        before: the references before the change.
        after: the references to write.
        out: the file.
        force: whether to replace it.
        changes: what was done, in words; if empty, the growth of each class is printed.
        notes: further remarks.
    """
    save(after, out, force)
    many = str(len(after)) + (f" in {len(after.labels)}" if after.labels else "")
    say(f"{described(before)} → {many}; written to {out}")
    changes = changes or _growth(before.counts, after.counts)
    if remarks := "; ".join(filter(None, [changes, *notes])):
        say(f"  {remarks}")
    if conflict := conflicts(after, before):
        say(f"warning: {conflict}")


def conflicts(refs: builder.References, before: builder.References | None = None) -> str:
    """A sentence that names a picture that is newly in two classes; "" if there is none."""

    def picture(one: builder.References, row: int) -> tuple[str, str]:
        return one.sha256[row], one.label_of(row)

    known = {picture(before, row) for _, row in before.contradicting()} if before else set()
    new = [pair for pair in refs.contradicting() if picture(refs, pair[1]) not in known]
    if not new:
        return ""
    named = [f"{shown(refs.paths[row])} as {refs.label_of(row)!r}" for row in new[0]]
    more = f", and {counted(len(new) - 1, 'more such pair')}" if len(new) > 1 else ""
    return f"the same picture is in two classes: {' and '.join(named)}{more}"


def described(refs: builder.References) -> str:
    """How many references in how many classes, in words."""
    many = counted(len(refs), "reference")
    if not refs.labels:
        return f"{many}, no classes"
    return f"{many} in {counted(len(refs.labels), 'class', 'classes')}"


def _growth(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """The classes that have grown or shrunk, and by how much."""
    changed = []
    for label in dict.fromkeys([*before, *after]):
        number = after.get(label, 0) - before.get(label, 0)
        mark = (
            "" if label in before and label in after else " (new)" if label in after else " (gone)"
        )
        if number or mark:
            changed.append(f"{shown(label)} {number:+}{mark}")
    others = counted(len(changed) - _NAMED, "more class", "more classes")
    more = [f"and {others}"] if len(changed) > _NAMED else []
    return ", ".join([*changed[:_NAMED], *more])
