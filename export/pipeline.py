"""Convert, load, compare with the exact k-NN, and hand over what agrees."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones.load import Backbone
from pocketknn.builder.embedding.embed import Skipped
from pocketknn.builder.errors import OF_THE_MACHINE, InputError, first_line
from pocketknn.builder.knn.exact import Neighbors
from pocketknn.builder.knn.resolve import Fit, fit
from pocketknn.builder.references.references import References
from pocketknn.builder.selection.condense import Condensed
from pocketknn.builder.spec import AUTO, Spec
from pocketknn.export.apps.snippets import write as app_code
from pocketknn.export.formats.artefact import FORMATS, check_formats, writable
from pocketknn.export.formats.options import Options
from pocketknn.export.manifest.build_folder import staged
from pocketknn.export.manifest.describe import describe, part_of
from pocketknn.export.manifest.figures import measure
from pocketknn.export.manifest.metadata import Metadata, dumps
from pocketknn.export.output.checksums import digest, files_of, size
from pocketknn.export.output.names import (
    GOLDEN,
    LABELS,
    MANIFEST,
    MODEL,
    PARITY,
    REFERENCES,
    SNIPPETS,
    TABLE,
)
from pocketknn.export.parity import check as parity
from pocketknn.export.parity import golden, test_inputs
from pocketknn.export.parity.check import Parity
from pocketknn.export.parity.judges import Judges
from pocketknn.export.parity.test_inputs import Queries
from pocketknn.export.sizes.estimate import Plan, plan
from pocketknn.export.sizes.limits import check_held, check_size
from pocketknn.export.templates.template import Order, write


@dataclass(frozen=True, kw_only=True)
class Written:
    """An artefact that was converted, run and compared.

    Attributes:
        format: its name in `FORMATS`.
        name: its file name in the folder.
        bytes: its size.
        seconds: time to convert and write it.
        parity: how it agrees with the exact k-NN; where it does not, the file was not kept.
    """

    format: str
    name: str
    bytes: int
    seconds: float
    parity: Parity


@dataclass(frozen=True, kw_only=True)
class Export:
    """What a call of `export` left in its folder.

    Attributes:
        out: the folder.
        fit: the choices and the references.
        manifest: the content of its manifest.json.
        written: the artefacts.
    """

    out: Path
    fit: Fit
    manifest: dict[str, Any]
    written: tuple[Written, ...]

    @property
    def agrees(self) -> bool:
        """Whether every artefact agrees with the exact k-NN."""
        return all(one.parity.agrees for one in self.written)


def export(
    spec: Spec,
    references: References,
    backbone: Backbone | None,
    out: Path | str,
    *,
    against: Queries | None = None,
    calibration: NDArray[np.uint8] | None = None,
    strangers: NDArray[np.floating] | None = None,
    options: Options | None = None,
    formats: Sequence[str] | None = None,
    skipped: Sequence[Skipped] = (),
    condensed: Condensed | None = None,
    force: bool = False,
    progress: Callable[[str], None] = lambda name: None,
    note: Callable[[str], None] = lambda line: None,
) -> Export:
    """Build a model and write it in all formats, with references and manifest, into a new folder.

    Each file is opened in its own runtime and compared with the exact k-NN over the embeddings of
    `against`. One that does not agree is not handed over; parity.json says why.

    Args:
        spec: the choices.
        references: the stored examples.
        backbone: the feature extractor; None for a model of feature vectors.
        out: the folder; it appears when everything in it is complete.
        against: what to compare on; a black picture and noise when None.
        calibration: pictures (n, H, W, 3) that int8 takes its ranges from, others than those of
            `against`, or they would judge themselves; noise, with a line, when None.
        strangers: embeddings (q, d) of what is of no class, to measure rejection on.
        options: how the files are written.
        formats: names in `FORMATS`; None for all, but Core ML where coremltools is not installed.
        skipped: the pictures that were left out, for the manifest.
        condensed: what the references were chosen from, for the manifest.
        force: replace an earlier build.
        progress: called with the name of each format before it is written.
        note: called with a line for people when something in a cache could not be used.

    Raises:
        InputError: an unknown format, a choice that the references cannot serve, or `out` exists
            or cannot be written.
    """
    out, options = Path(out), options or Options()
    formats = writable(note) if formats is None else formats
    precision = _checked(spec, references, backbone, options, formats)
    fitted = _fitted(spec, references, options, formats)
    figures = measure(fitted, strangers)
    metadata = describe(fitted, backbone, precision, figures, options)
    if against is None:
        against = (
            test_inputs.synthetic(backbone, count=test_inputs.COUNT, seed=spec.seed)
            if backbone
            else test_inputs.from_vectors(references.vectors, seed=spec.seed)
        )
    judges = Judges(against, backbone)
    if calibration is None and backbone and "int8" in precision.values():
        calibration = test_inputs.noise(backbone.size, seed=spec.seed + 1)
        note(
            "int8: without photos its ranges are those of noise, and noise judges it; photos, which"
            " PHOTOS of a build or `calibration` give, may fare better or worse"
        )
    with staged(out, force) as folder:

        def ordered(name: str, outputs: str = "neighbors") -> Order:
            return Order(
                format=name,
                fit=fitted,
                backbone=backbone,
                precision=precision[name],
                options=options,
                outputs=outputs,
                calibration=calibration,
            )

        made = {}
        # First those whose precision is not settled yet, as all files name that of each.
        for name in sorted(precision, key=lambda name: not _may_widen(name, precision, options)):
            progress(name)
            made[name] = _write(ordered(name), metadata, judges.of(name), folder, note)
            if not made[name].parity.agrees and _may_widen(name, precision, options):
                note(
                    f"{name}: with a {precision[name]} backbone"
                    f" {made[name].parity.failures[0]}; it is written with a float32 backbone"
                )
                precision[name] = "float32"
                metadata = metadata.with_precision(precision)
                made[name] = _write(ordered(name), metadata, judges.of(name), folder, note)
        written = [made[name] for name in precision]
        for outputs in options.outputs if "tflite" in precision else ():
            progress(outputs)
            part = part_of(metadata, outputs)
            _write_part(ordered("tflite", outputs), part, judges.of("tflite"), folder, note)
        references.save(folder / REFERENCES)
        for name, text in metadata.files().items():
            if name == TABLE or (name == LABELS and metadata.labels):
                (folder / name).write_text(text, encoding="utf-8", newline="")
        if kept := [one.format for one in written if one.parity.agrees]:
            golden.write(folder / GOLDEN, fitted, metadata.manifest, against, kept)
            app_code.write(folder / SNIPPETS, metadata.manifest, kept)
        manifest = metadata.manifest | {
            "skipped": [asdict(one) for one in skipped],
            "condensed": condensed.as_json() if condensed else None,
            "files": {p.name: _facts(p) for p in sorted(folder.iterdir())},
            "parity": {one.format: one.parity.as_json() for one in written},
        }
        (folder / PARITY).write_text(dumps(manifest["parity"]), encoding="utf-8", newline="")
        (folder / MANIFEST).write_text(dumps(manifest), encoding="utf-8", newline="")
    return Export(out=out, fit=fitted, manifest=manifest, written=tuple(written))


def planned(
    spec: Spec,
    references: References,
    backbone: Backbone | None,
    options: Options,
    formats: Sequence[str],
) -> list[Plan]:
    """What the files of `export` would take, each of them; nothing is written.

    Raises:
        InputError: as `export`.
    """
    precision = _checked(spec, references, backbone, options, formats)
    fitted = _fitted(spec, references, options, formats)
    metadata = describe(fitted, backbone, precision, measure(fitted), options)
    return plan(fitted, backbone, precision, metadata)


def _checked(
    spec: Spec,
    references: References,
    backbone: Backbone | None,
    options: Options,
    formats: Sequence[str],
) -> dict[str, str]:
    """The precision of each format's backbone; refuses what cannot be, before work is done."""
    check_formats(formats)
    check_size(formats, len(references), references.dim, spec)
    if spec.search != AUTO:  # which may end at what can be combined with everything
        _check_search(spec, formats, options)
    return {name: precision_of(name, options, backbone) for name in dict.fromkeys(formats)}


def _fitted(spec: Spec, references: References, options: Options, formats: Sequence[str]) -> Fit:
    """The fit; refuses what it turns out that files cannot hold, or options not ask for."""
    found = fit(spec, references)
    if spec.projection in (AUTO, "classes"):  # of which the width was not known before
        whole = replace(found.spec, projection="none", pca=None, whiten=None)
        check_size(formats, len(references), found.space.width, whole)
    if found.index is not None:
        _check_search(found.spec, formats, options)
        check_held(formats, found.index)
    return found


def _check_search(spec: Spec, formats: Sequence[str], options: Options) -> None:
    """Refuse what a search or small references cannot be combined with."""
    if spec.search == "exact" and spec.references_precision == "float32":
        return
    if "scores" in options.outputs:
        raise InputError(
            "the output 'scores' is there for float32 references and the search exact only"
        )
    bytes_ = spec.references_precision == "int8" or spec.search != "exact"
    if bytes_ and "coreml" in formats and options.ios == 15:
        raise InputError("Core ML takes 8-bit references from iOS 16 on, not from 15")


def precision_of(name: str, options: Options, backbone: Backbone | None) -> str:
    """What a format is written in: what is asked for where it can, else its default.

    Without a backbone there is nothing to make smaller.
    """
    target, asked = FORMATS[name], options.precision
    return asked if backbone and asked in target.PRECISIONS else target.PRECISION


def _may_widen(name: str, precision: Mapping[str, str], options: Options) -> bool:
    """Whether a format's backbone may become float32: where nobody asked for less."""
    return options.precision is None and precision[name] != "float32"


def compare(
    name: str,
    path: Path,
    precision: str,
    fit: Fit,
    against: Queries,
    before: Neighbors | None = None,
    *,
    as_built: bool = False,
) -> Parity:
    """Open a file in its own runtime and compare its answers with the exact k-NN.

    Args:
        name: the format.
        path: the file.
        precision: of the backbone.
        fit: what the file should hold.
        against: the queries; with `before`, as for `parity.check_kept`, without embeddings.
        before: what the file answered when it had other references.
        as_built: it is known to have the bytes of its build, which held the references of an index.
            Another machine may round some of these to other bytes.
    """
    try:
        outputs = FORMATS[name].load(path)(against.inputs)
    except OF_THE_MACHINE:
        raise
    except Exception as error:  # a runtime may raise anything on a file that it cannot run
        refusal = f"it cannot be run: {first_line(error)}"
        return parity.refused(precision, len(against.inputs), refusal)
    stored = (as_built and fit.index is not None) or parity.holds(files_of(path), fit)
    if before is not None:
        return parity.check_kept(outputs, before, fit, precision=precision, stored=stored)
    found = parity.check(outputs, against.embeddings, fit, precision=precision, stored=stored)
    return replace(found, judge=against.judge)


def _write(
    order: Order,
    metadata: Metadata,
    against: Queries,
    folder: Path,
    note: Callable[[str], None],
) -> Written:
    path = folder / f"{MODEL}{FORMATS[order.format].SUFFIX}"
    start = time.perf_counter()
    try:
        write(order, metadata, path, note)
        refusal = ""
    except (OSError, InputError, *OF_THE_MACHINE):
        raise
    except Exception as error:  # the converters raise anything on a backbone they do not know
        refusal = f"it cannot be converted: {first_line(error)}"
    seconds = time.perf_counter() - start
    written = Written(
        format=order.format,
        name=path.name,
        bytes=size(path),
        seconds=seconds,
        parity=parity.refused(order.precision, 0, refusal)
        if refusal
        else compare(order.format, path, order.precision, order.fit, against),
    )
    if not written.parity.agrees:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return written


def _write_part(
    order: Order,
    metadata: Metadata,
    against: Queries,
    folder: Path,
    note: Callable[[str], None],
) -> None:
    """A TFLite file that ends before the top-k.

    Raises:
        InputError: it does not agree with the exact values.
    """
    target, what = FORMATS[order.format], order.outputs
    path = folder / f"{MODEL}-{what}{target.SUFFIX}"
    write(order, metadata, path, note)
    outputs = target.load(path)(against.inputs)
    error = parity.check_part(outputs, what, against.embeddings, order.fit)
    if error > (allowed := parity.TOLERANCES[order.precision].score):
        raise InputError(f"{path.name}: {what} off by {error:.1e}, allowed are {allowed:.0e}")


def _facts(path: Path) -> dict[str, Any]:
    return {"bytes": size(path), "sha256": digest(path)}
