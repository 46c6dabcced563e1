"""Sections that commands add to the report of a build, each in place of an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pocketknn.builder.errors import InputError
from pocketknn.export.output.names import REPORT
from pocketknn.export.report.html import page

from .blocks import Chart, Heading, Section, Table


def add(folder: Path, section: Section) -> str:
    """Add a section to a build's report; a line that says where, or why not."""
    try:
        page.append(folder / REPORT, section)
    except (InputError, OSError) as error:
        return f"the report was left alone: {error}"
    return f'{folder / REPORT} shows it as "{section.title}"'


def explanation(name: str, label: str, said: Sequence[str], drawn: bytes) -> Section:
    """What the answer to a picture hangs on, in lines and drawn as a PNG."""
    chart = Chart(
        caption="What is lost where a square is hidden by the picture's mean colour: orange costs,"
        " purple adds. Below are the nearest references.",
        alt=f"{name}, what its answer hangs on, and its nearest references",
        png=drawn,
        wide=True,
    )
    answer = f"{name}: {label}" if label else name
    return Section(
        "explain",
        "What makes it click",
        (Heading("The answer"), answer, *(line.strip() for line in said), chart),
    )


def shifts(
    about: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]], drawn: bytes
) -> Section:
    """What stays of the answers to photos that are taken otherwise.

    Args:
        about: the file and its photos.
        columns: the shares that were measured.
        rows: the name of a shift, its strength, and the shares.
        drawn: the chart as a PNG.
    """
    chart = Chart(
        caption="What stays of the answers against strength; grey: the photos as they are.",
        alt="What stays of the answers against strength; the table has the numbers",
        png=drawn,
        wide=True,
        numbers=Table(
            caption="The numbers. Class, first, neighbours: the same as for the photos as they are",
            columns=("shift", "strength", *columns),
            rows=tuple(rows),
            words=(1,),
            folded=True,
        ),
    )
    said = f"{about}, each turned, scaled, darkened and so on."
    return Section("shift", "Robustness to image changes", (said, chart))
