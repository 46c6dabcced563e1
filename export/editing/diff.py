"""The differences between two artefacts: references, labels and choices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pocketknn.builder.choices import growth
from pocketknn.export.manifest.read_back import Opened

# Manifest entries that decide the answers.
_CHOICES = ("head", "k", "metric", "vote", "balanced", "ios", "author", "license", "version")


def differences(one: Opened, other: Opened) -> dict[str, Any]:
    """The differences by topic; lists and objects are empty if there are none."""
    before, after = ({str(row["id"]): row for row in side.metadata.rows()} for side in (one, other))
    both = [name for name in before if name in after]
    labels = {"from": [*one.fit.references.labels], "to": [*other.fit.references.labels]}
    moved = sum(before[name]["index"] != after[name]["index"] for name in both)
    return {
        "choices": _choices(one, other),
        "labels": labels if labels["from"] != labels["to"] else {},
        "removed": [_summary(row) for name, row in before.items() if name not in after],
        "added": [_summary(row) for name, row in after.items() if name not in before],
        "relabelled": [
            {"id": name, "from": before[name]["label"], "to": after[name]["label"]}
            for name in both
            if before[name]["label"] != after[name]["label"]
        ],
        "other_vectors": _other_vectors(one, other, both),
        "moved": moved if len(both) == len(before) == len(after) else 0,
    }


def _choices(one: Opened, other: Opened) -> dict[str, list[Any]]:
    """Pairs of values that differ, by name."""
    before, after = _facts(one), _facts(other)
    pairs = {name: [value, after[name]] for name, value in before.items()}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _facts(side: Opened) -> dict[str, Any]:
    manifest = side.metadata.manifest
    projection, backbone = manifest["projection"] or {}, manifest["backbone"] or {}
    memory = manifest.get(growth.NAME, {})
    return {name: manifest[name] for name in _CHOICES} | {
        "threshold": side.fit.threshold,
        "projection": side.fit.spec.projection,
        "components": projection.get("size"),
        "whiten": side.fit.spec.whiten,
        "format": side.format,
        "precision": side.precision,
        "backbone": backbone.get("name"),
        "backbone_sha256": backbone.get("sha256"),
        "input": manifest["input"]["shape"],
        "crop": manifest["input"].get("crop"),
        "slots": memory.get("slots"),
        "spare": memory.get("spare"),
    }


def _summary(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "label", "path")}


def _other_vectors(one: Opened, other: Opened, ids: list[str]) -> list[str]:
    """Ids whose vectors differ by more than rounding."""
    sides = [side.fit.references for side in (one, other)]
    if sides[0].dim != sides[1].dim:
        return ids
    rows = [{name: row for row, name in enumerate(side.ids)} for side in sides]
    first, second = (
        side.vectors[np.array([row[name] for name in ids], np.int64)]
        for side, row in zip(sides, rows, strict=True)
    )
    lengths = np.maximum(np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1))
    apart = np.linalg.norm(first - second, axis=1) > 1e-5 * lengths  # as precise as parity
    return [name for name, far in zip(ids, apart, strict=True) if far]
