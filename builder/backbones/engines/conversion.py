"""A backbone as float32 TFLite: made once by the official converter, judged by Keras, and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pocketknn.builder.backbones.engines.network_cache import Converted, Run, compared, kept_or_made
from pocketknn.builder.errors import OF_THE_MACHINE, first_line

from .litert import Network

if TYPE_CHECKING:
    from .runnable import Runnable

_PACKAGES = ("tensorflow", "keras", "ai-edge-litert")


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
