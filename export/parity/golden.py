"""Golden examples: inputs with their exact answers, to test a file where it will run."""

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
from .tolerances import Exact, Leeway, search

if TYPE_CHECKING:
    from pocketknn.builder.choices.neighbors import Ints
    from pocketknn.builder.knn.fit import Fit

    from .test_inputs import Queries

FILE, *PICTURES = GOLDEN_NAMES
COUNT = len(PICTURES)
_RULE = (
    "The answers are exact k-NN in float64. An answer of your format passes where scores[r] is"
    " within score_error; indices[r] is in allowed[r], and all are different (an empty list allows"
    " any); probabilities are within probability_error, and the label is in labels; value[t] is"
    " within value_error[t]."
)


def write(
    folder: Path,
    fit: Fit,
    manifest: Mapping[str, Any],
    against: Queries,
    formats: Sequence[str],
) -> None:
    """Write a few of the inputs, pictures as PNG files, and golden.json with their exact answers.

    Args:
        folder: a name that is free.
        fit: what the files should answer with.
        manifest: of the build.
        against: the inputs that the files were compared on, pictures (q, H, W, 3) uint8.
        formats: the files that there are.
    """
    folder.mkdir()
    kinds = {name: str(manifest["precision"][name]) for name in formats}
    used = sorted(set(kinds.values()))
    exact = search(fit, against.embeddings)
    examples = []
    for number, row in enumerate(_chosen(against, exact, used)):
        given = against.inputs[row]
        if manifest["input"]["name"] == "image":
            example: dict[str, Any] = {"picture": PICTURES[number]}
            Image.fromarray(np.asarray(given, np.uint8)).save(folder / example["picture"])
        else:
            example = {"features": given.astype(float).tolist()}
        answers = {kind: Leeway(exact=exact[row], precision=kind).as_json() for kind in used}
        example["expected"] = {name: answers[kind] for name, kind in kinds.items()}
        examples.append(example)
    said = {name: manifest[name] for name in ("input", "k", "metric", "labels", "targets")}
    files = {
        name: {"file": MODEL + FORMATS[name].SUFFIX, "precision": kind}
        for name, kind in kinds.items()
    }
    tolerances = {kind: TOLERANCES[kind]._asdict() for kind in used}
    content = {"rule": _RULE} | said | {"formats": files, "tolerances": tolerances}
    (folder / FILE).write_text(
        dumps(content | {"examples": examples}), encoding="utf-8", newline=""
    )


def _chosen(against: Queries, exact: Sequence[Exact], kinds: Collection[str]) -> Ints:
    """Rows of the inputs: those that ties leave alone come first, and a black one is the last.

    Photos were drawn by chance, and stand before what was added to them.
    """
    flat = against.inputs.reshape(len(against.inputs), -1)
    black = np.flatnonzero(~flat.any(axis=1))[:1]
    others = np.setdiff1d(np.arange(len(flat)), black)
    open_ = [
        not all(Leeway(exact=exact[row], precision=kind).clear for kind in kinds) for row in others
    ]
    first = others[np.argsort(open_, kind="stable")][: COUNT - len(black)]
    return np.concatenate([first, black]).astype(np.int64)
