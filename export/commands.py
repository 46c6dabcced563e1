"""What the commands do, once their arguments are read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from pocketknn.builder import neighbors
from pocketknn.builder.backbone import Backbone, load_backbone
from pocketknn.builder.embedding import Skipped, embed
from pocketknn.builder.errors import InputError
from pocketknn.builder.images import PictureError, find, read
from pocketknn.builder.references import References
from pocketknn.builder.spec import Spec, resolve_k

from . import queries, report
from .artefact import FORMATS, Artefact, check_formats, format_of, load
from .handover import REFERENCES, Export, compare, digest, export, size
from .metadata import MANIFEST, Metadata
from .staging import check_free

console = Console(highlight=False, soft_wrap=True)


def build_photos(
    photos: Path,
    out: Path,
    spec: Spec,
    *,
    formats: Sequence[str] = tuple(FORMATS),
    strict: bool = False,
    force: bool = False,
) -> Export:
    """Photos to artefacts: find, embed, build, export; prints progress and a summary."""
    check_formats(formats)
    check_free(out, force)
    found = find(photos)
    if spec.k is not None:
        resolve_k(spec.k, len(found))
    with _progress() as bar:
        step = bar.add_task("loading the backbone", total=None)
        net = load_backbone(spec)
        bar.update(step, description="embedding", total=len(found))
        embedded = embed(
            found, net, spec.crop, strict=strict, progress=lambda done: bar.advance(step, done)
        )
        refs = embedded.references()
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
    _print_summary(result, embedded.skipped)
    return result


def predict_images(path: Path, images: Sequence[Path], as_json: bool) -> None:
    """Classify pictures with an artefact and print a table or JSON.

    Raises:
        InputError: the artefact cannot be opened or takes features, or a picture cannot be read;
            the answers for the other pictures are printed first.
    """
    artefact = load(path)
    _takes_pictures(artefact.metadata, path)
    answers, broken = [], []
    for image in images:
        try:
            answers.append(answer(artefact, image))
        except PictureError as error:
            broken.append(f"{image}: {error}")
    if as_json:
        print(json.dumps(answers, indent=2, ensure_ascii=False))
    elif answers:
        console.print(_answers_table(answers))
    if broken:
        raise InputError("; ".join(broken))


def answer(artefact: Artefact, image: Path) -> dict[str, Any]:
    """What an artefact says of one picture file, as a JSON object.

    Raises:
        PictureError: the picture cannot be read.
    """
    manifest = artefact.metadata.manifest
    pixels = read(image, manifest["input"]["shape"][0], manifest["input"]["crop"]).pixels
    outputs = artefact.run(pixels[None])
    table = artefact.metadata.rows()
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
        InputError: `out` is no build, or the photos cannot be read.
    """
    manifest = _read_manifest(out)
    refs = References.load(out / REFERENCES, manifest["labels"] or None)
    net = _backbone_of(out, manifest)
    against = (
        queries.synthetic(net, seed=manifest["seed"])
        if photos is None
        else queries.from_photos(find(photos), net, manifest["input"]["crop"])
    )
    rows, changed = [], []
    for name, target in FORMATS.items():
        path = out / f"model{target.SUFFIX}"
        if path.name not in manifest["files"]:
            continue
        if not path.exists():
            changed.append(f"{path.name} is missing")
            continue
        if digest(path) != manifest["files"][path.name]["sha256"]:
            changed.append(f"{path.name} is not the file that was built: its sha256 differs")
        rows.append(report.Row(path.name, size(path), compare(name, path, manifest, refs, against)))
    console.print(report.parity_table(rows))
    for line in (wrong := changed + report.failures(rows)):
        console.print(line, markup=False)
    return not wrong


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
    console.print(f"{result.out} is ready. Next:", markup=False)
    for line in report.next_steps(result):
        console.print(f"  {line}", markup=False)


def _answers_table(answers: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("picture", "label", "vote", "nearest references (score)"):
        table.add_column(heading, overflow="fold")
    for said in answers:
        near = "\n".join(
            f"{one['path'] or one['id']} ({one['score']:.3f})" for one in said["neighbors"]
        )
        vote = f"{said['probability']:.0%}" if "label" in said else ""
        table.add_row(said["image"], said.get("label", ""), vote, near)
    return table


def _takes_pictures(metadata: Metadata, path: Path) -> None:
    if metadata.manifest["input"]["name"] != "image":
        dim = metadata.manifest["input"]["shape"][0]
        raise InputError(f"{path.name} takes vectors of {dim} features, not pictures")


def _read_manifest(out: Path) -> dict[str, Any]:
    try:
        texts = {name: (out / name).read_text("utf-8") for name in (MANIFEST, "references.csv")}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{out} is no build: {MANIFEST} or references.csv is missing") from error
    return Metadata.parse(texts, str(out / MANIFEST)).manifest


def _backbone_of(out: Path, manifest: dict[str, Any]) -> Backbone:
    """The backbone inside model.keras."""
    import keras

    path = out / "model.keras"
    if not path.is_file():
        raise InputError(f"verify takes the embeddings from {path}, which is missing")
    if manifest["input"]["name"] != "image":
        raise InputError(f"{out} takes vectors, not pictures; verify it from Python")
    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    net = Backbone(name=manifest["backbone"]["name"], model=model.get_layer("backbone"))
    if net.sha256() != manifest["backbone"]["sha256"]:
        raise InputError(f"the backbone in {path} is not the one that was built")
    return net


@contextmanager
def _progress() -> Iterator[Progress]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as bar:
        yield bar
