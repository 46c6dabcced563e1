"""The photos that files are judged on."""

from __future__ import annotations

from pathlib import Path

from pocketknn.builder.embedding.embed import with_labels
from pocketknn.builder.photos.decode import Photo
from pocketknn.builder.photos.find import find
from pocketknn.export.cli.console.quiet import say
from pocketknn.export.cli.console.terminal import shown


def photos_of(place: Path) -> list[Photo]:
    """The photos that a build would take of a place; says how many others there are."""
    wanted, skipped = with_labels(find(place, note=say))
    if skipped:
        say(f"{len(skipped)} left out, such as {shown(skipped[0].name)}: {skipped[0].reason}")
    return wanted
