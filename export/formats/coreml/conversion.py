"""Convert the graph to a Core ML package with coremltools, deterministically."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.export.formats.conversion import Inputs, serving_function

from .files import LABEL, LABEL_PROBABILITIES
from .package import Package

if TYPE_CHECKING:
    import keras

    from pocketknn.export.formats.options import Options

_TABLES = re.compile(r"pocketknn(_\d+)?_(references|scan)_")  # names of the search's constants


def convert(
    model: keras.Model,
    path: Path,
    labels: Sequence[str],
    options: Options,
    precision: str,
    calibration: NDArray[Any] | None = None,
) -> None:
    """Convert with coremltools to an ML program for the minimum iOS version.

    `float16` is for a backbone. Heads are converted in float32, because in float16 a sum of squares
    overflows if vectors have a length above 256, and near neighbours would tie. `int8` means int8
    weights, with which Core ML computes in half precision.
    """
    import coremltools as ct

    function = serving_function(model, batch=1).get_concrete_function()
    image, memory = Inputs.of(model)
    shape = (1, *image.shape[1:])
    inputs = [
        ct.ImageType(name=image.name, shape=shape, color_layout=ct.colorlayout.RGB)
        if len(shape) == 4
        else ct.TensorType(name=image.name, shape=shape)
    ]
    if memory is not None:
        inputs.append(ct.TensorType(name=memory.name, shape=memory.shape))
    minimum = getattr(ct.target, f"iOS{options.ios}")
    both = {"minimum_deployment_target": minimum, "skip_model_load": True}
    # In two steps: in one, ClassifierConfig together with another output raises IndexError.
    program = ct.convert(
        [function],
        source="tensorflow",
        convert_to="milinternal",
        compute_precision=ct.precision.FLOAT32,
        inputs=inputs,
        **both,
    )
    names = {t.name.split(":")[0]: name for name, t in function.structured_outputs.items()}
    for value in program.functions["main"].outputs:
        value.name = names[value.name]
    passes = ct.PassPipeline.DEFAULT
    # This pass turns the indices of topk into uint16, whatever the number of references.
    passes.remove_passes({"common::add_int16_cast"})
    converted = ct.convert(
        program,
        convert_to="mlprogram",
        compute_precision=ct.precision.FLOAT32
        if precision == "float32"
        else ct.transform.FP16ComputePrecision(),
        pass_pipeline=passes,
        classifier_config=ct.ClassifierConfig(
            list(labels),
            predicted_feature_name=LABEL,
            predicted_probabilities_output="probabilities",
        )
        if labels
        else None,
        **both,
    )
    spec = converted.get_spec()
    if labels:
        ct.utils.rename_feature(spec, f"{LABEL}_probs", LABEL_PROBABILITIES)
    for feed in spec.description.input:
        if memory is not None and feed.name == memory.name:
            # Vision feeds only a picture; then nothing has been taught.
            feed.type.isOptional = True
            feed.type.multiArrayType.floatDefaultValue = 0.0
    named = ct.models.MLModel(spec, weights_dir=converted.weights_dir, skip_model_load=True)
    if precision == "int8":
        named = _quantize(named)
    named.save(str(path))
    package = Package(path)
    _store_rows(package)
    package.rewrite()


def _quantize(model: Any) -> Any:  # noqa: ANN401  # coremltools' MLModel has no stubs
    """Make weights of convolutions int8, with a scale per output channel; Core ML widens them."""
    import coremltools.optimize.coreml as cto

    how = cto.OpLinearQuantizerConfig(mode="linear_symmetric")
    config = cto.OptimizationConfig(op_type_configs={"conv": how})
    return cto.linear_quantize_weights(model, config)


def _store_rows(package: Package) -> None:
    """Store a table by rows, and only once, even for a product that reads its columns."""
    block = package.block
    of_name = {op.outputs[0].name: op for op in block.operations if op.type == "const"}
    tables = {
        called: values
        for called, op in of_name.items()
        if _TABLES.match(called)
        and len(op.outputs[0].type.tensorType.dimensions) == 2
        and (values := package.array(op.attributes["val"])) is not None
    }
    for product in [op for op in block.operations if op.type == "matmul"]:
        (given,) = product.inputs["y"].arguments
        if given.name not in tables:
            continue
        table = of_name[given.name]
        axes = [one.constant.size for one in table.outputs[0].type.tensorType.dimensions]
        rows = tables[given.name].reshape(axes).T
        others = (one for one in tables if one != given.name)
        twins = [one for one in others if np.array_equal(tables[one], rows.ravel())]
        if twins:
            given.name = twins[0]
            block.operations.remove(table)
        else:
            package.replace(table.attributes["val"], rows)
            for kind in (table.outputs[0].type, table.attributes["val"].type):
                for axis, size in zip(kind.tensorType.dimensions, rows.shape, strict=True):
                    axis.constant.size = size
        (how,) = product.inputs["transpose_y"].arguments
        turned = type(product)()
        turned.CopyFrom(of_name[how.name])
        turned.outputs[0].name = turned.attributes["name"].immediateValue.tensor.strings.values[
            0
        ] = f"{given.name}_by_rows"
        turned.attributes["val"].immediateValue.tensor.bools.values[:] = [True]
        how.name = turned.outputs[0].name
        block.operations.insert(0, turned)
