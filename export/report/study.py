"""The subject of a report: a build, its photos, and the answers to held-out references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.validation.promise import TOO_FEW
from pocketknn.builder.photos.photo import Photo
from pocketknn.export.report.blocks import Picture, Section
from pocketknn.export.report.html import thumbnails
from pocketknn.export.report.statistics.answers import Answers, HeldOut, of_references
from pocketknn.export.report.statistics.curves import (
    AccuracyByK,
    LearningCurve,
    accuracy_by_k,
    learning_curve,
)
from pocketknn.export.report.statistics.data_issues import Suspect, suspects
from pocketknn.export.report.statistics.embedding_map import EmbeddingMap, embedding_map
from pocketknn.export.report.statistics.forecast import Forecast, forecast, others_left

if TYPE_CHECKING:
    from pocketknn.export.report.statistics.outcome import Outcome


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """A build, and everything its report needs.

    Attributes:
        fit: the choices and the references.
        manifest: the build's manifest, with its files and their parity once these are known.
        timings: timings of the files, as rows of a table; empty if none could be taken.
        photos: the photo of each reference, if available.
        held_out: other photos, or None.
        outcome: promise and outcome on those photos; None if that does not apply.
        strangers: embeddings (s, d) of pictures that show none of the classes, or None.
        out: name of the build's folder.
    """

    fit: Fit
    manifest: dict[str, Any]
    timings: Sequence[tuple[str, ...]] = ()
    photos: Sequence[Photo] = ()
    held_out: HeldOut | None = None
    outcome: Outcome | None = None
    strangers: NDArray[np.floating] | None = None
    out: str = "OUT"

    @cached_property
    def sections(self) -> dict[Callable[[Study], Section | None], Section | None]:
        """Sections of the report that are drawn already, by their functions."""
        return {}

    def work_out(self) -> None:
        """Work out what needs no files; it takes seconds."""
        with ThreadPoolExecutor(1) as beside:
            placed = beside.submit(lambda: self.map)  # which needs none of the others
            for _ in (self.own, self.suspects, self.forecast, self.by_k, self.thumbnails):
                pass
            placed.result()

    def completed(
        self,
        manifest: dict[str, Any],
        timings: Sequence[tuple[str, ...]],
        held_out: HeldOut | None = None,
        outcome: Outcome | None = None,
    ) -> Study:
        """The same with what is known only of files; what was worked out remains."""
        found = replace(
            self, manifest=manifest, timings=timings, held_out=held_out, outcome=outcome
        )
        vars(found).update(vars(self) | vars(found))
        return found

    @cached_property
    def own(self) -> Answers | None:
        """Each reference predicted from the others; None for a single reference."""
        return of_references(self.fit)

    @cached_property
    def suspects(self) -> list[Suspect]:
        """References whose label is likely wrong; none if there is too little evidence."""
        if self.own is None or not self.measured or self.vague:
            return []
        return suspects(self.own, self.fit.space)

    @cached_property
    def curve(self) -> LearningCurve | None:
        """Accuracy, or error, by the number of examples; None if nothing can be held out."""
        if self.own is None or self.manifest["references"]["leave_one_out"] is None:
            return None
        curve = learning_curve(self.fit, self.own, self.manifest["seed"])
        return None if curve is None or len(curve.sizes) < 2 else curve

    @cached_property
    def forecast(self) -> Forecast | None:
        """What twice as many photos would gain; None without a learning curve of classes."""
        if self.own is None or self.curve is None or self.curve.regress:
            return None
        reported = self.manifest["references"]["leave_one_out"]["accuracy"]
        return forecast(self.curve, self.own.right, others_left(self.fit.space), 1 - reported)

    @cached_property
    def by_k(self) -> AccuracyByK | None:
        """Accuracy, or error, by the number of neighbours."""
        return accuracy_by_k(self.fit) if self.regress or self.measured else None

    @cached_property
    def map(self) -> EmbeddingMap | None:
        """The references on a plane; None for fewer than three."""
        return embedding_map(self.fit, self.manifest["seed"])

    @cached_property
    def thumbnails(self) -> dict[str, str]:
        """Thumbnails of `drawn`, as far as their photos are available."""
        return thumbnails.make(self.drawn, self.photo_of, self.crop)

    @property
    def drawn(self) -> list[str]:
        """The keys of references drawn at random, whose thumbnails later pages may need."""
        draw = np.random.default_rng(self.manifest["seed"]).permutation(len(self.fit.references))
        return [f"r{row}" for row in draw[: thumbnails.MOST]]

    @property
    def crop(self) -> str:
        """How the model crops pictures."""
        return str(self.manifest["input"].get("crop", "center"))

    @property
    def labelled(self) -> bool:
        """Whether answers can be right or wrong."""
        return bool(self.own and self.own.labels)

    @property
    def measured(self) -> bool:
        """Whether the references tell how often answers are right.

        With a single class, all answers are right. With one picture of each class, or near-copies
        of one, all answers to held-out references are wrong.
        """
        several = self.labelled and len(self.fit.references.labels) > 1
        return several and self.manifest["references"]["leave_one_out"] is not None

    @property
    def flawless(self) -> bool:
        """Whether no held-out reference is misclassified, perhaps because there are few photos."""
        known = self.measured and self.own is not None and self.own.right.value == 1
        return known and not (self.forecast and self.forecast.little)

    @property
    def vague(self) -> bool:
        """Whether the interval of the accuracy is too wide for a verdict."""
        found = self.manifest["references"]["leave_one_out"]
        return bool(found) and found.get("verdict") == TOO_FEW

    @property
    def search(self) -> bool:
        """Whether this is an image search; its answers, the neighbours, are not right or wrong."""
        return not (self.fit.head.CLASSES or self.fit.head.NUMBERS)

    @property
    def regress(self) -> bool:
        """Whether answers are numbers."""
        return self.fit.head.NUMBERS

    @property
    def given(self) -> dict[str, Answers]:
        """The answers, keyed by a description of their queries."""
        found = {
            "references, each held out": self.own,
            "held-out photos": self.held_out.answers if self.held_out else None,
        }
        return {where: one for where, one in found.items() if one is not None}

    @property
    def sampled(self) -> str:
        """A sentence if only a sample of the references was measured; otherwise ""."""
        refs = self.fit.references
        if self.own is None:
            return ""
        left = ~self.fit.strangers
        left[self.own.queries] = False
        labels = sorted({refs.label_of(row) for row in np.flatnonzero(left).tolist()})
        occasions = self.manifest["references"].get("occasions") or {}
        single = {label for label in labels if refs.counts.get(label) == 1}
        if {*labels} <= single | {*occasions.get("classes_of_one", ())}:
            names = ", ".join(sorted(single))  # the remarks on occasions name the others
            return f"Classes with only one photo are not measured: {names}." if names else ""
        return f"Measured on {len(self.own):,} of the {len(refs):,} references, drawn at random."

    def photo_of(self, key: str) -> Photo | None:
        """The photo of a thumbnail's key."""
        photos = self.photos if key[0] == "r" else self.held_out.photos if self.held_out else ()
        place = int(key[1:])
        return photos[place] if place < len(photos) else None

    def reference(self, row: int, note: str = "", right: bool | None = None) -> Picture:
        """A reference as a picture on the page."""
        refs = self.fit.references
        name, label = refs.paths[row] or refs.ids[row], refs.label_of(row)
        return Picture(key=f"r{row}", name=name, label=label, note=note, right=right)

    def query(self, given: Answers, place: int, note: str = "") -> Picture:
        """The query at this place of the answers: a reference, or a held-out photo."""
        number = int(given.queries[place])
        if self.held_out is None or given is not self.held_out.answers:
            return self.reference(number, note)
        photo = self.held_out.photos[number]
        # A build without file names shows none for held-out photos either.
        name = photo.name if any(self.fit.references.paths) else f"photo {number + 1}"
        return Picture(key=f"h{number}", name=name, label=photo.label, note=note)
