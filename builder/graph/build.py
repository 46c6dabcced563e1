"""From choices and references to the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pocketknn.builder.knn.resolve import fit

from .wire import wire

if TYPE_CHECKING:
    import keras

    from pocketknn.builder.backbones.backbone import Backbone
    from pocketknn.builder.references.references import References
    from pocketknn.builder.spec import Spec


def build(spec: Spec, references: References, backbone: Backbone | None = None) -> keras.Model:
    """Wire a backbone, the references and a head into one Keras model of stock layers.

    Args:
        spec: the choices.
        references: n embeddings (n, d); each becomes a column of the layer "references".
        backbone: gives embeddings (batch, d); None for an input `features` (batch, d).

    Returns:
        A model with the outputs `scores` (batch, k) float32, descending; `indices` (batch, k)
        int32; and those of the head. If it grows, it has a second input `memory` (slots, d + 1),
        see `builder.choices.growth`, and an output `embedding` (batch, d).

    Raises:
        InputError: the backbone's embeddings differ in length from the references, or the
            references rule out a choice.
    """
    return wire(fit(spec, references), backbone)
