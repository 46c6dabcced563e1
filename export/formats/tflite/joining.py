"""Join a TFLite file of a backbone and one of a head into one graph."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from pocketknn.export.formats.storage.slots import Slots

from .model import Model

_RUNTIME = b"min_runtime_version"  # the oldest runtime with all operations, as metadata


def join(backbone: Path, head: Path, path: Path, places: Slots) -> Slots:
    """Join the two files; the head's tensors, and so its content, keep their numbers and places."""
    body, whole = Model(backbone.read_bytes()), Model(head.read_bytes())
    (picture,) = body.signature().inputs
    (embedding,) = body.signature().outputs
    ports = whole.signature().inputs
    (features,) = (port for port in ports if port.name == "features")

    buffers = len(whole.tree.buffers)
    whole.tree.buffers += body.tree.buffers[1:]  # the first is empty, and stands for no values
    numbers = {-1: -1, embedding.tensor: features.tensor}
    for number, tensor in enumerate(body.graph.tensors):
        if number == embedding.tensor:
            continue
        tensor.buffer += (buffers - 1) * (tensor.buffer > 0)
        numbers[number] = len(whole.graph.tensors)
        whole.graph.tensors.append(tensor)
    codes = [_code(whole, code) for code in body.tree.operatorCodes]
    for operator in body.graph.operators:
        operator.opcodeIndex = codes[operator.opcodeIndex]
        operator.inputs = [numbers[int(one)] for one in operator.inputs]
        operator.outputs = [numbers[int(one)] for one in operator.outputs]
    whole.graph.operators = body.graph.operators + whole.graph.operators

    picture_now = numbers[picture.tensor]
    whole.graph.inputs = [
        picture_now if one == features.tensor else one for one in whole.graph.inputs
    ]
    (signature,) = whole.tree.signatureDefs
    for one in signature.inputs:
        if one.name.decode() == features.name:
            one.name, one.tensorIndex = picture.name, picture_now
    if (newer := max(_runtime(body), _runtime(whole), key=_version)) != _runtime(whole):
        whole.set_metadata(_RUNTIME.decode(), newer)
    whole.write(path, {})
    return places


def _code(model: Model, wanted: Any) -> int:  # noqa: ANN401  # the schema has no types
    """The number of an operator code of another model, which is added if missing."""
    for number, one in enumerate(model.tree.operatorCodes):
        if vars(one) == vars(wanted):
            return number
    model.tree.operatorCodes.append(copy.copy(wanted))
    return len(model.tree.operatorCodes) - 1


def _runtime(model: Model) -> bytes:
    for entry in model.tree.metadata or ():
        if entry.name == _RUNTIME:
            return bytes(model.tree.buffers[entry.buffer].data)
    return b""


def _version(runtime: bytes) -> list[int]:
    return [int(part) for part in runtime.rstrip(b"\0").decode().split(".") if part]
