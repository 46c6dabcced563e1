"""pocketknn cache: what earlier builds remember."""

from __future__ import annotations

from pocketknn.builder import cache as caches
from pocketknn.export import report
from pocketknn.export.report import console


def show_cache() -> None:
    """Print where the cache is, and how much it holds of what."""
    place = caches.folder()
    known = caches.sizes(place) if place else []
    console.print(f"{place or 'no cache folder'}: {len(known)} caches", markup=False)
    for name, pictures, bytes_ in known:
        console.print(f"  {name}: {pictures} pictures, {report.megabytes(bytes_)}", markup=False)
    for name, bytes_ in caches.networks(place) if place else ():
        console.print(f"  {name}: a backbone for LiteRT, {report.megabytes(bytes_)}", markup=False)


def clear_cache() -> None:
    """Remove all caches."""
    place = caches.folder()
    removed = caches.clear(place) if place else 0
    console.print(f"{removed} caches removed from {place}", markup=False)
