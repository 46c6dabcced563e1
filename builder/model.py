"""The one graph: backbone, unit length, references, top-k, head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .backbone import Backbone
from .errors import InputError
from .heads import HEADS
from .references import References
from .spec import DEFAULT_K, Spec

if TYPE_CHECKING:
    import keras
    from keras import KerasTensor

_SMALLEST = 1e-30  # keeps a zero embedding at zero, in float32, instead of 0/0


def build(spec: Spec, references: References, backbone: Backbone | None = None) -> keras.Model:
    """Wire a backbone, the references and a head into one Keras model of stock layers.

    Args:
        spec: the choices; `head` and `k` may be None.
        references: n unit vectors (n, d), one column each of the layer "references".
        backbone: gives embeddings (batch, d); None for an input `features` (batch, d).

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
    scores, indices = keras.ops.top_k(cosines, resolve_k(spec.k, len(references)))
    head = HEADS[resolve_head(spec.head, references)]
    outputs = {"scores": scores, "indices": indices, **head.attach(scores, indices, references)}
    return keras.Model(inputs, outputs, name="pocketknn")


def resolve_k(k: int | None, n: int) -> int:
    """The k that was asked for, or the smaller of 5 and n.

    Raises:
        InputError: k above n.
    """
    if k is not None and k > n:
        raise InputError(f"k = {k}, but there are only {n} references; choose k from 1 to {n}")
    return k or min(DEFAULT_K, n)


def resolve_head(head: str | None, references: References) -> str:
    """The head that was asked for, or `classify` where there are labels."""
    return head or ("classify" if references.labels else "neighbors")


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
