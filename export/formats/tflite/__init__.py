"""TFLite: for Android, Raspberry Pi and everything LiteRT runs on."""

from __future__ import annotations

from collections.abc import Mapping

from pocketknn.export.formats import conversion as sizes
from pocketknn.export.formats.conversion import Network
from pocketknn.export.formats.options import check_options as check_options
from pocketknn.export.formats.storage.texts import read as read

from .conversion import convert as convert
from .conversion import from_litert as from_litert
from .filling import constants as constants
from .filling import fill as fill
from .filling import locate as locate
from .filling import narrow as narrow
from .joining import join as join
from .reading import check as check
from .reading import load as load

TITLE, SUFFIX = "TFLite", ".tflite"
PARTS: Mapping[str, bool] = {}
LARGEST: int | None = 1 << 31  # limit of flatbuffers
OF_DEVICES = True
NEEDS: tuple[str, ...] = ("flatbuffers", "onnx", "onnxruntime")  # the last two check it
CONVERTERS: tuple[str, ...] = ("tensorflow",)
MAY_LACK: tuple[str, ...] = ()
RUNTIME: tuple[str, ...] = ("ai_edge_litert",)
ENGINE: str | None = "litert"
NATIVE, THREADS = True, True
FIXED = True
PRECISION = "float32"
PRECISIONS: tuple[str, ...] = ("float32", "float16", "int8")
OPTIONS: tuple[str, ...] = ("precision", "pixels", "outputs")
CONSUMER: Mapping[str, str] | None = {"name": "MediaPipe Tasks", "crop": "stretch"}
ONE_INPUT = True
# bytes beside an array; in int8, scale and zero point of a channel's weights and of its bias
_ARRAY, _CHANNEL = 270, 4 + 8 + 4 + 8


def backbone_bytes(network: Network, precision: str) -> int:
    """Approximate bytes of a backbone in a file."""
    return sizes.backbone_bytes(network, precision, array=_ARRAY, channel=_CHANNEL)
