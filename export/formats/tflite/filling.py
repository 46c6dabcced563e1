"""Locate the references in a TFLite file, and replace them, possibly in fewer bytes.

The official converter would store float16 and int8 references as float32. An int8 product quantises
the query too, so it is only used to find candidates; a lookup converts only the rows it reads to
floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.export.formats.storage import slots
from pocketknn.export.formats.storage.slots import Content, Slots
from pocketknn.export.formats.storage.texts import append_files, packed
from pocketknn.export.output.checksums import sealed
from pocketknn.export.output.names import SEAL

from .metadata import NAME, pack
from .model import FLOAT16, FLOAT32, INT8, Model
from .stages import in_two_stages

# Order of inputs and outputs: the converter's order varies between builds, and apps take the first.
_ORDER = ("image", "features", "probabilities", "value", "scores", "indices")
_TYPES = {"int8": INT8, "float16": FLOAT16}


def locate(path: Path, content: Content) -> Slots:
    """Find the content's places: numbers of tensors, with an axis or a place in their values."""
    model = Model(path.read_bytes())
    tensors, numbers = [], []
    for number, values in model.constants():
        tensors.append(([number], values))
        numbers += slots.sizes_in([number, "value"], values)
    for number, tensor in enumerate(model.graph.tensors):
        axes = enumerate(tensor.shape if tensor.shape is not None else ())
        numbers += [([number, "axis", axis], int(size)) for axis, size in axes]
    return slots.locate(content, tensors, numbers)


def constants(path: Path, places: Slots) -> dict[str, NDArray[Any]]:
    """The constants of a file, flat, as stored; the references are memory-mapped."""
    values = dict(Model(np.memmap(path, np.uint8, "r")).constants())
    return {name: values[found[0][0]] for name, found in places.constants.items()}


def fill(
    source: Path, path: Path, places: Slots, content: Content, texts: Mapping[str, str]
) -> None:
    """Rewrite a converted file with other content, metadata, and its outputs in order."""
    model = Model(np.memmap(source, np.uint8, "r"))
    streamed = {}
    for name, place, values in slots.filled(places, content):
        if name in content.large:
            streamed[place[0]] = values
        else:
            model.set_constant(place[0], values)
    for (number, what, at), size in slots.resized(places, content):
        if what == "axis":
            model.set_axis(number, at, size)
        else:
            model.set_value(number, at, size)
    if content.small():  # other files may be filled again
        in_two_stages(model, content.sizes["references"])
    ports = model.signature().ordered(_ORDER)
    model.reorder(ports)
    stored = packed(texts)
    model.set_metadata(NAME, pack(stored, ports))
    digest = model.write(path, streamed)
    append_files(path, stored | {SEAL: sealed(texts, digest)[SEAL]})


def narrow(path: Path, places: Slots, kinds: Mapping[str, str]) -> Slots:
    """Change the types of tensors; their numbers stay the same."""
    model, sizes = Model(path.read_bytes()), dict(places.sizes)
    for name, kind in kinds.items():
        for place in places.constants[name]:
            for added, like in _store(model, place[0], kind):
                for size, found in sizes.items():
                    same = [[added, *rest] for number, *rest in found if number == like]
                    sizes[size] = [*found, *(one for one in same if one[1] == "axis")]
    model.write(path, {})
    return replace(places, sizes=sizes)


def _store(model: Model, tensor: int, kind: str) -> list[tuple[int, int]]:
    """Store a tensor as `int8` or `float16`.

    A fully connected layer in int8 quantises its input at run time, as LiteRT's dynamic range
    quantisation does; in float16 its weights are widened first, which LiteRT does once.

    Returns:
        The added tensors, each with the tensor whose shape it has.
    """
    from ai_edge_litert import schema_py_generated as schema

    operators, graph = schema.BuiltinOperator, model.graph
    graph.tensors[tensor].type = _TYPES[kind]
    if kind == "int8":
        scale = schema.QuantizationParametersT()
        scale.scale, scale.zeroPoint = np.ones(1, np.float32), np.zeros(1, np.int64)
        graph.tensors[tensor].quantization = scale
    values = np.zeros(int(np.prod(graph.tensors[tensor].shape)), np.int8)
    model.set_constant(tensor, values)

    widened: list[Any] = []
    added = []
    for place, operator in reversed(list(enumerate(graph.operators))):
        if tensor not in operator.inputs:
            continue
        if model.kind(operator) == operators.GATHER:
            found = int(operator.outputs[0])
            small = model.add_tensor(f"{tensor}_{kind}", graph.tensors[found].shape, _TYPES[kind])
            operator.outputs = [small]
            added.append((small, found))
            cast = model.operator(operators.CAST, 1, [small], [found])
            cast.builtinOptionsType = schema.BuiltinOptions.CastOptions
            cast.builtinOptions = schema.CastOptionsT()
            cast.builtinOptions.inDataType = _TYPES[kind]
            cast.builtinOptions.outDataType = FLOAT32
            graph.operators.insert(place + 1, cast)
        elif model.kind(operator) == operators.FULLY_CONNECTED and kind == "int8":
            operator.opcodeIndex = model.code(operators.FULLY_CONNECTED, 9)
            operator.builtinOptions.asymmetricQuantizeInputs = True
        elif model.kind(operator) == operators.FULLY_CONNECTED:
            wide = model.add_tensor(f"{tensor}_float32", graph.tensors[tensor].shape, FLOAT32)
            added.append((wide, tensor))
            operator.inputs = [wide if one == tensor else one for one in operator.inputs]
            widened.append(model.operator(operators.DEQUANTIZE, 3, [tensor], [wide]))
        else:
            raise ValueError(f"operator {model.kind(operator)} takes no {kind}")
    graph.operators = widened + graph.operators
    return added
