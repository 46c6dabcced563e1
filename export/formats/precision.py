"""What a format's backbone is written in."""

from __future__ import annotations

from .options import Options
from .table import FORMATS


def precision_of(name: str, options: Options, backbone: object | None) -> str:
    """What was asked for where the format can, else the format's default.

    Without a backbone there is nothing to make smaller.
    """
    target, asked = FORMATS[name], options.precision
    return asked if backbone and asked in target.PRECISIONS else target.PRECISION
