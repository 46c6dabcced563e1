"""How good are the answers? The first numbers, accuracy, and which class is taken for which."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pocketknn.builder.knn.exact import Ints
from pocketknn.export.report import charts
from pocketknn.export.report.blocks import (
    Block,
    Chart,
    Figure,
    Figures,
    Matrix,
    Section,
    Table,
    Text,
)
from pocketknn.export.report.data import Study
from pocketknn.export.report.statistics.intervals import Share, rmse_interval
from pocketknn.export.report.statistics.predictions import Answers, confusion
from pocketknn.export.report.wording import interval, of, percent, plural

_MOST_CLASSES = 40  # rows of a table, and of a matrix that can be read
_MOST_PAIRS = 15
_MOST_TARGETS = 3
_LEFT_OUT = "references, each left out"


def overview(study: Study) -> Section:
    """What is read at a glance."""
    manifest = study.manifest
    references = manifest["references"]
    classes = references["per_label"]
    figures = [*_quality_figures(study)]
    figures.append(
        Figure(
            name="References",
            value=f"{references['count']:,}",
            note=f"in {plural(len(classes), 'class')}" if classes else "no classes",
        )
    )
    figures.append(Figure(name="Neighbours asked", value=f"k = {manifest['k']}"))
    parity = manifest["parity"]
    agree = sum(one["agrees"] for one in parity.values())
    sizes = [file["bytes"] for name, file in manifest["files"].items() if name.startswith("model")]
    figures.append(
        Figure(
            name="Files that equal the exact k-NN",
            value=f"{agree} of {len(parity)}",
            note=f"the smallest has {min(sizes) / 1e6:.2f} MB" if sizes else "",
        )
    )
    if manifest["reject"]:
        figures.append(
            Figure(
                name="Unknown below",
                value=f"{manifest['reject']['threshold']:.4g}",
                note="score of the nearest reference",
            )
        )
    texts = [*_remarks(study)]
    return Section(
        anchor="overview",
        title="At a glance",
        blocks=(Figures(figures=tuple(figures)), *(Text(text=text) for text in texts)),
    )


def accuracy(study: Study) -> Section | None:
    """Shares of right answers, or errors of numbers, with their intervals."""
    if study.regress and study.own is not None:
        return Section(anchor="accuracy", title="Errors", blocks=tuple(_errors(study, study.own)))
    rows: list[tuple[str, ...]] = []
    own = study.own
    if own is not None and study.labelled:
        rows.append((_LEFT_OUT, *_row(Share(count=own.right, of=len(own))), ""))
    for one in study.held_out.files if study.held_out else ():
        if one.right or one.unknown:
            row = _row(one.right) if one.right else ("", "", "")
            unknown = percent(one.unknown.value) if one.unknown else ""
            rows.append((f"held-out photos, {one.name}", *row, unknown))
    if not rows:
        return None
    columns: tuple[str, ...] = ("measured on", "right", "accuracy", "95% interval", "unknown")
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    blocks: list[Block] = [
        Table(
            caption="Share of pictures whose true class won, with Wilson's interval",
            columns=columns,
            rows=tuple(rows),
        )
    ]
    if study.manifest["reject"] and study.held_out:
        blocks.append(
            Text(
                text="Of the references the class is counted before any rejection; of the held-out"
                " photos a known picture that is answered “unknown” counts as wrong."
            )
        )
    return Section(anchor="accuracy", title="Accuracy", blocks=tuple(blocks))


def classes(study: Study) -> Section | None:
    """Each class's recall, and what is taken for what."""
    given = [
        (where, one)
        for where, one in (
            ("references, each left out", study.own),
            ("held-out photos", study.held_out.answers if study.held_out else None),
        )
        if one is not None and one.labels and (one.actual >= 0).any()
    ]
    if not given or len(study.fit.references.labels) < 2:
        return None
    blocks: list[Block] = []
    for where, one in given:
        blocks += _confused(where, one)
    return Section(anchor="classes", title="Which class is taken for which", blocks=tuple(blocks))


def _quality_figures(study: Study) -> Iterator[Figure]:
    loo = study.manifest["references"]["leave_one_out"]
    if loo and loo["accuracy"] is not None:
        share = Share(count=round(loo["accuracy"] * loo["queries"]), of=loo["queries"])
        yield Figure(
            name="Accuracy, each reference left out",
            value=percent(loo["accuracy"]),
            note=f"{interval(share.interval)} at 95% confidence",
        )
    errors = (loo or {}).get("rmse") or {}
    for name, error in list(errors.items())[:_MOST_TARGETS]:
        yield Figure(name="Error, each reference left out", value=f"{error:.4g}", note=name)
    if study.held_out and study.held_out.files and (right := study.held_out.files[0].right):
        yield Figure(
            name=f"Accuracy on {right.of:,} held-out photos",
            value=percent(right.value),
            note=f"{interval(right.interval)} at 95% confidence",
        )


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


def _row(share: Share) -> tuple[str, str, str]:
    return of(share), percent(share.value), interval(share.interval)


def _errors(study: Study, own: Answers) -> Iterator[Block]:
    loo = study.manifest["references"]["leave_one_out"]
    refs, seed = study.fit.references, study.manifest["seed"]
    truth = refs.targets[own.queries].astype(float)
    rows = []
    for column, name in enumerate(refs.target_names):
        errors = own.errors[:, column]
        low, high = rmse_interval(errors, seed)
        spread = float(((truth[:, column] - truth[:, column].mean()) ** 2).mean())
        explained = f"{1 - float((errors**2).mean()) / spread:.3f}" if spread else ""
        mean = f"{np.abs(errors).mean():.4g}"
        rows.append((name, f"{loo['rmse'][name]:.4g}", f"{low:.4g} to {high:.4g}", mean, explained))
    yield Table(
        caption=f"Errors of {len(own):,} references, each left out; the interval by bootstrap",
        columns=("target", "root mean squared", "95% interval", "mean absolute", "R²"),
        rows=tuple(rows),
    )
    for column, name in enumerate(refs.target_names[:_MOST_TARGETS]):
        actual = truth[:, column]
        yield Chart(
            caption=f"{name}: what its neighbours answer for each reference, against its own value."
            " On the dashed line both are equal.",
            alt=f"Scatter of answered against true values of {name}; the table above has the error",
            svg=charts.scatter(actual, actual + own.errors[:, column]),
        )
    if len(refs.target_names) > _MOST_TARGETS:
        yield Text(text=f"The first {_MOST_TARGETS} of {len(refs.target_names)} targets are drawn.")


def _confused(where: str, answers: Answers) -> Iterator[Block]:
    counts = confusion(answers)
    totals, right = counts.sum(axis=1), counts.diagonal()
    present = np.flatnonzero(totals)
    names = answers.labels
    if len(names) <= _MOST_CLASSES:
        columns = np.flatnonzero((totals > 0) | (counts.sum(axis=0) > 0))
        yield Matrix(
            caption=f"{where.capitalize()}: rows are true classes, columns the answers, shaded by"
            " the share of the row",
            rows=tuple(names[i] for i in present),
            columns=tuple(names[i] for i in columns),
            counts=tuple(tuple(map(int, counts[i, columns])) for i in present),
        )
    else:
        yield _heat(where, counts, len(present))
        yield _pairs(where, counts, names)
    order = present[np.argsort(right[present] / totals[present], kind="stable")]
    shown = order[:_MOST_CLASSES]
    others = "" if len(shown) == len(order) else f", the {len(shown)} weakest of {len(order)}"
    rows = []
    for i in shown:
        share = Share(count=int(right[i]), of=int(totals[i]))
        wrong = counts[i].copy()
        wrong[i] = 0
        taken = int(wrong.argmax())
        most = f"{names[taken]} ({wrong[taken]})" if wrong[taken] else ""
        rows.append((names[i], *_row(share), most))
    yield Table(
        caption=f"{where.capitalize()}: share of each class that is found{others}, weakest first",
        columns=("class", "right", "share", "95% interval", "most often taken for"),
        rows=tuple(rows),
        words=(4,),
        folded=len(rows) > 12,
    )


def _pairs(where: str, counts: Ints, names: tuple[str, ...]) -> Table:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_PAIRS]
    rows, columns = np.unravel_index(order, wrong.shape)
    found = [(i, j) for i, j in zip(rows, columns, strict=True) if wrong[i, j]]
    return Table(
        caption=f"{where.capitalize()}: the most frequent mistakes",
        columns=("true class", "answered", "times"),
        rows=tuple((names[i], names[j], str(wrong[i, j])) for i, j in found),
        words=(1,),
    )


def _heat(where: str, counts: Ints, present: int) -> Chart:
    """A pixel for each pair of classes, of a hue that shows on light and dark."""
    import io

    from PIL import Image

    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    pixels = np.zeros((*shares.shape, 4), np.uint8)
    pixels[..., :3] = (224, 96, 32)
    np.einsum("iic->ic", pixels)[:, :3] = (37, 120, 210)
    pixels[..., 3] = np.round(255 * np.sqrt(shares))
    scale = max(1, -(-400 // len(counts)))
    written = io.BytesIO()
    Image.fromarray(pixels.repeat(scale, 0).repeat(scale, 1)).save(written, "PNG", optimize=True)
    return Chart(
        caption=f"{where.capitalize()}: rows are the {present} true classes from top to bottom in"
        " their order, columns the answers. Right answers are on the diagonal.",
        alt="Confusion matrix as a picture; its most frequent mistakes are in the table below",
        png=written.getvalue(),
    )
