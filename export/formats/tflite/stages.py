"""Rank very many references in two stages; `storage.groups` says how and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pocketknn.export.formats.storage.groups import LOWEST, groups

from .model import FLOAT32, INT32, Model


def in_two_stages(model: Model, n: int) -> None:
    """Replace each top-k of n scores."""
    from ai_edge_litert import schema_py_generated as schema

    operators, kinds = [], schema.BuiltinOperator
    for operator in model.graph.operators:
        made = [operator]
        if model.kind(operator) == kinds.TOPK_V2:
            scores, wanted = map(int, operator.inputs)
            k = model.constant(wanted)
            shape = [int(size) for size in model.graph.tensors[scores].shape]
            if shape == [1, n] and k is not None:
                made = _Stages(model, schema).of(operator, n, int(k[0])) or made
        operators += made
    model.graph.operators = operators


class _Stages:
    def __init__(self, model: Model, schema: Any) -> None:  # noqa: ANN401
        self._model, self._schema, self._kinds = model, schema, schema.BuiltinOperator
        self._made: list[Any] = []

    def of(self, operator: Any, n: int, k: int) -> list[Any] | None:  # noqa: ANN401
        """The operators that replace a top-k; None if it is not replaced."""
        if (cut := groups(n, k)) is None:
            return None
        kinds, (scores, wanted) = self._kinds, map(int, operator.inputs)
        best, indices = map(int, operator.outputs)
        if cut.empty:
            given = [scores, self._whole([[0, 0], [0, cut.empty]]), self._constant(LOWEST)]
            scores = self._add(kinds.PADV2, given, [1, n + cut.empty])
        rows = self._reshaped(scores, [cut.many, cut.size])
        largest = self._add(kinds.REDUCE_MAX, [rows, self._whole([1])], [cut.many], "Reducer")
        _, chosen = self._top(largest, wanted, [k])
        # There is no ascending top-k; float32 holds the numbers of all groups exactly.
        found = self._add(kinds.NEG, [self._cast(chosen, [k], INT32, FLOAT32)], [k])
        ordered, _ = self._top(found, wanted, [k])
        ordered = self._add(kinds.NEG, [ordered], [k])
        chosen = self._cast(ordered, [k], FLOAT32, INT32)
        near = self._add(kinds.GATHER, [rows, chosen], [k, cut.size], "Gather")
        near = self._reshaped(near, [1, k * cut.size])
        places = self._tensor([1, k], INT32)
        operator.inputs, operator.outputs = [near, wanted], [best, places]
        self._made.append(operator)
        size = self._whole(cut.size)
        group = self._add(kinds.FLOOR_DIV, [places, size], [1, k], "FloorDiv", INT32)
        group = self._add(kinds.GATHER, [chosen, group], [1, k], "Gather", INT32)
        first = self._add(kinds.MUL, [group, size], [1, k], "Mul", INT32)
        beyond = self._add(kinds.FLOOR_MOD, [places, size], [1, k], "FloorMod", INT32)
        self._operator(kinds.ADD, [first, beyond], [indices], "Add")
        return self._made

    def _tensor(self, shape: Sequence[int], kind: int) -> int:
        name = f"two_stages_{len(self._model.graph.tensors)}"
        return self._model.add_tensor(name, np.array(shape, np.int32), kind)

    def _whole(self, values: Any) -> int:  # noqa: ANN401
        return self._constant(np.array(values, np.int32), INT32)

    def _constant(self, values: Any, kind: int = FLOAT32) -> int:  # noqa: ANN401
        held = np.asarray(values, np.int32 if kind == INT32 else np.float32)
        name = f"two_stages_{len(self._model.graph.tensors)}"
        shape = np.array(held.shape, np.int32)
        return self._model.add_tensor(name, shape, kind, held.reshape(-1))

    def _operator(
        self, kind: int, inputs: Sequence[int], outputs: Sequence[int], options: str = ""
    ) -> Any:  # noqa: ANN401
        made = self._model.operator(kind, 1, inputs, outputs)
        if options:
            name = f"{options}Options"
            made.builtinOptionsType = getattr(self._schema.BuiltinOptions, name)
            made.builtinOptions = getattr(self._schema, f"{name}T")()
        self._made.append(made)
        return made

    def _add(
        self,
        kind: int,
        inputs: Sequence[int],
        shape: Sequence[int],
        options: str = "",
        type_: int = FLOAT32,
    ) -> int:
        """Append an operator with one output; returns the number of that output."""
        found = self._tensor(shape, type_)
        self._operator(kind, inputs, [found], options)
        return found

    def _top(self, scores: int, wanted: int, shape: Sequence[int]) -> tuple[int, int]:
        found = self._tensor(shape, FLOAT32), self._tensor(shape, INT32)
        self._operator(self._kinds.TOPK_V2, [scores, wanted], found, "TopKV2")
        return found

    def _cast(self, values: int, shape: Sequence[int], given: int, wanted: int) -> int:
        found = self._tensor(shape, wanted)
        made = self._operator(self._kinds.CAST, [values], [found], "Cast")
        made.builtinOptions.inDataType, made.builtinOptions.outDataType = given, wanted
        return found

    def _reshaped(self, values: int, shape: Sequence[int]) -> int:
        found = self._tensor(shape, FLOAT32)
        made = self._operator(self._kinds.RESHAPE, [values, self._whole(shape)], [found], "Reshape")
        made.builtinOptions.newShape = np.array(shape, np.int32)
        return found
