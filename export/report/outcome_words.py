"""Promise and outcome in words, for the terminal and the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pocketknn.builder.knn.validation.image_search import SameClass
from pocketknn.builder.wording import counted
from pocketknn.export.report.statistics.outcome import unknown_rate
from pocketknn.export.report.wording import in_words, interval, of, percent, plural, points

if TYPE_CHECKING:
    from pocketknn.export.report.statistics.outcome import Outcome, Promise
    from pocketknn.export.report.statistics.shares import Share

COLUMNS = ("", "correct", "95% interval", "measured on")
_NAMED = 5  # classes in a line
_APART = 0.01  # of accuracy
_FEW_REJECTED = 0.02  # of the references: advised where too many photos are rejected
_VAGUE = 0.4  # width of an interval


def rows(found: Outcome) -> list[tuple[str, ...]]:
    """Promise and outcome as rows of a table with the columns `COLUMNS`."""
    table = []
    if found.promise:
        on = f"{plural(found.promise.of, 'reference')}, held out"
        table.append(_row("promised by the build", found.promise, on))
    if found.promise and found.mixed and _differ(found.promise, found.mixed):
        table.append(_row("for these classes", found.mixed, "the same, reweighted"))
    if found.mixed and found.alike and found.alike != found.mixed:
        table.append(_row("after rejection", found.alike, "the same, counting “unknown” as wrong"))
    right, on = found.right, plural(found.right.of, "photo")
    return [*table, ("on these photos", percent(right.value), interval(right), on)]


def told_apart(found: Outcome) -> Iterator[str]:
    """A line about known photos and one about strangers; none without a class unknown."""
    if found.unknown is None:
        return
    yield (
        f"Known photos: {of(found.right)} right, {found.unknown.count:,} called unknown"
        f" ({percent(found.expected_unknown)} expected)."
    )
    if found.strangers:
        both = "The accuracy of each file counts known photos and strangers."
        yield f"{passing(found.strangers)} {both}"


def passing(strangers: Share) -> str:
    """How many strangers pass, in one line."""
    passes = "passes" if strangers.count == 1 else "pass"
    return f"Strangers: {of(strangers)} {passes} ({in_words(strangers.interval)})."


def called_unknown(manifest: dict[str, Any], unknown: Share) -> str:
    """In one line, what the share called unknown means for photos without class folders."""
    rate = unknown_rate(manifest)
    expected = "" if rate is None else f", of which the build would call about {rate:.0%} unknown"
    return (
        f"{of(unknown)} {'is' if unknown.count == 1 else 'are'} called unknown"
        f" ({in_words(unknown.interval)}). If these photos are strangers, the other"
        f" {unknown.of - unknown.count:,} pass: put strangers into a folder named unknown. If they"
        f" are photos of your classes{expected}, put them into class folders."
    )


def _differ(one: Promise, other: Promise) -> bool:
    """Whether the mix of classes changes the promise enough for a row of its own."""
    return abs(one.accuracy - other.accuracy) >= _APART


def _row(name: str, promise: Promise, on: str) -> tuple[str, ...]:
    ends = "{:.1f} to {:.1f}%".format(*(100 * end for end in promise.interval))
    return name, percent(promise.accuracy), ends, on


def verdict(found: Outcome) -> str:
    """Whether the promise was kept, in one line."""
    foreign, copies = found.left_out
    without = [
        *([f"{foreign:,} of unknown classes"] if foreign else []),
        *([counted(copies, "that is a reference", "that are references")] if copies else []),
    ]
    tail = f" Not counted: {' and '.join(without)}." if without else ""
    if found.promise is None:
        return f"The build made no promise to compare this with.{tail}"
    if found.alike is None:
        return f"Many of these photos are of classes with too few references for a promise.{tail}"
    if found.kept:
        low, high = found.alike.interval
        if high - low > _VAGUE and abs(found.difference) > _APART:
            return f"The promise's interval is too wide for these photos to contradict it.{tail}"
        return f"Promise and outcome agree, within sampling error.{tail}"
    way = "few" if found.difference < 0 else "many"
    return (
        f"Promise and outcome disagree: {points(found.difference)};"
        f" chance alone does not explain so {way} right answers.{tail}"
    )


def reasons(found: Outcome, manifest: dict[str, Any]) -> Iterator[str]:
    """Why promise and outcome differ: observed reasons, then likely ones; none if they agree."""
    if found.kept:
        return
    references = manifest["references"]
    if found.difference > 0:
        yield (
            "These photos may be easier than the references, or more similar to the references than"
            " the references are to each other: the report shows near-duplicates."
        )
        return
    if found.stranger and found.unknown:
        yield (
            f"{of(found.unknown)} {'was' if found.unknown.count == 1 else 'were'} called"
            " “unknown”, which counts as wrong;"
            f" {percent(found.expected_unknown)} were expected. They are farther from the"
            " references than the references are from each other."
        )
    if found.only_rejected and found.answered:
        yield (
            f"Rejection explains the difference: {percent(found.answered.value)} of the"
            f" {found.answered.of:,} others are right, as promised before rejection."
        )
        return
    if (apart := references.get("apart")) and not references.get("occasions"):
        yield (
            f"{apart['photos']:,} of {references['count']:,} references are near-duplicates:"
            " the build knows fewer scenes than its number of photos suggests."
        )
    if references.get("occasions"):
        yield (
            "These photos may differ more from the references than the occasions of the references"
            " differ from each other."
        )
    else:
        yield (
            "The build was given no occasions, so its accuracy is for photos from the same days"
            " and places as the references. Photos from other days or places are usually harder."
        )
    yield (
        "These photos may be framed, lit or sized differently: pocketknn eval OUT PHOTOS"
        " --shift shows what this model is sensitive to."
    )


def weakest(found: Outcome) -> str:
    """The classes whose accuracy is clearly below the mean, in one line; "" for none."""
    if not found.weakest:
        return ""
    named = []
    for one in found.weakest[:_NAMED]:
        mistaken = "" if one.other is None else f", {one.mistaken} as {found.labels[one.other]}"
        named.append(f"{found.labels[one.label]} ({of(one.right)} correct{mistaken})")
    more = f"; {len(found.weakest) - _NAMED} more" if len(found.weakest) > _NAMED else ""
    return f"Clearly below the mean: {', '.join(named)}{more}."


def advice(found: Outcome, manifest: dict[str, Any]) -> str:
    """What to do next, as a clause with a full stop; "" for nothing."""
    names = [found.labels[one.label] for one in found.weakest[:_NAMED]]
    whose = f" of {', '.join(names)}" if names else ""
    if found.only_rejected:
        fewer = ""
        if manifest["reject"] and found.expected_unknown > _FEW_REJECTED:
            fewer = (
                f"build with --reject auto --false-rejection {_FEW_REJECTED:g}, which rejects"
                " fewer and lets more strangers pass; or "
            )
        return (
            f"{fewer}add photos{whose} like these to the references; then measure on photos"
            " that you did not add."
        )
    if not found.kept and found.difference < 0:
        grouped = manifest["references"].get("occasions")
        how = "" if grouped else " (with --occasions, if you know their days or places)"
        return (
            f"add photos{whose} like these to the references, and build again{how};"
            " then measure on photos that you did not add."
        )
    return f"add more, and different, photos{whose}." if names else ""


def image_search(references: dict[str, Any]) -> Iterator[str]:
    """How good an image search is, from its manifest, in lines."""
    measured = references.get("image_search") or {}
    if same := measured.get("same_class"):
        yield found_class(SameClass(**same), "reference", ", held out with their near-duplicates")
    if copies := measured.get("copies"):
        shares = ", ".join(f"{name} {percent(one['first'])}" for name, one in copies.items())
        queries = max(one["queries"] for one in copies.values())
        yield f"copies of {plural(queries, 'photo')} that find their original first: {shares}"
    if not measured:
        yield "search quality was not measured: that needs classes, or photos to make copies of"


def found_class(same: SameClass, what: str, how: str = "") -> str:
    """How often the neighbours are of the same class, in one line.

    Args:
        same: the measurement.
        what: one query, such as "photo".
        how: a note about the queries, which begins with a comma; "" for none.
    """
    return (
        f"{plural(same.queries, what)}{how}: the nearest is in the same class for"
        f" {percent(same.first)} (chance {percent(same.chance)}), one of the {same.k} nearest for"
        f" {percent(same.among)} (chance {percent(same.chance_among)})"
    )
