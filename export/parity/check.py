"""Parity: whether an artefact agrees with the exact k-NN, and by how much."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.neighbors import Floats, Ints, Neighbors
from pocketknn.builder.choices.searches import find
from pocketknn.builder.knn.exact import rank, unit, winners
from pocketknn.builder.wording import counted

from .metrics import first_equal, recall

if TYPE_CHECKING:
    from pocketknn.builder.knn.fit import Fit
    from pocketknn.builder.knn.metric_space import Space
    from pocketknn.export.formats.protocol import Outputs

_MOST_SHORT = 30.0  # times shorter than references; an even shorter query is mostly rounding
# Maximum loss of recall of a file compared with the same search in numpy: runtimes quantise queries
# with their own step sizes, which can swap references at the edge of the k nearest.
_RECALL = 0.02


class Tolerance(NamedTuple):
    """The tolerances that define agreement for a precision.

    Errors of cosines are absolute. Distances and values have no natural scale: their errors are
    relative to the vectors' lengths (1 for cosines), or to the largest target.

    Attributes:
        score: maximum error of a returned cosine against the exact one of the same reference.
        distance: maximum error of a returned distance.
        tie: references whose exact scores differ by less may swap.
        lists: minimum share of neighbour lists that are equal, apart from such ties.
        vote: maximum error of a vote or value, compared with the one computed from the artefact's
            own neighbours.
    """

    score: float
    distance: float
    tie: float
    lists: float
    vote: float


# float32: a dot product of 1280 terms has an error of about 1e-6, two scores twice that, plus a
# margin. float16: only the backbone is half precision; its rounding moves a cosine by about 1e-3. A
# cosine sees only the part of the error along the reference, while a distance can see all of it, up
# to the square root of twice as much; noise and black pictures need 3e-2, with a margin of two.
TOLERANCES = {
    "float32": Tolerance(score=1e-5, distance=1e-5, tie=2e-5, lists=0.999, vote=1e-5),
    "float16": Tolerance(score=1e-2, distance=3e-2, tie=5e-3, lists=0.99, vote=1e-3),
    # With int8 the lists are only reported; scores, votes and the stored references are held. A
    # quarter refuses only what is grossly wrong: by the bundled backbone's cosines of flowers,
    # pixels of a wrong scale or another picture's answer (0.5), not swapped colours (0.25).
    "int8": Tolerance(score=0.25, distance=0.25, tie=5e-3, lists=0.0, vote=1e-3),
}


@dataclass(frozen=True, kw_only=True)
class Parity:
    """An artefact's outputs compared with exact k-NN in float64.

    Attributes:
        precision: which tolerance applies.
        judge: the runtime that embedded the inputs for the exact k-NN, see `Queries`.
        queries: how many inputs were compared.
        lists_equal: share of neighbour lists equal at every rank.
        lists_agree: the same, but references with exact scores closer than `tie` may swap.
        first_equal: share of queries with the same nearest reference.
        recall: share of the exact k neighbours that were returned, in any order.
        score_error: largest |returned score - exact score of the returned reference|; for a
            distance, as a share of the lengths of the two vectors.
        vote_error: largest |vote - vote computed from the artefact's own neighbours|; for values,
            as a share of the largest target; 0 without either.
        labels_equal: share of queries with the label of the exact vote; 1 without a vote.
        stored: whether the file holds all references bit for bit; queries reach only a few of them.
        failures: each value that exceeds its tolerance, in words; empty if the artefact agrees.

    The defaults describe an artefact that cannot be run, or whose answers cannot be compared.
    """

    precision: str
    judge: str = ""
    queries: int
    lists_equal: float = 0.0
    lists_agree: float = 0.0
    first_equal: float = 0.0
    recall: float = 0.0
    score_error: float = float("inf")
    vote_error: float = float("inf")
    labels_equal: float = 0.0
    stored: bool = False
    failures: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether everything is within its tolerance."""
        return not self.failures

    def as_json(self) -> dict[str, object]:
        """The same as a JSON object, with null for values that could not be measured."""
        errors = {"score_error": self.score_error, "vote_error": self.vote_error}
        known = {name: error if np.isfinite(error) else None for name, error in errors.items()}
        return {"agrees": self.agrees} | asdict(self) | known | {"failures": list(self.failures)}


def check(
    outputs: Outputs,
    embeddings: NDArray[np.floating],
    fit: Fit,
    *,
    precision: str,
    stored: bool = True,
    searched: bool = True,
) -> Parity:
    """Compare an artefact's answers with the exact k-NN over the same embeddings.

    Args:
        outputs: the artefact's `scores` (q, k), `indices` (q, k) and, with a vote,
            `probabilities` (q, C), or with targets `value` (q, T).
        embeddings: (q, d) of the same queries, by another runtime than the file's, see `judges`.
        fit: the references that the artefact should hold, and what it should do with them.
        precision: precision of the backbone, one of `TOLERANCES`.
        stored: the result of `holds` for the file.
        searched: whether an approximate search must find what the same search in numpy finds.
    """
    if wrong := _misshapen(outputs, len(embeddings), fit):
        return Parity(precision=precision, queries=len(embeddings), failures=(wrong,))
    exact = fit.space.scores(embeddings)
    best = rank(exact, fit.k)
    indices = outputs["indices"].astype(np.int64)
    true_scores = np.take_along_axis(exact, indices, axis=1)
    scale = scale_of(fit.space, embeddings, indices)
    judged = _judged(outputs, best, true_scores, scale, fit, precision, stored)
    tolerance = TOLERANCES[precision]
    if fit.index is None or not (searched and fit.approximate and tolerance.lists):
        return judged
    units = unit(fit.space.project(embeddings))
    minimum = best.scores[:, -1:] - tolerance.tie

    def as_near(found: Ints) -> float:
        """Share of the found neighbours that are as near as the last exact one."""
        scores = np.take_along_axis(exact, np.maximum(found, 0), axis=1)
        return float((scores >= minimum).mean())

    wanted, given = as_near(find(fit.index, units, fit.k).indices), as_near(indices)
    if given >= wanted - _RECALL:
        return judged
    failure = (
        f"finds {given:.1%} of the exact neighbours; the same search in numpy finds {wanted:.1%}"
    )
    return replace(judged, failures=(*judged.failures, failure))


def check_kept(
    outputs: Outputs, before: Neighbors, fit: Fit, *, precision: str, stored: bool
) -> Parity:
    """Compare an artefact's answers with its earlier ones, when it had more references.

    The remaining neighbours must come first in each list, with unchanged scores. The neighbours
    after them cannot be checked without embeddings.

    Args:
        outputs: as for `check`.
        before: the earlier answers, with the new numbers of the references; -1 for removed ones.
        fit: as for `check`.
        precision: as for `check`.
        stored: as for `check`.
    """
    if wrong := _misshapen(outputs, len(before.indices), fit):
        return Parity(precision=precision, queries=len(before.indices), failures=(wrong,))
    found = outputs["scores"].astype(np.float64), outputs["indices"].astype(np.int64)
    first = np.argsort(before.indices < 0, axis=1, kind="stable")
    left = np.take_along_axis(before.indices, first, axis=1)
    gone = left < 0
    scores = np.take_along_axis(before.scores, first, axis=1)
    best = Neighbors(np.where(gone, found[0], scores), np.where(gone, found[1], left))
    true_scores = np.where(found[1] == best.indices, best.scores, found[0])
    length = max(float(np.median(fit.space.lengths(fit.space.rows))), 1e-30)
    scale = np.full(true_scores.shape, length)
    return _judged(outputs, best, true_scores, scale, fit, precision, stored)


def _judged(
    outputs: Outputs,
    best: Neighbors,
    true_scores: Floats,
    scale: Floats,
    fit: Fit,
    precision: str,
    stored: bool,
) -> Parity:
    """Compare outputs with the correct neighbours, and with the correct scores (q, k)."""
    tolerance = TOLERANCES[precision]
    (q, k), indices = best.indices.shape, outputs["indices"].astype(np.int64)
    scores = outputs["scores"].astype(np.float64)
    tie = tolerance.tie * scale + 2 * fit.stored_error
    agree = (np.abs(true_scores - best.scores) < tie) | (indices == best.indices)
    distinct = np.array([len(set(row)) == k for row in indices.tolist()])
    lists_agree = float((agree.all(axis=1) & distinct).mean())
    score_error = float((np.abs(scores - true_scores) / scale).max())
    labels_equal = 1.0
    own = Neighbors(scores, indices)
    vote_error, output = 0.0, fit.head.OUTPUT
    if output is not None:
        off = np.abs(outputs[output.name].astype(np.float64) - fit.answers(own, precision))
        vote_error = float(off.max()) / fit.head.largest(fit.references)
    if output is not None and fit.labels:
        given, wanted = outputs[output.name], fit.answers(best, precision)
        labels_equal = float((winners(given) == winners(wanted)).mean())
    failures = [] if stored else ["the file does not hold all references bit for bit"]
    allowed = tolerance.score if fit.metric.ANGULAR else tolerance.distance
    allowed += fit.stored_error
    if score_error > allowed:
        failures.append(f"score error {score_error:.1e} exceeds the tolerance {allowed:.0e}")
    if lists_agree < tolerance.lists and not fit.approximate:
        failures.append(
            f"{lists_agree:.1%} of the neighbour lists agree, below the minimum"
            f" {tolerance.lists:.1%}"
        )
    if output is not None and vote_error > tolerance.vote:
        failures.append(
            f"{output.word} error {vote_error:.1e} exceeds the tolerance {tolerance.vote:.0e}"
        )
    return Parity(
        precision=precision,
        queries=q,
        lists_equal=float((indices == best.indices).all(axis=1).mean()),
        lists_agree=lists_agree,
        first_equal=first_equal(best.indices, indices),
        recall=recall(best.indices, indices),
        score_error=score_error,
        vote_error=vote_error,
        labels_equal=labels_equal,
        stored=stored,
        failures=tuple(failures),
    )


def check_part(outputs: Outputs, what: str, embeddings: NDArray[np.floating], fit: Fit) -> float:
    """Largest error of a file that stops before the top-k; infinite if it cannot be compared.

    Args:
        outputs: `embedding` (q, r) or `scores` (q, n).
        what: the name of that output.
        embeddings: (q, d) of the same queries, by another runtime than the file's, see `judges`.
        fit: the references.
    """
    space = fit.space
    if what == "scores":
        exact = space.scores(embeddings)
        scale = scale_of(space, embeddings, np.tile(np.arange(exact.shape[1]), (len(exact), 1)))
    else:
        exact = space.project(embeddings)
        if METRICS[space.metric].ANGULAR:
            exact = unit(exact)
            scale = _shortness(space, embeddings)[:, None]
        else:
            scale = np.maximum(space.lengths(exact), 1e-30)[:, None]
    given = outputs.get(what)
    if given is None or given.shape != exact.shape:
        return float("inf")
    error = float(np.abs((given - exact) / scale).max())
    return error if np.isfinite(error) else float("inf")


def scale_of(space: Space, embeddings: NDArray[np.floating], indices: NDArray[np.int64]) -> Floats:
    """The scale of score errors: the mean length of query and reference (q, k).

    A projected vector was rounded as part of a longer one, so the longer length counts. For a
    cosine, the scale is how many times shorter a query is than references after projection: black
    and noise inputs become short, so the same rounding error is a larger share of their length.
    """
    if METRICS[space.metric].ANGULAR:
        return np.broadcast_to(_shortness(space, embeddings)[:, None], indices.shape)
    rows = space.references.vectors.astype(np.float64)
    queries = np.asarray(embeddings, np.float64)
    lengths = space.lengths(rows), space.lengths(queries)
    return np.maximum((lengths[0][indices] + lengths[1][:, None]) / 2, 1e-30)


def _shortness(space: Space, embeddings: NDArray[np.floating]) -> Floats:
    """How many times shorter each projected query (q,) is than the references; at least 1."""
    if space.projection is None:
        return np.ones(len(embeddings))
    usual = float(np.median(np.linalg.norm(space.rows, axis=1)))
    lengths = np.linalg.norm(space.project(embeddings), axis=1)
    times: Floats = np.clip(usual / np.maximum(lengths, 1e-30), 1.0, _MOST_SHORT)
    return times


def _misshapen(outputs: Outputs, q: int, fit: Fit) -> str:
    shapes = {"scores": (q, fit.k), "indices": (q, fit.k)}
    if (output := fit.head.OUTPUT) is not None:
        shapes[output.name] = (q, len(fit.names))
    n = len(fit.references)
    for name, shape in shapes.items():
        if name not in outputs:
            return f"the output {name!r} is missing"
        if outputs[name].shape != shape:
            return f"the output {name!r} has the shape {outputs[name].shape}, not {shape}"
        if not np.isfinite(outputs[name].astype(np.float64)).all():
            return f"the output {name!r} holds NaN or infinity"
    indices = outputs["indices"]
    if indices.min() < 0 or indices.max() >= n:
        return f"an index is outside the {counted(n, 'reference')}"
    return ""
