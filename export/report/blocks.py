"""The parts of a report: sections of paragraphs, numbers, tables, charts and pictures.

They are plain data, which `page` turns into HTML: `page.render` makes a new page, `page.append`
adds a section to an existing one. All text is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture, given by its key among the thumbnails, and its caption.

    Attributes:
        key: key of the thumbnail; if there is none, only the name is shown.
        name: name of its file, or its id.
        label: its class, or "".
        note: a short text, such as its score.
        right: whether its class is correct; None if that does not apply.
    """

    key: str
    name: str
    label: str = ""
    note: str = ""
    right: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """A picture, and the pictures it is compared with."""

    picture: Picture
    against: tuple[Picture, ...]


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Some cases.

    Attributes:
        cases: the cases, in order.
        title: what they have in common, shown above them; "" for none.
        folded: whether they are hidden until opened; needs a title.
    """

    cases: tuple[Case, ...]
    title: str = ""
    folded: bool = False

    @property
    def pairs(self) -> bool:
        """Whether each picture is compared with exactly one other."""
        return all(len(case.against) == 1 for case in self.cases)

    @property
    def keys(self) -> Iterator[str]:
        """The thumbnails that it shows."""
        return (one.key for case in self.cases for one in (case.picture, *case.against))


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A picture on a plane: x and y between 0 and 1, the origin at the top left.

    Attributes:
        x: coordinate to the right.
        y: coordinate downwards.
        picture: the picture at this position.
        group: number of its class's colour, from 1, or 0 for none.
        shown: whether there is room for its thumbnail.
    """

    x: float
    y: float
    picture: Picture
    group: int = 0
    shown: bool = False


@dataclass(frozen=True, kw_only=True)
class Plane:
    """Pictures on a plane.

    Attributes:
        caption: what it shows.
        alt: alternative text for readers who cannot see it.
        dots: the pictures.
        groups: names of the colours.
    """

    caption: str
    alt: str
    dots: tuple[Dot, ...]
    groups: tuple[str, ...] = ()

    @property
    def keys(self) -> Iterator[str]:
        """The thumbnails that it shows."""
        return (dot.picture.key for dot in self.dots if dot.shown)


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True)
class Figure:
    """A number to be read at a glance.

    Attributes:
        name: what it is.
        value: the number, formatted.
        note: small print below it.
    """

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Some numbers side by side."""

    figures: tuple[Figure, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table whose first column names the rows.

    Attributes:
        caption: what it shows.
        columns: the headings.
        rows: a text for each column.
        words: indices of the columns that hold words, not numbers; the first always does.
        folded: whether it is hidden until opened.
    """

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
        columns: names of the predicted classes.
        counts: one row per true class.
    """

    caption: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart, with the same facts in words and numbers.

    Attributes:
        caption: what it shows, in a sentence.
        alt: alternative text for readers who cannot see it.
        svg: a trusted `<svg>` element, whose colours may be variables of the page; "" for none.
        png: the bytes of a PNG file, to show instead of an SVG.
        wide: whether the picture contains text and needs the full width of the page.
        numbers: the same as a table, or None if another table holds them.
    """

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


@dataclass(frozen=True)
class Command:
    """A command to copy."""

    text: str


# A text is a paragraph.
Block = str | Heading | Command | Figures | Table | Matrix | Chart | Gallery | Plane


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        anchor: its name in links; letters, digits and hyphens.
        title: its heading.
        blocks: its content.
    """

    anchor: str
    title: str
    blocks: tuple[Block, ...]

    @property
    def keys(self) -> Iterator[str]:
        """The thumbnails that it shows, in order; some more than once."""
        for block in self.blocks:
            if isinstance(block, Gallery | Plane):
                yield from block.keys
