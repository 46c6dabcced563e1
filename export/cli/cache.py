"""pocketknn cache: what earlier builds remember."""

from __future__ import annotations

import shutil
from pathlib import Path

from pocketknn.builder.embedding import cache as caches
from pocketknn.builder.embedding.ray import shards
from pocketknn.builder.system.offline import SETTINGS
from pocketknn.export.apps.web import runtime
from pocketknn.export.cli.console import tables
from pocketknn.export.cli.console.terminal import console
from pocketknn.export.output.checksums import size
from pocketknn.export.templates import template


def show_cache() -> None:
    """Print where the cache is, and how much it holds of what."""
    place = caches.folder()
    known = caches.sizes(place) if place else []
    console.print(f"{place or 'no cache folder'}: {len(known)} caches", markup=False)
    for name, pictures, bytes_ in known:
        console.print(f"  {name}: {pictures} pictures, {tables.megabytes(bytes_)}", markup=False)
    for name, bytes_ in caches.networks(place) if place else ():
        console.print(f"  {name}: a backbone for LiteRT, {tables.megabytes(bytes_)}", markup=False)
    for path, what in _folders(place) if place else ():
        console.print(f"  {path.name}: {what}, {tables.megabytes(size(path))}", markup=False)
    if kept := _shards(place) if place else []:
        many = f"{len(kept)} parts by --engine ray, {tables.megabytes(sum(map(size, kept)))}"
        console.print(f"  {shards.FOLDER}: {many}", markup=False)


def clear_cache() -> None:
    """Remove all caches."""
    place = caches.folder()
    removed = caches.clear(place) if place else 0
    for path, _ in _folders(place) if place else ():
        shutil.rmtree(path)
        removed += 1
    for path in _shards(place) if place else ():
        path.unlink()
        removed += 1
    console.print(f"{removed} caches removed from {place}", markup=False)


def _folders(place: Path) -> list[tuple[Path, str]]:
    """What is kept as folders, and what it is."""
    templates = (path for path in caches.ours(place / template.FOLDER) if path.is_dir())
    runtimes = sorted(place.glob(f"{runtime.PACKAGE}-[0-9]*.*.*"))
    settings = (place / name for name in SETTINGS.values())
    return [
        *((path, "a converted graph to put references in") for path in templates),
        *((path, "runs the page of pocketknn web") for path in runtimes if _is_folder(path)),
        *((path, "what a library keeps for itself") for path in settings if _is_folder(path)),
    ]


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _shards(place: Path) -> list[Path]:
    """Embeddings by --engine ray."""
    return caches.ours(place / shards.FOLDER, ".parquet")
