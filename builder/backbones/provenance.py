"""Where embeddings come from: two that do not agree on it cannot be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_type_hints

from pocketknn.builder.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Which backbone made the embeddings, and of what part of each picture.

    Attributes:
        backbone: its name, as in `Spec.backbone`.
        alpha: width of a MobileNet, or None.
        size: side of its square input in pixels.
        input_range: the pixel values the network itself wants.
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
        """The provenance that a file notes.

        Raises:
            InputError: it notes something else.
        """
        kinds = get_type_hints(cls)
        if isinstance(noted, dict) and set(noted) == set(kinds):
            # JSON and people write 1 for 1.0.
            fits = {name: kind if kind is str else kind | int for name, kind in kinds.items()}
            if all(isinstance(noted[name], kind) for name, kind in fits.items()):
                return cls(**noted)
        raise InputError("what it notes of its backbone is damaged, or of a later pocketknn")

    def __str__(self) -> str:
        return f"{self.backbone} at {self.size} ({self.sha256[:12]}, {self.crop})"
