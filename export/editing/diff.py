"""What differs between two artefacts: references, labels and choices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pocketknn.export.manifest.read_back import Opened

# Of a manifest, what decides the answers.
_CHOICES = ("head", "k", "metric", "vote", "balanced", "ios", "author", "license", "version")


def differences(one: Opened, other: Opened) -> dict[str, Any]:
    """What differs, by what it is about; empty lists and objects where nothing does."""
    rows = [{str(row["id"]): row for row in side.metadata.rows()} for side in (one, other)]
    both = [name for name in rows[0] if name in rows[1]]
    return {
        "choices": _choices(one, other),
        "labels": _changed([*one.fit.references.labels], [*other.fit.references.labels]),
        "removed": [_said(rows[0][name]) for name in rows[0] if name not in rows[1]],
        "added": [_said(rows[1][name]) for name in rows[1] if name not in rows[0]],
        "relabelled": [
            {"id": name, "from": rows[0][name]["label"], "to": rows[1][name]["label"]}
            for name in both
            if rows[0][name]["label"] != rows[1][name]["label"]
        ],
        "other_vectors": _other_vectors(one, other, both),
        "moved": sum(rows[0][name]["index"] != rows[1][name]["index"] for name in both)
        if len(both) == len(rows[0]) == len(rows[1])
        else 0,
    }


def _choices(one: Opened, other: Opened) -> dict[str, list[Any]]:
    """Pairs of values that differ, by name."""
    said = [_facts(side) for side in (one, other)]
    return {
        name: [said[0][name], said[1][name]] for name in said[0] if said[0][name] != said[1][name]
    }


def _facts(side: Opened) -> dict[str, Any]:
    manifest = side.metadata.manifest
    facts = {name: manifest[name] for name in _CHOICES}
    return facts | {
        "threshold": side.fit.threshold,
        "projection": side.fit.spec.projection,
        "components": manifest["projection"]["size"] if manifest["projection"] else None,
        "whiten": side.fit.spec.whiten,
        "format": side.format,
        "precision": side.precision,
        "backbone": manifest["backbone"]["name"] if manifest["backbone"] else None,
        "backbone_sha256": manifest["backbone"]["sha256"] if manifest["backbone"] else None,
        "input": manifest["input"]["shape"],
        "crop": manifest["input"].get("crop"),
    }


def _changed(before: list[str], after: list[str]) -> dict[str, list[str]]:
    if before == after:
        return {}
    return {"from": before, "to": after}


def _said(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "label", "path")}


def _other_vectors(one: Opened, other: Opened, ids: list[str]) -> list[str]:
    """Ids whose references are not the same numbers, but for rounding."""
    vectors = [side.fit.references.vectors for side in (one, other)]
    if vectors[0].shape[1] != vectors[1].shape[1]:
        return ids
    places = [
        {name: row for row, name in enumerate(side.fit.references.ids)} for side in (one, other)
    ]
    here, there = (
        one[np.array([place[name] for name in ids], np.int64)]
        for one, place in zip(vectors, places, strict=True)
    )
    lengths = np.maximum(np.linalg.norm(here, axis=1), np.linalg.norm(there, axis=1))
    apart = np.linalg.norm(here - there, axis=1) > 1e-5 * lengths  # as far as parity looks
    return [name for name, far in zip(ids, apart, strict=True) if far]
