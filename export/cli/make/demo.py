"""pocketknn demo: write scikit-learn's digits as PNG files, build models and measure each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pocketknn import builder
from pocketknn.builder.errors import InputError
from pocketknn.export.cli.console.text import say
from pocketknn.export.cli.options import cache_of
from pocketknn.export.pipeline.request import Request, Selection
from pocketknn.export.report.wording import command_line, megabytes

from .build import run

BACKBONES = ("bundled", "pixels")


def demo(
    folder: Annotated[Path, typer.Option("-o", "--out", help="Folder to work in.")] = Path("demo"),
) -> None:
    """Build from most of scikit-learn's digits and classify the rest in every runtime.

    Examples:
        pocketknn demo
        pocketknn demo -o digits
    """
    from pocketknn.export.cli.console import tables
    from pocketknn.export.cli.console.terminal import console
    from pocketknn.export.formats.files import check_formats, writable
    from pocketknn.export.manifest.build_folder import check_free

    check_formats(writable(converting=True), converting=True)  # pixels are converted
    parts = {"digits", *BACKBONES}
    if others := sorted({path.name for path in folder.glob("*")} - parts):
        raise InputError(
            f"{folder} holds {others[0]!r}, which is not from a demo; name another folder",
            "foreign-file",
        )
    again = (folder / "digits" / "references").is_dir()
    for backbone in BACKBONES:
        check_free(folder / backbone, force=again)
    references, held_out = write_digits(folder / "digits")
    cache = cache_of(no_cache=False)
    numbers = ("size", "accuracy", "parity", "ms/picture")
    table = tables.table(["backbone", "format"], numbers, no_wrap=False)
    table.pad_edge = True
    all_agree = True
    for backbone in BACKBONES:
        console.print()
        console.print(f"[bold]--backbone {backbone}[/]")
        out = folder / backbone
        spec = builder.Spec(backbone=backbone)
        request = Request(selection=Selection(photos=references), spec=spec)
        for one in run(request, out, force=again, cache=cache).written:
            accuracy, milliseconds = classify(out / one.name, builder.find(held_out))
            table.add_row(
                backbone,
                one.name,
                megabytes(one.bytes),
                f"{accuracy:.1%}",
                tables.verdict(one.parity),
                f"{milliseconds:.1f}",
            )
            all_agree = all_agree and one.parity.agrees
    console.print(table)
    say(
        "accuracy: on the held-out 20 %, read from each runtime's own outputs",
        "time: without decoding; model.mlpackage runs in Core ML only on a Mac, elsewhere in",
        "our numpy evaluator, whose time does not predict a phone's",
    )
    built, pictures = str(folder / BACKBONES[0]), str(held_out / "3")
    say(
        "What to do next:",
        f"  {command_line('pocketknn', 'predict', built, pictures)}",
        f"  {command_line('pocketknn', 'eval', built, str(held_out))}",
        "  pocketknn build PHOTOS -o out    # from your own photos, in one folder per class",
    )
    raise typer.Exit(0 if all_agree else 1)


def write_digits(folder: Path) -> tuple[Path, Path]:
    """Write the 1,797 digits as PNG files, one folder per class, split 80 to 20 % in each class.

    Files of an earlier demo may already be there; they are not changed.

    Raises:
        InputError: the folder holds something else.
    """
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    from pocketknn.builder.photos.photo import PictureError
    from pocketknn.builder.photos.pixels.decode import decode
    from pocketknn.builder.photos.readers import read_file

    digits = load_digits()
    numbers = range(len(digits.target))
    kept, _ = train_test_split(numbers, test_size=0.2, random_state=0, stratify=digits.target)
    references, held_out = folder / "references", folder / "held-out"
    drawings = (digits.images * (255 / 16)).round().astype(np.uint8)
    files = {
        (references if number in kept else held_out) / str(label) / f"{number:04}.png": drawing
        for number, label, drawing in zip(numbers, digits.target, drawings, strict=True)
    }

    def is_digit(path: Path) -> bool:
        """Whether the pixels of a file show its digit; the bytes depend on Pillow's version."""
        try:
            seen = np.asarray(decode(read_file(path)))
        except (OSError, PictureError):
            return False
        return path in files and np.array_equal(seen, np.dstack([files[path]] * 3))

    there = {path for path in folder.rglob("*") if not path.is_dir()}
    if foreign := [path for path in sorted(there) if not is_digit(path)]:
        name = foreign[0].relative_to(folder.parent)
        raise InputError(
            f"{folder.parent} holds {name}, which is not a digit; name another folder",
            "foreign-file",
        )
    for path in files.keys() - there:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(files[path]).save(path)
    return references, held_out


def classify(path: Path, photos: Sequence[builder.Photo]) -> tuple[float, float]:
    """Accuracy of an artefact on labelled photos, and milliseconds per picture."""
    import numpy as np

    from pocketknn.builder.knn import exact
    from pocketknn.builder.photos.pixels.decode import pixels
    from pocketknn.export.manifest.artefact import load

    artefact = load(path)
    given = artefact.metadata.manifest["input"]
    pictures = np.stack([pixels(photo, given["shape"][0], given["crop"]) for photo in photos])
    artefact.run(pictures[:1])  # a runtime's first call sets it up
    start = time.perf_counter()
    outputs = artefact.run(pictures)
    seconds = time.perf_counter() - start
    won = exact.winners(outputs["probabilities"])
    right = [
        artefact.metadata.labels[number] == photo.label
        for number, photo in zip(won, photos, strict=True)
    ]
    return float(np.mean(right)), 1000 * seconds / len(photos)
