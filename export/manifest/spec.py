"""The choices of a build, read back from its manifest."""

from __future__ import annotations

from typing import Any

from pocketknn.builder.spec import Spec


def spec_of(manifest: dict[str, Any]) -> Spec:
    """The choices of a build that its files are judged by."""
    search, projection = manifest["search"], manifest["projection"] or {"by": "none"}
    components = projection if projection["by"] == "pca" else None
    return Spec(
        head=manifest["head"],
        metric=manifest["metric"],
        k=manifest["k"],
        projection=projection["by"],
        pca=int(components["size"]) if components else None,
        whiten=float(components["whiten"]) if components else None,
        vote=manifest["vote"] or "uniform",
        temperature=manifest["temperature"],
        balanced=bool(manifest["balanced"]),
        reject=float(manifest["reject"]["threshold"]) if manifest["reject"] else None,
        references_precision=search["references_precision"],
        search=search["by"],
        candidates=search["candidates"] if search["by"] != "exact" else None,
        probes=search["probes"] if search["by"] == "ivf" else None,
        seed=manifest["seed"],
    )
