"""What is read at a glance, and how good the answers are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pocketknn.export.report.blocks import Block, Chart, Figure, Figures, Section, Table
from pocketknn.export.report.html import charts
from pocketknn.export.report.statistics.answers import Answers
from pocketknn.export.report.statistics.shares import Share
from pocketknn.export.report.statistics.target_errors import target_errors
from pocketknn.export.report.study import Study
from pocketknn.export.report.wording import columns, interval, percent, plural, together

_MOST_TARGETS = 3
_REJECTED = (
    "Of the references the class is counted before any rejection; of the held-out photos a known"
    " picture that is answered “unknown” counts as wrong."
)


def overview(study: Study) -> Section:
    """The first numbers, and what to know of them."""
    return Section(
        "overview",
        "At a glance",
        (Figures(figures=(*_quality(study), *_facts(study))), *_remarks(study)),
    )


def _quality(study: Study) -> Iterator[Figure]:
    loo = study.manifest["references"]["leave_one_out"]
    if loo and loo["accuracy"] is not None:
        share = Share(count=round(loo["accuracy"] * loo["queries"]), of=loo["queries"])
        yield _accuracy("Accuracy, each reference left out", share)
    errors = (loo or {}).get("rmse") or {}
    for name, error in list(errors.items())[:_MOST_TARGETS]:
        yield Figure("Error, each reference left out", f"{error:.4g}", name)
    held_out = study.held_out
    if held_out and held_out.files and (right := held_out.files[0].accuracy) is not None:
        yield _accuracy(
            f"Accuracy on {len(held_out.photos):,} held-out photos", held_out.share(right)
        )


def _accuracy(name: str, share: Share) -> Figure:
    note = f"{interval(share)} at 95% confidence"
    return Figure(name, percent(share.value), note)


def _facts(study: Study) -> Iterator[Figure]:
    manifest = study.manifest
    references, parity = manifest["references"], manifest["parity"]
    classes = len(references["per_label"])
    note = f"in {plural(classes, 'class')}" if classes else "no classes"
    yield Figure("References", f"{references['count']:,}", note)
    yield Figure("Neighbours asked", f"k = {manifest['k']}")
    sizes = [file["bytes"] for name, file in manifest["files"].items() if name.startswith("model")]
    yield Figure(
        "Files that equal the exact k-NN",
        f"{sum(one['agrees'] for one in parity.values())} of {len(parity)}",
        f"the smallest has {min(sizes) / 1e6:.2f} MB" if sizes else "",
    )
    if reject := manifest["reject"]:
        threshold = f"{reject['threshold']:.4g}"
        yield Figure("Unknown below", threshold, "score of the nearest reference")


def _remarks(study: Study) -> Iterator[str]:
    references = study.manifest["references"]
    classes = references["per_label"]
    if study.own is None:
        yield "There is one reference only, so nothing can be left out and measured."
    if len(classes) == 1:
        yield "There is one class only: every picture is put into it, so accuracy says nothing."
    if not classes and not study.regress:
        yield "There are no classes: the model finds similar pictures, and no answer is wrong."
    if study.sampled:
        yield study.sampled
    if folds := (references["leave_one_out"] or {}).get("folds"):
        yield (
            f"References are left out in {plural(folds, 'part')}, with all copies and views of a"
            " picture in one of them; what is compared was found anew without each part."
        )
    if apart := together(references):
        yield apart
    if occasions := references.get("occasions"):
        yield from _occasions(occasions)
    if skipped := study.manifest.get("skipped"):
        yield f"{plural(len(skipped), 'file')} could not be used; manifest.json says why."
    if study.held_out and (copies := study.held_out.copies):
        yield (
            f"{plural(copies, 'held-out photo')} of {len(study.held_out.photos):,} are references"
            " themselves, which flatters the accuracy."
        )


def _occasions(occasions: dict[str, Any]) -> Iterator[str]:
    yield (
        f"The photos are of {plural(occasions['count'], 'occasion')}, which are left out as a"
        " whole: the accuracy is that for occasions the model has not seen. It allows for the"
        " occasion that was missing each time, which the tables below do not."
    )
    if names := occasions["classes_of_one"]:
        yield (
            f"Of one occasion only, and so never left out nor measured: {', '.join(names)}."
            " Photograph these on another occasion."
        )


def accuracy(study: Study) -> Section | None:
    """How good the answers are."""
    if study.own and study.regress:
        return Section("accuracy", "Errors", tuple(_errors(study, study.own)))
    headings: tuple[str, ...] = ("measured on", "right", "accuracy", "95% interval", "unknown")
    rows = [*_shares(study)]
    if not rows:
        return None
    if not any(row[-1] for row in rows):
        headings, rows = headings[:-1], [row[:-1] for row in rows]
    caption = "Share of pictures whose true class won, with Wilson's interval"
    blocks: list[Block] = [Table(caption=caption, columns=headings, rows=tuple(rows))]
    if study.manifest["reject"] and study.held_out:
        blocks.append(_REJECTED)
    return Section("accuracy", "Accuracy", tuple(blocks))


def _shares(study: Study) -> Iterator[tuple[str, ...]]:
    if study.own is not None and study.labelled:
        yield ("references, each left out", *columns(study.own.right), "")
    if (held_out := study.held_out) is None:
        return
    for one in held_out.files:
        right, unknown = one.accuracy, one.unknown
        if right is not None or unknown is not None:
            shares = ("", "", "") if right is None else columns(held_out.share(right))
            rejected = "" if unknown is None else percent(unknown)
            yield (f"held-out photos, {one.name}", *shares, rejected)


def _errors(study: Study, own: Answers) -> Iterator[Block]:
    errors = target_errors(own, study.fit.references, study.manifest["seed"])
    rmse = study.manifest["references"]["leave_one_out"]["rmse"]
    yield Table(
        caption=f"Errors of {len(own):,} references, each left out; the interval by bootstrap",
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
            caption=f"{one.name}: what its neighbours answer for each reference, against its own"
            " value. On the dashed line both are equal.",
            alt=f"Scatter of answered against true values of {one.name}; the table above has the"
            " error",
            svg=charts.scatter(one.actual, one.answered),
        )
    if len(errors) > _MOST_TARGETS:
        yield f"The first {_MOST_TARGETS} of {len(errors)} targets are drawn."
