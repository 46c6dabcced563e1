"""Turn sections into one self-contained HTML file: no network, no script."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING

from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.readers import read_file
from pocketknn.builder.system.atomic_file import replacing
from pocketknn.export.output.names import REPORT_TITLE
from pocketknn.export.report.blocks import Section

if TYPE_CHECKING:
    from jinja2 import Environment

_LONGEST = 60  # characters of a name; longer ones lose their middle
# `append` adds links and sections between these marks.
_LINKS = ("<!-- added links: -->", "<!-- more links come here -->")
_SECTIONS = ("<!-- added sections: -->", "<!-- more sections come here -->")

# The heading of an earlier page, as the template writes it.
_HEADING = re.compile(
    r'<h1>[^<]*: <bdi title="([^"]*)">[^<]*</bdi></h1>\s*<p>Built on <time datetime="([\d-]{10})">'
)


@dataclass(frozen=True)
class Heading:
    """The subject of a page.

    Attributes:
        name: name of the photos' folder, or of the build's; "" if neither has one.
        built: the day of the build; None if it is not known.
    """

    name: str
    built: date | None = None

    @property
    def day(self) -> str:
        """The day of the build, written out; "" if it is not known."""
        return f"{self.built.day} {self.built:%B %Y}" if self.built else ""


def render(
    heading: Heading, subtitle: str, sections: Sequence[Section], thumbnails: Mapping[str, str]
) -> str:
    """The HTML of the page; thumbnails are data URIs by key."""
    return (
        _templates()
        .get_template("report.html.j2")
        .render(
            heading=heading,
            subtitle=subtitle,
            sections=sections,
            thumbnails=thumbnails,
            kind=REPORT_TITLE,
            added_links="".join(_LINKS),
            added_sections="".join(_SECTIONS),
        )
    )


def heading_of(path: Path) -> Heading | None:
    """The heading of a page that `write` wrote; None if there is no such page, or it has none."""
    try:
        html = read_file(path).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    found = _HEADING.search(html)
    try:
        return found and Heading(unescape(found[1]), date.fromisoformat(found[2]))
    except ValueError:  # it was edited
        return None


def write(path: Path, html: str) -> None:
    """Write a page under a temporary name, then rename it."""
    with replacing(path.resolve()) as made:  # keeps a symbolic link
        made.write_text(html, encoding="utf-8", newline="")


def append(path: Path, section: Section, thumbnails: Mapping[str, str] | None = None) -> bool:
    """Add a section to a page that `write` wrote, or replace the one with the same anchor.

    A section that is added comes last.

    Returns:
        Whether one was replaced.

    Raises:
        InputError: there is no such page.
    """
    try:
        html = read_file(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"there is no page {path} to add to", "report-missing") from error
    if any(mark not in html for mark in (*_LINKS, *_SECTIONS)):
        raise InputError(f"{path} is not a pocketknn report", "not-a-report")
    name = re.escape(section.anchor)
    added_before = rf"<!-- {name}: -->.*?<!-- :{name} -->\s*"
    html, replaced = re.subn(added_before, "", html, flags=re.DOTALL)
    macros = _templates().get_template("blocks.html.j2").module
    link = macros.link(section)  # type: ignore[attr-defined]  # a macro of the template
    body = macros.section(section, thumbnails or {}, True)  # type: ignore[attr-defined]
    for added, (_, end) in ((link, _LINKS), (body, _SECTIONS)):
        html = html.replace(end, f"{added}{end}")
    write(path, html)
    return replaced > 0


def with_added(html: str, earlier: Path) -> str:
    """A page with the sections that were appended to an earlier one, if any."""
    try:
        previous = read_file(earlier).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return html
    for start, end in (_LINKS, _SECTIONS):
        added = previous.partition(start)[2].partition(end)[0]
        html = html.replace(start + end, start + added + end)
    return html


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"name": _shown, "printable": _printable}
    made.filters["kind"] = lambda block: type(block).__name__.lower()
    return made


def _printable(text: str) -> str:
    """Text without invisible characters or ones that change its direction."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _shown(name: str) -> str:
    """A name as the page shows it: printable, and short enough to read."""
    clean = _printable(name)
    if len(clean) <= _LONGEST:
        return clean
    half = _LONGEST // 2 - 1
    return f"{clean[:half]}…{clean[-half:]}"
