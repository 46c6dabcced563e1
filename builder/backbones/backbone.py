"""A feature extractor: from pixels 0..255 to an embedding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from pocketknn.builder.backbones.engines.conversion import Run
from pocketknn.builder.backbones.engines.engine import Engine, open_engine
from pocketknn.builder.backbones.networks.keras_models import fresh_names
from pocketknn.builder.backbones.weights.info_cache import Facts
from pocketknn.builder.system.cache import USUAL, Cache

from .provenance import Provenance

if TYPE_CHECKING:
    import keras

Load = Callable[[], "keras.Model"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Backbone:
    """A feature extractor. Keras opens it if `model` is used; otherwise `engine` runs it.

    Attributes:
        name: as in `Spec.backbone`, never `auto`.
        facts: size, length of the embedding, hash of the weights.
        load: returns the Keras model.
        graph: returns the network for LiteRT; None if it must be converted from the Keras model.
        by_numpy: computes embeddings without a network; None if there is a network.
        by_keras: whether Keras runs it instead of LiteRT.
        input_range: the pixel range that the network expects; the model rescales to it.
        weights: where the weights came from, in words; "" without weights.
        weights_sha256: hash of the weights file; "" if the file is in Keras' own cache or there is
            no file.
        alpha: width of a MobileNet, or None.
        attribution: copyright and licence of the weights, to be put into every file that holds
            them; "" if none is required.
        why: for `auto`, what it chose and how to get the alternative; "" otherwise.
        cache: stores conversions for other runtimes; None for no cache.
    """

    name: str
    facts: Facts
    load: Load = field(repr=False)
    graph: Callable[[], bytes] | None = field(default=None, repr=False)
    by_numpy: Run | None = field(default=None, repr=False)
    by_keras: bool = False
    input_range: str = "0..255"
    weights: str = ""
    weights_sha256: str = ""
    alpha: float | None = None
    attribution: str = ""
    why: str = ""
    cache: Cache | None = field(default=USUAL, repr=False)

    @classmethod
    def of(cls, name: str, model: keras.Model) -> Backbone:
        """A backbone from an open Keras model: (batch, size, size, 3) 0..255 to (batch, d)."""
        return cls(name=name, facts=Facts.of(model), load=lambda: model, by_keras=True)

    @cached_property
    def model(self) -> keras.Model:
        """Keras model, (batch, size, size, 3) float pixels 0..255 to (batch, d).

        Raises:
            InputError: for the same reasons as `load_backbone`, unless the model is already open.
        """
        with fresh_names():
            return self.load()

    @cached_property
    def engine(self) -> Engine:
        """The engine that computes embeddings."""
        return open_engine(self)

    @property
    def size(self) -> int:
        """Side of the square input in pixels."""
        return self.facts.size

    @property
    def dim(self) -> int:
        """Length d of the embedding."""
        return self.facts.dim

    def identity(self) -> list[str | int | float | None]:
        """Everything that determines the embedding of a square picture."""
        return [
            self.name,
            self.size,
            self.alpha,
            self.input_range,
            self.weights_sha256,
            self.sha256(),
        ]

    def sha256(self) -> str:
        """Hash of all weights by value: the same numbers give the same hash in any file format."""
        return self.facts.sha256

    def provenance(self, crop: str) -> Provenance:
        """The provenance of the embeddings that it makes under a crop policy."""
        return Provenance(
            backbone=self.name,
            alpha=self.alpha,
            size=self.size,
            input_range=self.input_range,
            sha256=self.sha256(),
            crop=crop,
        )
