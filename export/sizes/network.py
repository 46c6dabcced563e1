"""Rule out a budget that the network alone exceeds, before any photo is embedded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.backbones.load import load_backbone
from pocketknn.builder.errors import InputError
from pocketknn.builder.spec import Spec
from pocketknn.export.formats.options import PRECISIONS, Options
from pocketknn.export.formats.table import FORMATS, precision_of

from .budget import Budget, of_devices, refused, whole
from .estimate import network_of

_ERROR = 0.1  # of the estimate; it is accurate to a few per cent
_SMALL = "bundled"  # the smallest that needs no download


def check(
    spec: Spec, backbone: Backbone, budget: Budget, formats: Sequence[str], options: Options
) -> None:
    """Refuse a budget that no precision of the network can meet.

    Raises:
        InputError: even the smallest precision is too large; the message says what would fit.
    """
    size = _smallest(backbone, formats, options)
    if (1 - _ERROR) * size <= budget.bytes:
        return
    raise InputError(
        f"the network alone takes about {size / 1e6:.1f} MB at its smallest precision, but the"
        f" budget is {budget.bytes / 1e6:.2f} MB; use --budget {whole((1 + _ERROR) * size)} or"
        f" more{smaller(spec, backbone, formats, options)}",
        "budget-not-met",
    )


def smaller(spec: Spec, backbone: Backbone, formats: Sequence[str], options: Options) -> str:
    """Words that name a smaller network and its budget; "" if there is none."""
    if backbone.name in (_SMALL, "pixels"):
        return ""
    plain = replace(
        spec, backbone=_SMALL, size=None, alpha=None, weights=None, input_range="0..255"
    )
    size = _smallest(load_backbone(plain), formats, options)
    if size >= _smallest(backbone, formats, options):
        return ""
    return f", or --backbone {_SMALL} --budget {whole((1 + _ERROR) * size)}"


def _smallest(backbone: Backbone, formats: Sequence[str], options: Options) -> int:
    """Approximate bytes of the largest file's network, at the precision that makes it smallest."""
    network, impossible = network_of(backbone.model), refused(formats, options)
    tried = [options.precision] if options.precision else set(PRECISIONS) - impossible.keys()
    given = [replace(options, precision=one) for one in tried]
    return min(
        max(
            FORMATS[name].backbone_bytes(network, precision_of(name, one, backbone))
            for name in of_devices(formats)
        )
        for one in given
    )
