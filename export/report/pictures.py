"""Blocks of pictures: galleries of cases, and planes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture by its key among the thumbnails, and what is said of it.

    Attributes:
        key: of the thumbnail; where there is none the name alone is shown.
        name: of its file, or its id.
        label: its class, or "".
        note: what else is said, such as its score.
        right: whether its class is the right one; None where that is no question.
    """

    key: str
    name: str
    label: str = ""
    note: str = ""
    right: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """A picture and those it is held against."""

    picture: Picture
    against: tuple[Picture, ...]


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Some cases.

    Attributes:
        title: what they have in common, below a heading; "" for none.
        cases: in order.
        folded: whether they are hidden until somebody opens them; needs a title.
    """

    kind: ClassVar[str] = "gallery"
    cases: tuple[Case, ...]
    title: str = ""
    folded: bool = False

    @property
    def pairs(self) -> bool:
        """Whether each picture is held against one other."""
        return all(len(case.against) == 1 for case in self.cases)

    @property
    def keys(self) -> Iterator[str]:
        """The thumbnails that it shows."""
        return (one.key for case in self.cases for one in (case.picture, *case.against))


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A picture on a plane: x and y between 0 and 1, the origin at the top left.

    Attributes:
        x: to the right.
        y: downwards.
        picture: what is there.
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
        alt: the same for those who do not see it.
        dots: the pictures.
        groups: names of the colours.
    """

    kind: ClassVar[str] = "plane"
    caption: str
    alt: str
    dots: tuple[Dot, ...]
    groups: tuple[str, ...] = ()

    @property
    def keys(self) -> Iterator[str]:
        """The thumbnails that it shows."""
        return (dot.picture.key for dot in self.dots if dot.shown)
