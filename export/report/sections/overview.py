"""What is read at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pocketknn.export.report.blocks import Figure, Figures, Section
from pocketknn.export.report.statistics.intervals import Share
from pocketknn.export.report.wording import interval, percent, plural

if TYPE_CHECKING:
    from pocketknn.export.report.study import Study

_MOST_TARGETS = 3


def section(study: Study) -> Section:
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
    if held_out and held_out.files and (right := held_out.files[0].right) is not None:
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
    if skipped := study.manifest.get("skipped"):
        yield f"{plural(len(skipped), 'file')} could not be used; manifest.json says why."
    if study.held_out and (copies := study.held_out.copies):
        yield (
            f"{plural(copies, 'held-out photo')} of {len(study.held_out.photos):,} are references"
            " themselves, which flatters the accuracy."
        )
