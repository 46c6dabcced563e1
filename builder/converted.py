"""A backbone as float32 TFLite: made once by the official converter, judged by Keras, and kept."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .cache import NETWORK, folder, write
from .errors import first_line
from .litert import Network
from .texts import parse_json

if TYPE_CHECKING:
    from .backbone import Backbone

AGREES = 0.99999  # least cosine of an embedding by LiteRT and by Keras
_SCHEMA = 1
_PACKAGES = ("tensorflow", "keras", "ai-edge-litert")
_NETWORK, _FACTS = "network.tflite", "facts.json"  # in the archive, whose checksums guard them
_STAMP = (1980, 1, 1, 0, 0, 0)

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class Converted(NamedTuple):
    """What LiteRT runs.

    Attributes:
        content: the TFLite file (1, size, size, 3) pixels 0..255 to (1, d); None where LiteRT
            does not run the backbone as Keras does.
        cosine: of the embeddings by LiteRT and by Keras, the least of the pictures tried.
        notes: what went wrong, in words.
    """

    content: bytes | None
    cosine: float
    notes: tuple[str, ...] = ()


def converted(backbone: Backbone, by_keras: Run) -> Converted:
    """The network that an earlier build kept, or else a new one, which is kept.

    Args:
        backbone: its `model` is touched only where nothing is kept.
        by_keras: the judge: pictures (n, size, size, 3) to embeddings (n, d).
    """
    place = folder()
    if place is None:
        return _made(backbone, by_keras)
    key = hashlib.sha256(json.dumps(backbone.identity()).encode()).hexdigest()[:24]
    path = place / f"{backbone.name}-{key}{NETWORK}"
    made_by = {"schema": _SCHEMA, **{name: version(name) for name in _PACKAGES}}
    notes = []
    try:
        facts, content = _read(path)
        if facts["made_by"] == made_by:
            return _judged(backbone, content, facts["cosine"])
        notes.append(f"the network {path} is of other versions and is made anew")
    except OSError:
        pass  # there is none; where there can be none, writing it says why
    except (ValueError, KeyError, zipfile.BadZipFile, zlib.error):
        notes.append(f"the network {path} was corrupt and is made anew")
    found = _made(backbone, by_keras)
    if found.content is not None:
        try:
            write(path, _archive(found.content, {"made_by": made_by, "cosine": found.cosine}))
        except OSError as error:
            notes.append(f"the network {path} cannot be kept: {error.strerror}")
    return found._replace(notes=(*notes, *found.notes))


def convert(backbone: Backbone) -> bytes:
    """The backbone alone as float32 TFLite, by the official converter."""
    import tensorflow as tf

    model = backbone.model
    module = tf.Module()
    # Without the raw variables the converter leaves the weights out, without a word.
    module.weights = [variable.value for variable in model.variables]
    pixels = tf.TensorSpec((1, backbone.size, backbone.size, 3), tf.float32, name="image")
    module.embed = tf.function(
        lambda image: {"embedding": model(image, training=False)}, input_signature=[pixels]
    )
    concrete = module.embed.get_concrete_function()
    content: bytes = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()
    return content


def _made(backbone: Backbone, by_keras: Run) -> Converted:
    pictures = _pictures(backbone.size)
    try:
        content = convert(backbone)
        ours = Network(content, backbone.size)(pictures)
    except Exception as error:  # whatever converter and runtime raise on a user's own network
        note = f"LiteRT cannot run {backbone.name}, so Keras embeds: {first_line(error)}"
        return Converted(None, 0.0, (note,))
    return _judged(backbone, content, _least_cosine(ours, by_keras(pictures)))


def _judged(backbone: Backbone, content: bytes, cosine: float) -> Converted:
    if cosine >= AGREES:
        return Converted(content, cosine)
    note = f"LiteRT and Keras disagree on {backbone.name} (cosine {cosine:.6f}), so Keras embeds"
    return Converted(None, cosine, (note,))


def _pictures(size: int) -> NDArray[np.uint8]:
    """Noise from fine to coarse, and black (n, size, size, 3)."""
    rng = np.random.default_rng(0)
    made = [np.zeros((size, size, 3), np.uint8)]
    for grain in (1, 4, 16, 64):
        side = -(-size // grain)
        coarse = rng.integers(0, 256, (side, side, 3), np.uint8)
        made.append(coarse.repeat(grain, 0).repeat(grain, 1)[:size, :size])
    return np.stack(made)


def _least_cosine(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """The least cosine of two rows; 1 for two rows of zeros."""
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    both_zero = ~a.any(axis=1) & ~b.any(axis=1)
    cosines = (a * b).sum(axis=1) / np.where(lengths > 0, lengths, 1)
    return float(np.where(both_zero, 1.0, cosines).min())


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
    with zipfile.ZipFile(path) as archive:
        return parse_json(archive.read(_FACTS)), archive.read(_NETWORK)


def _archive(content: bytes, facts: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo(_FACTS, _STAMP), json.dumps(facts))
        archive.writestr(zipfile.ZipInfo(_NETWORK, _STAMP), content)
    return stream.getvalue()
