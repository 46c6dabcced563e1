"""pocketknn predict: classify pictures with any model file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pocketknn import builder
from pocketknn.builder.errors import InputError
from pocketknn.builder.wording import counted
from pocketknn.export.cli import options
from pocketknn.export.cli.console.quiet import note
from pocketknn.export.cli.console.text import say, say_json

from .order import model_first
from .pictures import Picture, pictures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pocketknn.export.manifest.artefact import Artefact
    from pocketknn.export.manifest.metadata import Metadata, Row

    Inputs = list[tuple[dict[str, Any], NDArray[Any]]]


def predict(
    model: options.BuildOrFile,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURES",
            help="Pictures, folders of them, patterns such as 'new/*.jpg', or - for a picture on"
            " standard input. For a model of feature vectors: .npy, .csv or .json files with a row"
            " per vector.",
        ),
    ],
    as_json: options.Json = False,
) -> None:
    """Find each picture's nearest references and its class, with any model file.

    Given a build's folder, it uses the fastest file that runs on this machine.

    Examples:
        pocketknn predict out picture.jpg
        pocketknn predict out/model.tflite new-photos --json
        cat picture.jpg | pocketknn predict out -
    """
    from pocketknn.export.formats.keras import SUFFIX, apart
    from pocketknn.export.manifest.artefact import metadata_of, path_of

    first, *words = model_first("predict", str(model), *images)
    path = path_of(Path(first))
    metadata = metadata_of(path)
    with apart.beside(path.suffix == SUFFIX and apart.is_installed()):
        answers, broken = _answers(path, metadata, words)
    if answers and path != Path(first):
        note(f"answered by {path}")
    if as_json:
        say_json(answers)
    elif answers:
        say(*(line for answer in answers for line in answer_lines(answer, metadata)))
        if wrong := _wrong(answers, metadata.labels):
            say("", wrong)
        score = metadata.manifest["outputs"]["scores"]["is"].removesuffix(", descending")
        say("", f"below each answer: the nearest references; their score is the {score}")
    if broken:  # the answers for the other pictures are printed anyway
        raise InputError("; ".join(map(str, broken)), broken[0].code)


def _answers(
    path: Path, metadata: Metadata, words: Sequence[str]
) -> tuple[list[dict[str, Any]], list[InputError]]:
    """The answers for the pictures that the words name, and why others could not be used."""
    from pocketknn.export.manifest.artefact import load

    given, table = metadata.manifest["input"], metadata.rows()
    inputs = _pictures if given["name"] == "image" else _vectors
    opened, answers = None, list[dict[str, Any]]()
    broken, others = list[InputError](), list[InputError]()
    for file in pictures(words):
        try:
            found = inputs(file, path.name, given)
        except InputError as error:
            (broken if file.named else others).append(error)
            continue
        opened = opened or load(path)  # takes seconds, so only once an input is readable
        answers += [about | answered(opened, table, one) for about, one in found]
    if others and answers:
        note(f"{counted(len(others), 'file')} left out, such as {others[0]}")
    elif others:  # nothing else was found
        broken += others[:1]
    return answers, broken


def _pictures(file: Picture, model: str, given: dict[str, Any]) -> Inputs:
    """A picture as an input, with the part of the answer that names it."""
    from pocketknn.builder.photos.photo import PictureError

    try:
        return [({"image": file.name}, pixels_of(file, given))]
    except PictureError as error:
        raise InputError(f"{file.name}: {error}", "unreadable-picture") from error


def _vectors(file: Picture, model: str, given: dict[str, Any]) -> Inputs:
    """The rows of a file as inputs, each with the answer's part that names it, counted from 1."""
    from .vectors import rows_of

    rows = rows_of(file, model, given["shape"][0])
    return [({"vectors": file.name, "row": row}, one) for row, one in enumerate(rows, 1)]


def answered(artefact: Artefact, table: Sequence[Row], one: NDArray[Any]) -> dict[str, Any]:
    """A model file's answer for one input, for JSON; `table` holds its references.

    The input is a picture (S, S, 3) or a vector (d,).
    """
    from pocketknn.builder.knn import exact

    outputs = artefact.run(one[None])
    nearest = [
        {"score": float(score)} | table[int(index)]
        for score, index in zip(outputs["scores"][0], outputs["indices"][0], strict=True)
    ]
    answer: dict[str, Any] = {}
    if "probabilities" in outputs:
        votes = outputs["probabilities"]
        answer["label"] = artefact.metadata.labels[int(exact.winners(votes)[0])]
        answer["probability"] = float(votes.max())
    if "value" in outputs:
        names = artefact.metadata.manifest["targets"]
        answer["value"] = dict(zip(names, map(float, outputs["value"][0]), strict=True))
    return answer | {"neighbors": nearest}


def pixels_of(image: Picture, given: dict[str, Any]) -> NDArray[np.uint8]:
    """A picture as a model sees it (S, S, 3); `given` is the input in the model's manifest.

    Raises:
        PictureError: the picture cannot be read.
    """
    from pocketknn.builder.photos.pixels.decode import pixels

    photo = builder.Photo(name=image.name, label="", content=image.content)
    return pixels(photo, given["shape"][0], given["crop"])


def _why(answer: dict[str, Any], metadata: Metadata) -> str:
    """Why this is the answer: its share of the vote, or the score that the threshold rejects."""
    reject = metadata.manifest["reject"]
    if reject and answer["label"] == metadata.labels[-1]:  # `unknown`, which gets the whole vote
        nearest = answer["neighbors"][0]["score"]
        return f"as the nearest reference scores {nearest:.3f}, below {reject['threshold']:.3f}"
    return f"{answer['probability']:.0%} of the vote"


def _wrong(answers: Sequence[dict[str, Any]], labels: Sequence[str]) -> str:
    """How many answers differ from the name of the picture's folder; "" if no folder is a class."""
    named = [(one, _folder(one, labels)) for one in answers]
    named = [(one, folder) for one, folder in named if folder]
    wrong = sum(one["label"] != folder for one, folder in named)
    words = f"{wrong} of {len(named)} answers differ from the name of the picture's folder"
    return f"{words} (marked ≠)" if named else ""


def _folder(answer: dict[str, Any], labels: Sequence[str]) -> str:
    """The class that the picture's folder is named after; "" for none."""
    if "label" not in answer or "image" not in answer:
        return ""
    place = f"/{PurePath(answer['image']).parent.as_posix()}"
    return max((one for one in labels if place.endswith(f"/{one}")), key=len, default="")


def answer_lines(answer: dict[str, Any], metadata: Metadata) -> Iterator[str]:
    """An answer as lines that fit names of any length: the class or value, then the neighbours.

    The class is marked as wrong if the picture's folder is named after another class of the model.
    """
    from pocketknn.export.manifest.metadata import SHOWN

    name = answer["image"] if "image" in answer else f"{answer['vectors']}, row {answer['row']}"
    if "value" in answer:
        values = ", ".join(f"{target} {value:.4g}" for target, value in answer["value"].items())
        yield f"{name}: {values}"
    elif "label" in answer:
        folder = _folder(answer, metadata.labels)
        mark = f" ≠ {folder}" if folder not in ("", answer["label"]) else ""
        yield f"{name}: {answer['label']}, {_why(answer, metadata)}{mark}"
    else:
        yield name
    for one in answer["neighbors"][:SHOWN]:
        where, label = one["path"] or one["id"], one["label"]
        class_ = f" ({label})" if label and not where.startswith(f"{label}/") else ""
        yield f"  {one['score']:7.3f}  {where}{class_}"
