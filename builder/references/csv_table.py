"""The table that an app turns an index into a picture with: CSV of index, id, label, path."""

from __future__ import annotations

import csv
import re
from io import StringIO

from .columns import Columns

_FORMULA = re.compile(r"'*[=+\-@\t\r]")  # what a spreadsheet runs, and what says that it is text


def table(references: Columns) -> str:
    """The table; its texts are `guarded`."""
    text = StringIO()
    text.write("index,id,label,path\n")
    # All texts in quotes: a lone carriage return in a name would go unquoted otherwise.
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    for row in range(len(references)):
        texts = (references.ids[row], references.label_of(row), references.paths[row])
        writer.writerow((row, *map(guarded, texts)))
    return text.getvalue()


def guarded(text: str) -> str:
    """A text for a table that a spreadsheet may open, which would run it if it were a formula.

    >>> guarded("=1+1"), guarded("'tis"), guarded("'=1+1")
    ("'=1+1", "'tis", "''=1+1")
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """What `guarded` was given; a text that it never wrote is left as it is."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text
