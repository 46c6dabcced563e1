"""The ImageNet weights files that Keras has fetched or can fetch, without asking Keras."""

from __future__ import annotations

import os
from pathlib import Path

from pocketknn.builder.errors import InputError

SECONDS = 20.0  # to wait for an answer
_STORE = "https://storage.googleapis.com/tensorflow/keras-applications"


def address(title: str, alpha: float, size: int) -> str:
    """Where Keras fetches the weights of a MobileNet without its top from.

    Args:
        title: the class in `keras.applications`.
        alpha: width.
        size: side of the input; sizes that there are no weights for take those of 224.
    """
    if title == "MobileNet":
        rows = size if size in (128, 160, 192, 224) else 224
        width = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}[alpha]
        return f"{_STORE}/mobilenet/mobilenet_{width}_{rows}_tf_no_top.h5"
    if title == "MobileNetV2":
        rows = size if size in (96, 128, 160, 192, 224) else 224
        kernels = f"tf_dim_ordering_tf_kernels_{float(alpha)}_{rows}"
        return f"{_STORE}/mobilenet_v2/mobilenet_v2_weights_{kernels}_no_top.h5"
    kind = title.removeprefix("MobileNetV3").lower()
    net = f"mobilenet_v3_{kind}_224_{float(alpha)}_float"
    return f"{_STORE}/mobilenet_v3/weights_{net}_no_top_v2.h5"


def fetched(url: str) -> Path | None:
    """The file, where Keras has fetched it before."""
    above = os.path.expanduser("~")  # noqa: PTH111  # without a home it stays "~", as in Keras
    above = above if os.access(above, os.W_OK) else "/tmp"
    home = os.environ.get("KERAS_HOME", f"{above}/.keras")
    path = Path(home).expanduser() / "models" / url.rpartition("/")[2]
    return path if path.is_file() else None


def check_reachable(url: str, named: str) -> None:
    """Ask the server for the file.

    Raises:
        InputError: it does not answer, or has no such file.
    """
    # Most builds never ask, and importing what speaks HTTPS takes as long as importing numpy.
    import urllib.request
    from http.client import HTTPException

    question = urllib.request.Request(url, method="HEAD")
    try:
        urllib.request.urlopen(question, timeout=SECONDS).close()
    except (OSError, HTTPException) as error:
        raise no_download(named) from error


def no_download(named: str) -> InputError:
    """The error that says the ways out."""
    return InputError(
        f"the ImageNet weights of {named} cannot be downloaded;"
        " choose --backbone bundled, or give a file with --weights FILE"
    )
