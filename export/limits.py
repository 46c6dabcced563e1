"""What file formats can hold, said before any work is done."""

from __future__ import annotations

from collections.abc import Sequence

from pocketknn.builder.errors import InputError
from pocketknn.builder.spec import Spec

LARGEST = 1 << 31  # bytes: flatbuffers and protobufs count no further, Core ML loads no more
_ROOM = 64 << 20  # for the backbone and the texts
_LIMITED = ("tflite", "coreml", "onnx")


def check_size(formats: Sequence[str], n: int, dim: int, spec: Spec) -> None:
    """Refuse more references than a file can hold.

    Args:
        formats: the files that are wanted.
        n: how many references, or photos that become such.
        dim: values of an embedding.
        spec: the choices; with a number of components, so many values are stored.

    Raises:
        InputError: a file would be 2 GiB or larger.
    """
    width = min(spec.pca, dim) if isinstance(spec.pca, int) else dim
    limited = [name for name in formats if name in _LIMITED]
    size = 4 * n * width
    # How many components a share of the variance takes, or auto, is not known yet.
    if not limited or isinstance(spec.pca, float | str) or size + _ROOM < LARGEST:
        return
    fits = (LARGEST - _ROOM) // (4 * n)
    ways = [f"--pca {fits}"] if 0 < fits < width else []
    ways += [f"at most {(LARGEST - _ROOM) // (4 * width)} references", "--formats keras alone"]
    raise InputError(
        f"{n} references of {width} values take {size / 1e9:.1f} GB, and a {' or '.join(limited)}"
        f" file holds less than {LARGEST / 1e9:.1f} GB; take {', or '.join(ways)}"
    )
