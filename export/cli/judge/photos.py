"""The photos that files are judged on."""

from __future__ import annotations

from pathlib import Path

from pocketknn.builder.embedding.embedded import with_labels
from pocketknn.builder.photos.find import find
from pocketknn.builder.photos.photo import Photo
from pocketknn.export.cli.console.quiet import note
from pocketknn.export.cli.console.text import shown


def photos_of(place: Path) -> list[Photo]:
    """The photos that a build would take of a place; says how many others there are."""
    wanted, skipped = with_labels(find(place, note=note))
    if skipped:
        note(f"{len(skipped)} left out, such as {shown(skipped[0].name)}: {skipped[0].reason}")
    return wanted
