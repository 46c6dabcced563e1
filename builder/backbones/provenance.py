"""Where embeddings come from; only those of the same provenance can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_type_hints

from pocketknn.builder.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The backbone that made the embeddings, and the crop policy.

    Attributes:
        backbone: its name, as in `Spec.backbone`.
        alpha: width of a MobileNet, or None.
        size: side of its square input in pixels.
        input_range: the pixel range that the network expects.
        sha256: hash of its weights by value.
        crop: how a picture became a square.
    """

    backbone: str
    alpha: float | None
    size: int
    input_range: str
    sha256: str
    crop: str

    @classmethod
    def of_json(cls, noted: Any) -> Provenance:  # noqa: ANN401
        """The provenance from a file's metadata.

        Raises:
            InputError: not a provenance.
        """
        kinds = get_type_hints(cls)
        if isinstance(noted, dict) and set(noted) == set(kinds):
            # Accept 1 for 1.0, as JSON and people write it.
            fits = {name: kind if kind is str else kind | int for name, kind in kinds.items()}
            if all(isinstance(noted[name], kind) for name, kind in fits.items()):
                return cls(**noted)
        raise InputError(
            "its backbone metadata is damaged, or a later pocketknn wrote it", "bad-provenance"
        )

    def __str__(self) -> str:
        return f"{self.backbone} at {self.size} ({self.sha256[:12]}, {self.crop})"
