"""Sizes, and how many references to keep, as people type them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pocketknn.builder.errors import InputError

if TYPE_CHECKING:
    from pocketknn.builder.selection.condense import Condense

_UNITS = {"B": 1, "KB": 1e3, "MB": 1e6, "KIB": 1024, "MIB": 1 << 20}


def parse_bytes(text: str) -> int:
    """Bytes of "2MB", "500 KB", "1.5 MiB" or "900B"; of a number alone nobody knows what it means.

    Raises:
        InputError: it is none of these.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*((?:[KM]i?)?B|)\s*", text, re.IGNORECASE)
    if not match or (not match[2] and float(match[1])):  # nothing is nothing in any unit
        raise InputError(f"a size is given with its unit, such as 2MB or 500KB, not as {text!r}")
    return int(float(match[1]) * _UNITS[match[2].upper() or "B"])


def parse_amount(amount: str | None, by: str | None) -> Condense:
    """Which references to keep.

    Args:
        amount: "500", "50%", "2MB", or a method, which then keeps as many as it needs.
        by: the method for an amount; prototypes when None.

    Raises:
        InputError: it is none of these, or a method without an amount.
    """
    from pocketknn.builder.selection.condense import GONE, METHODS, Condense

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
