"""The one graph: backbone, projection, references, top-k, head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .backbone import Backbone
from .errors import InputError
from .fit import Fit, fit
from .heads import HEADS
from .references import References
from .search import all_scores, compared, nearest
from .spec import Spec

if TYPE_CHECKING:
    import keras


def build(spec: Spec, references: References, backbone: Backbone | None = None) -> keras.Model:
    """Wire a backbone, the references and a head into one Keras model of stock layers.

    Args:
        spec: the choices.
        references: n embeddings (n, d), one column each of the layer "references".
        backbone: gives embeddings (batch, d); None for an input `features` (batch, d).

    Returns:
        A model with the outputs `scores` (batch, k) float32, descending; `indices` (batch, k)
        int32; and those of the head.

    Raises:
        InputError: a backbone of another width, or a choice that the references cannot serve.
    """
    return wire(fit(spec, references), backbone)


def wire(
    fit: Fit,
    backbone: Backbone | None = None,
    *,
    precision: str = "float32",
    outputs: str = "neighbors",
) -> keras.Model:
    """The same from a fit.

    Args:
        fit: the choices and the references.
        backbone: as for `build`.
        precision: of the backbone, which exact hits depend on.
        outputs: `neighbors`, or, for devices without a top-k, only the `scores` (batch, n) of all
            references or the `embedding` (batch, r) that would be compared with them.
    """
    import keras

    dim = fit.references.dim
    if backbone is None:
        inputs = embedding = keras.Input((dim,), name="features")
    else:
        if backbone.dim != dim:
            raise InputError(
                f"the references have {dim} values each,"
                f" the backbone {backbone.name!r} gives {backbone.dim}"
            )
        inputs = keras.Input((backbone.size, backbone.size, 3), name="image")
        embedding = backbone.model(inputs)
    if (projection := fit.space.projection) is not None:
        dense = keras.layers.Dense(len(projection.bias), name="projection", trainable=False)
        embedding = dense(embedding)
        dense.set_weights([projection.kernel, projection.bias])
    if outputs == "embedding":
        return keras.Model(inputs, {outputs: compared(embedding, fit.space)}, name="pocketknn")
    if outputs == "scores":
        return keras.Model(inputs, {outputs: all_scores(embedding, fit.space)}, name="pocketknn")
    scores, indices = nearest(embedding, fit.space, fit.k)
    found = {
        "scores": scores,
        "indices": indices,
        **HEADS[str(fit.spec.head)].attach(scores, indices, fit, fit.space.exact_hit(precision)),
    }
    return keras.Model(inputs, found, name="pocketknn")
