"""pocketknn build: photos to artefacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones.load import Backbone, backbone_of, load_backbone
from pocketknn.builder.embedding import cache as caches
from pocketknn.builder.embedding.cache import Cache
from pocketknn.builder.embedding.embed import Embedded, Skipped, embed
from pocketknn.builder.embedding.ray import embed as ray_engine
from pocketknn.builder.embedding.ray import shards
from pocketknn.builder.embedding.ray.connection import Cluster
from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.knn.memory import check_room, warn_of_converting
from pocketknn.builder.photos.decode import Photo, pixels
from pocketknn.builder.photos.find import find
from pocketknn.builder.photos.readers import read_file
from pocketknn.builder.references.files import is_collection, read_collection
from pocketknn.builder.references.references import References
from pocketknn.builder.selection.condense import Condense, Condensed, condense
from pocketknn.builder.spec import Spec, resolve_k
from pocketknn.export.cli.console import tables
from pocketknn.export.cli.console.progress import progress
from pocketknn.export.cli.console.quiet import say
from pocketknn.export.cli.console.terminal import console
from pocketknn.export.formats.artefact import check_formats, writable
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.requirements import missing
from pocketknn.export.manifest.build_folder import check_apart, check_free
from pocketknn.export.parity import test_inputs
from pocketknn.export.pipeline import Export, export, planned
from pocketknn.export.report.write import report_build
from pocketknn.export.sizes import budget
from pocketknn.export.sizes.budget import Budget
from pocketknn.export.sizes.limits import check_size

_SAMPLE = 100  # photos that variants are compared on


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which photos of a place, and how its table or labels are read.

    Attributes:
        photos: a folder, a table or an archive; or, as text, an address.
        path_column: of a table.
        label_column: of a table, or None for "label" where there is one.
        target_columns: of a table, for regression.
        labels: a file of classes, one a line, that fixes their order; or None for sorted.
        exclude: patterns of names to leave out.
        limit: at most so many photos of each class.
    """

    photos: Path | str
    path_column: str = "path"
    label_column: str | None = None
    target_columns: tuple[str, ...] = ()
    labels: Path | None = None
    exclude: tuple[str, ...] = ()
    limit: int | None = None

    def find(self) -> list[Photo]:
        """The photos; prints what was noticed on the way.

        Raises:
            InputError: as `sources.find`; or there is an order of classes, but there are none.
        """
        found = find(
            self.photos,
            path_column=self.path_column,
            label_column=self.label_column,
            target_columns=self.target_columns,
            exclude=self.exclude,
            limit=self.limit,
            note=say,
        )
        if self.labels and not any(photo.label for photo in found):
            raise InputError(
                f"{self.labels} orders classes, but the photos of {self.photos} have none: put"
                " those of each class in a folder, or leave out --labels"
            )
        return found


def build_photos(
    selection: Selection,
    out: Path,
    spec: Spec,
    *,
    strangers: Path | None = None,
    options: Options | None = None,
    within: Budget | None = None,
    fewer: Condense | None = None,
    formats: Sequence[str] | None = None,
    strict: bool = False,
    force: bool = False,
    cached: bool = True,
    with_report: bool = True,
    with_names: bool = True,
    cluster: Cluster | None = None,
) -> Export:
    """Photos to artefacts: find, embed, build, export; prints progress and a summary.

    A file of references, as `pocketknn refs` and `build` itself write them, or a data set of ml5's
    is built as it is. With a cluster, photos are embedded there. Without names no file that is
    written says what a photo was called.
    """
    options = options or Options()
    formats = writable(say) if formats is None else formats
    check_formats(formats)
    check_free(out, force)
    check_apart(out, selection.photos)
    if within is not None:
        budget.of_devices(formats)
    if strangers is not None and spec.reject is None:
        raise InputError("strangers measure what is rejected; say --reject auto")
    classes = _read_labels(selection.labels) if selection.labels else None
    notes: list[str] = []
    if is_collection(selection.photos):
        if within is not None:
            raise InputError("a budget is measured on the photos, not on their references alone")
        if cluster is not None:
            raise InputError(f"{selection.photos} is embedded already; leave out --engine ray")
        refs = read_collection(selection.photos, classes)
        refs = refs if with_names else refs.without_names()
        warn_of_converting(say)
        result = _build_kept(
            refs,
            out,
            spec,
            options,
            formats,
            force,
            notes,
            with_report,
            fewer,
            find(strangers, note=say) if strangers else [],
        )
        if selection.photos.suffix.lower() == ".parquet":
            console.print(
                "the choices are those typed now, and else the defaults: references keep none of an"
                " earlier build (--reject, --metric, --k, …)"
            )
        for line in notes:
            console.print(line, markup=False)
        _print_summary(result, ())
        return result
    found = selection.find()
    resolve_k(spec.k, len(found))
    others = find(strangers, note=say) if strangers else []
    with progress() as bar:
        step = bar.add_task("loading the backbone", total=None)
        net = load_backbone(spec)
        check_room(spec, len(found), net.dim)
        warn_of_converting(say)
        if fewer is None:
            check_size(formats, len(found), net.dim, spec)
        place = caches.folder() if cached else None
        cache = Cache.of(place, net, spec.crop) if place and cluster is None else None
        bar.update(step, description="embedding", total=len(found) + len(others))

        def embedded_of(photos: Sequence[Photo]) -> Embedded:
            def advance(done: int) -> None:
                bar.advance(step, done)

            if cluster is None:
                return embed(photos, net, spec.crop, strict=strict, cache=cache, progress=advance)
            return ray_engine.embed(
                photos,
                net,
                spec.crop,
                cluster=cluster,
                strict=strict,
                place=place / shards.FOLDER if place else None,
                progress=advance,
                note=notes.append,
            )

        embedded = embedded_of(found)
        refs = embedded.references(classes, selection.target_columns or None)
        refs = refs if with_names else refs.without_names()
        if strict and (pairs := refs.contradictions()):
            raise InputError("the same picture is in two classes: {} and {}".format(*pairs[0]))
        used, condensed = list(embedded.photos), None
        if fewer is not None:
            bar.update(step, description="choosing references")
            condensed = condense(spec, refs, fewer)
            spec, refs = condensed.spec, condensed.references
            used = [used[row] for row in condensed.rows]
    judging, ranges = used, None
    if options.precision == "int8" or within is not None:
        judging, rest = test_inputs.apart(_once(used, embedded), spec.seed)
        ranges = test_inputs.calibration(rest, net.size, spec.crop)
    if within is not None:
        sample = _sample(judging, spec)
        rows = [used.index(photo) for photo in sample]
        inputs = np.stack([pixels(photo, net.size, spec.crop) for photo in sample])
        spec, options = _smallest(spec, refs, net, (inputs, rows, ranges), within, formats, options)
    with progress() as bar:
        against = test_inputs.from_photos(judging, net, spec.crop, seed=spec.seed)
        files = bar.add_task("writing", total=len(formats))

        def started(name: str) -> None:
            bar.update(files, description=f"writing and running {name}", advance=1)

        strange = embedded_of(others).embeddings if others else None
        result = export(
            spec,
            refs,
            net,
            out,
            against=against,
            calibration=ranges,
            strangers=strange,
            options=options,
            formats=formats,
            skipped=[one if with_names else replace(one, name="") for one in embedded.skipped],
            condensed=condensed,
            force=force,
            progress=started,
            note=notes.append,
        )
        if with_report:
            bar.update(files, description="writing the report")
            notes += _reported(result, used, strange)
    for line in dict.fromkeys([*(cache.notes if cache else net.engine.notes), *notes]):
        console.print(line, markup=False)
    _print_summary(result, embedded.skipped)
    return result


def plan_photos(
    selection: Selection,
    spec: Spec,
    *,
    options: Options | None = None,
    formats: Sequence[str] | None = None,
    fewer: Condense | None = None,
    strict: bool = False,
    cached: bool = True,
) -> None:
    """Print what the files of `build_photos` would take; nothing is written."""
    formats = writable(say) if formats is None else formats
    check_formats(formats)
    classes = _read_labels(selection.labels) if selection.labels else None
    if is_collection(selection.photos):
        refs = read_collection(selection.photos, classes)
        net = backbone_of(refs, spec)
    else:
        found = selection.find()
        net = load_backbone(spec)
        check_room(spec, len(found), net.dim)
        if fewer is None:
            check_size(formats, len(found), net.dim, spec)
        place = caches.folder() if cached else None
        cache = Cache.of(place, net, spec.crop) if place else None
        with progress() as bar:
            step = bar.add_task("embedding", total=len(found))
            embedded = embed(
                found,
                net,
                spec.crop,
                strict=strict,
                cache=cache,
                progress=lambda done: bar.advance(step, done),
            )
        for one in embedded.skipped:
            console.print(f"skipped {one.name}: {one.reason}", markup=False)
        refs = embedded.references(classes, selection.target_columns or None)
    if fewer is not None:
        condensed = condense(spec, refs, fewer)
        spec, refs = condensed.spec, condensed.references
    console.print(tables.plan_table(planned(spec, refs, net, options or Options(), formats)))


def _smallest(
    spec: Spec,
    refs: References,
    net: Backbone,
    sample: tuple[NDArray[np.uint8], list[int], NDArray[np.uint8] | None],
    within: Budget,
    formats: Sequence[str],
    options: Options,
) -> tuple[Spec, Options]:
    """The choices of the smallest variant that is good enough; prints what it was chosen from."""
    inputs, rows, calibration = sample
    with progress() as bar:
        step = bar.add_task("measuring smaller variants", total=None)
        variants = budget.measure(
            spec,
            refs,
            net,
            within,
            inputs=inputs,
            rows=rows,
            calibration=calibration,
            formats=formats,
            options=options,
            progress=lambda variant: bar.advance(step),
        )
    console.print(tables.variants_table(variants, within, len(rows)))
    if options.precision is None and options.ios == 15:
        console.print("int8 was not tried: Core ML takes 8-bit weights from iOS 16 on, not from 15")
    best = budget.smallest(variants, within)
    spec = replace(spec, projection=best.projection, pca=None, whiten=None)
    return spec, replace(options, precision=best.precision)


def _sample(photos: Sequence[Photo], spec: Spec) -> list[Photo]:
    """Some of the photos."""
    draw = np.random.default_rng(spec.seed).permutation(len(photos))[:_SAMPLE]
    return [photos[row] for row in sorted(map(int, draw))]


def _once(photos: Sequence[Photo], embedded: Embedded) -> list[Photo]:
    """Photos without copies of the same file."""
    hashes = dict(zip(embedded.photos, embedded.sha256, strict=True))
    return list({hashes[photo]: photo for photo in reversed(photos)}.values())[::-1]


def _build_kept(
    refs: References,
    out: Path,
    spec: Spec,
    options: Options,
    formats: Sequence[str],
    force: bool,
    notes: list[str],
    with_report: bool,
    fewer: Condense | None,
    others: Sequence[Photo],
) -> Export:
    """Artefacts from references that were embedded before; `notes` takes lines for people."""
    condensed: Condensed | None = None
    if fewer is not None:
        condensed = condense(spec, refs, fewer)
        spec, refs = condensed.spec, condensed.references
    with progress() as bar:
        step = bar.add_task("loading the backbone", total=1)
        net = backbone_of(refs, spec)
        bar.advance(step)
        if others and net is None:
            raise InputError("strangers are photos, and these are vectors of no known backbone")
        crop = refs.provenance.crop if refs.provenance else spec.crop
        strange = embed(others, net, crop).embeddings if others and net else None
        files = bar.add_task("writing", total=len(formats))
        result = export(
            replace(spec, crop=crop),
            refs,
            net,
            out,
            strangers=strange,
            options=options,
            formats=formats,
            condensed=condensed,
            force=force,
            progress=lambda name: bar.update(
                files, description=f"writing and running {name}", advance=1
            ),
            note=notes.append,
        )
        if with_report:
            bar.update(files, description="writing the report")
            notes += _reported(result, (), strange)
        return result


def _reported(
    result: Export,
    photos: Sequence[Photo] = (),
    strangers: NDArray[np.floating] | None = None,
) -> list[str]:
    """Write the report; a warning where it could not be, as the build is done without it."""
    try:
        report_build(result, photos, strangers)
    except Exception as error:  # whatever drawing and timing raise
        return [f"warning: no report was written: {missing(error) or first_line(error)}"]
    return []


def _print_summary(result: Export, skipped: Sequence[Skipped]) -> None:
    for line in tables.facts(result.manifest, skipped):
        console.print(line, markup=False)
    rows = [tables.Row(one.name, one.bytes, one.parity) for one in result.written]
    console.print(tables.parity_table(rows))
    for line in tables.failures(rows):
        console.print(line, style="red", markup=False)
    for line in tables.crops(result) + tables.next_steps(result):
        console.print(line, markup=False)


def _read_labels(path: Path) -> list[str]:
    try:
        labels = read_file(path).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the labels file {path} cannot be read: {error}") from error
    if not labels or "" in labels or len(set(labels)) < len(labels):
        raise InputError(f"the labels file {path} must name each class once, one a line")
    return labels
