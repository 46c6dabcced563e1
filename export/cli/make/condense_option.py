"""Which references to keep, as people type it, and what is said of what was kept."""

from __future__ import annotations

import re

from pocketknn.builder.errors import InputError
from pocketknn.builder.selection.condense import GONE, METHODS, Condense
from pocketknn.export.cli.byte_size import parse_bytes


def plan_of(amount: str | None, by: str | None) -> Condense:
    """The plan that was typed.

    Args:
        amount: "500", "50%", "2MB", or a method, which then keeps as many as it needs.
        by: the method for an amount; prototypes when None.

    Raises:
        InputError: it is none of these, or a method without an amount.
    """
    text = (amount or "").strip()
    if text in METHODS or text in GONE:
        if by not in (None, text):
            raise InputError(f"--condense {text} and --condense-by {by} name two methods")
        return Condense(by=text)
    method = by or "prototypes"
    if text.isdecimal():
        return Condense(by=method, count=int(text))
    if re.fullmatch(r"\d+(\.\d+)?%", text):
        return Condense(by=method, share=float(text[:-1]) / 100)
    if re.fullmatch(r".*\d.*[bB]", text):
        return Condense(by=method, bytes=parse_bytes(text))
    raise InputError(f"say how many references to keep: 500, 50% or 2MB, or edited, not {text!r}")
