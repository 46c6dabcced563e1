"""The references a row each, as files are filled: coremltools stores their columns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .package import Package

_TABLES = re.compile(r"pocketknn(_\d+)?_(references|scan)_")  # names of the search's constants


def store_rows(package: Package) -> None:
    """Multiply by a table of rows where its columns are stored, and store it once."""
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
