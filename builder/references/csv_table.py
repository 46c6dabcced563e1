"""The table by which an app maps an index to a picture: CSV of index, id, label, path."""

from __future__ import annotations

import csv
import re
from io import StringIO

from .columns import Columns

_FORMULA = re.compile(r"'*[=+\-@\t\r]")  # starts a formula in a spreadsheet, or one after quotes


def table(references: Columns) -> str:
    """The CSV text, with every string `guarded`."""
    text = StringIO()
    text.write("index,id,label,path\n")
    # Quote every text: the default leaves a lone carriage return unquoted.
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    for row in range(len(references)):
        texts = (references.ids[row], references.label_of(row), references.paths[row])
        writer.writerow((row, *map(guarded, texts)))
    return text.getvalue()


def guarded(text: str) -> str:
    """A text that a spreadsheet will not run as a formula.

    >>> guarded("=1+1"), guarded("'tis"), guarded("'=1+1")
    ("'=1+1", "'tis", "''=1+1")
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """The inverse of `guarded`; any other text is returned unchanged."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text
