"""Keras' MobileNets, with ImageNet weights from Keras or weights from a file."""

from __future__ import annotations

import os
import socket
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pocketknn.builder.backbones.networks.keras_models import from_pixels
from pocketknn.builder.backbones.networks.mobilenets import FAMILIES, Family, check_size, network
from pocketknn.builder.backbones.weights.info_cache import known, sha256_of
from pocketknn.builder.errors import InputError
from pocketknn.builder.spec import Spec
from pocketknn.builder.system.cache import Cache

from .backbone import Backbone
from .weights import keras_files

if TYPE_CHECKING:
    import keras

_SECONDS = 20.0  # to wait for a server
_STORE = "https://storage.googleapis.com/tensorflow/keras-applications"


def load(name: str, spec: Spec, cache: Cache | None = None) -> Backbone:
    """The MobileNet of this name, with ImageNet weights or those in a file.

    Raises:
        InputError: there are no weights for this width, the weights cannot be downloaded, the file
            holds the weights of another network, or the size is too small.
    """
    family = FAMILIES[name]
    alpha, size = spec.alpha or 1.0, spec.size or 224
    check_size(family.title, size)
    if spec.weights is None:
        file, source = _imagenet_file(family, alpha, size), "ImageNet, from Keras"
        opened = partial(_imagenet, family, alpha, size)
    else:
        keras_files.check_name(spec.weights)
        file, source = spec.weights, spec.weights.name
        opened = partial(keras_files.with_weights, family, alpha, size, spec.weights)
    sha256 = sha256_of(file) if file else ""
    facts, model = known(
        [name, alpha, size, sha256] if file else None,
        lambda: from_pixels(opened(), family.input_range),
        cache,
    )
    return Backbone(
        name=name,
        facts=facts,
        load=model,
        input_range=family.input_range,
        weights=source,
        weights_sha256=sha256 if spec.weights else "",
        alpha=alpha,
    )


def _imagenet_file(family: Family, alpha: float, size: int) -> Path | None:
    """The ImageNet weights in Keras' cache; None if Keras must download them.

    Raises:
        InputError: there are none for this width, or they cannot be downloaded.
    """
    if alpha not in family.alphas:
        widths = ", ".join(f"{width:g}" for width in family.alphas)
        raise InputError(
            f"there are no ImageNet weights for {family.named(alpha)}; alpha can be {widths}",
            "no-weights-for-alpha",
        )
    url = address(family.title, alpha, size)
    found = _fetched(url)
    if found is None:
        if find_spec("tensorflow") is None:  # Keras fetches them
            raise InputError(
                f"the backbone {family.named(alpha)} needs tensorflow, which is not installed:"
                " pip install tensorflow",
                "package-not-installed",
            )
        _check_reachable(url, family.named(alpha))
    return found


def _imagenet(family: Family, alpha: float, size: int) -> keras.Model:
    """The network with Keras' ImageNet weights, cached or downloaded."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SECONDS)
    try:
        return network(family, alpha, size, "imagenet")
    except InputError:
        raise
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise _no_download(family.named(alpha), address(family.title, alpha, size)) from error
    finally:
        socket.setdefaulttimeout(before)


def address(title: str, alpha: float, size: int) -> str:
    """The URL from which Keras downloads the weights of a MobileNet without its top.

    Args:
        title: the class in `keras.applications`.
        alpha: width.
        size: side of the input; sizes without weights of their own use those for 224.
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


def _fetched(url: str) -> Path | None:
    """The file in Keras' cache, if it has been downloaded before."""
    above = os.path.expanduser("~")  # noqa: PTH111  # stays "~" without a home, as in Keras
    above = above if os.access(above, os.W_OK) else "/tmp"
    home = os.environ.get("KERAS_HOME", f"{above}/.keras")
    path = Path(home).expanduser() / "models" / url.rpartition("/")[2]
    return path if path.is_file() else None


def _check_reachable(url: str, named: str) -> None:
    """Check that the server has the file.

    Raises:
        InputError: it does not answer, or has no such file.
    """
    # Imported here: most builds need no HTTPS, and this takes as long as importing numpy.
    import urllib.request
    from http.client import HTTPException

    request = urllib.request.Request(url, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=_SECONDS).close()
    except (OSError, HTTPException) as error:
        raise _no_download(named, url) from error


def _no_download(named: str, url: str) -> InputError:
    return InputError(
        f"the ImageNet weights of {named} cannot be downloaded; choose --backbone bundled, or"
        f" fetch {url} on another machine, and name that file with --weights FILE",
        "download-failed",
    )
