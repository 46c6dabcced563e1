"""The one graph: backbone, unit length, references, top-k, head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .backbone import Backbone
from .errors import InputError
from .heads import HEADS
from .neighbors import EXACT_HIT
from .references import References
from .spec import Spec

if TYPE_CHECKING:
    import keras
    from keras import KerasTensor

_SMALLEST = 1e-30  # keeps a zero embedding at zero, in float32, instead of 0/0


def build(
    spec: Spec,
    references: References,
    backbone: Backbone | None = None,
    *,
    exact_hit: float = EXACT_HIT["float32"],
) -> keras.Model:
    """Wire a backbone, the references and a head into one Keras model of stock layers.

    Args:
        spec: the choices; `head` and `k` may be None.
        references: n unit vectors (n, d), one column each of the layer "references".
        backbone: gives embeddings (batch, d); None for an input `features` (batch, d).
        exact_hit: the cosine distance up to which a neighbour is an exact hit, for `vote`.

    Returns:
        A model with the outputs `scores` (batch, k) float32, descending; `indices` (batch, k)
        int32; and those of the head.

    Raises:
        InputError: k above n, a backbone of another width, or a head that the references cannot
            serve.
    """
    import keras

    if backbone is None:
        inputs = embedding = keras.Input((references.dim,), name="features")
    else:
        if backbone.dim != references.dim:
            raise InputError(
                f"the references have {references.dim} values each,"
                f" the backbone {backbone.name!r} gives {backbone.dim}"
            )
        inputs = keras.Input((backbone.size, backbone.size, 3), name="image")
        embedding = backbone.model(inputs)
    dense = keras.layers.Dense(len(references), use_bias=False, name="references", trainable=False)
    cosines = dense(_unit(embedding))
    dense.set_weights([references.vectors.T])
    spec = spec.resolved(len(references), bool(references.labels))
    scores, indices = keras.ops.top_k(cosines, spec.k)
    head = HEADS[str(spec.head)]
    outputs = {
        "scores": scores,
        "indices": indices,
        **head.attach(scores, indices, references, spec, exact_hit),
    }
    return keras.Model(inputs, outputs, name="pocketknn")


def _unit(embedding: KerasTensor) -> KerasTensor:
    """Scale each row of (batch, d) to length 1; a row of zeros stays zeros, in every runtime.

    Not `keras.layers.UnitNormalization`: on a zero vector TFLite and Core ML turn it into NaN.
    Dividing by the largest component first keeps the squares within range, whatever the scale.
    """
    import keras

    ops = keras.ops
    largest = ops.max(ops.abs(embedding), axis=-1, keepdims=True)
    scaled = embedding / ops.maximum(largest, _SMALLEST)
    squares = ops.sum(scaled * scaled, axis=-1, keepdims=True)
    return scaled * ops.rsqrt(ops.maximum(squares, 1e-12))
