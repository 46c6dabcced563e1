"""What to convert, and the key by which a converted graph is found again."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pocketknn import builder
from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.graph.wire import BACKBONE
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.system.cache import USUAL, Cache
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.requirements import PACKAGES, installed

READY = Path(__file__).parent / "ready"


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """What to convert.

    Attributes:
        format: its name in `FORMATS`.
        fit: the choices; references matter only as far as they change the graph.
        backbone: the feature extractor, or None.
        precision: precision of the backbone.
        options: how the files are written.
        outputs: as for `builder.graph.wire`.
        calibration: the pictures that calibrate int8.
        cache: stores the template; None for no cache.
    """

    format: str
    fit: Fit
    backbone: Backbone | None
    precision: str
    options: Options
    outputs: str = "neighbors"
    calibration: NDArray[Any] | None = None
    cache: Cache | None = USUAL

    def key(self) -> str:
        """Hash of everything that determines the converted graph."""
        return _hash([self.facts(), _versions()])

    def ready(self) -> Path | None:
        """The folder of the head, if it comes with this package (see `make_ready`), or None."""
        folder = READY / self.name
        is_head = self.backbone is None and not self.is_fixed()
        return folder if is_head and folder.is_dir() else None

    def kept(self) -> Path | None:
        """Where the cache holds, or would hold, the template; None if it is never cached."""
        place = self.cache.drawer("templates") if self.cache else None
        return None if place is None or self.is_fixed() else place / f"{self.format}-{self.key()}"

    @property
    def name(self) -> str:
        """A name for the graph that does not depend on versions."""
        return f"{self.format}-{_hash(self.facts())}"

    def facts(self) -> list[Any]:
        """Everything that determines the graph, apart from the versions of code and converters."""
        facts: list[Any] = [self.format, self.options.ios, self.outputs]
        if self.backbone:
            pictures = self.calibration if self.precision == "int8" else None
            ranges = None if pictures is None else hashlib.sha256(pictures.data).hexdigest()
            facts += [self.backbone.identity(), self.precision, self.options.pixels, ranges]
        return facts + (self._choices() if self.outputs != BACKBONE else [])

    def is_fixed(self) -> bool:
        """Whether the graph depends on the number of references, so that no other number fits."""
        from pocketknn.builder.graph.placeholder import is_fixed

        return self.outputs != BACKBONE and is_fixed(self.fit)

    def _choices(self) -> list[Any]:
        fit, references = self.fit, self.fit.references
        free = fit.free_sizes if self.backbone is None else {}
        whole = self.outputs == "neighbors"
        sizes = {"dim": references.dim, "width": fit.space.width}
        if whole:
            sizes["neighbors"] = fit.listed
        found: list[Any] = [
            {name: size for name, size in sizes.items() if name not in free},
            fit.space.projection is None,
            fit.spec.metric,
            # A memory's vote has the precision's threshold of exact hits in the graph.
            (fit.slots, self.precision) if fit.slots else None,
            *(fit.index.numbers if fit.index else ()),
        ]
        if whole and fit.head.OUTPUT is not None:
            found += [fit.spec.head, fit.spec.vote, fit.spec.balanced, fit.threshold is None]
            found += [len(references.target_names)]
        return found


def _hash(facts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]


@functools.cache
def _versions() -> dict[str, str]:
    """Versions of everything that takes part in a conversion; for ours, a hash of the code."""
    code = hashlib.sha256()
    for folder in (Path(builder.__file__).parent, Path(__file__).parents[1]):
        for path in sorted(folder.rglob("*.py")):
            code.update(path.read_bytes())
    return installed(*PACKAGES) | {"pocketknn": code.hexdigest()}
