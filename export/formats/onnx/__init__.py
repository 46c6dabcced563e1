"""ONNX: for services, desktops and browsers."""

from __future__ import annotations

from collections.abc import Mapping

from pocketknn.export.formats import conversion as sizes
from pocketknn.export.formats.conversion import Network
from pocketknn.export.formats.options import check_options as check_options

from .conversion import convert as convert
from .filling import constants as constants
from .filling import fill as fill
from .filling import locate as locate
from .filling import narrow as narrow
from .joining import join as join
from .of_litert import from_litert as from_litert
from .reading import check as check
from .reading import load as load
from .reading import read as read

TITLE, SUFFIX = "ONNX", ".onnx"
PARTS: Mapping[str, bool] = {}
LARGEST: int | None = 1 << 31  # limit of protobuf
OF_DEVICES = True
NEEDS: tuple[str, ...] = ("onnx",)
CONVERTERS: tuple[str, ...] = ("tensorflow", "tf2onnx")
MAY_LACK: tuple[str, ...] = ()
RUNTIME: tuple[str, ...] = ("onnxruntime",)
ENGINE: str | None = None
NATIVE, THREADS = True, True
FIXED = False
PRECISION = "float32"
PRECISIONS: tuple[str, ...] = ("float32", "float16", "int8")
OPTIONS: tuple[str, ...] = ("precision", "pixels")
CONSUMER: Mapping[str, str] | None = None
ONE_INPUT = False
# bytes beside an array; in int8, scale and zero point of a channel's weights and of its bias
_ARRAY, _CHANNEL = 270, 4 + 1 + 4 + 4


def backbone_bytes(network: Network, precision: str) -> int:
    """Approximate bytes of a backbone in a file."""
    return sizes.backbone_bytes(network, precision, array=_ARRAY, channel=_CHANNEL)
