"""Core ML: an ML program for iOS and macOS, a classifier if there are labels.

Vision takes the classifier directly; `scores` and `indices` are available through Core ML itself.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pocketknn.builder.errors import InputError
from pocketknn.export.formats import conversion as sizes
from pocketknn.export.formats.conversion import Network

from .conversion import convert as convert
from .files import PARTS as PARTS
from .filling import constants as constants
from .filling import fill as fill
from .filling import locate as locate
from .filling import narrow as narrow
from .joining import join as join
from .of_litert import from_litert as from_litert
from .reading import check as check
from .reading import load as load
from .reading import read as read

if TYPE_CHECKING:
    from pocketknn.export.formats.options import Options

TITLE, SUFFIX = "Core ML", ".mlpackage"
LARGEST: int | None = 1 << 31  # limit of Core ML
OF_DEVICES = True
NEEDS: tuple[str, ...] = ()
CONVERTERS: tuple[str, ...] = ("tensorflow", "coremltools")
MAY_LACK: tuple[str, ...] = ("coremltools",)
RUNTIME: tuple[str, ...] = ()  # Core ML on a Mac; our evaluator everywhere
ENGINE: str | None = None
NATIVE, THREADS = sys.platform == "darwin", False
FIXED = True
PRECISION = "float16"
PRECISIONS: tuple[str, ...] = ("float32", "float16", "int8")
OPTIONS: tuple[str, ...] = ("precision", "ios")
CONSUMER: Mapping[str, str] | None = {"name": "Vision", "crop": "center"}
ONE_INPUT = False
# bytes beside an array: operations are spelt out; int8 scales hardly count
_ARRAY, _CHANNEL = 700, 0


def check_options(options: Options, *, bytes_: bool) -> None:
    """Check that int8 weights or references are not written for iOS 15.

    Raises:
        InputError: such weights or references would be written for iOS 15.
    """
    if options.precision == "int8" and options.ios == 15:
        raise InputError("in Core ML, int8 weights need iOS 16 or later, not 15", "ios-too-old")
    if bytes_ and options.ios == 15:
        raise InputError("in Core ML, int8 references need iOS 16 or later, not 15", "ios-too-old")


def backbone_bytes(network: Network, precision: str) -> int:
    """Approximate bytes of a backbone in a file."""
    return sizes.backbone_bytes(network, precision, array=_ARRAY, channel=_CHANNEL)
