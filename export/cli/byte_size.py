"""Sizes as people type them."""

from __future__ import annotations

import re

from pocketknn.builder.errors import InputError

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
