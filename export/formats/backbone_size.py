"""What a backbone is made of, and how many bytes it takes once it is converted."""

from __future__ import annotations

from typing import NamedTuple

_VALUE = {"float32": 4, "float16": 2, "int8": 1}  # bytes of a weight of a convolution


class Network(NamedTuple):
    """What a backbone is made of.

    Attributes:
        weights: of convolutions and dense layers.
        others: biases, and what batch norms leave of themselves once converted.
        parameters: all that Keras stores.
        multiplications: for one picture.
        variables: arrays that these are.
    """

    weights: int
    others: int
    parameters: int
    multiplications: int
    variables: int


def converted(network: Network, precision: str) -> int:
    """Bytes of a backbone whose batch norms became parts of its convolutions."""
    return _VALUE[precision] * network.weights + 4 * network.others
