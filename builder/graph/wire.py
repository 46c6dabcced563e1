"""The one graph: backbone, projection, references, top-k, head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pocketknn.builder.choices import growth
from pocketknn.builder.choices.metrics import METRICS, cosine
from pocketknn.builder.errors import InputError

from . import index_layers, memory_layers

if TYPE_CHECKING:
    import keras

    from pocketknn.builder.backbones.backbone import Backbone
    from pocketknn.builder.choices.protocols import Constants, KerasTensor, Metric
    from pocketknn.builder.knn.fit import Fit

BACKBONE = "backbone"  # outputs of a graph that is only the backbone


def constants(fit: Fit, precision: str = "float32", outputs: str = "neighbors") -> Constants:
    """The tensors of a graph that depend on the references, by name; the rest depends on the spec.

    Args:
        fit: the choices and the references.
        precision: the precision of the backbone, which sets the threshold of exact hits.
        outputs: as for `wire`.
    """
    found: Constants = {}
    space = fit.space
    if outputs == BACKBONE:
        return found
    if space.projection is not None:
        found |= {"projection": space.projection.kernel, "bias": space.projection.bias}
    if outputs != "embedding":
        found |= space.constants if fit.index is None else fit.index.constants
    if outputs == "neighbors":
        voting = fit.voting(precision)
        head = fit.head.constants(voting)
        found |= memory_layers.constants(head, fit, voting) if fit.slots else head
    return found


def wire(
    fit: Fit,
    backbone: Backbone | None = None,
    *,
    precision: str = "float32",
    outputs: str = "neighbors",
    slots: int | None = None,
) -> keras.Model:
    """Wire a backbone, the references and a head into one Keras model of stock layers.

    Args:
        fit: the choices and the references.
        backbone: gives embeddings (batch, d); None for an input `features` (batch, d).
        precision: the precision of the backbone, which sets the threshold of exact hits.
        outputs: `neighbors` for a whole model. For devices without a top-k, `scores` (batch, n) of
            all references, or `embedding` (batch, r), the one that is compared with them.
            `BACKBONE` for the `embedding` (batch, d) that the backbone gives.
        slots: rows of the input `memory` of a graph that grows; None for any number.
    """
    import keras

    dim = fit.references.dim
    if backbone is None:
        inputs = embedding = keras.Input((dim,), name="features")
    else:
        if backbone.dim != dim:
            raise InputError(
                f"the references have {dim} values each,"
                f" but the backbone {backbone.name!r} gives {backbone.dim}",
                "width-mismatch",
            )
        inputs = keras.Input((backbone.size, backbone.size, 3), name="image")
        embedding = backbone.model(inputs)
    if outputs == BACKBONE:
        return keras.Model(inputs, {growth.EMBEDDING: embedding}, name="pocketknn")
    given, metric = constants(fit, precision, outputs), METRICS[fit.spec.metric]
    whole, dense = embedding, None
    if "projection" in given:
        dense = keras.layers.Dense(len(given["bias"]), name="projection", trainable=False)
        embedding = dense(embedding)
        dense.set_weights([given["projection"], given["bias"]])
    if outputs == "embedding":
        return keras.Model(inputs, {outputs: _compared(embedding, metric)}, name="pocketknn")
    if outputs == "scores":
        return keras.Model(inputs, {outputs: metric.all_scores(embedding, given)}, name="pocketknn")
    grown = memory_layers.Grown(fit, given, slots) if fit.slots else None
    mute = grown.mute if grown else None
    if fit.index is None:
        scores, indices = metric.nearest(embedding, given, fit.k, mute)
    else:
        units = _compared(embedding, metric)
        scores, indices = index_layers.nearest(units, given, fit.k, fit.index, mute)
    if grown:
        found = grown.attach(embedding, dense, scores, indices, fit.voting(precision))
        named = {inputs.name: inputs, growth.NAME: grown.rows}
        return keras.Model(named, found | {growth.EMBEDDING: whole}, name="pocketknn")
    found = {"scores": scores, "indices": indices}
    if (output := fit.head.OUTPUT) is not None:
        found[output.name] = fit.head.attach(scores, indices, fit.voting(precision), given)
    return keras.Model(inputs, found, name="pocketknn")


def _compared(embedding: KerasTensor, metric: Metric) -> KerasTensor:
    """The form of an embedding (batch, r) that is compared with the references."""
    return cosine.unit_layers(embedding) if metric.ANGULAR else embedding
