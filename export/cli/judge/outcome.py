"""The photos that eval measures on, and the outcome compared with the build's promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pocketknn import builder
from pocketknn.builder.wording import counted
from pocketknn.export.cli.console.quiet import note
from pocketknn.export.cli.console.text import say, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pocketknn.builder.knn.validation.image_search import SameClass
    from pocketknn.export.manifest.artefact import Artefact
    from pocketknn.export.report.statistics.answers import HeldOut
    from pocketknn.export.report.statistics.outcome import Outcome


def say_outcome(came: Outcome, file: Artefact) -> None:
    """Print promise and outcome side by side, and how to interpret them."""
    from pocketknn.export.cli.console import tables
    from pocketknn.export.cli.console.terminal import console
    from pocketknn.export.report import outcome_words as words

    manifest = file.metadata.manifest
    table = tables.table([words.COLUMNS[0]], words.COLUMNS[1:])
    for row in words.rows(came):
        table.add_row(*row)
    console.print(table)
    say(*words.told_apart(came))
    say(words.verdict(came), *(f"  {line}" for line in words.reasons(came, manifest)))
    if weakest := words.weakest(came):
        say(weakest)
    if advice := words.advice(came, manifest):
        say(f"To do: {advice}")


def outcome_json(came: Outcome) -> dict[str, Any]:
    """Promise and outcome as JSON."""
    promise = came.promise
    return {
        "promised": promise and promise.accuracy,
        "promised_interval": promise and list(promise.interval),
        "promised_for_these_classes": came.mixed and came.mixed.accuracy,
        "promised_after_rejection": came.alike and came.alike.accuracy,
        "accuracy": came.right.value,
        "interval": list(came.right.interval),
        "photos": came.right.of,
        "unknown": came.unknown and came.unknown.count,
        "strangers": came.strangers.of if came.strangers else 0,
        "strangers_passed": came.strangers.count if came.strangers else 0,
        "kept": came.kept if promise else None,
    }


def photos_of(place: Path) -> list[builder.Photo]:
    """The photos that a build would use from a place; reports how many were left out."""
    from pocketknn.builder.embedding.embedded import with_labels

    used, skipped = with_labels(builder.find(place, note=note))
    if skipped:
        left_out, one = counted(len(skipped), "file"), skipped[0]
        note(f"{left_out} left out, such as {shown(one.name)}: {one.reason}")
    return used


def known_among(photos: Sequence[builder.Photo], file: Artefact) -> NDArray[np.bool_]:
    """Which of the photos are references of a file."""
    from pocketknn.builder.references.match import among

    return among(photos, [str(row["id"]) for row in file.metadata.rows()])


def among_references(known: int) -> str:
    """How many of the photos are references of the file, as a clause."""
    one = "of the photos is a reference itself"
    return counted(known, one, "of the photos are references themselves")


def in_classes(photos: Sequence[builder.Photo], file: Artefact) -> list[builder.Photo]:
    """The photos; those in an occasion's folder inside a class folder get that class."""
    rows = file.metadata.rows()
    known = {*file.metadata.labels, *(str(row["label"]) for row in rows if row["label"])}

    def label_of(photo: builder.Photo) -> str:
        label = photo.label
        while label and label not in known:
            label = label.rpartition("/")[0]
        return label or photo.label

    return [replace(photo, label=label_of(photo)) for photo in photos]


def say_strange(held_out: HeldOut, file: Artefact, references: NDArray[np.bool_]) -> None:
    """Print how many are called unknown, if no photo can be compared with the promise."""
    from pocketknn.builder.spec import UNKNOWN
    from pocketknn.export.report import outcome_words as words
    from pocketknn.export.report.statistics.outcome import strangers

    manifest, answers = file.metadata.manifest, held_out.answers
    if answers.labels:
        seen = answers.labels, answers.actual, answers.predicted
        if passed := strangers(manifest, *seen, references):
            say(words.passing(passed))
        return
    if manifest["targets"] or any(one.label for one in held_out.photos):
        return
    share = held_out.files[0].unknown
    if share is None or UNKNOWN not in manifest["labels"]:
        say("accuracy cannot be measured: put the photos into class folders")
        return
    say(words.called_unknown(manifest, held_out.share(share)))


def outcome_of(
    held_out: HeldOut, file: Artefact, references: NDArray[np.bool_]
) -> tuple[Outcome | None, SameClass | None]:
    """Promise and outcome; for an image search, also how often it finds the photo's own class.

    Args:
        held_out: the photos, and the file's answers.
        file: a file of the build.
        references: (q,) which of the photos are references.
    """
    import numpy as np

    from pocketknn.builder.knn.validation.image_search import same_class
    from pocketknn.export.report.statistics.answers import NO_CLASS, numbers_of
    from pocketknn.export.report.statistics.outcome import outcome

    manifest, answers = file.metadata.manifest, held_out.answers
    if answers.labels:
        return outcome(
            manifest, answers.labels, answers.actual, answers.predicted, references
        ), None
    of_rows = [str(row["label"] or "") for row in file.metadata.rows()]
    labels = [*dict.fromkeys(of_rows)]
    if manifest["head"] != "neighbors" or "" in labels:
        return None, None
    actual = numbers_of([one.label for one in held_out.photos], labels)
    ids, found = numbers_of(of_rows, labels), answers.found.indices
    result = outcome(manifest, labels, actual, ids[found[:, 0]], references)
    counted = np.flatnonzero(~references & (actual != NO_CLASS))
    return result, same_class(found[counted], actual[counted], ids) if result else None
