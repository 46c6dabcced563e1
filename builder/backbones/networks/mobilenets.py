"""Keras' MobileNets by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pocketknn.builder.errors import InputError

if TYPE_CHECKING:
    import keras

SMALLEST = 32  # minimum side of a picture


class Family(NamedTuple):
    """One of Keras' MobileNets.

    Attributes:
        title: its class in `keras.applications`.
        input_range: the pixel range it expects.
        alphas: the widths that ImageNet weights exist for.
    """

    title: str
    input_range: str
    alphas: tuple[float, ...]

    def named(self, alpha: float) -> str:
        """The name of a member of the family, for messages."""
        return f"{self.title} with alpha {alpha:g}"


FAMILIES = {
    "mobilenet": Family("MobileNet", "-1..1", (0.25, 0.5, 0.75, 1.0)),
    "mobilenet_v2": Family("MobileNetV2", "-1..1", (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)),
    "mobilenet_v3_small": Family("MobileNetV3Small", "0..255", (0.75, 1.0)),
    "mobilenet_v3_large": Family("MobileNetV3Large", "0..255", (0.75, 1.0)),
}


def check_size(title: str, size: int) -> None:
    """Check that the network supports a size.

    Raises:
        InputError: it is too small.
    """
    if size < SMALLEST:
        raise InputError(
            f"{title} needs pictures of at least {SMALLEST} pixels, not {size}", "size-too-small"
        )


def network(family: Family, alpha: float, size: int, weights: str | None = None) -> keras.Model:
    """The network without its top, pooled; with random weights when `weights` is None."""
    import keras

    return getattr(keras.applications, family.title)(
        input_shape=(size, size, 3),
        alpha=alpha,
        include_top=False,
        weights=weights,
        pooling="avg",
    )
