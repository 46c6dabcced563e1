"""Find the smallest files that are good enough: write, run and measure every variant."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.neighbors import Neighbors
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.exact import leave_one_out as leave_rows_out
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.knn.validation.leave_one_out import leave_one_out
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import Spec
from pocketknn.builder.system.cache import USUAL, Cache
from pocketknn.export.formats.options import PRECISIONS, Options
from pocketknn.export.formats.table import FORMATS, precision_of
from pocketknn.export.manifest.describe import describe
from pocketknn.export.manifest.metadata import Metadata
from pocketknn.export.output.checksums import size
from pocketknn.export.parity import test_inputs
from pocketknn.export.parity.metrics import recall
from pocketknn.export.templates.template import Order, write

_COMPONENTS = (256, 128, 64)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How small files must be, and how good.

    Attributes:
        bytes: maximum size of a file for a device; the Keras file is for computers and may be
            larger.
        loss: how much the leave-one-out accuracy may fall below the exact one, 0 to 1.
        agreement: minimum share of the exact neighbours that must still be found.
    """

    bytes: int
    loss: float = 0.02
    agreement: float = 0.8

    def __post_init__(self) -> None:
        if self.bytes < 1:
            raise InputError(f"a budget must be at least one byte, not {self.bytes}", "bad-budget")
        if not 0 <= self.loss < 1:
            raise InputError(f"the loss is a share, 0 to 1, not {self.loss}", "share-out-of-range")
        if not 0 < self.agreement <= 1:
            raise InputError(
                f"the agreement is a share, 0 to 1, not {self.agreement}", "share-out-of-range"
            )


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way of making the files smaller, with its measurements.

    Attributes:
        precision: precision of the backbones.
        projection: what is compared, as in `Spec.projection`.
        bytes: size of the largest file.
        accuracy: leave-one-out accuracy of the exact search, minus the worst file's loss; None
            without a vote.
        agreement: share of the exact neighbours that the worst file finds.
        good: whether accuracy and agreement meet the budget.
    """

    precision: str
    projection: str
    bytes: int
    accuracy: float | None
    agreement: float
    good: bool


def of_devices(formats: Sequence[str]) -> list[str]:
    """The formats that a budget applies to.

    Raises:
        InputError: there is none.
    """
    found = [name for name in formats if FORMATS[name].OF_DEVICES]
    if not found:
        raise InputError(
            "a budget applies to files for devices; name a format besides keras", "no-device-format"
        )
    return found


def measure(
    spec: Spec,
    references: References,
    backbone: Backbone,
    budget: Budget,
    *,
    inputs: NDArray[Any],
    rows: Sequence[int],
    calibration: NDArray[np.uint8] | None,
    formats: Sequence[str],
    options: Options,
    cache: Cache | None = USUAL,
    begin: Callable[[int], None] = lambda count: None,
    progress: Callable[[], None] = lambda: None,
) -> list[Variant]:
    """Write and run every variant, the largest first.

    Args:
        spec: the choices; a projection in it stays fixed.
        references: the stored examples.
        backbone: the feature extractor.
        budget: what is good enough.
        inputs: (q, H, W, 3) pictures that are references.
        rows: which references they are.
        calibration: other pictures, to calibrate int8; None for noise.
        formats: the formats that the budget applies to; it does not apply to Keras.
        options: how files are written; a `precision` in it stays fixed.
        cache: source of earlier templates; None for no cache.
        begin: called with the number of variants.
        progress: called when a variant is done or turns out to be impossible.

    Raises:
        InputError: there is no format for a device, or there are not more references than k.
    """
    formats = of_devices(formats)
    plain = fit(replace(spec.exactly(), reject=None), references)
    k = plain.k if spec.k is not None else min(plain.k, len(references) - 1)
    if spec.candidates is not None:
        spec = replace(spec, candidates=max(spec.candidates, k + 1))
    if k + 1 > len(references) or k < 1:
        raise InputError(
            "a budget is measured by leave-one-out, which needs more than k references",
            "k-too-large",
        )
    loo = leave_one_out(plain)
    # These photos are among the references, and the projection was learned from them. So search as
    # the files do: the difference then is only what a smaller file loses.
    wanted = leave_rows_out(plain.space.rows, k, np.asarray(rows), plain.space.metric)
    reached = None if loo is None else loo.accuracy
    if calibration is None:
        calibration = test_inputs.noise(backbone.size, seed=spec.seed + 1)
    best = _accuracy(plain, wanted, rows) if reached is not None else 0.0
    found = []
    variants = list(_variants(plain, formats, options))
    begin(len(variants))
    for precise, projection in variants:
        one = replace(spec, projection=projection, pca=None, whiten=None)
        try:
            fitted = fit(replace(one, reject=None, k=k + 1), references)
        except InputError:  # its search finds too few of the neighbours, so skip this variant
            progress()
            continue
        given = replace(options, precision=precise)
        sizes, accuracies, agreements = [], [], []
        for name in formats:
            precision = precision_of(name, given, backbone)
            metadata = describe(fitted, backbone, {name: precision}, None, given)
            order = Order(
                format=name,
                fit=fitted,
                backbone=backbone,
                precision=precision,
                options=given,
                calibration=calibration,
                cache=cache,
            )
            written, outputs = _run(order, metadata, inputs)
            nearest = _without_itself(outputs, rows)
            sizes.append(written)
            agreements.append(recall(wanted.indices, nearest.indices))
            if reached is not None:
                accuracies.append(_accuracy(fitted, nearest, rows))
        agreement = min(agreements)
        lost = best - min(accuracies) if accuracies else 0.0
        accuracy = None if reached is None else max(reached - lost, 0.0)
        found.append(
            Variant(
                precision=precise,
                projection=projection,
                bytes=max(sizes),
                accuracy=accuracy,
                agreement=agreement,
                good=lost <= budget.loss + 1e-9 and agreement >= budget.agreement,
            )
        )
        progress()
    return found


def smallest(
    variants: Sequence[Variant], budget: Budget, smaller: Callable[[], str] = str
) -> Variant:
    """The smallest variant that is good enough.

    Args:
        variants: the measured variants.
        budget: what is good enough.
        smaller: returns words that name a smaller network, or ""; called only if all are too large.

    Raises:
        InputError: none is good enough, or the smallest exceeds the budget; the message says
            which options would help.
    """
    good = [variant for variant in variants if variant.good]
    if not good:
        raise InputError(
            f"no variant loses at most {budget.loss:.1%} accuracy and finds at least"
            f" {budget.agreement:.0%} of the exact neighbours; use a higher --loss, a lower"
            " --agreement or a better --backbone",
            "budget-not-met",
        )
    best = min(good, key=lambda variant: variant.bytes)
    if best.bytes > budget.bytes:
        fits = any(variant.bytes <= budget.bytes for variant in variants)
        looser = ", or a higher --loss or a lower --agreement" if fits else ""
        raise InputError(
            f"the smallest variant that is good enough takes {best.bytes / 1e6:.2f} MB, but the"
            f" budget is {budget.bytes / 1e6:.2f} MB; use --budget {whole(best.bytes)}"
            f"{smaller()}{looser}",
            "budget-not-met",
        )
    return best


def whole(size: float) -> str:
    """A size in the form that `--budget` takes, rounded up to a tenth of a megabyte."""
    return f"{math.ceil(size / 1e5) / 10:.1f}MB"


def refused(formats: Sequence[str], options: Options) -> dict[str, str]:
    """The precisions in which some format for devices cannot be written, and why.

    Empty if the options name a precision.
    """
    found = {}
    for precision in PRECISIONS if options.precision is None else ():
        for name in of_devices(formats):
            try:
                FORMATS[name].check_options(replace(options, precision=precision), bytes_=False)
            except InputError as error:
                found[precision] = str(error)
    return found


def _variants(plain: Fit, formats: Sequence[str], options: Options) -> Iterator[tuple[str, str]]:
    """Precision and projection of each variant; PCA is tried only without a projection."""
    projections = [plain.spec.compared]
    if plain.spec.projection == "none":
        most = min(plain.references.vectors.shape) - 1
        projections += [f"pca:{size}" for size in _COMPONENTS if size < most]
    impossible = refused(formats, options)
    possible = [name for name in PRECISIONS if name not in impossible]
    for precision in [options.precision] if options.precision else possible:
        for projection in projections:
            yield precision, projection


def _run(
    order: Order, metadata: Metadata, inputs: NDArray[Any]
) -> tuple[int, dict[str, NDArray[Any]]]:
    """Size of a file, and its answers."""
    target = FORMATS[order.format]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{target.SUFFIX}"
        write(order, metadata, path, keep=False)  # no build reuses one with k + 1 neighbours
        return size(path), target.load(path)(inputs)


def _without_itself(outputs: dict[str, NDArray[Any]], rows: Sequence[int]) -> Neighbors:
    """The neighbours of each input without the input itself."""
    indices = outputs["indices"].astype(np.int64)
    itself = indices == np.asarray(rows)[:, None]
    itself[~itself.any(axis=1), -1] = True  # crowded out by copies of it
    kept = np.argsort(itself, axis=1, kind="stable")[:, :-1]
    scores = outputs["scores"].astype(np.float64)
    return Neighbors(
        np.take_along_axis(scores, kept, axis=1), np.take_along_axis(indices, kept, axis=1)
    )


def _accuracy(fitted: Fit, nearest: Neighbors, rows: Sequence[int]) -> float:
    """Share of these references whose own label wins the vote of these neighbours."""
    won = winners(fitted.answers(nearest))
    return float((won == fitted.references.label_ids[rows]).mean())
