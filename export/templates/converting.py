"""Convert a graph with the official converter, which imports Keras."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.backbones.networks.keras_models import fresh_names
from pocketknn.builder.graph.placeholder import is_fixed, stand_in
from pocketknn.builder.graph.wire import BACKBONE, wire
from pocketknn.export.formats.storage.slots import Slots
from pocketknn.export.formats.table import FORMATS

from .content import content_of

if TYPE_CHECKING:
    from .order import Order


def converted(order: Order, path: Path) -> Slots:
    """Convert an order, with made-up references if the graph allows it.

    Args:
        order: what to convert.
        path: the file to create.

    Returns:
        The places in it where data depends on the references.
    """
    target, fit = FORMATS[order.format], order.fit
    varies = order.outputs != BACKBONE and not is_fixed(fit)
    if varies:
        fit = stand_in(fit, _sizes(order.backbone), free=order.backbone is None)
    with fresh_names(), _no_bytecode():
        model = wire(
            fit,
            order.backbone,
            precision=order.precision,
            outputs=order.outputs,
            slots=fit.slots if target.FIXED else None,
        )
        labels = () if order.outputs == BACKBONE else fit.labels
        precision = order.precision if order.backbone else "float32"
        with _frozen():
            target.convert(model, path, labels, order.options, precision, order.calibration)
    if not varies:
        return Slots()
    content = content_of(fit, order.precision, order.outputs)
    if order.backbone is not None:  # then the real ones are in the graph
        free = fit.free_sizes  # in the order of `content`, as equal sizes go by the first name
        sizes = {name: size for name, size in content.sizes.items() if name not in free}
        content = replace(content, sizes=sizes)
    slots = target.locate(path, content)
    if small := content.small():
        slots = target.narrow(path, slots, small)
    return slots


@contextmanager
def _frozen() -> Iterator[None]:
    """Exempt existing objects from garbage collection, as TensorFlow has a million of them.

    coremltools runs several full collections in each conversion. Objects that the program itself
    froze stay frozen.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Write no bytecode: TensorFlow imports modules it wrote into the temporary folder.

    TensorFlow removes the modules afterwards, but not the bytecode that Python would leave beside
    them.
    """
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _sizes(backbone: Backbone | None) -> set[int]:
    """All sizes that occur in a backbone's tensors."""
    if backbone is None:
        return set()
    layers = backbone.model._flatten_layers()
    shapes = [getattr(layer, "output", None) for layer in layers]
    found = {size for weight in backbone.model.weights for size in weight.shape}
    for shape in (getattr(one, "shape", ()) for one in shapes):
        found |= {size for size in shape if size is not None}
    return found
