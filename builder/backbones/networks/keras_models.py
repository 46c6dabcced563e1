"""Turn a Keras network into a backbone: pixels 0..255 as input, weights, and stable names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras


# Scale and offset from pixels 0..255 to the range that a network expects.
_RANGES = {"0..255": (1.0, 0.0), "0..1": (1 / 255, 0.0), "-1..1": (1 / 127.5, -1.0)}
# Keras, TensorFlow and coremltools keep names, passes and types in state shared by all threads.
_ONE_AT_A_TIME = RLock()


def from_pixels(net: keras.Model, input_range: str, size: int | None = None) -> keras.Model:
    """Wrap a network in a model named "backbone" that takes pixels 0..255 at a fixed size.

    Args:
        net: (batch, H, W, 3) to (batch, d).
        input_range: the pixel range that the network expects.
        size: side of the pictures; None for the network's own.
    """
    import keras

    scale, offset = _RANGES[input_range]
    size = size or net.input_shape[1]
    image = keras.Input((size, size, 3), name="image")
    pixels = image if scale == 1.0 else keras.layers.Rescaling(scale, offset)(image)
    return keras.Model(image, net(pixels), name="backbone")


def with_arrays(net: keras.Model, arrays: Mapping[str, NDArray[np.float32]]) -> keras.Model:
    """The network, with its weights set from arrays by `layer/variable`."""
    for layer in net.layers:
        layer.set_weights([arrays[f"{layer.name}/{one.name}"] for one in layer.weights])
    return net


@contextmanager
def fresh_names() -> Iterator[None]:
    """Reset Keras' layer counters inside the block, then restore them.

    Other threads wait until the block ends.
    """
    # The public API can reset the counters, but not restore them.
    from keras.src.backend.common import global_state

    name = "object_name_uids"
    with _ONE_AT_A_TIME:
        before = global_state.get_global_attribute(name)
        global_state.set_global_attribute(name, None)
        try:
            yield
        finally:
            global_state.set_global_attribute(name, before)
