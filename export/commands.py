"""What the commands do, once their arguments are read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from pocketknn.builder import cache as caches
from pocketknn.builder import neighbors
from pocketknn.builder.backbone import Backbone, load_backbone
from pocketknn.builder.cache import Cache
from pocketknn.builder.embedding import Skipped, embed
from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.images import Photo, PictureError, pixels
from pocketknn.builder.references import References
from pocketknn.builder.sources import find
from pocketknn.builder.spec import Spec, resolve_k

from . import queries, report
from .artefact import FORMATS, Artefact, check_formats, format_of, load
from .handover import Export, compare, digest, export, size
from .metadata import BUILT, MANIFEST, MODEL, REFERENCES, TABLE, Metadata, Row
from .staging import check_apart, check_free

console = Console(highlight=False, soft_wrap=True)


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


def show_cache() -> None:
    """Print where the cache is, and how much it holds of what."""
    place = caches.folder()
    known = caches.sizes(place) if place else []
    console.print(f"{place or 'no cache folder'}: {len(known)} caches", markup=False)
    for name, pictures, bytes_ in known:
        console.print(f"  {name}: {pictures} pictures, {report.megabytes(bytes_)}", markup=False)


def clear_cache() -> None:
    """Remove all caches."""
    place = caches.folder()
    removed = caches.clear(place) if place else 0
    console.print(f"{removed} caches removed from {place}", markup=False)


def predict_images(path: Path, images: Sequence[Path], as_json: bool) -> None:
    """Classify pictures with an artefact and print a table or JSON.

    Raises:
        InputError: the artefact cannot be opened or takes features, or a picture cannot be read;
            the answers for the other pictures are printed first.
    """
    artefact = load(path)
    _takes_pictures(artefact.metadata, path)
    answers, broken = [], []
    table = artefact.metadata.rows()
    for image in images:
        try:
            answers.append(answer(artefact, table, image))
        except PictureError as error:
            broken.append(f"{image}: {error}")
    if as_json:
        print(json.dumps(answers, indent=2, ensure_ascii=False))
    elif answers:
        console.print(_answers_table(answers))
    if broken:
        raise InputError("; ".join(broken))


def answer(artefact: Artefact, table: Sequence[Row], image: Path) -> dict[str, Any]:
    """What an artefact with a table of references says of one picture file, as a JSON object.

    Raises:
        PictureError: the picture cannot be read.
    """
    given = artefact.metadata.manifest["input"]
    photo = Photo(name=str(image), label="", content=image.read_bytes)
    outputs = artefact.run(pixels(photo, given["shape"][0], given["crop"])[None])
    nearest = [
        {"score": float(score)} | table[int(index)]
        for score, index in zip(outputs["scores"][0], outputs["indices"][0], strict=True)
    ]
    said: dict[str, Any] = {"image": str(image)}
    if "probabilities" in outputs:
        votes = outputs["probabilities"]
        said["label"] = artefact.metadata.labels[int(neighbors.winners(votes)[0])]
        said["probability"] = float(votes.max())
    return said | {"neighbors": nearest}


def verify_build(out: Path, photos: Path | None) -> bool:
    """Run each file of a build again; whether all are unchanged and agree with the exact k-NN.

    The embeddings come from the backbone inside model.keras, the neighbours from
    references.parquet, in float64.

    Raises:
        InputError: `out` is no build, or none of the photos can be read.
    """
    manifest = _read_manifest(out)
    changed = list(_changes(out, manifest))
    refs = References.load(out / REFERENCES, manifest["labels"] or None)
    net = _backbone_of(out, manifest)
    if photos is None:
        against = queries.synthetic(net, seed=manifest["seed"])
    else:
        against = queries.from_photos(find(photos), net, manifest["input"]["crop"])
    rows = []
    for name, target in FORMATS.items():
        path = out / f"{MODEL}{target.SUFFIX}"
        if path.name in manifest["files"] and path.exists():
            parity = compare(name, path, manifest, refs, against)
            rows.append(report.Row(path.name, size(path), parity))
    console.print(report.parity_table(rows))
    for line in (wrong := changed + report.failures(rows)):
        console.print(line, markup=False)
    return not wrong


def _changes(out: Path, manifest: dict[str, Any]) -> Iterator[str]:
    for name, file in manifest["files"].items():
        path = out / name
        if not path.exists():
            yield f"{name} is missing"
        elif digest(path) != file["sha256"]:
            yield f"{name} is not the file that was built: its sha256 differs"
        elif path.suffix in {target.SUFFIX for target in FORMATS.values()}:
            inside = FORMATS[format_of(path)].read(path).manifest
            if any(manifest.get(key) != value for key, value in inside.items()):
                yield f"{MANIFEST} is not the one inside {name}"


def inspect_artefact(path: Path, as_json: bool) -> None:
    """Print what an artefact says about itself, without running it."""
    name = format_of(path)
    metadata = FORMATS[name].read(path)
    if as_json:
        print(json.dumps(metadata.manifest, indent=2, ensure_ascii=False))
        return
    manifest = metadata.manifest
    console.print(f"{path.name}: {name}, {report.megabytes(size(path))}", markup=False)
    for line in report.facts(manifest, []):
        console.print(f"  {line}", markup=False)
    for what in ("input", "outputs"):
        console.print(f"{what}:", markup=False)
        for key, value in manifest[what].items():
            console.print(f"  {key}: {value}", markup=False)
    if metadata.labels:
        console.print(f"labels: {', '.join(metadata.labels)}", markup=False)


def _print_summary(result: Export, skipped: Sequence[Skipped]) -> None:
    for line in report.facts(result.manifest, skipped):
        console.print(line, markup=False)
    rows = [report.Row(one.name, one.bytes, one.parity) for one in result.written]
    console.print(report.parity_table(rows))
    for line in report.failures(rows):
        console.print(line, style="red", markup=False)
    for line in report.next_steps(result):
        console.print(line, markup=False)


def _answers_table(answers: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("picture", "label", "vote", "nearest references (score)"):
        table.add_column(heading, overflow="fold")
    for said in answers:
        near = "\n".join(
            f"{one['path'] or one['id']} ({one['score']:.3f})" for one in said["neighbors"]
        )
        vote = f"{said['probability']:.0%}" if "label" in said else ""
        # Text, as names may hold what rich takes for markup.
        table.add_row(*(Text(cell) for cell in (said["image"], said.get("label", ""), vote, near)))
    return table


def _read_labels(path: Path) -> list[str]:
    try:
        labels = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the labels file {path} cannot be read: {error}") from error
    if not labels or "" in labels or len(set(labels)) < len(labels):
        raise InputError(f"the labels file {path} must name each class once, one a line")
    return labels


def _takes_pictures(metadata: Metadata, path: Path) -> None:
    if metadata.manifest["input"]["name"] != "image":
        dim = metadata.manifest["input"]["shape"][0]
        raise InputError(f"{path.name} takes vectors of {dim} features, not pictures")


def _read_manifest(out: Path) -> dict[str, Any]:
    try:
        text = (out / MANIFEST).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{out} is no build: it has no {MANIFEST} that can be read") from error
    return Metadata.parse({MANIFEST: text, TABLE: ""}, str(out / MANIFEST), BUILT).manifest


def _backbone_of(out: Path, manifest: dict[str, Any]) -> Backbone:
    """The backbone inside model.keras."""
    import keras

    path = out / "model.keras"
    if not path.is_file():
        raise InputError(f"verify takes the embeddings from {path}, which is missing")
    if manifest["input"]["name"] != "image":
        raise InputError(f"{out} takes vectors, not pictures; verify it from Python")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
        net = Backbone(name=manifest["backbone"]["name"], model=model.get_layer("backbone"))
    except Exception as error:  # whatever a damaged archive raises inside Keras
        raise InputError(f"{path} is refused by Keras: {first_line(error)}") from error
    if net.sha256() != manifest["backbone"]["sha256"]:
        raise InputError(f"the backbone in {path} is not the one that was built")
    return net


@contextmanager
def _progress() -> Iterator[Progress]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as bar:
        yield bar
