"""Convert, load, compare with the exact k-NN, and keep the files that agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.embedding.embedded import Skipped
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.knn.validation.image_search import Copies
from pocketknn.builder.photos.photo import Photo
from pocketknn.builder.references.references import References
from pocketknn.builder.selection.condense import Condensed
from pocketknn.builder.spec import AUTO, UNKNOWN, Spec
from pocketknn.builder.system.cache import USUAL, Cache
from pocketknn.builder.system.container import cores
from pocketknn.export.apps import snippets
from pocketknn.export.apps import thumbnails as small
from pocketknn.export.formats.files import check_formats, without_converters, writable
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.table import FORMATS, precision_of
from pocketknn.export.manifest.build_folder import staged
from pocketknn.export.manifest.choices import choices_of
from pocketknn.export.manifest.describe import describe
from pocketknn.export.manifest.figures import measure
from pocketknn.export.manifest.metadata import dumps
from pocketknn.export.output import names
from pocketknn.export.output.checksums import digest, size
from pocketknn.export.parity import golden, test_inputs
from pocketknn.export.parity.judges import Judges
from pocketknn.export.parity.test_inputs import Queries
from pocketknn.export.sizes.estimate import Plan, check_held, check_size, plan
from pocketknn.export.templates.needed import lacking
from pocketknn.export.templates.template import Order

from .write import Writer, Written


@dataclass(frozen=True, kw_only=True)
class Export:
    """The result of a call of `export`.

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
    copies: Mapping[str, Copies] | None = None,
    options: Options | None = None,
    formats: Sequence[str] | None = None,
    skipped: Sequence[Skipped] = (),
    condensed: Condensed | None = None,
    budget: int | None = None,
    thumbnails: tuple[Sequence[Photo], int] | None = None,
    force: bool = False,
    progress: Callable[[str], None] = lambda name: None,
    note: Callable[[str], None] = lambda line: None,
    meanwhile: Callable[[Fit, dict[str, Any]], None] = lambda fit, manifest: None,
    cache: Cache | None = USUAL,
) -> Export:
    """Build a model and write it in all formats, with references and manifest, into a new folder.

    Each file is opened in its own runtime and compared with the exact k-NN over the embeddings of
    `against`. A file that does not agree is removed; parity.json says why.

    Args:
        spec: the choices.
        references: the stored examples.
        backbone: the feature extractor; None for a model of feature vectors.
        out: the folder; it appears once everything in it is complete.
        against: the inputs to compare on; None for a black picture and noise.
        calibration: pictures (n, H, W, 3) that calibrate int8, distinct from those of `against` so
            that the check is independent; None for noise, with a note.
        strangers: embeddings (q, d) of pictures that show no class, to measure rejection with.
        copies: altered copies of some references, to measure whether a search finds their
            originals.
        options: how the files are written.
        formats: names in `FORMATS`; None for all that can be written here. That leaves out Keras
            without TensorFlow, and Core ML if it needs coremltools but that is not installed.
        skipped: the pictures that were left out, for the manifest.
        condensed: the result of `condense`, if the references come from it, for the manifest.
        budget: the limit on a file's bytes that the choices met, for the manifest; None for none.
        thumbnails: the photos, and the maximum bytes of small pictures of all references; None for
            no such pictures.
        force: replace an earlier build.
        progress: called with the name of each format before it is written.
        note: called with a message for the user, for instance when something cached could not be
            used.
        meanwhile: called once, with the fit and the manifest without the facts of the files, while
            Keras may still be busy in another process.
        cache: stores converted graphs for reuse; None for no cache.

    Raises:
        InputError: a format is unknown, the references do not suit a choice, or `out` exists or
            cannot be written.
    """
    out, options = Path(out), options or Options()
    fitted, precision = _settle(spec, references, backbone, options, formats, cache, note)
    without = None if strangers is None else _without_strangers(fitted)
    figures = measure(fitted, strangers, without, copies)
    metadata = describe(fitted, backbone, precision, figures, options)
    if against is None:
        count = test_inputs.COUNT
        against = test_inputs.made_up(references.vectors, backbone, count=count, seed=spec.seed)
    if calibration is None and backbone and "int8" in precision.values():
        calibration = test_inputs.noise(backbone.size, seed=spec.seed + 1)
        note(
            "int8: calibrated and checked on noise, as no photos are given; results on photos may"
            " be better or worse: build from PHOTOS, or call export with calibration=PICTURES"
        )
    with staged(out, force) as folder, ThreadPoolExecutor(cores()) as beside:
        name = next(iter(precision))
        order = Order(
            format=name,
            fit=fitted,
            backbone=backbone,
            precision=precision[name],
            options=options,
            calibration=calibration,
            cache=cache,
        )
        judges = Judges(against, backbone)
        writer = Writer(order=order, judges=judges, folder=folder, note=note)
        saved = beside.submit(references.save, folder / names.REFERENCES)
        begin = partial(meanwhile, fitted, metadata.manifest)
        written, metadata = writer.write(metadata, precision, progress, begin)
        for name, text in metadata.files().items():
            if name == names.TABLE or (name == names.LABELS and metadata.labels):
                (folder / name).write_text(text, encoding="utf-8", newline="")
        if kept := [one.format for one in written if one.parity.agrees]:
            golden.write(folder / names.GOLDEN, fitted, metadata.manifest, against, kept)
            snippets.write(folder / names.SNIPPETS, metadata.manifest, kept)
        if thumbnails is not None:
            small.write(folder / names.THUMBNAILS, metadata.rows(), *thumbnails)
        saved.result()
        paths = sorted(folder.iterdir())
        manifest = metadata.manifest | {
            "choices": choices_of(spec, options),
            "skipped": [asdict(one) for one in skipped],
            "condensed": condensed.as_json() if condensed else None,
            **({} if budget is None else {"budget": budget}),
            "files": {
                path.name: {"bytes": size(path), "sha256": found}
                for path, found in zip(paths, beside.map(digest, paths), strict=True)
            },
            "parity": {one.format: one.parity.as_json() for one in written},
        }
        (folder / names.PARITY).write_text(dumps(manifest["parity"]), encoding="utf-8", newline="")
        (folder / names.MANIFEST).write_text(dumps(manifest), encoding="utf-8", newline="")
    if cache:
        cache.trim()
    return Export(out=out, fit=fitted, manifest=manifest, written=tuple(written))


def planned(
    spec: Spec,
    references: References,
    backbone: Backbone | None,
    options: Options,
    formats: Sequence[str] | None,
    cache: Cache | None = USUAL,
    note: Callable[[str], None] = lambda line: None,
) -> list[Plan]:
    """The size and cost of each file that `export` would write; nothing is written.

    Raises:
        InputError: for the same reasons as `export`.
    """
    fitted, precision = _settle(spec, references, backbone, options, formats, cache, note)
    metadata = describe(fitted, backbone, precision, measure(fitted), options)
    return plan(fitted, backbone, precision, metadata)


def _without_strangers(fitted: Fit) -> Fit | None:
    """The same fit with a threshold instead of references of the class unknown.

    None if there are no such references, or only one other class or reference.
    """
    if not fitted.strangers.any():
        return None
    spec = replace(fitted.spec.exactly(), k=1, reject=AUTO)
    with suppress(InputError):
        return fit(spec, fitted.references.remove(classes=[UNKNOWN]))
    return None


def _settle(
    spec: Spec,
    references: References,
    backbone: Backbone | None,
    options: Options,
    chosen: Sequence[str] | None,
    cache: Cache | None,
    note: Callable[[str], None],
) -> tuple[Fit, dict[str, str]]:
    """The fit, and the precision of each format's backbone.

    Impossible combinations are refused before the fit where possible, otherwise after it.
    """
    formats = writable(note) if chosen is None else chosen
    check_formats(formats, options)
    check_size(formats, len(references), references.dim, spec)
    if spec.search != AUTO:  # auto may settle on a search that combines with everything
        _check_search(spec, formats, options)
    precision = {name: precision_of(name, options, backbone) for name in dict.fromkeys(formats)}
    found = fit(spec, references)
    if spec.projection in (AUTO, "classes"):  # whose width is known only now
        whole = replace(found.spec, projection="none", pca=None, whiten=None)
        check_size(formats, len(references), found.space.width, whole)
    if found.index is not None:
        _check_search(found.spec, formats, options)
        check_held(formats, found.index)
    orders = [
        Order(
            format=name,
            fit=found,
            backbone=backbone,
            precision=kind,
            options=options,
            cache=cache,
        )
        for name, kind in precision.items()
    ]
    missing = {one.format: lacking(one) for one in orders}
    written = without_converters(missing, named=chosen is not None, note=note)
    return found, {name: precision[name] for name in written}


def _check_search(spec: Spec, formats: Sequence[str], options: Options) -> None:
    """Refuse options that do not combine with an index or quantised references."""
    if not spec.indexed:
        return
    if "scores" in options.outputs:
        raise InputError(
            "the output 'scores' is only available for float32 references and the exact search",
            "scores-need-exact",
        )
    bytes_ = spec.references_precision == "int8" or SEARCHES[spec.search].SCANS
    for name in formats:
        FORMATS[name].check_options(options, bytes_=bytes_)
