"""What a report is about: a build, and what is measured of it, each thing once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .pictures import Picture
from .statistics.accuracy_by_k import AccuracyByK, accuracy_by_k
from .statistics.answers import Answers, of_references
from .statistics.data_issues import Suspect, Twins, suspects, twins, twins_among
from .statistics.embedding_map import EmbeddingMap, embedding_map
from .statistics.learning_curve import LearningCurve, learning_curve
from .statistics.rejection import ErrorCurves, error_curves
from .statistics.score_pairs import ScorePairs, score_pairs
from .statistics.target_errors import TargetErrors, target_errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pocketknn.builder.knn.fit import Fit
    from pocketknn.builder.photos.photo import Photo

    from .held_out import HeldOut


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """A build, and all that its report needs. Sections read it and measure nothing themselves.

    Attributes:
        fit: the choices and the references.
        manifest: of the build, with its files and their parity.
        timings: of the files, as rows of a table; none where none could be taken.
        photos: the photo of each reference, where they are at hand.
        held_out: other photos, or None.
        strangers: embeddings (s, d) of pictures of no class, or None.
    """

    fit: Fit
    manifest: dict[str, Any]
    timings: Sequence[tuple[str, ...]] = ()
    photos: Sequence[Photo] = ()
    held_out: HeldOut | None = None
    strangers: NDArray[np.floating] | None = None

    @cached_property
    def own(self) -> Answers | None:
        """Each reference answered by the others; None of a single reference."""
        return of_references(self.fit)

    @property
    def labelled(self) -> bool:
        """Whether answers are right or wrong."""
        return bool(self.own and self.own.labels)

    @property
    def regress(self) -> bool:
        """Whether answers are numbers."""
        return self.fit.head.NUMBERS

    @property
    def given(self) -> dict[str, Answers]:
        """The answers, by the words for their queries."""
        found = {
            "references, each left out": self.own,
            "held-out photos": self.held_out.answers if self.held_out else None,
        }
        return {where: one for where, one in found.items() if one is not None}

    @cached_property
    def errors(self) -> list[TargetErrors]:
        """The errors of each target; none without targets."""
        if self.own is None or not self.regress:
            return []
        return target_errors(self.own, self.fit.references, self.manifest["seed"])

    @cached_property
    def suspects(self) -> list[Suspect]:
        """References that are likely in the wrong class."""
        return suspects(self.own) if self.own and self.own.labels else []

    @cached_property
    def twins(self) -> list[Twins]:
        """Pairs of references that are nearly the same picture."""
        return twins(self.fit.space)

    @cached_property
    def twins_held_out(self) -> list[Twins]:
        """Held-out photos with a reference that is nearly the same picture."""
        if self.held_out is None:
            return []
        return twins_among(self.held_out.answers, self.fit.space)

    @cached_property
    def curve(self) -> LearningCurve | None:
        """How good fewer references would have been; None where nothing can be left out."""
        if self.own is None or self.manifest["references"]["leave_one_out"] is None:
            return None
        return learning_curve(self.fit, self.own, self.manifest["seed"])

    @cached_property
    def by_k(self) -> AccuracyByK | None:
        """How good another k would have been."""
        return accuracy_by_k(self.fit)

    @cached_property
    def pairs(self) -> ScorePairs | None:
        """Scores of pairs of references of one class, and of different ones."""
        return score_pairs(self.fit) if self.labelled else None

    @cached_property
    def rejection(self) -> ErrorCurves | None:
        """Both errors of every threshold of unknown."""
        return error_curves(self.fit, self.strangers)

    @cached_property
    def map(self) -> EmbeddingMap | None:
        """Where the references lie on a plane."""
        return embedding_map(self.fit, self.manifest["seed"])

    @property
    def sampled(self) -> str:
        """A sentence where only a sample of the references was measured; else ""."""
        if self.own is None or len(self.own) == len(self.fit.references):
            return ""
        sample, count = len(self.own), len(self.fit.references)
        return f"Measured on {sample:,} of the {count:,} references, drawn by chance."

    def photo_of(self, key: str) -> Photo | None:
        """The photo of a thumbnail's key."""
        photos = self.photos if key[0] == "r" else self.held_out.photos if self.held_out else ()
        place = int(key[1:])
        return photos[place] if place < len(photos) else None

    def reference(self, row: int, note: str = "", right: bool | None = None) -> Picture:
        """A reference as a picture of the page."""
        refs = self.fit.references
        name, label = refs.paths[row] or refs.ids[row], refs.label_of(row)
        return Picture(key=f"r{row}", name=name, label=label, note=note, right=right)

    def query(self, given: Answers, place: int, note: str = "") -> Picture:
        """The query at this place of the answers: a reference, or a held-out photo."""
        number = int(given.queries[place])
        if self.held_out is None or given is not self.held_out.answers:
            return self.reference(number, note)
        photo = self.held_out.photos[number]
        # A build without names gets none later either.
        name = photo.name if any(self.fit.references.paths) else f"photo {number + 1}"
        return Picture(key=f"h{number}", name=name, label=photo.label, note=note)
