"""The tables printed at the end of a build."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pocketknn.builder.wording import counted
from pocketknn.export.parity.check import Parity
from pocketknn.export.report.wording import megabytes, percent, same_lists

from .text import shown

if TYPE_CHECKING:
    from pocketknn.export.sizes.budget import Budget, Variant
    from pocketknn.export.sizes.estimate import Plan


class Row(NamedTuple):
    """A line of the parity table."""

    name: str
    bytes: int
    parity: Parity


def table(
    words: Iterable[str] = (), numbers: Iterable[str] = (), caption: str = "", no_wrap: bool = True
) -> Table:
    """An empty table: columns of words, then right-aligned columns of numbers."""
    made = Table(box=SIMPLE_HEAD, caption=caption or None, caption_justify="left", pad_edge=False)
    for heading in words:
        made.add_column(heading, no_wrap=no_wrap)
    for heading in numbers:
        made.add_column(heading, justify="right", no_wrap=no_wrap)
    return made


def parity_table(rows: Sequence[Row]) -> Table:
    """One line per model file: its size, and how well it agrees with the exact k-NN."""
    made = table(["model file"], ["size"], _legend(rows))
    for heading in ("top-1 match", "same lists", "score error", "vote error"):
        made.add_column(heading, justify="right", min_width=max(map(len, heading.split())))
    made.add_column("parity", no_wrap=True, min_width=len("DIFFERS"))
    for name, size, parity in rows:
        shares = (parity.first_equal, parity.lists_agree)
        made.add_row(
            Text(shown(name)),
            megabytes(size),
            *map(percent, shares),
            f"{parity.score_error:.0e}",
            f"{parity.vote_error:.0e}",
            verdict(parity),
        )
    return made


def verdict(parity: Parity) -> str:
    """Whether a file agrees, in colour."""
    return "[green]agrees[/]" if parity.agrees else "[red]DIFFERS[/]"


def failures(rows: Sequence[Row]) -> list[str]:
    """One line for each value outside its tolerance."""
    return [f"{row.name}: {failure}" for row in rows for failure in row.parity.failures]


def plan_table(plans: Sequence[Plan]) -> Table:
    """The size and cost of each file, before it is written."""
    made = table(
        ["file"],
        ["backbone", "references", "total", "backbone ×", "search ×", "read"],
        "×: millions of multiplications per picture; read: bytes of references read per query",
    )
    for one in plans:
        made.add_row(
            one.format,
            *map(megabytes, (one.backbone, one.references, one.bytes)),
            f"{one.network / 1e6:.1f} M",
            f"{one.search / 1e6:.1f} M",
            megabytes(one.read),
        )
    return made


def variants_table(variants: Sequence[Variant], within: Budget, sample: int) -> Table:
    """The variants that were measured for a size budget; their files were run on a sample."""
    made = table(
        ["precision", "projection"],
        ["largest file", "accuracy", "neighbours"],
        f"good enough: loses at most {within.loss:.1%} accuracy and finds"
        f" {within.agreement:.0%} of the exact neighbours\n"
        "accuracy: leave-one-out with the exact search, minus the worst file's loss on a sample"
        f" of {counted(sample, 'photo')}",
        no_wrap=False,
    )
    made.add_column("")
    for one in sorted(variants, key=lambda variant: variant.bytes):
        made.add_row(
            one.precision,
            one.projection,
            megabytes(one.bytes),
            "" if one.accuracy is None else f"{one.accuracy:.1%}",
            f"{one.agreement:.1%}",
            ("fits" if one.bytes <= within.bytes else "too large") if one.good else "",
        )
    return made


def _legend(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    lists = same_lists(row.parity.precision for row in rows).split("; ")
    inputs = counted(rows[0].parity.queries, "input")
    return ";\n".join([f"{inputs}, against exact k-NN in float64", *lists])
