"""A backbone as another runtime has it: converted once, judged by Keras, and kept in the cache."""

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
AGREES = 0.99999  # least cosine of an embedding by a runtime and by Keras
_SCHEMA = 2
_NETWORK, _FACTS = "network.tflite", "facts.json"  # in the archive, whose checksums guard them
_STAMP = (1980, 1, 1, 0, 0, 0)
_PACKAGES = ("tensorflow", "keras", "ai-edge-litert")


class Runnable(Protocol):
    """What an engine needs of a `Backbone`, which says more of each."""

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
        """All that decides what the embedding of a square picture is."""


class Converted(NamedTuple):
    """A backbone as another runtime has it.

    Attributes:
        content: the file; None where the runtime does not run it at all.
        cosine: of the embeddings by the runtime and by Keras, the least of the pictures tried.
        notes: what went wrong, in words.
    """

    content: bytes | None
    cosine: float
    notes: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether it embeds as Keras does."""
        return self.content is not None and self.cosine >= AGREES


def kept_or_made(
    backbone: Runnable, kind: str, packages: Sequence[str], make: Callable[[], Converted]
) -> Converted:
    """The network that an earlier build kept, or else a new one, which is kept.

    Args:
        backbone: what is converted; its cache keeps it.
        kind: of network, in the name of the file; "" for LiteRT's.
        packages: whose versions it depends on.
        make: converts it, and compares it with Keras.
    """
    place = backbone.cache.drawer("networks") if backbone.cache else None
    if place is None:
        return make()
    key = key_of([_SCHEMA, backbone.identity(), [version(name) for name in packages]])
    path = place / f"{backbone.name}-{key}{kind}.network"
    notes = []
    try:
        with zipfile.ZipFile(path) as kept:
            facts, content = parse_json(kept.read(_FACTS)), kept.read(_NETWORK)
        cosine = float(facts["cosine"])
        mark_used(path)
        return Converted(content, cosine)
    except OSError:
        pass  # there is none; where there can be none, writing it says why
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error):
        notes.append(f"the network {path} was corrupt and is made anew")
    found = make()
    if found.content is not None:
        try:
            write(path, archive(found.content, found.cosine))
        except OSError as error:
            notes.append(f"the network {path} cannot be kept: {error.strerror}")
    return found._replace(notes=(*notes, *found.notes))


def compared(content: bytes, ours: Run, keras: Run, size: int) -> Converted:
    """A network, and how it agrees with Keras on noise and black."""
    pictures = _pictures(size)
    return Converted(content, _least_cosine(ours(pictures), keras(pictures)))


def archive(content: bytes, cosine: float) -> bytes:
    """The file that is kept."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr(zipfile.ZipInfo(_FACTS, _STAMP), json.dumps({"cosine": cosine}))
        made.writestr(zipfile.ZipInfo(_NETWORK, _STAMP), content)
    return stream.getvalue()


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


def converted(backbone: Runnable, by_keras: Run) -> Converted:
    """What LiteRT runs: (1, size, size, 3) pixels 0..255 to (1, d).

    Args:
        backbone: its `model` is touched only where nothing is kept.
        by_keras: the judge: pictures (n, size, size, 3) to embeddings (n, d).

    Returns:
        A network without content where LiteRT does not run the backbone as Keras does.
    """

    def make() -> Converted:
        try:
            content = convert(backbone)
            return compared(content, Network(content, backbone.size), by_keras, backbone.size)
        except OF_THE_MACHINE:
            raise
        except Exception as error:  # whatever converter and runtime raise on a user's own network
            note = f"LiteRT cannot run {backbone.name}, so Keras embeds: {first_line(error)}"
            return Converted(None, 0.0, (note,))

    found = kept_or_made(backbone, "", _PACKAGES, make)
    if found.agrees or found.content is None:
        return found
    name, cosine = backbone.name, found.cosine
    note = f"LiteRT and Keras disagree on {name} (cosine {cosine:.6f}), so Keras embeds"
    return Converted(None, cosine, (*found.notes, note))


def convert(backbone: Runnable) -> bytes:
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
