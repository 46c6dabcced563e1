"""Choose an index: build candidates, measure them on the references, take the fastest."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.choices.searches.index import Index
from pocketknn.builder.errors import InputError
from pocketknn.builder.spec import AUTO, Spec

from .candidates import MOST, cheapest, cost, unscanned
from .making import Maker

if TYPE_CHECKING:
    from pocketknn.builder.knn.metric_space import Space

_SMALL = 8 << 20  # bytes; reading them takes a fraction of any backbone's time


def index(spec: Spec, space: Space, k: int) -> Index | None:
    """The index for a spec; None for one dense layer of float32.

    Args:
        spec: with `search`, `references_precision`, `recall`, `candidates` and `seed`.
        space: the references, under an angular metric.
        k: how many neighbours are wanted.

    Raises:
        InputError: the recall cannot be met, or more candidates are wanted than there are.
    """
    making = Maker(spec=spec, space=space, k=k)
    if spec.search == AUTO:
        return _fastest(making)
    if SEARCHES[spec.search].SCANS:
        return _measured(making, cheapest(making, spec.search))
    return None if spec.references_precision == "float32" else _measured(making, unscanned(making))


def index_again(spec: Spec, space: Space, k: int, width: int) -> Index | None:
    """Rebuild the index of an earlier build over the same references, without measuring it.

    Args:
        spec: with every number resolved.
        space: the references.
        k: how many neighbours are wanted.
        width: components of the scan.
    """
    making = Maker(spec=spec, space=space, k=k)
    if SEARCHES[spec.search].SCANS:
        candidates = int(spec.candidates or 0)
        return replace(making.scanned(width), search=spec.search, candidates=candidates)
    return None if spec.references_precision == "float32" else unscanned(making)


def _fastest(making: Maker) -> Index | None:
    """The fastest index with enough recall; None if that is one dense layer."""
    plain = unscanned(making)
    options = [plain]
    if making.n * making.width * plain.table.itemsize > _SMALL:
        for name in [name for name, search in SEARCHES.items() if search.SCANS]:
            with suppress(InputError):  # recall too low
                options.append(_measured(making, cheapest(making, name)))
    best = min(options, key=lambda one: cost(one, making.n, making.width))
    if best is not plain:
        return best
    return None if plain.precision == "float32" else _measured(making, plain)


def _measured(making: Maker, one: Index) -> Index:
    """The index with its recall, and with more candidates if that was too low.

    Raises:
        InputError: even with all of them the recall is below the limit.
    """
    if (queries := making.left_out) is None:
        return one
    recall, limit = queries.recall(one), making.limit
    scans = SEARCHES[one.search].SCANS
    while recall < limit and scans and limit <= making.most_kept:
        if (more := _more(making, one)) is None:
            break
        one, recall = more, queries.recall(more)
    if recall < limit:
        raise InputError(
            f"{one.precision} references and the search {one.search} find {recall:.2%} of the"
            f" exact neighbours, but {limit:.2%} is required; {_remedies(making, one, recall)}",
            "recall-too-low",
        )
    return replace(one, recall=recall, queries=len(queries.own))


def _more(making: Maker, one: Index) -> Index | None:
    """An index with a scan, with 1.5 times the candidates; None if there can be no more."""
    more = min(one.candidates * 3 // 2 + 1, making.n, MOST)
    if making.spec.candidates is not None or more <= one.candidates:
        return None
    return replace(one, candidates=more)


def _remedies(making: Maker, one: Index, recall: float) -> str:
    """What to do about a recall that is too low."""
    ways = [f"use a lower --recall, such as {math.floor(100 * recall) / 100:.2f}"]
    if making.spec.candidates is not None:
        ways.append("more --candidates")
    if one.precision != "float32":
        ways.append("a higher --references-precision")
    if SEARCHES[one.search].SCANS:
        ways.append("--search exact")
    return ", or ".join(ways)
