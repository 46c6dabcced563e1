"""Promise and outcome in words, for the terminal and the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pocketknn.builder.knn.validation.image_search import SameClass
from pocketknn.export.report.wording import interval, of, percent, plural, points

if TYPE_CHECKING:
    from pocketknn.export.report.statistics.outcome import Outcome, Promise

COLUMNS = ("", "right", "95% interval", "measured on")
_NAMED = 5  # classes in a line
_APART = 0.01  # of accuracy


def rows(found: Outcome) -> list[tuple[str, ...]]:
    """Promise and outcome as rows of a table of `COLUMNS`."""
    said = []
    named = {"promised by the build": found.promise}
    if found.promise and found.alike and _differ(found.promise, found.alike):
        named["for these classes"] = found.alike
    for name, promise in named.items():
        if promise:
            ends = "{:.1f} to {:.1f}%".format(*(100 * end for end in promise.interval))
            on = f"{promise.of:,} references, left out"
            if promise is found.alike and len(named) > 1:
                on = "the same, weighed as here"
            said.append((name, percent(promise.accuracy), ends, on))
    right, on = found.right, plural(found.right.of, "photo")
    return [*said, ("on these photos", percent(right.value), interval(right), on)]


def _differ(one: Promise, other: Promise) -> bool:
    """Whether the numbers of photos of each class make a difference that is worth a row."""
    return abs(one.accuracy - other.accuracy) >= _APART


def verdict(found: Outcome) -> str:
    """Whether the promise was kept, in a line."""
    foreign, copies = found.left_out
    without = [
        *([f"{foreign:,} of unknown classes"] if foreign else []),
        *([f"{copies:,} that are references"] if copies else []),
    ]
    tail = f" Not counted: {' and '.join(without)}." if without else ""
    if found.promise is None:
        return f"The build promised nothing that this could be held against.{tail}"
    if found.kept:
        return f"Promise and outcome agree: {points(found.difference)} is within chance.{tail}"
    way = "fewer" if found.difference < 0 else "more"
    return (
        f"Promise and outcome disagree: {points(found.difference)},"
        f" {way} right answers than chance explains.{tail}"
    )


def reasons(found: Outcome, manifest: dict[str, Any]) -> Iterator[str]:
    """Why they may disagree, what was seen before what is only likely; nothing where they agree."""
    if found.kept:
        return
    references = manifest["references"]
    if found.difference > 0:
        yield (
            "These photos may be easier than the references, or more like some of them than those"
            " are like each other: the report shows near-copies."
        )
        return
    if found.stranger and found.unknown:
        yield (
            f"{of(found.unknown)} were answered “unknown”, which counts as wrong;"
            f" {percent(found.expected_unknown)} were to be expected. They lie farther from the"
            " references than those lie from each other."
        )
    if (apart := references.get("apart")) and not references.get("occasions"):
        yield (
            f"{apart['photos']:,} of {references['count']:,} references are near-copies of others:"
            " the build knows fewer scenes than its number of photos suggests."
        )
    if references.get("occasions"):
        yield (
            "These photos may differ more from the references than the occasions of the references"
            " differ from each other."
        )
    else:
        yield (
            "No occasions were given to the build, so its figure is for photos of the same days"
            " and places as the references. If these are of others, that is the likely reason."
        )
    yield (
        "They may be framed, lit or sized otherwise: pocketknn eval OUT PHOTOS --shift shows what"
        " this model cannot bear."
    )


def weakest(found: Outcome) -> str:
    """The classes that are clearly below the mean, in a line; "" for none."""
    if not found.weakest:
        return ""
    named = []
    for one in found.weakest[:_NAMED]:
        taken = "" if one.other is None else f", {one.mistaken} as {found.labels[one.other]}"
        named.append(f"{found.labels[one.label]} ({of(one.right)} right{taken})")
    more = f"; {len(found.weakest) - _NAMED} more" if len(found.weakest) > _NAMED else ""
    return f"Clearly below the mean: {', '.join(named)}{more}."


def advice(found: Outcome, manifest: dict[str, Any]) -> str:
    """What to do next; "" where nothing is to be done."""
    names = [found.labels[one.label] for one in found.weakest[:_NAMED]]
    whose = f" of {', '.join(names)}" if names else ""
    if not found.kept and found.difference < 0:
        how = "" if manifest["references"].get("occasions") else ", with --occasions"
        return (
            f"To do: add photos{whose} taken as these were to the references, and build again{how};"
            " then measure on photos that you have kept back."
        )
    return f"To do: add more and other photos{whose}." if names else ""


def image_search(references: dict[str, Any]) -> Iterator[str]:
    """How good an image search is by its manifest, a line each."""
    measured = references.get("image_search") or {}
    if same := measured.get("same_class"):
        yield found_class(SameClass(**same), "references, each left out with its near-copies")
    if copies := measured.get("copies"):
        told = [f"{name} {percent(one['first'])}" for name, one in copies.items()]
        asked = max(one["queries"] for one in copies.values())
        yield f"copies that find their original first, of {plural(asked, 'photo')}: " + ", ".join(
            told
        )
    if not measured:
        yield "nothing tells how good the search is: it takes classes, or photos to find again"


def found_class(same: SameClass, what: str) -> str:
    """How often the neighbours are of the same class, in a line.

    Args:
        same: what was measured.
        what: the queries, in words.
    """
    return (
        f"{same.queries:,} {what}: the nearest is of the same class for {percent(same.first)}"
        f" (chance {percent(same.chance)}), one of the {same.k} nearest for"
        f" {percent(same.among)} (chance {percent(same.chance_among)})"
    )
