"""Rank very many references in two stages; `storage.groups` says how and why."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from pocketknn.export.formats.storage.groups import LOWEST, groups

if TYPE_CHECKING:
    from typing import Any

    import onnx

_SCORES = re.compile(r"pocketknn(_\d+)?/(references|scan)\w*/MatMul:0")  # of all references


def in_two_stages(graph: onnx.GraphProto, n: int) -> None:
    """Replace each top-k of the scores of n references."""
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in graph.initializer if len(tensor.dims) == 1}
    nodes = []
    for node in graph.node:
        made = [node]
        if node.op_type == "TopK" and _SCORES.fullmatch(node.input[0]):
            (k,) = numpy_helper.to_array(constants[node.input[1]])
            made = _stages(graph, node, n, int(k)) or made
        nodes += made
    del graph.node[:]
    graph.node.extend(nodes)


def _stages(
    graph: onnx.GraphProto, node: onnx.NodeProto, n: int, k: int
) -> list[onnx.NodeProto] | None:
    """The nodes that replace a top-k; None if it is not replaced."""
    from onnx import helper, numpy_helper

    if (cut := groups(n, k)) is None:
        return None
    (scores, wanted), (best, indices) = node.input, node.output
    made: list[onnx.NodeProto] = []

    def held(name: str, values: ArrayLike, kind: type = np.int64) -> str:
        full = f"{node.name}_{name}"
        graph.initializer.append(numpy_helper.from_array(np.array(values, kind), full))
        return full

    def add(
        operator: str,
        inputs: list[str],
        name: str,
        count: int = 1,
        **how: Any,  # noqa: ANN401
    ) -> list[str]:
        outputs = [f"{node.name}_{name}:{place}" for place in range(count)]
        made.append(helper.make_node(operator, inputs, outputs, f"{node.name}_{name}", **how))
        return outputs

    if cut.empty:
        ends = held("ends", [0, 0, 0, cut.empty])
        (scores,) = add("Pad", [scores, ends, held("lowest", LOWEST, np.float32)], "whole")
    (rows,) = add("Reshape", [scores, held("grouped", [-1, cut.many, cut.size])], "rows")
    (largest,) = add("ReduceMax", [rows], "largest", axes=[2], keepdims=0)
    _, chosen = add("TopK", [largest, wanted], "groups", 2)
    ordered, _ = add("TopK", [chosen, wanted], "ordered", 2, largest=0)
    (where,) = add("Unsqueeze", [ordered, held("axis", [2])], "where")
    (near,) = add("GatherND", [rows, where], "near", batch_dims=1)
    (flat,) = add("Reshape", [near, held("flat", [-1, k * cut.size])], "flat")
    made.append(helper.make_node("TopK", [flat, wanted], [best, f"{node.name}_places"], node.name))
    size = held("size", cut.size)
    (group,) = add("Div", [f"{node.name}_places", size], "group")
    (first,) = add("Mul", [group, size], "first")
    (beyond,) = add("Sub", [f"{node.name}_places", first], "beyond")
    (found,) = add("GatherElements", [ordered, group], "found", axis=1)
    (start,) = add("Mul", [found, size], "start")
    made.append(helper.make_node("Add", [start, beyond], [indices], f"{node.name}_indices"))
    return made
