"""Run the files of a build: that of Keras, whose runtime starts slowest, beside the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TypeVar

from .files import BY_SPEED
from .keras import apart

T = TypeVar("T")


def each(
    work: Mapping[str, Callable[[], T]], meanwhile: Callable[[], None] = lambda: None
) -> dict[str, T]:
    """Do some work for each of some formats; returns its results in the same order.

    Args:
        work: by the name of the format; that of Keras as for `apart.meanwhile`.
        meanwhile: called once all but Keras' work is done.
    """
    rest = [name for name in BY_SPEED if name in work and name != "keras"]
    slow = work.get("keras")
    with apart.meanwhile(slow) if slow else nullcontext() as by_keras:
        done = {name: work[name]() for name in rest}
        meanwhile()
        if by_keras:
            done["keras"] = by_keras()
    return {name: done[name] for name in work}
