"""From a request to artefacts; a plan takes the same steps but stops before writing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices import room
from pocketknn.builder.choices.heads import HEADS
from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.photos.photo import Photo
from pocketknn.builder.spec import AUTO, Spec
from pocketknn.builder.system.cache import Cache
from pocketknn.export.formats.files import check_formats, writable
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.build_folder import check_apart, check_free
from pocketknn.export.output.names import MODEL
from pocketknn.export.parity import test_inputs
from pocketknn.export.sizes import budget
from pocketknn.export.sizes.estimate import Plan

from .altered_copies import altered_copies
from .export import Export, export, planned
from .material import Material, material
from .request import Request, Watch

_SAMPLE = 100  # photos that variants are compared on
_SILENT = Watch()


def build(
    request: Request,
    out: Path,
    *,
    force: bool = False,
    cache: Cache | None = None,
    watch: Watch = _SILENT,
    meanwhile: Callable[[Fit, dict[str, Any], Material], None] = lambda *given: None,
) -> tuple[Export, Material]:
    """Find and embed photos, or read references; make all choices, fit a budget, and export.

    Args:
        request: what to build.
        out: the folder to write.
        force: replace an earlier build.
        cache: stores what a later build may reuse; None for no cache.
        watch: receives progress and remarks.
        meanwhile: as for `export`, with what the files are made from.

    Returns:
        What was written, and what it was made from.

    Raises:
        InputError: the request cannot be met, or the folder cannot be written.
    """
    formats = _formats(request)
    check_free(out, force)
    if request.references is None:
        check_apart(out, request.selection.photos)
    if request.within is not None:
        budget.of_devices(formats)
    _check_strangers(request)
    _check_growth(request)
    found = material(request, formats, cache, watch)
    _tell_growth(request.spec, found, formats, watch)
    spec, options = found.spec, request.options
    judging, ranges = _apart(found, options.precision == "int8" or request.within is not None)
    if request.within is not None:
        spec, options = _smallest(request, found, judging, ranges, formats, cache, watch)
    watch.step("writing", len(formats))
    against = None
    if found.backbone and found.squares:
        squares = found.squares
        against = test_inputs.from_photos(judging, found.backbone, squares.of, seed=spec.seed)

    def started(name: str) -> None:
        watch.step(f"writing and running {name}", None)
        watch.done(1)

    result = export(
        spec,
        found.references,
        found.backbone,
        out,
        against=against,
        calibration=ranges,
        strangers=found.strangers,
        copies=altered_copies(found),
        options=options,
        formats=request.formats if request.within is None else formats,
        skipped=[one if request.with_names else replace(one, name="") for one in found.skipped],
        condensed=found.condensed,
        budget=None if request.within is None else request.within.bytes,
        thumbnails=None if request.thumbnails is None else (found.photos, request.thumbnails),
        force=force,
        progress=started,
        note=watch.remark,
        meanwhile=lambda fit, manifest: meanwhile(fit, manifest, found),
        cache=cache,
    )
    return result, found


def plan(
    request: Request, *, cache: Cache | None = None, watch: Watch = _SILENT
) -> tuple[list[Plan], Material]:
    """Do as `build`, but write nothing; returns each file's size and cost, and the material."""
    formats = _formats(request)
    _check_growth(request)
    found = material(request, formats, cache, watch)
    _tell_growth(request.spec, found, formats, watch)
    plans = planned(
        found.spec,
        found.references,
        found.backbone,
        request.options,
        request.formats,
        cache,
        watch.remark,
    )
    return plans, found


def _check_strangers(request: Request) -> None:
    """Check that strangers have exactly one use."""
    learned = request.learn_strangers
    if request.strangers is None:
        if learned:
            raise InputError("--learn-strangers needs --strangers PHOTOS", "option-not-applicable")
    elif request.spec.reject is None and not learned:
        raise InputError(
            "--strangers does nothing alone; add --reject auto to measure how many are rejected, or"
            " --learn-strangers to make them references of the class unknown",
            "strangers-unused",
        )
    elif request.spec.reject is not None and learned:
        raise InputError(
            "with --learn-strangers, 'unknown' is a class like any other, which needs no threshold"
            " from --reject; use only one of the two",
            "either-or",
        )


def _check_growth(request: Request) -> None:
    """Check, before any work is done, that `grow` is not used with targets."""
    if request.selection.target_columns:
        room.check(request.spec.grow, request.spec.spare, HEADS["regress"])


def _tell_growth(spec: Spec, found: Material, formats: Sequence[str], watch: Watch) -> None:
    """Tell the user what growing changes: the default projection, and what can run the files."""
    if spec.grow is None:
        return
    votes = found.references.labels and spec.head != "neighbors"
    if votes and spec.projection == AUTO and METRICS[spec.metric].ANGULAR:
        watch.remark(
            "files that grow compare whole embeddings, as a projection learned from these classes"
            " would separate taught classes less well; to use one anyway, set --projection"
        )
    for name in formats:
        if FORMATS[name].ONE_INPUT and (consumer := FORMATS[name].CONSUMER):
            watch.remark(
                f"{MODEL}{FORMATS[name].SUFFIX} has a second input, which {consumer['name']}"
                " refuses: use another runtime, or build without --grow"
            )


def _formats(request: Request) -> tuple[str, ...]:
    """The formats that may be written; a budget also tries int8, which needs the converters."""
    converting = request.within is not None
    formats = writable(converting=converting) if request.formats is None else request.formats
    check_formats(formats, request.options, converting=converting)
    return formats


def _apart(found: Material, calibrated: bool) -> tuple[Sequence[Photo], NDArray[np.uint8] | None]:
    """The photos that files are checked on, and the pictures for calibrating int8."""
    if not (calibrated and found.squares):
        return found.photos, None
    hashes = dict(zip(found.photos, found.references.sha256, strict=True))
    once = list({hashes[photo]: photo for photo in reversed(found.photos)}.values())[::-1]
    judging, rest = test_inputs.apart(once, found.spec.seed)
    return judging, test_inputs.calibration(rest, found.squares.of)


def _smallest(
    request: Request,
    found: Material,
    judging: Sequence[Photo],
    ranges: NDArray[np.uint8] | None,
    formats: Sequence[str],
    cache: Cache | None,
    watch: Watch,
) -> tuple[Spec, Options]:
    """The choices of the smallest variant that is good enough."""
    from pocketknn.export.sizes import network

    assert found.backbone
    assert found.squares
    assert request.within
    draw = np.random.default_rng(found.spec.seed).permutation(len(judging))[:_SAMPLE]
    sample = [judging[row] for row in sorted(map(int, draw))]
    variants = budget.measure(
        found.spec,
        found.references,
        found.backbone,
        request.within,
        inputs=np.stack([found.squares.of(photo) for photo in sample]),
        rows=[found.photos.index(photo) for photo in sample],
        calibration=ranges,
        formats=formats,
        options=request.options,
        cache=cache,
        begin=lambda count: watch.step("measuring smaller variants", count),
        progress=lambda: watch.done(1),
    )
    watch.variants(variants, len(sample))
    for precision, why in budget.refused(formats, request.options).items():
        watch.remark(f"{precision} was not tried: {why}")
    smaller = partial(network.smaller, found.spec, found.backbone, formats, request.options)
    best = budget.smallest(variants, request.within, smaller)
    spec = replace(found.spec, projection=best.projection, pca=None, whiten=None)
    return spec, replace(request.options, precision=best.precision)
