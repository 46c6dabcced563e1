"""Shares of right answers, or errors of numbers, with their intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pocketknn.export.report import charts
from pocketknn.export.report.blocks import Block, Chart, Section, Table
from pocketknn.export.report.wording import columns, percent

if TYPE_CHECKING:
    from pocketknn.export.report.study import Study

_MOST_TARGETS = 3
_REJECTED = (
    "Of the references the class is counted before any rejection; of the held-out photos a known"
    " picture that is answered “unknown” counts as wrong."
)


def section(study: Study) -> Section | None:
    """How good the answers are."""
    if study.errors:
        return Section("accuracy", "Errors", tuple(_errors(study)))
    headings: tuple[str, ...] = ("measured on", "right", "accuracy", "95% interval", "unknown")
    rows = [*_shares(study)]
    if not rows:
        return None
    if not any(row[-1] for row in rows):
        headings, rows = headings[:-1], [row[:-1] for row in rows]
    caption = "Share of pictures whose true class won, with Wilson's interval"
    blocks: list[Block] = [Table(caption=caption, columns=headings, rows=tuple(rows))]
    if study.manifest["reject"] and study.held_out:
        blocks.append(_REJECTED)
    return Section("accuracy", "Accuracy", tuple(blocks))


def _shares(study: Study) -> Iterator[tuple[str, ...]]:
    if study.own is not None and study.labelled:
        yield ("references, each left out", *columns(study.own.right), "")
    if (held_out := study.held_out) is None:
        return
    for name, right, unknown in held_out.files:
        if right is not None or unknown is not None:
            shares = ("", "", "") if right is None else columns(held_out.share(right))
            rejected = "" if unknown is None else percent(unknown)
            yield (f"held-out photos, {name}", *shares, rejected)


def _errors(study: Study) -> Iterator[Block]:
    rmse = study.manifest["references"]["leave_one_out"]["rmse"]
    yield Table(
        caption=f"Errors of {len(study.own or ()):,} references, each left out; the interval by"
        " bootstrap",
        columns=("target", "root mean squared", "95% interval", "mean absolute", "R²"),
        rows=tuple(
            (
                one.name,
                f"{rmse[one.name]:.4g}",
                "{:.4g} to {:.4g}".format(*one.rmse),
                f"{one.mae:.4g}",
                "" if one.r2 is None else f"{one.r2:.3f}",
            )
            for one in study.errors
        ),
    )
    for one in study.errors[:_MOST_TARGETS]:
        yield Chart(
            caption=f"{one.name}: what its neighbours answer for each reference, against its own"
            " value. On the dashed line both are equal.",
            alt=f"Scatter of answered against true values of {one.name}; the table above has the"
            " error",
            svg=charts.scatter(one.actual, one.answered),
        )
    if len(study.errors) > _MOST_TARGETS:
        yield f"The first {_MOST_TARGETS} of {len(study.errors)} targets are drawn."
