"""Manifests of earlier versions."""

from __future__ import annotations

from typing import Any

EXACT: dict[str, Any] = {
    "by": "exact",
    "references_precision": "float32",
    "candidates": 0,
    "components": 0,
    "cells": 0,
    "probes": 0,
    "recall": None,
    "queries": 0,
}


def upgrade(manifest: dict[str, Any]) -> None:
    """Bring the manifest of an earlier version to the keys of this one."""
    manifest.setdefault("search", dict(EXACT))
    manifest.setdefault("temperature", None)
    if "projection" not in manifest:
        pca = manifest.pop("pca")
        # Builds before there was whitening do not name it.
        manifest["projection"] = pca and {"by": "pca", "whiten": 0.0} | pca
    manifest.setdefault("scores_of", "pca" if manifest["projection"] else "embedding")
