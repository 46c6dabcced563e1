"""The choices of a build and where its references come from, read back from its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pocketknn.builder.backbones.provenance import Provenance
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.spec import Spec


def spec_of(manifest: Mapping[str, Any]) -> Spec:
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
        candidates=search["candidates"] if SEARCHES[search["by"]].SCANS else None,
        probes=search["probes"] if SEARCHES[search["by"]].CELLS else None,
        seed=manifest["seed"],
    )


def provenance_of(manifest: Mapping[str, Any]) -> Provenance | None:
    """Where the references of a build come from."""
    said, given = manifest["backbone"], manifest["input"]
    if said is None:
        return None
    return Provenance(
        backbone=said["name"],
        alpha=said["alpha"],
        size=given["shape"][0],
        input_range=said["input_range"],
        sha256=said["sha256"],
        crop=given["crop"],
    )
