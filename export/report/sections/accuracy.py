"""The overview, and how good the answers are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from pocketknn.builder.knn.validation import promise
from pocketknn.builder.knn.validation.leave_one_out import leave_one_out
from pocketknn.builder.wording import counted
from pocketknn.export.report.blocks import Block, Chart, Figure, Figures, Section, Table
from pocketknn.export.report.html import charts
from pocketknn.export.report.statistics.answers import Answers
from pocketknn.export.report.statistics.target_errors import target_errors
from pocketknn.export.report.study import Study
from pocketknn.export.report.unknown_words import after_rejection
from pocketknn.export.report.wording import (
    APART,
    columns,
    few_differ,
    interval,
    no_accuracy,
    of,
    percent,
    plural,
    sentence,
    together,
)

_MOST_TARGETS = 3
_REJECTED = (
    "The accuracy on references is measured before any rejection. Among the held-out photos, a"
    " known picture called “unknown” counts as wrong; a photo from a folder “unknown” counts as"
    " right if it is called “unknown”."
)

_FEWER = (
    "Classes have two or three photos, and one of each is held out at a time. A model built from"
    " all photos makes fewer mistakes, as measured on other data sets: the accuracy is corrected"
    " for that; the tables of classes are not."
)
_WIDER = (
    "Intervals are Wilson's. For held-out references, here and in the sections below, they are"
    f" {promise.WIDER} times as wide, because results on parts of one set vary more than results on"
    " independent photos. If several references show one picture or occasion, even these intervals"
    " may be too narrow. The verdict beside the accuracy at the top compares the mistakes with"
    " those of always predicting the largest class: good is at most a fifth of them, fair at most"
    " half."
)


def overview(study: Study) -> Section:
    """The most important numbers, and notes on them."""
    return Section(
        "overview",
        "At a glance",
        (Figures(figures=(*_quality(study), *_facts(study))), *_remarks(study)),
    )


def _promise(study: Study) -> dict[str, Any] | None:
    """The manifest's leave-one-out figures; measured again if an older version wrote fewer."""
    found: dict[str, Any] | None = study.manifest["references"]["leave_one_out"]
    if found and "interval" not in found and (again := leave_one_out(study.fit)):
        return asdict(again)
    return found


def _quality(study: Study) -> Iterator[Figure]:
    if len(study.manifest["references"]["per_label"]) == 1:
        return
    if study.search:
        yield from _found(study.manifest["references"].get("image_search") or {})
        return
    loo = _promise(study)
    if loo and loo["accuracy"] is not None:
        low, high = loo["interval"]
        note = f"{100 * low:.1f} to {100 * high:.1f}% at 95% confidence; chance {loo['chance']:.1%}"
        word = f": {loo['verdict']}" if loo["verdict"] else ""
        how = "cross-validated" if loo.get("folds") else "each reference held out"
        yield Figure(f"Accuracy, {how}", percent(loo["accuracy"]) + word, note)
        if (after := after_rejection(study.manifest)) is not None:
            yield Figure("Right and not rejected", percent(after), "of the same references")
    elif len(study.fit.references.labels) > 1 and not study.regress:
        yield Figure("Accuracy", *no_accuracy(study.manifest["references"]))
    errors, means = ((loo or {}).get(key) or {} for key in ("rmse", "rmse_of_mean"))
    for name, error in list(errors.items())[:_MOST_TARGETS]:
        note = f"{name}; always predicting the mean: {means[name]:.4g}"
        yield Figure("Error, each reference held out", f"{error:.4g}", note)
    held_out = study.held_out
    if held_out and held_out.files and (right := held_out.files[0].accuracy) is not None:
        share = held_out.share(right)
        yield Figure(
            f"Accuracy on {plural(len(held_out.photos), 'held-out photo')}",
            percent(share.value),
            f"{interval(share)} at 95% confidence",
        )


def _found(search: dict[str, Any]) -> Iterator[Figure]:
    """How good an image search is."""
    if same := search.get("same_class"):
        note = f"chance {same['chance']:.1%}"
        yield Figure("Nearest is in the same class", percent(same["first"]), note)


def _facts(study: Study) -> Iterator[Figure]:
    manifest = study.manifest
    references, parity = manifest["references"], manifest["parity"]
    classes = len(references["per_label"])
    note = f"in {plural(classes, 'class')}" if classes else "no classes"
    yield Figure("References", f"{references['count']:,}", note)
    few = manifest["k"] > references["count"]  # only in files that can be taught more
    yield Figure("Neighbours", f"k = {manifest['k']}", "all, until more are taught" if few else "")
    sizes = [file["bytes"] for name, file in manifest["files"].items() if name.startswith("model")]
    yield Figure(
        "Files that agree with exact k-NN",
        f"{sum(one['agrees'] for one in parity.values())} of {len(parity)}",
        f"smallest: {min(sizes) / 1e6:.2f} MB" if sizes else "",
    )
    if reject := manifest["reject"]:
        threshold = f"{reject['threshold']:.4g}"
        yield Figure("Unknown below", threshold, "score of the nearest reference")


def _remarks(study: Study) -> Iterator[str]:
    references = study.manifest["references"]
    classes = references["per_label"]
    if references["count"] == 1:
        yield "There is only one reference, so nothing can be held out and measured."
    if len(classes) == 1:
        yield "There is only one class: every picture is assigned to it, so accuracy means nothing."
    if not classes and not study.regress:
        yield "There are no classes: the model finds similar pictures, and no answer can be wrong."
    if study.sampled:
        yield study.sampled
    if study.measured and (folds := (references["leave_one_out"] or {}).get("folds")):
        yield (
            f"Accuracy is measured by {folds}-fold cross-validation: all copies and views of a"
            " picture are in the same fold, and each fold is predicted by a model built without it."
            if folds > 1
            else "Accuracy is measured on one part of the references, predicted by a model built"
            " without it. All copies and views of a picture are in the same part."
        )
    if apart := together(references):
        yield apart
    if few := few_differ(references):
        yield f"{sentence(few)}."
    if occasions := references.get("occasions"):
        yield from _occasions(occasions)
    elif study.measured and study.fit.out_of_fold.fewer < 1:
        yield _FEWER
    if skipped := study.manifest.get("skipped"):
        yield f"{plural(len(skipped), 'file')} could not be used; manifest.json says why."
    if study.held_out and (copies := study.held_out.copies):
        yield _copies(copies, len(study.held_out.photos), compared=study.outcome is not None)


def _copies(copies: int, photos: int, *, compared: bool) -> str:
    """Which results count held-out photos that are references, and which do not."""
    one = f"of {photos:,} held-out photos is a reference itself, and counts"
    many = f"of {photos:,} held-out photos are references themselves, and count"
    out = f" {'It is' if copies == 1 else 'They are'} left out of “Promise and outcome”."
    return (
        f"{counted(copies, one, many)} in the accuracy on held-out photos, which is"
        f" therefore too high, and in the tables of these photos below.{out if compared else ''}"
    )


def _occasions(occasions: dict[str, Any]) -> Iterator[str]:
    yield (
        f"The photos are from {plural(occasions['count'], 'occasion')}, each held out as a whole:"
        " the accuracy is for occasions the model has not seen. It is corrected for the occasions"
        " that were missing while it was measured; the tables below are not."
    )
    if names := occasions["classes_of_one"]:
        yield (
            f"From a single occasion, so never held out or measured: {', '.join(names)}."
            " Photograph these on another occasion."
        )


def accuracy(study: Study) -> Section | None:
    """How good the answers are."""
    if study.own and study.regress:
        return Section("accuracy", "Errors", tuple(_errors(study, study.own)))
    headings: tuple[str, ...] = (
        *("measured on", "correct", "accuracy", "95% interval", "chance"),
        "unknown",
    )
    rows = [*_shares(study)]
    if not rows:
        return None
    if not any(row[-1] for row in rows):
        headings, rows = headings[:-1], [row[:-1] for row in rows]
    caption = "Share of pictures whose true class won; chance: always predicting the largest class"
    blocks: list[Block] = [Table(caption=caption, columns=headings, rows=tuple(rows))]
    if study.measured and (loo := _promise(study)):
        if abs(loo["by_class"] - loo["accuracy"]) >= APART:
            mean = percent(loo["by_class"])
            blocks.append(f"Classes differ in size: the mean of their accuracies is {mean}.")
        blocks.append(_WIDER)
    if study.manifest["reject"] and study.held_out:
        blocks.append(_REJECTED)
    return Section("accuracy", "Accuracy", tuple(blocks))


def _shares(study: Study) -> Iterator[tuple[str, ...]]:
    loo = _promise(study)
    if study.own is not None and study.measured and loo:
        low, high = (100 * end for end in loo["interval"])
        ends = f"{low:.1f} to {high:.1f}%"
        # If the accuracy allows for fewer mistakes with all photos, the count would contradict it.
        right = of(study.own.right) if study.fit.out_of_fold.fewer == 1 else ""
        accuracy, guessed = percent(loo["accuracy"]), percent(loo["chance"])
        yield ("references, each held out", right, accuracy, ends, guessed, "")
    if (held_out := study.held_out) is None:
        return
    for one in held_out.files:
        value, unknown = one.accuracy, one.unknown
        if value is not None or unknown is not None:
            shares = ("", "", "") if value is None else columns(held_out.share(value))
            rejected = "" if unknown is None else percent(unknown)
            yield (f"held-out photos, {one.name}", *shares, "", rejected)


def _errors(study: Study, own: Answers) -> Iterator[Block]:
    errors = target_errors(own, study.fit.references, study.manifest["seed"])
    rmse = study.manifest["references"]["leave_one_out"]["rmse"]
    yield Table(
        caption=f"Errors of {plural(len(own), 'reference')}, each held out; bootstrap interval",
        columns=("target", "root mean squared", "95% interval", "mean absolute", "R²"),
        rows=tuple(
            (
                one.name,
                f"{rmse[one.name]:.4g}",
                "{:.4g} to {:.4g}".format(*one.rmse),
                f"{one.mae:.4g}",
                "" if one.r2 is None else f"{one.r2:.3f}",
            )
            for one in errors
        ),
    )
    for one in errors[:_MOST_TARGETS]:
        yield Chart(
            caption=f"{one.name}: the value predicted from its neighbours against each reference's"
            " true value. On the dashed line both are equal.",
            alt=f"Scatter plot of predicted against true values of {one.name}; the table above has"
            " the error",
            svg=charts.scatter(one.actual, one.answered),
        )
    if len(errors) > _MOST_TARGETS:
        yield f"Only the first {_MOST_TARGETS} of {len(errors)} targets are plotted."
