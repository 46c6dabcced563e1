"""Sections that commands add to a build's report; each replaces an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pocketknn.builder.errors import InputError
from pocketknn.export.output.names import REPORT
from pocketknn.export.report.html import page

from .blocks import Chart, Heading, Section, Table


def add(folder: Path, section: Section) -> str:
    """Add a section to a build's report; returns a line that says where it is, or why not."""
    try:
        replaced = page.append(folder / REPORT, section)
    except (InputError, OSError) as error:
        return f"the report was not changed: {error}"
    instead = ", in place of the earlier one" if replaced else ""
    return f'added to {folder / REPORT} as "{section.title}"{instead}'


def explanation(name: str, label: str, lines: Sequence[str], drawn: bytes) -> Section:
    """Which parts of a picture decide its answer, as lines of text and a PNG."""
    chart = Chart(
        caption="The effect of covering a square with the picture's mean colour: where orange,"
        " the number falls; where purple, it rises. Below: the nearest references.",
        alt=f"{name}, the parts that decide its answer, and its nearest references",
        png=drawn,
        wide=True,
    )
    answer = f"{name}: {label}" if label else name
    return Section(
        "explain",
        "What decides the answer",
        (Heading("The answer"), answer, *(line.strip() for line in lines), chart),
    )


def shifts(
    about: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]], drawn: bytes
) -> Section:
    """How many answers stay the same when the photos are changed.

    Args:
        about: the file and its photos.
        columns: the shares that were measured.
        rows: the name of a shift, its strength, and the shares.
        drawn: the chart as a PNG.
    """
    chart = Chart(
        caption="Share of unchanged answers by strength; grey: the unchanged photos.",
        alt="Share of unchanged answers by strength; the table has the numbers",
        png=drawn,
        wide=True,
        numbers=Table(
            caption="The numbers. Class, top-1, neighbours: agreement with the unchanged photos",
            columns=("shift", "strength", *columns),
            rows=tuple(rows),
            words=(1,),
            folded=True,
        ),
    )
    summary = f"{about}, each rotated, scaled, darkened and so on."
    return Section("shift", "Robustness to image changes", (summary, chart))
