"""The input of the converters, and the size of a converted backbone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

from pocketknn.builder.choices import growth
from pocketknn.builder.errors import InputError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from .options import Options

_VALUE = {"float32": 4, "float16": 2, "int8": 1}  # bytes per weight of a convolution


class Inputs(NamedTuple):
    """The inputs of a graph by their meaning, whatever their order.

    Attributes:
        asked: pictures (batch, H, W, 3), or features (batch, d).
        memory: the taught examples (slots, d + 1) of a graph that grows, or None.
    """

    asked: Any
    memory: Any

    @classmethod
    def of(cls, model: keras.Model) -> Inputs:
        """The inputs of a model."""
        named = {one.name: one for one in model.inputs}
        memory = named.pop(growth.NAME, None)
        (asked,) = named.values()
        return cls(asked, memory)


def pixels_of(model: keras.Model, options: Options) -> str:
    """Type of a model's input: from the options for pictures, float32 for features."""
    return options.pixels if len(Inputs.of(model).asked.shape) == 4 else "float32"


def serving_function(
    model: keras.Model,
    batch: int | None,
    casts: Mapping[str, Any] = MappingProxyType({}),
    pixels: str = "float32",
) -> tf.types.experimental.GenericFunction:
    """A function of one named input, or two with a memory, that returns the outputs by name.

    Given the Keras model itself, the converters name outputs after layers, and lose some if a layer
    has two. No layer branches on values, so AutoGraph, a tenth of a conversion, is not needed.

    Args:
        model: the graph.
        batch: the fixed number of inputs, or None for any.
        casts: maps an output's name to the type it is cast to.
        pixels: type of the input, `float32` or `uint8`.
    """
    import tensorflow as tf

    image, memory = Inputs.of(model)
    shape = (batch, *image.shape[1:])

    def answer(feeds: Any) -> dict[str, tf.Tensor]:  # noqa: ANN401
        outputs = dict(model(feeds, training=False))
        for key in outputs.keys() & casts.keys():
            outputs[key] = tf.cast(outputs[key], casts[key])
        return outputs

    given = tf.TensorSpec(shape, tf.as_dtype(pixels), name=image.name)
    if memory is None:

        def serve(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            return answer(tf.cast(inputs, tf.float32))

        return tf.function(serve, input_signature=[given], autograph=False)
    rows = tf.TensorSpec(memory.shape, tf.float32, name=memory.name)

    def serve_both(inputs: tf.Tensor, memory: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer({image.name: tf.cast(inputs, tf.float32), rows.name: memory})

    return tf.function(serve_both, input_signature=[given, rows], autograph=False)


def check_calibration(pictures: NDArray[Any] | None) -> NDArray[Any]:
    """The pictures (n, H, W, 3), 0..255, or features (n, d), that int8 is calibrated on.

    Raises:
        InputError: there are none.
    """
    if pictures is None or not len(pictures):
        raise InputError(
            "int8 is calibrated on the pictures of the build, but there are none", "no-calibration"
        )
    return pictures


class Network(NamedTuple):
    """The size of a backbone.

    Attributes:
        weights: number of weights of convolutions and dense layers.
        others: number of biases, including those that batch norms become on conversion.
        parameters: number of all parameters that Keras stores.
        multiplications: multiplications per picture.
        variables: number of arrays that hold the parameters.
    """

    weights: int
    others: int
    parameters: int
    multiplications: int
    variables: int


def backbone_bytes(network: Network, precision: str, array: int, channel: int) -> int:
    """Bytes of a backbone whose batch norms are folded into its convolutions.

    Args:
        network: its size.
        precision: precision of its weights.
        array: average number of bytes that describe an array and the operation that uses it.
        channel: bytes of the int8 scales and zero points of an output channel.
    """
    beside = array * network.variables + (channel * network.others if precision == "int8" else 0)
    return _VALUE[precision] * network.weights + 4 * network.others + beside
