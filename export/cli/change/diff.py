"""pocketknn diff: what differs between two artefacts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pocketknn.export.cli.console.terminal import console, say_json
from pocketknn.export.manifest.stored import Opened, open_artefact

_SHOWN = 10
# Of a manifest, what decides the answers.
_CHOICES = ("head", "k", "metric", "vote", "balanced", "ios", "author", "license", "version")


def diff_artefacts(one: Path, other: Path, as_json: bool) -> bool:
    """Print which references, labels and choices differ. Whether nothing does.

    Raises:
        InputError: one of them cannot be read.
    """
    found = differences(open_artefact(one), open_artefact(other))
    if as_json:
        say_json(found)
    else:
        for line in _lines(found):
            console.print(line, markup=False)
    return not any(found.values())


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


def _lines(found: dict[str, Any]) -> list[str]:
    if not any(found.values()):
        return ["no difference"]
    lines = [f"{name}: {pair[0]} became {pair[1]}" for name, pair in found["choices"].items()]
    if labels := found["labels"]:
        gone = [name for name in labels["from"] if name not in labels["to"]]
        come = [name for name in labels["to"] if name not in labels["from"]]
        lines += [f"class {name} is gone" for name in gone]
        lines += [f"class {name} is new" for name in come]
        if not gone and not come:
            lines.append("the classes have another order")
    for what in ("removed", "added"):
        lines += _listed(
            what, [f"{r['id']} {r['label']} {r['path']}".rstrip() for r in found[what]]
        )
    lines += _listed(
        "relabelled", [f"{r['id']} {r['from']} became {r['to']}" for r in found["relabelled"]]
    )
    lines += _listed("of other vectors", found["other_vectors"])
    if found["moved"]:
        lines.append(f"{found['moved']} references have another index")
    return lines


def _listed(what: str, items: list[str]) -> list[str]:
    if not items:
        return []
    more = [f"  … and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    return [f"{len(items)} references {what}:", *(f"  {item}" for item in items[:_SHOWN]), *more]
