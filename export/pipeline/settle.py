"""What a build decides before it writes anything: each format's precision, and the fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.spec import AUTO, Spec
from pocketknn.export.formats.files import check_formats
from pocketknn.export.formats.table import FORMATS, precision_of
from pocketknn.export.sizes.estimate import check_held, check_size

if TYPE_CHECKING:
    from pocketknn.builder.backbones.backbone import Backbone
    from pocketknn.builder.knn.fit import Fit
    from pocketknn.builder.references.references import References
    from pocketknn.export.formats.options import Options


def settle(
    spec: Spec,
    references: References,
    backbone: Backbone | None,
    options: Options,
    formats: Sequence[str],
) -> tuple[Fit, dict[str, str]]:
    """The fit, and the precision of each format's backbone.

    Raises:
        InputError: files cannot hold so many references, or do what was chosen; before the fit,
            where that can be told, and else after it.
    """
    check_formats(formats)
    check_size(formats, len(references), references.dim, spec)
    if spec.search != AUTO:  # which may end at what can be combined with everything
        _check_search(spec, formats, options)
    precision = {name: precision_of(name, options, backbone) for name in dict.fromkeys(formats)}
    found = fit(spec, references)
    if spec.projection in (AUTO, "classes"):  # of which the width was not known before
        whole = replace(found.spec, projection="none", pca=None, whiten=None)
        check_size(formats, len(references), found.space.width, whole)
    if found.index is not None:
        _check_search(found.spec, formats, options)
        check_held(formats, found.index)
    return found, precision


def _check_search(spec: Spec, formats: Sequence[str], options: Options) -> None:
    """Refuse what a search or small references cannot be combined with."""
    if not spec.indexed:
        return
    if "scores" in options.outputs:
        raise InputError(
            "the output 'scores' is there for float32 references and the search exact only"
        )
    bytes_ = spec.references_precision == "int8" or SEARCHES[spec.search].SCANS
    for name in formats:
        FORMATS[name].check_options(options, bytes_=bytes_)
