"""What a build promised, and what it achieved on held-out photos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Ints
from pocketknn.builder.knn.validation.promise import interval
from pocketknn.builder.spec import UNKNOWN

from .answers import NO_CLASS
from .shares import Recall, Share, confusion, recalls

_SMALL = 4  # references of a class
_MANY_MORE = 0.1  # of the photos
_UNLIKELY = 0.01  # probability of so low a recall if the class were as easy as the rest


@dataclass(frozen=True, kw_only=True)
class Promise:
    """The accuracy that a manifest states.

    Attributes:
        accuracy: the out-of-fold accuracy.
        interval: its 95 % interval.
        of: how many references were held out to measure it; an effective number if it is weighted.
    """

    accuracy: float
    interval: tuple[float, float]
    of: int

    def for_mix(
        self, measured: Mapping[str, Sequence[int]], mix: Mapping[str, int]
    ) -> Promise | None:
        """The promise reweighted for another mix of classes.

        The accuracies of the classes are weighted by the new numbers (direct standardisation); a
        class that was not measured gets the mean. Weights widen the interval as if there were fewer
        references: Kish's effective number.

        Args:
            measured: per class, how many references were correct and how many were held out.
            mix: the number of photos of each class.

        Returns:
            None if classes with two or three references make up a much larger share of the photos
            than of the references: with one held out, such classes are recognised far less often
            than with all.
        """
        right, of = map(np.array, zip(*measured.values(), strict=True))
        mean = right.sum() / of.sum()
        fewer = (1 - self.accuracy) / (1 - mean) if mean < 1 else 1.0
        known = np.array([mix.get(name, 0) for name in measured], float)
        if not known.sum():
            return self
        rest = 1 - known.sum() / sum(mix.values())
        shares = rest * of / of.sum() + (1 - rest) * known / known.sum()
        # A build of only such classes is measured in another way, and `fewer` corrects for it.
        small = of < _SMALL if fewer == 1 else np.zeros(len(of), np.bool_)
        if shares[small].sum() > of[small].sum() / of.sum() + _MANY_MORE:
            return None
        accuracy = 1 - fewer * (1 - float(shares @ (right / of)))
        return self._at(accuracy, max(1, round(1 / float((shares**2 / of).sum()))))

    def rejecting(self, kept: float) -> Promise:
        """The promise if only this share of the right answers is not rejected."""
        return self._at(kept * self.accuracy, self.of)

    def _at(self, accuracy: float, of: int) -> Promise:
        """A promise of another accuracy, measured on `of` photos."""
        plain, ends = interval(self.accuracy, self.of), interval(accuracy, of)
        # Widen as much as the build did for photos that belong together.
        wider = max(1.0, (self.interval[1] - self.interval[0]) / (plain[1] - plain[0]))
        low, high = (accuracy + wider * (end - accuracy) for end in ends)
        return Promise(accuracy=accuracy, interval=(max(low, 0.0), min(high, 1.0)), of=of)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Promise and outcome.

    Attributes:
        labels: class names by number.
        promise: the build's promise, before any rejection; None if the build could not measure
            itself.
        mixed: the promise reweighted for the mix of classes here; the promise itself if nothing is
            known about its classes.
        alike: `mixed` with rejected right answers counted as wrong, which is comparable with the
            outcome.
        right: the share of correct answers over known photos: those that are not references, and
            whose class the model knows and is not `unknown`. A photo called `unknown` counts as
            wrong. In an image search the class of the nearest reference is the answer.
        unknown: how many of them were called unknown; None without a class unknown.
        expected_unknown: share of its references that the build called unknown.
        strangers: how many photos in a folder `unknown` passed, that is, were given another class;
            None if there are none.
        weakest: the classes clearly below the mean, the weakest first.
        left_out: photos that are not counted: those of classes the model does not know, and
            references.
    """

    labels: tuple[str, ...]
    promise: Promise | None
    mixed: Promise | None
    alike: Promise | None
    right: Share
    unknown: Share | None
    expected_unknown: float
    strangers: Share | None
    weakest: tuple[Recall, ...]
    left_out: tuple[int, int]

    @property
    def difference(self) -> float:
        """Accuracy minus the promise for these classes; 0 without a promise."""
        return self.right.value - self.alike.accuracy if self.alike else 0.0

    @property
    def kept(self) -> bool:
        """Whether the difference is within the sampling error of both.

        The limit is the root of the sum of squares of two arms: those of the two 95 % intervals
        that face each other (Newcombe, Statistics in Medicine 17, 1998, method 10).
        """
        return self.alike is None or _agree(self.alike, self.right)

    @property
    def stranger(self) -> bool:
        """Whether clearly more photos were called unknown than the build expected."""
        many = self.unknown is not None and self.unknown.interval[0] > self.expected_unknown
        return bool(many)  # no type of numpy

    @property
    def answered(self) -> Share | None:
        """The share of correct answers among those other than unknown; None without any."""
        left = self.right.of - (self.unknown.count if self.unknown else 0)
        return Share(count=self.right.count, of=left) if left else None

    @property
    def only_rejected(self) -> bool:
        """Whether rejection alone explains why too few answers are right.

        It does if more photos are rejected than expected, and the others are right as often as
        promised.
        """
        if self.kept or self.difference > 0 or not self.stranger or self.mixed is None:
            return False
        return self.answered is not None and _agree(self.mixed, self.answered)


def _agree(promise: Promise, found: Share) -> bool:
    """Whether a promise and what was found differ by no more than the sampling error of both."""
    difference = found.value - promise.accuracy
    (low, high), (bottom, top) = promise.interval, found.interval
    arms = (promise.accuracy - low, top - found.value)
    if difference > 0:
        arms = (high - promise.accuracy, found.value - bottom)
    return bool(abs(difference) <= np.hypot(*arms))


def promise_of(manifest: dict[str, Any]) -> Promise | None:
    """The accuracy that a manifest promises; None if it has none."""
    references = manifest["references"]
    if manifest["head"] == "neighbors":
        same = (references.get("image_search") or {}).get("same_class")
        loo = same and {"accuracy": same["first"], "queries": same["queries"]}
    else:
        loo = references["leave_one_out"]
    if not loo or loo["accuracy"] is None or not loo["queries"]:
        return None
    share = Share(count=round(loo["accuracy"] * loo["queries"]), of=loo["queries"])
    low, high = loo.get("interval") or share.interval
    return Promise(accuracy=loo["accuracy"], interval=(low, high), of=loo["queries"])


def outcome(
    manifest: dict[str, Any],
    labels: Sequence[str],
    actual: Ints,
    answered: Ints,
    references: NDArray[np.bool_],
) -> Outcome | None:
    """Compare the answers with the promise.

    Args:
        manifest: the build's manifest.
        labels: class names by number.
        actual: (q,) the true class of each photo, `NO_CLASS` for one the model does not know.
        answered: (q,) the predicted class.
        references: (q,) which of the photos are references.

    Returns:
        None if no known photo counts.
    """
    number = _unknown(manifest, labels)
    foreign = actual == NO_CLASS
    strange = np.zeros(len(actual), np.bool_) if number is None else actual == number
    rows = np.flatnonzero(~foreign & ~references & ~strange)
    if not len(rows):
        return None
    passed = strangers(manifest, labels, actual, answered, references)
    actual, predicted = actual[rows], answered[rows]
    right = Share(count=int((actual == predicted).sum()), of=len(rows))
    reject, unknown = manifest["reject"], None
    if number is not None:
        unknown = Share(count=int((predicted == number).sum()), of=len(rows))
    promise = mixed = promise_of(manifest)
    measured = (manifest["references"]["leave_one_out"] or {}).get("per_class")
    if promise and measured and manifest["head"] != "neighbors":
        mixed = promise.for_mix(measured, Counter(labels[one] for one in actual.tolist()))
    alike = mixed
    if mixed and reject and (known := reject["known"]) is not None:
        right_kept = reject.get("right_kept")  # of older builds only how many were rejected
        alike = mixed.rejecting(1 - known if right_kept is None else right_kept)
    return Outcome(
        labels=tuple(labels),
        promise=promise,
        mixed=mixed,
        alike=alike,
        right=right,
        unknown=unknown,
        expected_unknown=unknown_rate(manifest) or 0.0,
        strangers=passed,
        weakest=_weakest(actual, predicted, len(labels), right),
        left_out=(int(foreign.sum()), int((references & ~foreign).sum())),
    )


def strangers(
    manifest: dict[str, Any],
    labels: Sequence[str],
    actual: Ints,
    answered: Ints,
    references: NDArray[np.bool_],
) -> Share | None:
    """How many photos of the class unknown pass; the arguments are those of `outcome`.

    Returns:
        None without a class unknown, or if it has no photos that are not references.
    """
    if (number := _unknown(manifest, labels)) is None:
        return None
    strange = (actual == number) & ~references
    if not strange.any():
        return None
    return Share(count=int((answered[strange] != number).sum()), of=int(strange.sum()))


def unknown_rate(manifest: Mapping[str, Any]) -> float | None:
    """The share of its references that a build called unknown; None if it measured none."""
    rate: float | None = (manifest["reject"] or manifest.get("strangers") or {}).get("known")
    return rate


def _unknown(manifest: dict[str, Any], labels: Sequence[str]) -> int | None:
    """The number of the class unknown, from a threshold or learned strangers; None without it."""
    votes = manifest["head"] != "neighbors"
    return list(labels).index(UNKNOWN) if votes and UNKNOWN in labels else None


def _weakest(actual: Ints, answered: Ints, size: int, right: Share) -> tuple[Recall, ...]:
    from scipy.special import bdtr  # scipy.stats takes a second to import

    return tuple(
        one
        for one in recalls(confusion(actual, answered, size))
        if one.right.value < right.value
        and bdtr(one.right.count, one.right.of, right.value) < _UNLIKELY
    )
