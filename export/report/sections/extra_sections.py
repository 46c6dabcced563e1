"""Sections that commands add to the report of a build, each in place of an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pocketknn.builder.errors import InputError
from pocketknn.export.analysis.occlusion import words as explain_words
from pocketknn.export.analysis.occlusion.explain import Explanation
from pocketknn.export.analysis.robustness.measure import Shifted, shares
from pocketknn.export.cli.console.terminal import shown
from pocketknn.export.output.names import REPORT
from pocketknn.export.report import page
from pocketknn.export.report.blocks import Chart, Section, Table, Text
from pocketknn.export.report.wording import percent, plural


def add(folder: Path, section: Section) -> str:
    """Add a section to a build's report; a line that says where, or why not."""
    try:
        page.append(folder / REPORT, section)
    except (InputError, OSError) as error:
        return f"the report was left alone: {error}"
    return f'{folder / REPORT} shows it as "{section.title}"'


def explanation(found: Explanation, name: str, drawn: bytes) -> Section:
    """What an answer hangs on.

    Args:
        found: the explanation.
        name: what the picture is called.
        drawn: the figure as a PNG.
    """
    answer = shown(f"{name}: {found.label}" if found.label else name)
    return Section(
        anchor="explain",
        title="What makes it click",
        blocks=(
            Text(text=answer, title="The answer"),
            *(Text(text=line.strip()) for line in explain_words.said(found)),
            Chart(
                caption="What is lost where a square is hidden by the picture's mean colour:"
                " orange costs, purple adds. Below are the nearest references.",
                alt=f"{name}, what its answer hangs on, and its nearest references",
                png=drawn,
                wide=True,
            ),
        ),
    )


def shifts(rows: Sequence[Shifted], drawn: bytes) -> Section:
    """What stays of the answers to photos that are taken otherwise.

    Args:
        rows: what was measured.
        drawn: the chart as a PNG.
    """
    words = shares(rows)
    photos = plural(rows[0].photos, "photo")
    return Section(
        anchor="shift",
        title="When photos are taken otherwise",
        blocks=(
            Text(text=f"{rows[0].name} on {photos}, each turned, scaled, darkened and so on."),
            Chart(
                caption="What stays of the answers against strength; grey: the photos as they are.",
                alt="What stays of the answers against strength; the table has the numbers",
                png=drawn,
                wide=True,
                numbers=Table(
                    caption="The numbers. Class, first, neighbours: the same as for the photos as"
                    " they are",
                    columns=("shift", "strength", *words.values()),
                    rows=tuple(
                        (row.shift, row.told, *(percent(getattr(row, key)) for key in words))
                        for row in rows
                    ),
                    words=(1,),
                    folded=True,
                ),
            ),
        ),
    )
