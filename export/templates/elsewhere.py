"""Convert in the process of Keras, so that this one need not import it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pocketknn.builder.backbones.load import is_installed, load_backbone
from pocketknn.builder.graph.placeholder import stand_in
from pocketknn.builder.spec import Spec
from pocketknn.export.formats.keras import apart
from pocketknn.export.formats.storage.slots import Slots

if TYPE_CHECKING:
    from .order import Order


def converted(order: Order, path: Path) -> Slots | None:
    """As `converting.converted`, in the other process; None if there is none, or it fails.

    The other process loads the backbone by name, so a network from a file is converted here.
    """
    backbone = order.backbone
    if backbone is not None and not is_installed(backbone.name):
        return None
    fit = order.fit
    if not order.is_fixed():  # then the references do not matter
        fit = stand_in(fit, ())
    sent = replace(order, fit=fit, backbone=None, cache=None)
    if replace(sent, backbone=backbone).facts() != order.facts():
        return None
    named = backbone and Spec(backbone=backbone.name, size=backbone.size)
    return apart.called(_convert, sent, named, backbone and backbone.identity(), path)


def _convert(
    order: Order, named: Spec | None, identity: list[str | int | float | None] | None, path: Path
) -> Slots | None:
    """The conversion in the other process; None if it finds another backbone under that name."""
    from . import converting

    if named is not None:
        backbone = load_backbone(named, cache=None)
        if backbone.identity() != identity:
            return None
        order = replace(order, backbone=backbone)
    return converting.converted(order, path)
