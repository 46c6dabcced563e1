"""Golden examples: inputs with their exact answers, to test a file on the device where it runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.metadata import dumps
from pocketknn.export.output.names import GOLDEN_NAMES, MODEL

from .check import TOLERANCES
from .expected import Expected, search

if TYPE_CHECKING:
    from pocketknn.builder.knn.fit import Fit

    from .test_inputs import Queries

FILE, *PICTURES = GOLDEN_NAMES
COUNT = len(PICTURES)
_RULE = (
    "Each example has the exact answer, k-NN in float64. A file's answer passes if scores[r] is"
    " within score_error; indices[r] is in allowed[r] (an empty list allows any) and no index is"
    " repeated; probabilities are within probability_error and the winning label is in labels;"
    " value[t] is within value_error[t]. All of these are given for each format: use those for the"
    " format of the file."
)
_DOUBTFUL = (
    "{} of {} examples have references that score so nearly the same that rounding decides which"
    " are neighbours; for these, little more than the scores can be checked."
)


def write(
    folder: Path,
    fit: Fit,
    manifest: Mapping[str, Any],
    against: Queries,
    formats: Sequence[str],
) -> None:
    """Write a few of the inputs, pictures as PNG files, and golden.json with their exact answers.

    The first inputs with unambiguous answers are taken; if there are too few, the clearest of the
    others are added, and a note says so.

    Args:
        folder: the folder to create.
        fit: the references and choices of the files.
        manifest: the build's manifest.
        against: the inputs that the files were compared on, pictures (q, H, W, 3) uint8.
        formats: the formats that were written.
    """
    folder.mkdir()
    kinds = {name: str(manifest["precision"][name]) for name in formats}
    used = sorted(set(kinds.values()))
    expected = [
        {kind: Expected(exact=exact, precision=kind) for kind in used}
        for exact in search(fit, against.embeddings)
    ]
    # The photos are a random sample, and come before the noise.
    chosen = sorted(range(len(expected)), key=lambda row: _doubt(expected[row].values()))[:COUNT]
    examples = []
    for picture, row in zip(PICTURES, chosen, strict=False):
        given = against.inputs[row]
        if manifest["input"]["name"] == "image":
            example: dict[str, Any] = {"picture": picture}
            Image.fromarray(np.asarray(given, np.uint8)).save(folder / picture)
        else:
            example = {"features": given.astype(float).tolist()}
        answers = {kind: one.as_json() for kind, one in expected[row].items()}
        example["expected"] = {name: answers[kind] for name, kind in kinds.items()}
        examples.append(example)
    doubtful = sum(_doubt(expected[row].values()) > 0 for row in chosen)
    note = {"note": _DOUBTFUL.format(doubtful, len(chosen))} if doubtful else {}
    facts = {name: manifest[name] for name in ("input", "k", "metric", "labels", "targets")}
    files = {
        name: {"file": MODEL + FORMATS[name].SUFFIX, "precision": kind}
        for name, kind in kinds.items()
    }
    tolerances = {kind: TOLERANCES[kind]._asdict() for kind in used}
    content = {"rule": _RULE} | note | facts | {"formats": files, "tolerances": tolerances}
    (folder / FILE).write_text(
        dumps(content | {"examples": examples}), encoding="utf-8", newline=""
    )


def _doubt(answers: Collection[Expected]) -> int:
    """How many references may be among an input's neighbours; 0 if the answer is unambiguous.

    If no file promises exact neighbours, an input is clear if the search finds them in numpy.
    """
    promised = [one for one in answers if one.promised]
    if not promised:
        return int(any(one.exact.missed > 0 for one in answers))
    return max(0 if one.clear else len(one.near) for one in promised)
