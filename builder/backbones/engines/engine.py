"""Run a backbone on pictures: in LiteRT, or in Keras if LiteRT does not agree with it."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import numpy as np

from .conversion import Pictures, Run, Runnable, Vectors, converted
from .litert import Network

TOGETHER = 8  # pictures in a batch


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A thread-safe way to compute embeddings.

    Attributes:
        name: `litert`, `keras` or `numpy`; their results differ in the last bits.
        run: pictures (n, size, size, 3) to embeddings (n, d), n at most `TOGETHER`; an embedding
            does not depend on the other pictures in the batch.
        notes: messages for the user.
    """

    name: str
    run: Run
    notes: tuple[str, ...] = ()


def open_engine(backbone: Runnable) -> Engine:
    """The fastest engine that agrees with Keras on this backbone."""
    if backbone.by_numpy is not None:
        return Engine(name="numpy", run=backbone.by_numpy)
    keras = by_keras(backbone)
    if backbone.by_keras:
        return Engine(name="keras", run=keras)
    if backbone.graph is not None:
        return Engine(name="litert", run=Network(backbone.graph(), backbone.size))
    found = converted(backbone, keras)
    if found.content is None:
        return Engine(name="keras", run=keras, notes=found.notes)
    run = Network(found.content, backbone.size)
    return Engine(name="litert", run=run, notes=found.notes)


def by_keras(backbone: Runnable) -> Run:
    """Embed at most `TOGETHER` pictures with Keras: on all cores, for one caller at a time."""
    lock = Lock()

    def run(pictures: Pictures) -> Vectors:
        # Pad a short batch, as the network would be traced again for each length.
        full = np.zeros((TOGETHER, *pictures.shape[1:]), np.float32)
        full[: len(pictures)] = pictures
        with lock:
            return np.asarray(backbone.model.predict_on_batch(full))[: len(pictures)]

    return run
