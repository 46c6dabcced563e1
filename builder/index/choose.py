"""Which index the references get: made, measured on the references themselves, and chosen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.exact import Floats, Ints
from pocketknn.builder.knn.metric_space import Space
from pocketknn.builder.spec import AUTO, RECALL, Spec

from .ivf import cells_of
from .layout import Index
from .recall import Asked, enough, units_of
from .scalar_quantization import LARGEST, Codes, encode, scale

SPARE = 16  # references beyond k that are scored anew, for what eight-bit sums put out of order
_WIDTHS = (64, 128, 256)  # components that a scan may compare
_MOST = 1024  # references scored after a scan; more would cost more than they are worth
_LOST = 0.001  # of the neighbours: what a scan may lose even where bytes have lost too many
_LEARNED = 20_000  # references that principal components are taken from
_SMALL = 8 << 20  # bytes that are read in a fraction of any backbone's time
_MANY = 200_000  # references above which cells can pay
# How many times as long a runtime takes as for a byte that is scanned: medians of LiteRT and
# onnxruntime from 100,000 and 1,000,000 references, by benchmarks/search.py.
_GATHERED = 25  # for a value of a reference that is gathered, in whatever precision
_WIDENED = 15  # for a code of a cell, which is gathered with it and widened


def index(spec: Spec, space: Space, k: int) -> Index | None:
    """The index that a spec asks for; None for one dense layer of float32.

    Args:
        spec: with `search`, `references_precision`, `recall`, `candidates` and `probes`.
        space: the references, compared by cosine.
        k: how many neighbours are wanted.

    Raises:
        InputError: the recall cannot be met, or more candidates or probes than there are.
    """
    made = _Maker(spec=spec, space=space, k=k)
    if spec.search == AUTO:
        return made.fastest()
    if spec.search == "exact":
        return None if spec.references_precision == "float32" else made.measured(made.exact())
    return made.measured(made.rerank() if spec.search == "rerank" else made.ivf())


def index_again(spec: Spec, space: Space, k: int, width: int, cells: int) -> Index | None:
    """The index of an earlier build over the same references, which is not measured again.

    Args:
        spec: with all numbers that were found.
        space: the references.
        k: how many neighbours are wanted.
        width: of the scan.
        cells: how many there are; 0 without.
    """
    made = _Maker(spec=spec, space=space, k=k)
    if spec.search == "exact":
        return None if spec.references_precision == "float32" else made.exact()
    one = replace(made.scanned(width), candidates=int(spec.candidates or 0))
    return replace(made.in_cells(one, cells), probes=int(spec.probes or 0)) if cells else one


def cost(index: Index, n: int, r: int) -> float:
    """About what a search takes for a query, in bytes that are read one after the other."""
    scored = 1.0 * _GATHERED * index.candidates * r
    if index.cells is not None:
        count, room, w = map(int, index.cells.codes.shape)
        return 1.0 * index.probes * room * w * _WIDENED + 4.0 * count * w + scored
    return 1.0 * n * (index.width or r * int(index.table.itemsize)) + scored


class _Spread(NamedTuple):
    """The mean, the least and the largest value of each column (r,)."""

    mean: Floats
    least: Floats
    largest: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class _Maker:
    spec: Spec
    space: Space
    k: int
    ranked: dict[int, Ints] = field(default_factory=dict)  # by a scan's width: what _places found

    @property
    def n(self) -> int:
        return len(self.space.references)

    @property
    def limit(self) -> float:
        """The recall below which nothing is built; 0 where numbers that decide it are given."""
        given = self.spec.candidates is not None or self.spec.probes is not None
        return 0.0 if given and self.spec.recall is None else self.aim

    @property
    def aim(self) -> float:
        """The recall that numbers which are not given are chosen for."""
        return RECALL if self.spec.recall is None else float(self.spec.recall)

    @cached_property
    def spread(self) -> _Spread:
        """Where the values of each column of the unit vectors lie."""
        total = np.zeros(self.space.width)
        least, largest = np.full_like(total, np.inf), np.full_like(total, -np.inf)
        for rows in self.space.unit_blocks():
            total += rows.sum(axis=0)
            least, largest = (
                np.minimum(least, rows.min(axis=0)),
                np.maximum(largest, rows.max(axis=0)),
            )
        return _Spread(total / self.n, least, largest)

    @cached_property
    def stored(self) -> Index:
        """The references as the file holds them, all compared."""
        precision, shape = self.spec.references_precision, (self.n, self.space.width)
        if precision == "float32":
            return Index(search="exact", precision=precision, table=self.space.matrix)
        codes = None
        table: NDArray[Any] = np.empty(shape, np.float16)
        if precision == "int8":
            table = np.empty(shape, np.int8)
            codes = Codes(table, *scale(self.spread.least, self.spread.largest))
        made = Index(search="exact", precision=precision, table=table, codes=codes)
        error, start = 0.0, 0
        for rows in self.space.unit_blocks():
            block = slice(start, start + len(rows))
            table[block] = rows if codes is None else encode(rows, codes.steps, codes.middle)
            off = made.rows(block) - rows
            error = max(error, float(np.sqrt((off**2).sum(axis=1)).max()))
            start += len(rows)
        return replace(made, error=error)

    @cached_property
    def asked(self) -> Asked | None:
        """What indexes are measured by; None where there is one reference only."""
        return Asked.of(self.space, self.k, self.spec.seed)

    @cached_property
    def components(self) -> Floats:
        """Principal components of the unit vectors, the largest first: (r, …)."""
        draw = np.random.default_rng(self.spec.seed)
        some = np.sort(draw.choice(self.n, min(self.n, _LEARNED), replace=False))
        rows = units_of(self.space, some) - self.spread.mean
        if len(rows) < rows.shape[1]:
            vectors = np.linalg.svd(rows, full_matrices=False)[2][::-1].T
        else:  # the covariance is cheaper
            vectors = np.linalg.eigh(rows.T @ rows)[1]
        # The sign of a component means nothing; a rule for it makes builds the same everywhere.
        vectors *= np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
        found: Floats = vectors[:, ::-1]
        return found

    def exact(self) -> Index:
        # Codes are multiplied by a query of codes, whose sums are too coarse for the order.
        coarse = self.stored.codes is not None
        return replace(self.stored, candidates=min(self.n, self.k + SPARE) if coarse else 0)

    @cached_property
    def projected(self) -> NDArray[np.float32]:
        """All references by the most components that a scan may compare, their mean at zero."""
        kernel = self.components[:, : self._widths()[-1]]
        found = np.empty((self.n, kernel.shape[1]), np.float32)
        start = 0
        for rows in self.space.unit_blocks():
            found[start : start + len(rows)] = (rows - self.spread.mean) @ kernel
            start += len(rows)
        return found

    def scanned(self, width: int) -> Index:
        """An index with a scan over all references, and as yet no number of candidates."""
        rows = self.projected[:, :width]
        # One step for all components: a query multiplies what little there is in the last ones.
        step = float(np.abs(rows).max(initial=0)) / LARGEST or 1.0
        rotation = (self.components[:, :width] / step).astype(np.float32)
        scan = np.rint(rows / np.float32(step)).astype(np.int8)
        return replace(self.stored, search="rerank", rotation=rotation, scan=scan)

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """Which of the sought neighbours the stored precision does not lose: (q, k)."""
        if self.asked is None or self.spec.references_precision == "float32":
            return np.ones((1, 1), np.bool_)
        return self.asked.kept(self.stored)

    @cached_property
    def share(self) -> float:
        """Of the exact neighbours, what numbers are chosen to find."""
        return min(_safe(self.aim), float(self.kept.mean()) - _LOST)

    def rerank(self, share: float | None = None) -> Index:
        """The scan that costs least, with the candidates that it needs.

        Args:
            share: of the exact neighbours, to be among the candidates and kept by the stored
                precision; what is safe if None.

        Raises:
            InputError: none finds enough.
        """
        self._check("candidates", self.spec.candidates, self.k, self.n)
        share = self.share if share is None else share
        most = max(self.k, min(self.n, _MOST))
        found, best = [], 0.0
        for one in map(self.scanned, self._widths()):
            if self.spec.candidates is not None:
                found.append(replace(one, candidates=self.spec.candidates))
                continue
            places = self._places(one)
            best = max(best, float((places < most).mean()))
            if (needed := enough(places, share, self.k, most)) is not None:
                found.append(replace(one, candidates=needed))
        if not found:
            raise InputError(
                f"the search {self.spec.search} finds {best:.2%} of the neighbours with {most}"
                f" candidates, and {share:.2%} are wanted; take a lower --recall, or --search exact"
            )
        if self.spec.candidates:  # they are paid for, so the widest scan is what is best
            return found[-1]
        return min(found, key=lambda one: cost(one, self.n, self.space.width))

    def ivf(self) -> Index:
        """Cells over the scan that `rerank` would take, with the probes that are needed.

        Raises:
            InputError: too few references for cells, or probes that no cells are there for.
        """
        count = int(4 * np.sqrt(self.n))
        if self.n < 4 * count:
            raise InputError(
                f"the search ivf is for many references, and there are {self.n}; take rerank"
            )
        self._check("probes", self.spec.probes, 1, count)
        # Of what may be missed, beyond what bytes lose, the scan gets a third and cells the rest.
        most = float(self.kept.mean())
        flat = self.rerank(most - (most - self.share) / 3)
        one = self.in_cells(flat, count)
        sizes = np.cumsum(_sizes(one))
        # Whatever cells are the nearest, there must be as many references in them.
        least = int(np.searchsorted(sizes, one.candidates)) + 1
        self._check("probes", self.spec.probes, least, count)
        if self.spec.probes is not None or self.asked is None:
            return replace(one, probes=self.spec.probes or least)
        seen = self._places(flat) < one.candidates
        places = np.where(seen, self.asked.cells(one), count)
        return replace(one, probes=enough(places, self.share, least, count) or count)

    def _places(self, one: Index) -> Ints:
        """Of each sought neighbour, how many references a scan ranks before it; all if lost."""
        if self.asked is None:
            return np.zeros((1, 1), np.int64)
        if one.width not in self.ranked:  # cells ask again for the scan that they hold
            self.ranked[one.width] = np.where(self.kept, self.asked.places(one), self.n)
        return self.ranked[one.width]

    def in_cells(self, one: Index, count: int) -> Index:
        """An index whose scan is put into so many cells; as yet without a number of probes."""
        assert one.scan is not None
        assert one.rotation is not None
        offset = self.spread.mean @ one.rotation
        cells = cells_of(one.scan, offset, count, self.spec.seed)
        return replace(one, search="ivf", scan=None, cells=cells)

    def measured(self, one: Index) -> Index:
        """The same with its recall, and more candidates and probes where it finds too few.

        Raises:
            InputError: with all of them it is still below the limit.
        """
        if (asked := self.asked) is None:
            return one
        recall = asked.recall(one)
        while recall < self.limit <= self.kept.mean() and (more := self._more(one)) is not None:
            one, recall = more, asked.recall(more)
        if recall < self.limit:
            raise InputError(
                f"{one.precision} references and the search {one.search} find {recall:.2%} of the"
                f" exact neighbours, and a recall of {self.limit:.2%} is wanted;"
                f" {self._ways(one)}"
            )
        return replace(one, recall=recall, queries=len(asked.own))

    def _more(self, one: Index) -> Index | None:
        """The same with half as many candidates and probes again; None where it has all."""
        if one.search == "exact":
            return None
        candidates, probes = one.candidates, one.probes
        if one.cells is not None and self.spec.probes is None:
            probes = min(probes * 3 // 2 + 1, len(one.cells.codes))
        if self.spec.candidates is None:
            there = self.n if one.cells is None else int(_sizes(one)[:probes].sum())
            candidates = max(candidates, min(candidates * 3 // 2 + 1, there, _MOST))
        if (candidates, probes) == (one.candidates, one.probes):
            return None
        return replace(one, candidates=candidates, probes=probes)

    def _ways(self, one: Index) -> str:
        """What to do where an index finds too few, in words."""
        ways = ["take a lower --recall"]
        if self.spec.candidates is not None:
            ways.append("more --candidates")
        if self.spec.probes is not None:
            ways.append("more --probes")
        if one.precision != "float32":
            ways.append("a higher --references-precision")
        if one.search != "exact":
            ways.append("--search exact")
        return ", or ".join(ways)

    def fastest(self) -> Index | None:
        """What is fastest and finds enough; None where that is one dense layer."""
        plain = self.exact()
        options = [plain]
        if self.n * self.space.width * plain.table.itemsize > _SMALL:
            ways = [self.rerank, self.ivf] if self.n >= _MANY else [self.rerank]
            for way in ways:
                try:
                    options.append(self.measured(way()))
                except InputError:
                    continue  # it does not find enough
        best = min(options, key=lambda one: cost(one, self.n, self.space.width))
        if best is not plain:
            return best
        return None if plain.precision == "float32" else self.measured(plain)

    def _widths(self) -> list[int]:
        r = self.components.shape[1]
        return [width for width in _WIDTHS if width < r] + [r] * (r <= _WIDTHS[-1])

    def _check(self, name: str, value: int | None, least: int, most: int) -> None:
        if value is not None and not least <= value <= most:
            raise InputError(f"{name} must be {least} to {most} here, not {value}")


def _safe(recall: float) -> float:
    """What to choose numbers by: those who are asked now are not those who will be asked."""
    return 1 - (1 - recall) * 2 / 3


def _sizes(one: Index) -> Ints:
    """How many references there are in each cell, the fewest first."""
    assert one.cells is not None
    return np.sort((one.cells.members >= 0).sum(axis=1))
