"""The tables that people read at the end of a build."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pocketknn.export.parity.check import TOLERANCES, Parity
from pocketknn.export.report.wording import megabytes, percent

from .text import shown

if TYPE_CHECKING:
    from pocketknn.export.sizes.budget import Budget, Variant
    from pocketknn.export.sizes.estimate import Plan


class Row(NamedTuple):
    """A line of the parity table."""

    name: str
    bytes: int
    parity: Parity


def parity_table(rows: Sequence[Row]) -> Table:
    """One line per artefact: its size, and how it agrees with the exact k-NN."""
    table = Table(box=SIMPLE_HEAD, caption=_legend(rows), caption_justify="left", pad_edge=False)
    table.add_column("artefact", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    for heading in ("same first", "same lists", "but ties", "score error", "vote error"):
        table.add_column(heading, justify="right")
    table.add_column("parity", no_wrap=True, min_width=len("DIFFERS"))
    for name, size, parity in rows:
        shares = (parity.first_equal, parity.lists_equal, parity.lists_agree)
        table.add_row(
            Text(shown(name)),
            megabytes(size),
            *(percent(share) for share in shares),
            f"{parity.score_error:.0e}",
            f"{parity.vote_error:.0e}",
            "[green]agrees[/]" if parity.agrees else "[red]DIFFERS[/]",
        )
    return table


def plan_table(plans: Sequence[Plan]) -> Table:
    """What each file will take, before it is written."""
    legend = (
        "backbone, references and search of one picture: millions of multiplications;"
        " read: bytes of references that a query needs"
    )
    table = Table(box=SIMPLE_HEAD, caption=legend, caption_justify="left", pad_edge=False)
    table.add_column("file", no_wrap=True)
    for heading in ("backbone", "references", "in all", "backbone ×", "search ×", "read"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in plans:
        table.add_row(
            one.format,
            *(megabytes(size) for size in (one.backbone, one.references, one.bytes)),
            f"{one.network / 1e6:.1f} M",
            f"{one.search / 1e6:.1f} M",
            megabytes(one.read),
        )
    return table


def variants_table(variants: Sequence[Variant], within: Budget, sample: int) -> Table:
    """What was measured to keep within a budget; the smallest that is good enough is chosen.

    Args:
        variants: what was measured.
        within: the budget.
        sample: how many of the photos the files were run on.
    """
    legend = (
        f"good enough: loses at most {within.loss:.1%} of accuracy and finds"
        f" {within.agreement:.0%} of the exact neighbours\n"
        "accuracy: of the exact search over all references, each left out, less what the worst file"
        f" loses of {sample} of the photos"
    )
    table = Table(box=SIMPLE_HEAD, caption=legend, caption_justify="left", pad_edge=False)
    for heading in ("precision", "projection"):
        table.add_column(heading)
    for heading in ("largest file", "accuracy", "neighbours"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for one in sorted(variants, key=lambda variant: variant.bytes):
        table.add_row(
            one.precision,
            one.projection,
            megabytes(one.bytes),
            "" if one.accuracy is None else f"{one.accuracy:.1%}",
            f"{one.agreement:.1%}",
            ("fits" if one.bytes <= within.bytes else "too large") if one.good else "",
        )
    return table


def failures(rows: Sequence[Row]) -> list[str]:
    """One line for each thing that is outside its tolerance."""
    return [f"{row.name}: {failure}" for row in rows for failure in row.parity.failures]


def _legend(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    ties = ", ".join(
        f"{TOLERANCES[p].tie:.0e} for {p}" for p in dict.fromkeys(r.parity.precision for r in rows)
    )
    return (
        f"{rows[0].parity.queries} inputs, against exact k-NN in float64;"
        f" ties: scores closer than {ties}"
    )
