"""The build itself: where its references lie, its files, and the choices that made it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pocketknn.export.formats.licence import licence
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.output.names import MODEL
from pocketknn.export.report.blocks import Block, Dot, Plane, Section, Table, Text
from pocketknn.export.report.data import Study
from pocketknn.export.report.statistics.embedding_map import layout, roomy
from pocketknn.export.report.wording import percent, projected

_MOST_COLOURS = 8
_CELLS = 16  # of the map, each way: thumbnails do not cover each other much
_MOST_CLASSES = 40


def neighbourhood(study: Study) -> Section | None:
    """A map of the references."""
    drawn = layout(study.fit, study.manifest["seed"])
    if drawn is None:
        return None
    refs, own = study.fit.references, study.own
    groups: tuple[str, ...] = ()
    group = np.zeros(len(refs), np.int64)
    if 1 < len(refs.labels) <= _MOST_COLOURS:
        groups, group = refs.labels, refs.label_ids + 1
    elif own is not None and own.labels and len(refs.labels) > 1:
        groups = ("answered right when left out", "answered wrong")
        group[own.queries] = np.where(own.predicted == own.actual, 1, 2)
    shown = set(map(int, roomy(drawn.places, _CELLS)))
    dots = tuple(
        Dot(
            x=float(x),
            y=float(y),
            picture=study.reference(int(row)),
            group=int(group[row]),
            shown=place in shown,
        )
        for place, (row, (x, y)) in enumerate(zip(drawn.rows, drawn.places, strict=True))
    )
    some = "all" if len(drawn.rows) == len(refs) else f"{len(drawn.rows):,} of the {len(refs):,}"
    caption = (
        f"A map of {some} references ({drawn.method}): what the model finds similar lies together."
        " Distances across the map mean little."
    )
    blocks: list[Block] = [
        Plane(
            caption=caption,
            alt=f"Map of {some} references; the table below says what lies next to what",
            dots=dots,
            groups=groups,
        )
    ]
    if table := _next_to(study):
        blocks.append(table)
    return Section(anchor="map", title="What lies next to what", blocks=tuple(blocks))


def files(study: Study) -> Section:
    """Parity, size and latency of every file."""
    return Section(anchor="files", title="The files", blocks=tuple(_files(study)))


def spec(study: Study) -> Section:
    """The choices that made the build."""
    manifest = study.manifest
    rows = tuple((name, value) for name, value in _choices(manifest) if value)
    versions = tuple((name, str(value)) for name, value in manifest["versions"].items())
    return Section(
        anchor="spec",
        title="The choices that made it",
        blocks=(
            Table(caption="Choices", columns=("choice", "value"), rows=rows, words=(1,)),
            Table(
                caption="Versions",
                columns=("package", "version"),
                rows=versions,
                words=(1,),
                folded=True,
            ),
        ),
    )


def _next_to(study: Study) -> Table | None:
    """Of each class, whose references lie nearest: the map in numbers."""
    refs, own = study.fit.references, study.own
    if own is None or len(refs.labels) < 2:
        return None
    first = refs.label_ids[own.found.indices[:, 0]]
    actual = refs.label_ids[own.queries]
    counts = np.zeros((len(refs.labels),) * 2, np.int64)
    np.add.at(counts, (actual, first), 1)
    present = np.flatnonzero(counts.sum(axis=1))
    apart = counts.diagonal()[present] / counts[present].sum(axis=1)
    rows = []
    for i in present[np.argsort(apart, kind="stable")][:_MOST_CLASSES]:
        others = counts[i].copy()
        others[i] = 0
        other = int(others.argmax())
        all_ = int(counts[i].sum())
        rows.append(
            (
                refs.labels[i],
                percent(float(counts[i, i] / all_)),
                f"{refs.labels[other]}, {percent(others[other] / all_)}" if others[other] else "",
            )
        )
    few = f", the {len(rows)} most mixed classes" if len(rows) < len(present) else ""
    return Table(
        caption=f"Whose reference lies nearest to those of each class{few}, the most mixed first",
        columns=("class", "its own", "another class most often"),
        rows=tuple(rows),
        words=(2,),
        folded=len(rows) > 12,
    )


def _files(study: Study) -> Iterator[Block]:
    manifest = study.manifest
    by_file = {_file_of(manifest, name): name for name in manifest["parity"]}
    rows = []
    for file, name in by_file.items():
        parity = manifest["parity"][name]
        there = manifest["files"].get(file)
        measured: tuple[str, ...] = ("",) * 5
        if parity["score_error"] is not None:  # as it is for a file that cannot be run
            shares = (parity["first_equal"], parity["lists_equal"], parity["lists_agree"])
            errors = (parity["score_error"], parity["vote_error"])
            measured = (*map(percent, shares), *(f"{error:.0e}" for error in errors))
        rows.append(
            (
                file,
                "agrees" if parity["agrees"] else "DIFFERS, not handed over",
                f"{there['bytes'] / 1e6:.2f} MB" if there else "",
                parity["precision"],
                *measured,
            )
        )
    queries = max((parity["queries"] for parity in manifest["parity"].values()), default=0)
    yield Table(
        caption=f"Each file in its own runtime against exact k-NN in float64, on {queries} inputs",
        columns=(
            "file",
            "parity",
            "size",
            "weights",
            "same first",
            "same lists",
            "but ties",
            "score error",
            "vote error",
        ),
        rows=tuple(rows),
        words=(1,),
    )
    for file, name in by_file.items():
        for failure in manifest["parity"][name]["failures"]:
            yield Text(text=f"{file}: {failure}")
    if study.timings:
        yield Table(
            caption="Milliseconds of one picture, decoded before, on the machine that built it:"
            " a short measurement, which pocketknn bench repeats with more runs",
            columns=("file", "threads", "to load", "median", "95% below"),
            rows=tuple(
                (
                    one.name,
                    "" if one.threads is None else str(one.threads),
                    f"{one.load_ms:.0f}",
                    f"{one.median_ms:.3g}",
                    f"{one.p95_ms:.3g}",
                )
                for one in study.timings
            ),
        )
    for name in manifest["parity"]:
        if not FORMATS[name].NATIVE:
            yield Text(
                text=f"The {FORMATS[name].TITLE} file was run by an evaluator of its program,"
                " whose time says nothing of a phone."
            )


def _file_of(manifest: dict[str, Any], name: str) -> str:
    return MODEL + FORMATS[name].SUFFIX


def _choices(manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    backbone, given = manifest["backbone"], manifest["input"]
    yield "what it is", manifest["description"]
    yield "author", manifest["author"]
    yield "licence", licence(manifest)
    yield "head", manifest["head"]
    yield "k", str(manifest["k"])
    yield "metric", manifest["metric"]
    yield "vote", manifest["vote"] or ""
    yield "balanced", "yes" if manifest["balanced"] else ""
    if temperature := manifest["temperature"]:
        yield "temperature of the vote", f"{temperature:.3g}"
    if projection := manifest["projection"]:
        yield "projection", projected(projection)
    if condensed := manifest.get("condensed"):
        yield "condensed", f"from {condensed['before']} references, {condensed['by']}"
    search = manifest["search"]
    yield "search", f"{search['by']}, {search['references_precision']} references"
    if search["recall"] is not None:
        yield "finds", f"{percent(search['recall'])} of the exact neighbours"
    if manifest["reject"]:
        yield "unknown below", f"{manifest['reject']['threshold']:.6g}"
    if backbone:
        alpha = f", alpha {backbone['alpha']}" if backbone.get("alpha") else ""
        yield "backbone", f"{backbone['name']}{alpha}, {backbone['dim']} values"
        yield "why this backbone", backbone["why"] or ""
        yield "sha256 of its weights", backbone["sha256"]
    shape = " × ".join(map(str, given["shape"]))
    yield "input", f"{given['name']}, {shape}, {given['dtype']}"
    yield "crop", given.get("crop", "")
    yield "precision", ", ".join(f"{name} {kind}" for name, kind in manifest["precision"].items())
    yield "seed", str(manifest["seed"])
