"""The files, and the choices they were built with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pocketknn.export.formats.storage.texts import licence
from pocketknn.export.output.names import MODEL
from pocketknn.export.report.blocks import Block, Command, Section, Table
from pocketknn.export.report.study import Study
from pocketknn.export.report.wording import (
    command_line,
    other_crop,
    percent,
    plural,
    projected,
    same_lists,
    sentence,
)

_SPEED = (
    "Milliseconds per picture, without decoding, on the machine that built it: a short measurement,"
    " which pocketknn bench repeats with more runs"
)
_BUSY = "The Keras file was loaded while other work was going on; alone it is loaded sooner."
_SHARES = {"same class": "labels_equal", "top-1 match": "first_equal", "same lists": "lists_agree"}
_REST = ("score error", "vote error", "exact lists")
_EXACT = (
    "Exact lists have every neighbour in its place. Where many neighbours have nearly equal scores,"
    " rounding alone swaps some in most lists of a float16 file: judge such a file by the columns"
    " to the left."
)


def files(study: Study) -> Section:
    """How well each file agrees with the exact k-NN, and how fast it is."""
    return Section("files", "The files", tuple(_blocks(study)))


def _blocks(study: Study) -> Iterator[Block]:
    from pocketknn.export.formats.table import FORMATS

    parity = study.manifest["parity"]
    names = {name: MODEL + FORMATS[name].SUFFIX for name in parity}
    shares = (*(["same class"] if study.labelled else []), "top-1 match", "same lists")
    rows = [
        _row(names[name], one, study.manifest["files"].get(names[name]), shares)
        for name, one in parity.items()
    ]
    queries = max((one["queries"] for one in parity.values()), default=0)
    yield Table(
        caption="Each file in its own runtime against exact k-NN in float64, on"
        f" {plural(queries, 'input')}",
        columns=("file", "parity", "size", "weights", *shares, *_REST),
        rows=tuple(rows),
        words=(1, 3),
    )
    lists = same_lists(one["precision"] for one in parity.values())
    yield f"{sentence(lists)}. {_EXACT}"
    for name, one in parity.items():
        yield from (f"{names[name]}: {failure}" for failure in one["failures"])
    if study.timings:
        columns = ("file", "weights", "threads", "load", "median", "p95")
        yield Table(caption=_SPEED, columns=columns, rows=tuple(study.timings), words=(1,))
        if any(name.endswith(FORMATS["keras"].SUFFIX) for name, *_ in study.timings):
            yield _BUSY
    if other := other_crop(study.manifest):
        words, crop = other
        yield (
            f"{sentence(words)}. The code in the folder snippets crops as the build"
            " did. What another crop costs on your photos:"
        )
        yield Command(command_line("pocketknn", "eval", study.out, "PHOTOS", "--crop", crop))
    for target in (FORMATS[name] for name in parity):
        if not target.NATIVE:
            yield (
                f"The {target.TITLE} file was run by our own evaluator, whose time does not predict"
                " a phone's."
            )


def _row(
    name: str, parity: dict[str, Any], file: dict[str, Any] | None, shares: Sequence[str]
) -> tuple[str, ...]:
    measured: tuple[str, ...] = ("",) * (len(shares) + len(_REST))
    if parity["score_error"] is not None:  # None for a file that cannot be run
        errors = (parity["score_error"], parity["vote_error"])
        measured = (
            *(percent(parity[_SHARES[name]]) for name in shares),
            *(f"{error:.0e}" for error in errors),
            percent(parity["lists_equal"]),
        )
    agrees = "agrees" if parity["agrees"] else "DIFFERS, removed"
    size = f"{file['bytes'] / 1e6:.2f} MB" if file else ""
    return (name, agrees, size, parity["precision"], *measured)


def choices(study: Study) -> Section:
    """All choices, and the versions of the packages."""
    rows = tuple((name, value) for name, value in _choices(study.manifest) if value)
    versions = tuple((name, str(value)) for name, value in study.manifest["versions"].items())
    columns = ("package", "version")
    return Section(
        "spec",
        "The choices of this build",
        (
            Table(caption="Choices", columns=("choice", "value"), rows=rows, words=(1,)),
            Table(caption="Versions", columns=columns, rows=versions, words=(1,), folded=True),
        ),
    )


def _choices(manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    backbone, given = manifest["backbone"], manifest["input"]
    yield "description", manifest["description"]
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
        yield "search recall", f"{percent(search['recall'])} of the exact neighbours"
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
