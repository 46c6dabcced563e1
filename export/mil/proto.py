"""coremltools' protobuf classes of Core ML's format, without the rest of coremltools.

Importing coremltools itself takes seconds, as it imports TensorFlow where that is installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

_PACKAGE = "pocketknn_coreml_proto"


@cache
def messages() -> Any:  # noqa: ANN401  # the classes have no stubs
    """The module of the message `Model`.

    Raises:
        ImportError: coremltools is not installed, or keeps these modules elsewhere by now.
    """
    return _module("Model_pb2")


@cache
def programs() -> Any:  # noqa: ANN401
    """The module of the messages that ML programs are made of."""
    return _module("MIL_pb2")


def _module(name: str) -> ModuleType:
    found = importlib.util.find_spec("coremltools")  # which looks for it and imports nothing
    if found is None or found.origin is None:
        raise ImportError("coremltools is not installed")
    if "coremltools.proto" in sys.modules:
        return importlib.import_module(f"coremltools.proto.{name}")
    if _PACKAGE not in sys.modules:
        package = ModuleType(_PACKAGE)
        package.__path__ = [str(Path(found.origin).parent / "proto")]
        sys.modules[_PACKAGE] = package
    return importlib.import_module(f"{_PACKAGE}.{name}")
