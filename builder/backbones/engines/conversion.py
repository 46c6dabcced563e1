"""A backbone for another runtime: converted once, checked against Keras, and cached."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import OF_THE_MACHINE, first_line
from pocketknn.builder.system.cache import Cache, key_of, mark_used, write
from pocketknn.builder.system.untrusted_json import parse_json

from .litert import Network

if TYPE_CHECKING:
    import keras


Pictures = NDArray[np.uint8]  # (n, size, size, 3)
Vectors = NDArray[np.float32]  # (n, d)
Run = Callable[[Pictures], Vectors]
AGREES = 0.99999  # minimum cosine between the embeddings from a runtime and from Keras
_SCHEMA = 2
_NETWORK, _FACTS = "network.tflite", "facts.json"  # in the archive, which has checksums
_STAMP = (1980, 1, 1, 0, 0, 0)
_PACKAGES = ("tensorflow", "keras", "ai-edge-litert")


class Runnable(Protocol):
    """The part of a `Backbone` that an engine uses; `Backbone` documents it."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def model(self) -> keras.Model: ...
    @property
    def graph(self) -> Callable[[], bytes] | None: ...
    @property
    def by_numpy(self) -> Run | None: ...
    @property
    def by_keras(self) -> bool: ...
    @property
    def cache(self) -> Cache | None: ...
    def identity(self) -> list[str | int | float | None]:
        """Everything that determines the embedding of a square picture."""


class Converted(NamedTuple):
    """A backbone converted for another runtime.

    Attributes:
        content: the file; None if the runtime cannot run it.
        cosine: minimum cosine, over test pictures, between the runtime's and Keras' embeddings.
        notes: messages about what went wrong.
    """

    content: bytes | None
    cosine: float
    notes: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether its embeddings agree with Keras."""
        return self.content is not None and self.cosine >= AGREES


def kept_or_made(
    backbone: Runnable, kind: str, packages: Sequence[str], make: Callable[[], Converted]
) -> Converted:
    """The network from the cache, or else a new one, which is then cached.

    Args:
        backbone: what to convert; holds the cache.
        kind: suffix of the file name for this kind of network; "" for LiteRT's.
        packages: the packages whose versions it depends on.
        make: converts the backbone, and compares the result with Keras.
    """
    place = backbone.cache.drawer("networks") if backbone.cache else None
    if place is None:
        return make()
    key = key_of([_SCHEMA, backbone.identity(), [version(name) for name in packages]])
    path = place / f"{backbone.name}-{key}{kind}.network"
    notes = []
    try:
        with zipfile.ZipFile(path) as stored:
            facts, content = parse_json(stored.read(_FACTS)), stored.read(_NETWORK)
        cosine = float(facts["cosine"])
        mark_used(path)
        return Converted(content, cosine)
    except OSError:
        pass  # not cached; if it cannot be, the attempt to write reports why
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error):
        notes.append(f"the cached network {path} was corrupt; converting it again")
    found = make()
    if found.content is not None:
        try:
            write(path, archive(found.content, found.cosine))
        except OSError as error:
            notes.append(f"the network {path} cannot be cached: {error.strerror}")
    return found._replace(notes=(*notes, *found.notes))


def compared(content: bytes, ours: Run, keras: Run, size: int) -> Converted:
    """A network, and how well it agrees with Keras on pictures of noise and a black one."""
    pictures = _pictures(size)
    return Converted(content, _min_cosine(ours(pictures), keras(pictures)))


def archive(content: bytes, cosine: float) -> bytes:
    """The file for the cache."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr(zipfile.ZipInfo(_FACTS, _STAMP), json.dumps({"cosine": cosine}))
        made.writestr(zipfile.ZipInfo(_NETWORK, _STAMP), content)
    return stream.getvalue()


def _pictures(size: int) -> NDArray[np.uint8]:
    """Pictures of noise, from fine to coarse, and a black one: (n, size, size, 3)."""
    rng = np.random.default_rng(0)
    made = [np.zeros((size, size, 3), np.uint8)]
    for grain in (1, 4, 16, 64):
        side = -(-size // grain)
        coarse = rng.integers(0, 256, (side, side, 3), np.uint8)
        made.append(coarse.repeat(grain, 0).repeat(grain, 1)[:size, :size])
    return np.stack(made)


def _min_cosine(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """The minimum cosine of corresponding rows; 1 for two rows of zeros."""
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    both_zero = ~a.any(axis=1) & ~b.any(axis=1)
    cosines = (a * b).sum(axis=1) / np.where(lengths > 0, lengths, 1)
    return float(np.where(both_zero, 1.0, cosines).min())


def converted(backbone: Runnable, by_keras: Run) -> Converted:
    """The network for LiteRT: (1, size, size, 3) pixels 0..255 to (1, d).

    Args:
        backbone: its `model` is opened only if the cache has no network.
        by_keras: computes the reference: pictures (n, size, size, 3) to embeddings (n, d).

    Returns:
        The network; its `content` is None if LiteRT does not agree with Keras.
    """

    def make() -> Converted:
        try:
            content = convert(backbone)
            return compared(content, Network(content, backbone.size), by_keras, backbone.size)
        except OF_THE_MACHINE:
            raise
        except Exception as error:  # whatever converter and runtime raise on a user's own network
            note = f"LiteRT cannot run {backbone.name}, so Keras is used: {first_line(error)}"
            return Converted(None, 0.0, (note,))

    found = kept_or_made(backbone, "", _PACKAGES, make)
    if found.agrees or found.content is None:
        return found
    name, cosine = backbone.name, found.cosine
    note = f"LiteRT and Keras disagree on {name} (cosine {cosine:.6f}), so Keras is used"
    return Converted(None, cosine, (*found.notes, note))


def convert(backbone: Runnable) -> bytes:
    """The backbone alone as float32 TFLite, by the official converter."""
    import tensorflow as tf

    model = backbone.model
    module = tf.Module()
    # Without the raw variables the converter silently omits the weights.
    module.weights = [variable.value for variable in model.variables]
    pixels = tf.TensorSpec((1, backbone.size, backbone.size, 3), tf.float32, name="image")
    embed = tf.function(
        lambda image: {"embedding": model(image, training=False)}, input_signature=[pixels]
    )
    # The traced function, as the converter would trace any other again.
    module.embed = embed.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.embed], module)
    content: bytes = converter.convert()
    return content
