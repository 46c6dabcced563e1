"""Parity: whether an artefact agrees with the exact k-NN, and by how much."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder import neighbors
from pocketknn.builder.neighbors import Neighbors
from pocketknn.builder.references import References
from pocketknn.builder.spec import Spec, resolve_k

from .target import Outputs


class Tolerance(NamedTuple):
    """What agreement means for a precision.

    Attributes:
        score: largest error of a returned score against the exact cosine of the same reference.
        tie: references whose exact scores differ by less may change places.
        lists: least share of neighbour lists that are equal but for such ties.
        vote: largest error of a vote against the vote over the artefact's own neighbours.
    """

    score: float
    tie: float
    lists: float
    vote: float


# float32: a dot product of 1280 terms errs by some 1e-6, two scores by twice that, with a margin.
# float16: the backbone alone is half precision; its rounding moves a cosine by some 1e-3.
TOLERANCES = {
    "float32": Tolerance(score=1e-5, tie=2e-5, lists=0.999, vote=1e-5),
    "float16": Tolerance(score=1e-2, tie=5e-3, lists=0.99, vote=1e-3),
}


@dataclass(frozen=True, kw_only=True)
class Parity:
    """An artefact's outputs held against exact k-NN in float64.

    Attributes:
        precision: which tolerance holds.
        queries: how many inputs were compared.
        lists_equal: share of neighbour lists equal in every rank.
        lists_agree: the same, where references with exact scores closer than `tie` may swap.
        first_equal: share of queries with the same nearest reference.
        recall: share of the exact k neighbours that were returned, in any order.
        score_error: largest |returned score - exact cosine of the returned reference|.
        vote_error: largest |vote - vote over the artefact's own neighbours|; 0 without a vote.
        labels_equal: share of queries with the label of the exact vote; 1 without a vote.
        stored: whether the file holds all references bit for bit: the queries meet a few only.
        failures: what is outside the tolerance, in words; empty when the artefact agrees.
    """

    precision: str
    queries: int
    lists_equal: float
    lists_agree: float
    first_equal: float
    recall: float
    score_error: float
    vote_error: float
    labels_equal: float
    stored: bool
    failures: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether all is within the tolerance."""
        return not self.failures

    def as_json(self) -> dict[str, object]:
        """The same as a JSON object; what could not be measured is null."""
        values = {key: _finite(value) for key, value in asdict(self).items()}
        return {"agrees": self.agrees} | values | {"failures": list(self.failures)}


def check(
    outputs: Outputs,
    embeddings: NDArray[np.floating],
    references: References,
    spec: Spec,
    *,
    precision: str,
    stored: bool = True,
) -> Parity:
    """Compare what an artefact answered with the exact k-NN over the same embeddings.

    Args:
        outputs: the artefact's `scores` (q, k), `indices` (q, k) and, with a vote,
            `probabilities` (q, C).
        embeddings: (q, d) of the same queries, from the Keras backbone.
        references: what the artefact should hold.
        spec: what it should do with them.
        precision: `float32` or `float16`.
        stored: what `holds` says of the file.
    """
    tolerance = TOLERANCES[precision]
    q, k = len(embeddings), resolve_k(spec.k, len(references))
    classes = len(references.labels) if spec.head == "classify" else 0
    wrong = _misshapen(outputs, q, k, classes, len(references))
    if wrong:
        return refused(precision, q, wrong)
    exact = neighbors.cosines(embeddings, references.vectors)
    best = neighbors.rank(exact, k)
    indices = outputs["indices"].astype(np.int64)
    scores = outputs["scores"].astype(np.float64)
    true_scores = np.take_along_axis(exact, indices, axis=1)
    agree = (np.abs(true_scores - best.scores) < tolerance.tie) | (indices == best.indices)
    distinct = np.array([len(set(row)) == k for row in indices.tolist()])
    lists_agree = float((agree.all(axis=1) & distinct).mean())
    score_error = float(np.abs(scores - true_scores).max())
    vote_error, labels_equal = 0.0, 1.0
    if classes:
        probabilities = outputs["probabilities"].astype(np.float64)

        def vote(found: Neighbors) -> NDArray[np.float64]:
            return neighbors.vote(
                found,
                references.label_ids,
                classes,
                by=spec.vote,
                balanced=spec.balanced,
                exact_hit=neighbors.EXACT_HIT[precision],
            )

        own, expected = vote(Neighbors(scores, indices)), vote(best)
        vote_error = float(np.abs(probabilities - own).max())
        same = neighbors.winners(probabilities) == neighbors.winners(expected)
        labels_equal = float(same.mean())
    failures = [] if stored else ["the file does not hold all references as they are"]
    if score_error > tolerance.score:
        failures.append(f"a score is off by {score_error:.1e}, allowed are {tolerance.score:.0e}")
    if lists_agree < tolerance.lists:
        failures.append(
            f"{lists_agree:.1%} of the neighbour lists agree, needed are {tolerance.lists:.1%}"
        )
    if vote_error > tolerance.vote:
        failures.append(f"a vote is off by {vote_error:.1e}, allowed are {tolerance.vote:.0e}")
    return Parity(
        precision=precision,
        queries=q,
        lists_equal=float((indices == best.indices).all(axis=1).mean()),
        lists_agree=lists_agree,
        first_equal=float((indices[:, 0] == best.indices[:, 0]).mean()),
        recall=float((indices[:, :, None] == best.indices[:, None, :]).any(axis=1).mean()),
        score_error=score_error,
        vote_error=vote_error,
        labels_equal=labels_equal,
        stored=stored,
        failures=tuple(failures),
    )


def holds(files: Iterable[Path], references: References) -> bool:
    """Whether one of the files holds the reference matrix bit for bit, by rows or by columns."""
    layouts = (references.vectors.tobytes(), references.vectors.T.tobytes())
    return any(layout in content for content in map(Path.read_bytes, files) for layout in layouts)


def _misshapen(outputs: Outputs, q: int, k: int, classes: int, n: int) -> str:
    shapes = {"scores": (q, k), "indices": (q, k)}
    if classes:
        shapes["probabilities"] = (q, classes)
    for name, shape in shapes.items():
        if name not in outputs:
            return f"the output {name!r} is missing"
        if outputs[name].shape != shape:
            return f"the output {name!r} has the shape {outputs[name].shape}, not {shape}"
        if not np.isfinite(outputs[name].astype(np.float64)).all():
            return f"the output {name!r} holds NaN or infinity"
    indices = outputs["indices"]
    if indices.min() < 0 or indices.max() >= n:
        return f"an index lies outside the {n} references"
    return ""


def refused(precision: str, queries: int, failure: str) -> Parity:
    """The parity of an artefact that could not be run, or whose answers cannot be compared."""
    return Parity(
        precision=precision,
        queries=queries,
        lists_equal=0.0,
        lists_agree=0.0,
        first_equal=0.0,
        recall=0.0,
        score_error=float("inf"),
        vote_error=float("inf"),
        labels_equal=0.0,
        stored=False,
        failures=(failure,),
    )


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not np.isfinite(value) else value
