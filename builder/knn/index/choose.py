"""Choose an index: build candidates, measure them on the references, take the fastest."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pocketknn.builder.choices.searches import SEARCHES, exact
from pocketknn.builder.choices.searches.index import Index
from pocketknn.builder.choices.searches.scan import MOST, cost
from pocketknn.builder.errors import InputError
from pocketknn.builder.spec import AUTO, Spec

from .making import Maker
from .recall import LeftOut

if TYPE_CHECKING:
    from pocketknn.builder.knn.metric_space import Space

_SMALL = 8 << 20  # bytes; reading them takes a fraction of any backbone's time


def index(spec: Spec, space: Space, k: int) -> Index | None:
    """The index for a spec; None for one dense layer of float32.

    Args:
        spec: with `search`, `references_precision`, `recall`, `candidates` and `probes`.
        space: the references, under an angular metric.
        k: how many neighbours are wanted.

    Raises:
        InputError: the recall cannot be met, or more candidates or probes are wanted than there
            are.
    """
    making = _maker(spec, space, k)
    if spec.search == AUTO:
        return _fastest(making)
    made = SEARCHES[spec.search].make(making)
    return made and _measured(making, made)


def index_again(spec: Spec, space: Space, k: int, width: int, cells: int) -> Index | None:
    """Rebuild the index of an earlier build over the same references, without measuring it.

    Args:
        spec: with every number resolved.
        space: the references.
        k: how many neighbours are wanted.
        width: components of the scan.
        cells: number of cells; 0 for none.
    """
    making, search = _maker(spec, space, k), SEARCHES[spec.search]
    if not search.SCANS:
        return search.make(making)
    candidates = int(spec.candidates or 0)
    one = replace(making.scanned(width), search=spec.search, candidates=candidates)
    return replace(making.in_cells(one, cells), probes=int(spec.probes or 0)) if cells else one


def _maker(spec: Spec, space: Space, k: int) -> Maker:
    return Maker(
        n=len(space.references),
        k=k,
        width=space.width,
        precision=spec.references_precision,
        candidates=spec.candidates,
        probes=spec.probes,
        space=space,
        recall=spec.recall,
        seed=spec.seed,
        draw=partial(LeftOut.of, space, k, spec.seed),
    )


def _fastest(making: Maker) -> Index | None:
    """The fastest index with enough recall; None if that is one dense layer."""
    plain = exact.plain(making)
    options = [plain]
    if making.n * making.width * plain.table.itemsize > _SMALL:
        for search in SEARCHES.values():
            if not search.SCANS or making.n < search.PAYS:
                continue
            try:
                if made := search.make(making):
                    options.append(_measured(making, made))
            except InputError:
                continue  # recall too low
    best = min(options, key=lambda one: cost(one, making.n, making.width))
    if best is not plain:
        return best
    return None if plain.precision == "float32" else _measured(making, plain)


def _measured(making: Maker, one: Index) -> Index:
    """The index with its recall, and with more candidates and probes if that was too low.

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
    """An index with a scan, with 1.5 times the candidates and probes; None if it has all."""
    candidates, probes = one.candidates, one.probes
    if one.cells is not None and making.probes is None:
        probes = min(probes * 3 // 2 + 1, len(one.cells.codes))
    if making.candidates is None:
        scanned = making.n if one.cells is None else int(one.cell_sizes[:probes].sum())
        candidates = max(candidates, min(candidates * 3 // 2 + 1, scanned, MOST))
    if (candidates, probes) == (one.candidates, one.probes):
        return None
    return replace(one, candidates=candidates, probes=probes)


def _remedies(making: Maker, one: Index, recall: float) -> str:
    """What to do about a recall that is too low."""
    ways = [f"use a lower --recall, such as {math.floor(100 * recall) / 100:.2f}"]
    if making.candidates is not None:
        ways.append("more --candidates")
    if making.probes is not None:
        ways.append("more --probes")
    if one.precision != "float32":
        ways.append("a higher --references-precision")
    if SEARCHES[one.search].SCANS:
        ways.append("--search exact")
    return ", or ".join(ways)
