"""The bars that people see while pictures are embedded and files are written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from .terminal import console


@contextmanager
def progress(shown: bool = True) -> Iterator[Progress]:
    """A bar for each step, as long as the work goes on; none where JSON is printed."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not shown) as bar:
        yield bar
