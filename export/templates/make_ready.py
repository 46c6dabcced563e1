"""Convert the heads for the most common choices, so that a build needs no converter for them.

    python -m pocketknn.export.templates.make_ready FOLDER

They come with the package, in the folder `ready`; a test converts them again and compares.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import Spec
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.describe import describe
from pocketknn.export.output.checksums import digest
from pocketknn.export.output.names import MODEL

from .content import content_of
from .order import Order
from .template import FACTS, make

_VOTE: dict[str, Any] = {"head": "classify", "vote": "soft", "temperature": 0.1, "balanced": True}
CHOICES: tuple[dict[str, Any], ...] = (  # what a build without options comes to
    *({**_VOTE, "projection": "classes", "reject": reject} for reject in (None, 0.2)),
    *({**_VOTE, "projection": "none", "reject": reject} for reject in (None, 0.2)),
    {"head": "neighbors", "projection": "none"},
)


def orders() -> Iterator[Order]:
    """An order for each head, over a few arbitrary references.

    There is also one for `teach`, whose page runs it in a browser: it outputs only the embedding,
    as a unit vector.
    """
    draw = np.random.default_rng(0)
    labels = [f"class {number % 3}" for number in range(12)]
    references = References.of(draw.standard_normal((12, 8)), labels)
    for name, target in FORMATS.items():
        for choices in CHOICES if target.join else ():
            one = Order(
                format=name,
                fit=fit(Spec(backbone="vector", k=2, **choices), references),
                backbone=None,
                precision=target.PRECISION,
                options=Options(),
                cache=None,
            )
            yield one
            if name == "onnx" and choices["head"] == "neighbors":
                yield replace(one, outputs="embedding")


def make_ready(order: Order, folder: Path) -> None:
    """Write the folder of a head: its file, with these few references in it, and its slots."""
    target, metadata = FORMATS[order.format], describe(order.fit, None, {order.format: "float32"})
    if order.outputs != "neighbors":
        metadata = metadata.part(order.outputs)
    path = folder / f"{MODEL}{target.SUFFIX}"
    with tempfile.TemporaryDirectory() as work:
        made = make(order, Path(work))
        folder.mkdir(parents=True)
        content = content_of(order.fit, order.precision, order.outputs)
        target.fill(made.path, path, made.slots, content, metadata.files())
    facts = {"sha256": digest(path), "slots": asdict(made.slots)}
    (folder / FACTS).write_text(json.dumps(facts), "utf-8", newline="")


if __name__ == "__main__":
    for one in orders():
        make_ready(one, Path(sys.argv[1]) / one.name)
