"""What a report is made of: sections of paragraphs, numbers, tables, charts and pictures.

Plain data; `page` makes HTML of it. A new section is given to `page.render`, or to `page.append`
for a page that is there already. All texts are escaped, whatever is in them.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from .pictures import Gallery, Plane


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Figure:
    """A number that is read at a glance.

    Attributes:
        name: what it is.
        value: as it is read.
        note: what stands below in small.
    """

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Some numbers side by side."""

    kind: ClassVar[str] = "figures"
    figures: tuple[Figure, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table whose first column names the rows.

    Attributes:
        caption: what it shows.
        columns: the headings.
        rows: a text for each column.
        words: columns that hold words, and not numbers to align; the first always does.
        folded: whether it is closed until somebody opens it.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[int, ...] = ()
    folded: bool = False


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Counts of classes against classes, shaded.

    Attributes:
        caption: what it shows.
        rows: names of the true classes.
        columns: names of the answers.
        counts: a row for each true class.
    """

    kind: ClassVar[str] = "matrix"
    caption: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawing, with the same in words and numbers.

    Attributes:
        caption: what it shows, in a sentence.
        alt: what is seen, for those who do not see it.
        svg: a trusted `<svg>` element, whose colours may be variables of the page; "" for none.
        png: a picture instead; the bytes of the file.
        wide: whether the picture has words in it, and takes the width of the page.
        numbers: the same as a table, or None where a table beside it says it.
    """

    kind: ClassVar[str] = "chart"
    caption: str
    alt: str
    svg: str = ""
    png: bytes = b""
    wide: bool = False
    numbers: Table | None = None

    @property
    def source(self) -> str:
        """The PNG as a data URI."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


# A text is a paragraph.
Block = str | Heading | Figures | Table | Matrix | Chart | Gallery | Plane


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        anchor: its name in links; letters, digits and hyphens.
        title: its heading.
        blocks: what is in it.
    """

    anchor: str
    title: str
    blocks: tuple[Block, ...]

    @property
    def keys(self) -> Iterator[str]:
        """The thumbnails that it shows, in their order; some more than once."""
        for block in self.blocks:
            if isinstance(block, Gallery | Plane):
                yield from block.keys
