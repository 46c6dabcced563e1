"""A backbone alone, as an ONNX file whose one output is the embedding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.backbones.load import backbone_of, load_backbone, spec_of
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import Spec
from pocketknn.export.formats.options import Options
from pocketknn.export.manifest.describe import describe
from pocketknn.export.templates import template
from pocketknn.export.templates.template import Order

_FORMAT, _PRECISION = "onnx", "float32"


@dataclass(frozen=True, kw_only=True, eq=False)
class Embedder:
    """A backbone, and the options that name it to another process.

    Attributes:
        spec: names the backbone and the crop.
        backbone: the backbone that `spec` names.
    """

    spec: Spec
    backbone: Backbone

    @classmethod
    def named(cls, spec: Spec) -> Embedder:
        """The backbone that a spec names."""
        return cls(spec=spec, backbone=load_backbone(spec))

    @classmethod
    def of(cls, references: References) -> Embedder:
        """The backbone that embedded some references.

        Raises:
            InputError: it is not known, or cannot be loaded.
        """
        if references.provenance is None:
            raise InputError("the backbone of the references is unknown", "unknown-backbone")
        spec = spec_of(references.provenance)
        backbone = backbone_of(references, spec)
        assert backbone is not None, "its provenance is known"
        return cls(spec=spec, backbone=backbone)

    def options(self) -> Iterator[str]:
        """The options that give a command this backbone and crop, in whatever folder it runs."""
        spec = self.spec
        name = self.backbone.name if spec.backbone == "auto" else spec.backbone
        if name.endswith(".keras"):
            name = str(Path(name).absolute())
        yield from ("--backbone", name, "--crop", spec.crop)
        if spec.input_range != "0..255":
            yield from ("--input-range", spec.input_range)
        weights = spec.weights and spec.weights.absolute()
        for option, value in (("size", spec.size), ("alpha", spec.alpha), ("weights", weights)):
            if value is not None:
                yield from (f"--{option}", str(value))

    def stand_in(self) -> References:
        """A reference from this backbone, to import a memory that was taught with it (`--like`)."""
        origin = self.backbone.provenance(self.spec.crop)
        return References.of(_anything(self.backbone.dim)[:1], ["anything"], provenance=origin)

    def write(self, path: Path) -> dict[str, Any]:
        """Write the ONNX file, which maps `image` to `embedding`, a unit vector.

        Returns:
            A manifest of its input and its backbone.
        """
        stored = References.of(_anything(self.backbone.dim))
        choices = Spec(head="neighbors", k=1, projection="none", crop=self.spec.crop)
        fitted = fit(choices, stored)
        metadata = describe(fitted, self.backbone, {_FORMAT: _PRECISION})
        order = Order(
            format=_FORMAT,
            fit=fitted,
            backbone=self.backbone,
            precision=_PRECISION,
            options=Options(),
            outputs="embedding",
        )
        template.write(order, metadata.part("embedding"), path)
        return metadata.manifest


def _anything(dim: int) -> Any:  # noqa: ANN401
    """Two vectors (2, dim), because a fit needs references, although the file holds none."""
    return np.eye(2, dim, dtype=np.float32)
