"""Embeddings from a second runtime, so that no file is checked against its own runtime.

LiteRT embeds the references if it agrees with Keras. If it also embedded the test inputs for a
TFLite file, its own errors would go unnoticed, so another runtime embeds the inputs for that file.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones.engines.conversion import Converted, Run, compared, kept_or_made
from pocketknn.builder.backbones.engines.engine import TOGETHER, by_keras
from pocketknn.builder.errors import OF_THE_MACHINE, first_line
from pocketknn.export.formats.onnx.of_litert import onnx_of_litert
from pocketknn.export.formats.onnx.reading import session_of
from pocketknn.export.formats.table import FORMATS

from .test_inputs import Queries

if TYPE_CHECKING:
    from pocketknn.builder.backbones.backbone import Backbone

_PACKAGES = ("tensorflow", "keras", "tf2onnx", "onnxruntime")
_OPSET = 17


class Judges:
    """The same inputs, with embeddings by more than one runtime.

    Args:
        against: the inputs, with embeddings by the backbone's engine.
        backbone: the backbone; None for a model of feature vectors, which need no embedding.
    """

    def __init__(self, against: Queries, backbone: Backbone | None) -> None:
        """Store the arguments; embedding is lazy."""
        self._against, self._backbone = against, backbone

    def of(self, name: str) -> Queries:
        """The inputs for a format, embedded by another runtime than its own."""
        if self._backbone is None or self._against.judge != FORMATS[name].ENGINE:
            return self._against
        return self._others

    @cached_property
    def _others(self) -> Queries:
        """The inputs embedded by onnxruntime, or by Keras if a backbone cannot be converted."""
        backbone = self._backbone
        assert backbone is not None
        name, embed = _witness(backbone)
        inputs = self._against.inputs
        parts = [inputs[at : at + TOGETHER] for at in range(0, len(inputs), TOGETHER)]
        return Queries(inputs, np.concatenate([embed(part) for part in parts]), name)


def _witness(backbone: Backbone) -> tuple[str, Run]:
    """The name of a second runtime, and a function that embeds with it."""
    if backbone.graph is not None:
        return "onnxruntime", _session(onnx_of_litert(backbone.graph()).SerializeToString())
    keras = by_keras(backbone)

    def make() -> Converted:
        try:
            content = convert(backbone)
            return compared(content, _session(content), keras, backbone.size)
        except OF_THE_MACHINE:
            raise
        except (
            Exception
        ) as error:  # converter and runtime may raise anything on a user's own network
            return Converted(None, 0.0, (first_line(error),))

    found = kept_or_made(backbone, ".onnx", _PACKAGES, make)
    if found.content is None or not found.agrees:
        return "keras", keras
    return "onnxruntime", _session(found.content)


def convert(backbone: Backbone) -> bytes:
    """The backbone alone as float32 ONNX, from the official converter."""
    import tensorflow as tf
    import tf2onnx

    model, size = backbone.model, backbone.size
    pixels = tf.TensorSpec((None, size, size, 3), tf.float32, name="image")
    embed = tf.function(lambda image: model(image, training=False), input_signature=[pixels])
    proto, _ = tf2onnx.convert.from_function(embed, input_signature=[pixels], opset=_OPSET)
    content: bytes = proto.SerializeToString()
    return content


def _session(content: bytes) -> Run:
    session = session_of(content)

    def run(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        (embeddings,) = session.run(None, {"image": pictures.astype(np.float32)})
        return np.asarray(embeddings)

    return run
