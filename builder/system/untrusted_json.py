"""JSON that someone else may have written."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:  # noqa: ANN401
    """Parse a JSON text.

    Raises:
        ValueError: not JSON, not UTF-8, holds NaN or Infinity, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refuse(name: str) -> Any:  # noqa: ANN401
    raise ValueError(f"a number is {name}")
