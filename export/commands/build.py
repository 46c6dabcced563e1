"""pocketknn build: photos to artefacts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from pocketknn.builder import cache as caches
from pocketknn.builder.backbone import load_backbone
from pocketknn.builder.cache import Cache
from pocketknn.builder.embedding import Skipped, embed
from pocketknn.builder.errors import InputError
from pocketknn.builder.images import Photo
from pocketknn.builder.sources import find
from pocketknn.builder.spec import Spec, resolve_k
from pocketknn.export import queries, report
from pocketknn.export.artefact import FORMATS, check_formats
from pocketknn.export.handover import Export, export
from pocketknn.export.report import console
from pocketknn.export.staging import check_apart, check_free


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which photos of a place, and how its table or labels are read.

    Attributes:
        photos: a folder, a table or an archive.
        path_column: of a table.
        label_column: of a table, or None for "label" where there is one.
        labels: a file of classes, one a line, that fixes their order; or None for sorted.
        exclude: patterns of names to leave out.
        limit: at most so many photos of each class.
    """

    photos: Path
    path_column: str = "path"
    label_column: str | None = None
    labels: Path | None = None
    exclude: tuple[str, ...] = ()
    limit: int | None = None

    def find(self) -> list[Photo]:
        """The photos."""
        return find(
            self.photos,
            path_column=self.path_column,
            label_column=self.label_column,
            exclude=self.exclude,
            limit=self.limit,
        )


def build_photos(
    selection: Selection,
    out: Path,
    spec: Spec,
    *,
    formats: Sequence[str] = tuple(FORMATS),
    strict: bool = False,
    force: bool = False,
    cached: bool = True,
) -> Export:
    """Photos to artefacts: find, embed, build, export; prints progress and a summary."""
    check_formats(formats)
    check_free(out, force)
    check_apart(out, selection.photos)
    classes = _read_labels(selection.labels) if selection.labels else None
    found = selection.find()
    if spec.k is not None:
        resolve_k(spec.k, len(found))
    with _progress() as bar:
        step = bar.add_task("loading the backbone", total=None)
        net = load_backbone(spec)
        place = caches.folder() if cached else None
        cache = Cache.of(place, net, spec.crop) if place else None
        bar.update(step, description="embedding", total=len(found))
        embedded = embed(
            found,
            net,
            spec.crop,
            strict=strict,
            cache=cache,
            progress=lambda done: bar.advance(step, done),
        )
        refs = embedded.references(classes)
        if strict and (pairs := refs.contradictions()):
            raise InputError("the same picture is in two classes: {} and {}".format(*pairs[0]))
        against = queries.from_photos(embedded.photos, net, spec.crop, seed=spec.seed)
        files = bar.add_task("writing", total=len(formats))

        def started(name: str) -> None:
            bar.update(files, description=f"writing and running {name}", advance=1)

        result = export(
            spec,
            refs,
            net,
            out,
            against=against,
            formats=formats,
            skipped=embedded.skipped,
            force=force,
            progress=started,
        )
    for line in cache.notes if cache else ():
        console.print(line, markup=False)
    _print_summary(result, embedded.skipped)
    return result


def _print_summary(result: Export, skipped: Sequence[Skipped]) -> None:
    for line in report.facts(result.manifest, skipped):
        console.print(line, markup=False)
    rows = [report.Row(one.name, one.bytes, one.parity) for one in result.written]
    console.print(report.parity_table(rows))
    for line in report.failures(rows):
        console.print(line, style="red", markup=False)
    for line in report.next_steps(result):
        console.print(line, markup=False)


def _read_labels(path: Path) -> list[str]:
    try:
        labels = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the labels file {path} cannot be read: {error}") from error
    if not labels or "" in labels or len(set(labels)) < len(labels):
        raise InputError(f"the labels file {path} must name each class once, one a line")
    return labels


@contextmanager
def _progress() -> Iterator[Progress]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as bar:
        yield bar
