"""The operations of a packaged backbone, for the formats that translate them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .model import Model

# Kernels are (out, H, W, in) in LiteRT, for a depthwise convolution (1, H, W, channels).
_KERNEL = {"CONV_2D": (0, 3, 1, 2), "DEPTHWISE_CONV_2D": (3, 0, 1, 2)}
CONVOLUTIONS = tuple(_KERNEL)


class Operation(NamedTuple):
    """An operation of LiteRT.

    Attributes:
        kind: its name in LiteRT.
        inputs: the numbers of its tensors.
        output: the number of its result.
        relu6: whether its result is clipped to 0..6.
        strides: strides of a convolution, by height and width.
        same: whether a convolution pads its input, so that a stride of 1 keeps the size.
    """

    kind: str
    inputs: tuple[int, ...]
    output: int
    relu6: bool
    strides: tuple[int, int]
    same: bool


class Network:
    """A float32 TFLite file as the builder fills it, with one input and one embedding.

    Attributes:
        operations: in order.
        picture: the number of the input's tensor.
        dim: length of the embedding.
    """

    def __init__(self, content: bytes) -> None:
        """Read a file.

        Raises:
            NotImplementedError: an operation has another activation than ReLU6 or none.
        """
        from ai_edge_litert import schema_py_generated as schema

        self._schema, self._model = schema, Model(content)
        graph = self._model.graph
        self.picture = int(graph.inputs[0])
        self.dim = int(graph.tensors[graph.outputs[0]].shape[-1])
        self._kinds = {number: kind for kind, number in vars(schema.BuiltinOperator).items()}
        self.operations = [self._operation(one) for one in graph.operators]

    def constant(self, number: int) -> NDArray[Any] | None:
        """The values of a constant tensor; None for a computed one."""
        values = self._model.constant(number)
        shape = self._model.graph.tensors[number].shape
        return None if values is None else values.reshape(np.array(shape, int))

    def convolution(self, one: Operation) -> tuple[NDArray[Any], NDArray[Any], int]:
        """Kernel (out, in, H, W), bias (out,) and number of groups of a convolution."""
        kernel, bias = (self.constant(number) for number in one.inputs[1:])
        assert kernel is not None  # a convolution's numbers are in the file
        assert bias is not None
        kernel = kernel.transpose(_KERNEL[one.kind])
        return kernel, bias, 1 if one.kind == "CONV_2D" else len(kernel)

    def _operation(self, one: Any) -> Operation:  # noqa: ANN401  # the schema has no types
        kind, options = self._kinds[self._model.kind(one)], one.builtinOptions
        activations = self._schema.ActivationFunctionType
        activation = getattr(options, "fusedActivationFunction", activations.NONE)
        if activation not in (activations.NONE, activations.RELU6):
            raise NotImplementedError(f"a LiteRT operation {kind} with the activation {activation}")
        return Operation(
            kind=kind,
            inputs=tuple(map(int, one.inputs)),
            output=int(one.outputs[0]),
            relu6=activation == activations.RELU6,
            strides=(getattr(options, "strideH", 1), getattr(options, "strideW", 1)),
            same=getattr(options, "padding", None) == self._schema.Padding.SAME,
        )
