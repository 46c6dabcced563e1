"""pocketknn demo: scikit-learn's digits become PNG files, four models, and an accuracy each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from pocketknn import builder
from pocketknn.builder.errors import InputError
from pocketknn.export.cli.console.text import say
from pocketknn.export.cli.options import cache_of

if TYPE_CHECKING:
    from rich.table import Table


BACKBONES = ("bundled", "pixels")


class Score(NamedTuple):
    """How an artefact did on the held-out pictures."""

    backbone: str
    name: str
    bytes: int
    accuracy: float
    agrees: bool
    milliseconds: float


def demo(
    folder: Annotated[Path, typer.Option("-o", "--out", help="Where to work.")] = Path("demo"),
) -> None:
    """Build from scikit-learn's handwritten digits and classify the rest in every runtime."""
    from pocketknn.export.cli.console.terminal import console
    from pocketknn.export.formats.files import check_formats, writable
    from pocketknn.export.manifest.build_folder import check_free
    from pocketknn.export.pipeline.request import Request, Selection

    from .build import run

    check_formats(writable())
    parts = {"digits", *BACKBONES}
    if others := sorted({path.name for path in folder.glob("*")} - parts):
        raise InputError(f"{folder} holds {others[0]!r}, which is no demo's; name another folder")
    again = (folder / "digits" / "references").is_dir()
    for backbone in BACKBONES:
        check_free(folder / backbone, force=again)
    references, held_out = write_digits(folder / "digits")
    cache = cache_of(no_cache=False)
    scores = []
    for backbone in BACKBONES:
        console.print()
        console.print(f"[bold]--backbone {backbone}[/]")
        out = folder / backbone
        spec = builder.Spec(backbone=backbone)
        request = Request(selection=Selection(photos=references), spec=spec)
        for one in run(request, out, force=again, cache=cache).written:
            accuracy, milliseconds = classify(out / one.name, builder.find(held_out))
            agrees = one.parity.agrees
            scores.append(Score(backbone, one.name, one.bytes, accuracy, agrees, milliseconds))
    console.print(_table(scores))
    say(
        "accuracy: on the 20 % that no model holds, read from each runtime's own outputs",
        "time: decoding left out; model.mlpackage runs in Core ML on a Mac only, else in",
        "our numpy evaluator, whose time says nothing about a phone",
    )
    raise typer.Exit(0 if all(score.agrees for score in scores) else 1)


def write_digits(folder: Path) -> tuple[Path, Path]:
    """Write the 1,797 digits as PNG files, one folder per class; 80 % and 20 % of each class.

    Those of an earlier demo may be there.

    Raises:
        InputError: something else is.
    """
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    kept, _ = train_test_split(
        np.arange(len(digits.target)), test_size=0.2, random_state=0, stratify=digits.target
    )
    parts = {True: folder / "references", False: folder / "held-out"}
    in_references = np.isin(np.arange(len(digits.target)), kept)
    files = {
        parts[bool(in_references[number])] / str(label) / f"{number:04}.png": drawing
        for number, (label, drawing) in enumerate(zip(digits.target, digits.images, strict=True))
    }
    if foreign := {path for path in folder.rglob("*") if not path.is_dir()} - files.keys():
        name = min(foreign).relative_to(folder.parent)
        raise InputError(f"{folder.parent} holds {name}, which is no digit; name another folder")
    for path, drawing in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((drawing * (255 / 16)).round().astype(np.uint8)).save(path)
    return parts[True], parts[False]


def classify(path: Path, photos: Sequence[builder.Photo]) -> tuple[float, float]:
    """Accuracy of an artefact on labelled photos, and milliseconds a picture."""
    import numpy as np

    from pocketknn.builder.knn import exact
    from pocketknn.builder.photos.decode import pixels
    from pocketknn.export.manifest.artefact import load

    artefact = load(path)
    given = artefact.metadata.manifest["input"]
    pictures = np.stack([pixels(photo, given["shape"][0], given["crop"]) for photo in photos])
    artefact.run(pictures[:1])  # the first call of a runtime prepares it
    start = time.perf_counter()
    outputs = artefact.run(pictures)
    seconds = time.perf_counter() - start
    won = exact.winners(outputs["probabilities"])
    right = [
        artefact.metadata.labels[number] == photo.label
        for number, photo in zip(won, photos, strict=True)
    ]
    return float(np.mean(right)), 1000 * seconds / len(photos)


def _table(scores: Sequence[Score]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from pocketknn.export.report.wording import megabytes

    table = Table(box=SIMPLE_HEAD)
    for heading in ("backbone", "format"):
        table.add_column(heading)
    for heading in ("size", "accuracy", "parity", "ms/picture"):
        table.add_column(heading, justify="right")
    for score in scores:
        table.add_row(
            score.backbone,
            score.name,
            megabytes(score.bytes),
            f"{score.accuracy:.1%}",
            "[green]agrees[/]" if score.agrees else "[red]DIFFERS[/]",
            f"{score.milliseconds:.1f}",
        )
    return table
