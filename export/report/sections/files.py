"""Parity, size and latency of every file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pocketknn.export.output.names import MODEL
from pocketknn.export.report.blocks import Block, Section, Table
from pocketknn.export.report.wording import percent

if TYPE_CHECKING:
    from pocketknn.export.report.study import Study

_SPEED = (
    "Milliseconds of one picture, decoded before, on the machine that built it: a short"
    " measurement, which pocketknn bench repeats with more runs"
)


def section(study: Study) -> Section:
    """How each file agrees with the exact k-NN, and how long it takes."""
    return Section("files", "The files", tuple(_blocks(study)))


def _blocks(study: Study) -> Iterator[Block]:
    from pocketknn.export.formats.table import FORMATS

    parity = study.manifest["parity"]
    names = {name: MODEL + FORMATS[name].SUFFIX for name in parity}
    errors = ("same first", "same lists", "but ties", "score error", "vote error")
    queries = max((one["queries"] for one in parity.values()), default=0)
    yield Table(
        caption=f"Each file in its own runtime against exact k-NN in float64, on {queries} inputs",
        columns=("file", "parity", "size", "weights", *errors),
        rows=tuple(
            _row(names[name], one, study.manifest["files"].get(names[name]))
            for name, one in parity.items()
        ),
        words=(1,),
    )
    for name, one in parity.items():
        yield from (f"{names[name]}: {failure}" for failure in one["failures"])
    if study.timings:
        columns = ("file", "threads", "to load", "median", "95% below")
        yield Table(caption=_SPEED, columns=columns, rows=tuple(study.timings))
    for target in (FORMATS[name] for name in parity):
        if not target.NATIVE:
            yield (
                f"The {target.TITLE} file was run by an evaluator of its program, whose time says"
                " nothing of a phone."
            )


def _row(name: str, parity: dict[str, Any], file: dict[str, Any] | None) -> tuple[str, ...]:
    measured: tuple[str, ...] = ("",) * 5
    if parity["score_error"] is not None:  # as it is for a file that cannot be run
        shares = (parity["first_equal"], parity["lists_equal"], parity["lists_agree"])
        errors = (parity["score_error"], parity["vote_error"])
        measured = (*map(percent, shares), *(f"{error:.0e}" for error in errors))
    agrees = "agrees" if parity["agrees"] else "DIFFERS, not handed over"
    size = f"{file['bytes'] / 1e6:.2f} MB" if file else ""
    return (name, agrees, size, parity["precision"], *measured)
