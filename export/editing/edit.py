"""Replace the references in an existing file, using that file alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from pocketknn.builder.backbones import load as backbones
from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.choices import room
from pocketknn.builder.choices.neighbors import Neighbors
from pocketknn.builder.errors import InputError
from pocketknn.builder.graph.placeholder import fewest, is_fixed
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.memory import check_differences
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import UNKNOWN, Spec
from pocketknn.builder.system.atomic_file import NEW, OLD, workplace
from pocketknn.builder.system.swap import put
from pocketknn.builder.wording import counted
from pocketknn.export.formats.storage.slots import Slots
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.describe import redescribe
from pocketknn.export.manifest.figures import measure
from pocketknn.export.manifest.read_back import Opened, understood
from pocketknn.export.parity import test_inputs
from pocketknn.export.parity.check import Parity
from pocketknn.export.parity.compare import compare
from pocketknn.export.parity.judges import Judges
from pocketknn.export.parity.test_inputs import Queries
from pocketknn.export.templates.content import content_of


def backbone_of(opened: Opened, weights: Path | None) -> Backbone | None:
    """The backbone in a file, to embed pictures for it.

    Args:
        opened: the file.
        weights: the weights file the model was built with, if any.

    Raises:
        InputError: the backbone is not available, or differs.
    """
    manifest = opened.metadata.manifest
    facts, name = manifest["backbone"], opened.path.name
    if facts is None:
        return None
    lost = backbones.is_lost(facts["name"], facts["weights_sha256"], facts["sha256"])
    if lost and weights is None:
        raise InputError(
            f"{name} was built with the weights {facts['weights']}; name that file with --weights",
            "weights-missing",
        )
    spec = Spec(backbone="auto", weights=weights)
    return backbones.backbone_of(opened.fit.references, spec)


def with_references(opened: Opened, references: References) -> Fit:
    """The choices of a file, fitted to other references.

    Raises:
        InputError: there are too few for the graph, or a class is called unknown although there is
            a threshold.
    """
    fit = opened.fit
    if not fit.slots and fit.k > len(references):
        left = counted(len(references), "reference")
        raise InputError(
            f"{opened.path.name} needs {fit.k} neighbours, but only {left} would remain;"
            " build it again with a smaller k",
            "k-too-large",
        )
    changed = replace(fit, space=replace(fit.space, references=references))
    if is_fixed(changed):
        raise InputError(
            f"{opened.path.name} needs at least {fewest(changed)} references,"
            f" but only {len(references)} would remain; build it again",
            "too-few-references",
        )
    if fit.threshold is not None and UNKNOWN in references.labels:
        raise InputError(
            f"with a threshold, the class name {UNKNOWN!r} is reserved", "reserved-class-name"
        )
    room.check_names(references.labels, fit.spec.grow, fit.spec.spare)
    check_differences(fit.spec.metric, len(references), fit.space.width)
    return changed


def rewrite(opened: Opened, fit: Fit, out: Path, backbone: Backbone | None) -> Parity:
    """Write the file again with other references, run it, and put it in place if it agrees.

    Args:
        opened: the file.
        fit: its new references.
        out: where to write it; an existing file is replaced.
        backbone: the backbone in the file, to embed test pictures; without it, the new file is
            compared with the old file's answers.

    Returns:
        How well the new file agrees; if it does not agree, nothing was changed.
    """
    target = FORMATS[opened.format]
    # A projection was learned from these references, so new figures would be too good.
    figures = measure(fit) if fit.space.projection is None else None
    metadata = redescribe(opened.metadata.manifest, fit, figures)
    metadata = replace(metadata, slots=opened.metadata.slots)
    place = out.resolve()  # keeps a symbolic link
    try:
        with workplace(place) as work:
            made = work / f"{NEW}{target.SUFFIX}"
            content = content_of(fit, opened.precision)
            with understood(opened.path):
                target.fill(opened.path, made, Slots(**metadata.slots), content, metadata.files())
            parity = _compare(opened, made, fit, backbone)
            if parity.agrees:
                place.parent.mkdir(parents=True, exist_ok=True)
                put(made, place, work / OLD)
    except OSError as error:
        raise InputError(
            f"{out} cannot be written: {error.strerror or error}", "cannot-write"
        ) from error
    return parity


def _compare(opened: Opened, made: Path, fit: Fit, backbone: Backbone | None) -> Parity:
    manifest, seed, before = opened.metadata.manifest, int(fit.spec.seed), None
    if backbone is not None or manifest["backbone"] is None:
        against = test_inputs.made_up(fit.references.vectors, backbone, seed=seed)
    else:
        inputs = test_inputs.noise(manifest["input"]["shape"][0], seed=seed)
        against = Queries(inputs, np.empty((0, fit.references.dim)))
        answered = FORMATS[opened.format].load(opened.path)(inputs)
        row_of = {name: row for row, name in enumerate(fit.references.ids)}
        rows = np.array([row_of.get(name, -1) for name in opened.fit.references.ids])
        before = Neighbors(answered["scores"].astype(np.float64), rows[answered["indices"]])
    judge = Judges(against, backbone).of(opened.format)
    return compare(opened.format, made, opened.precision, fit, judge, before)
