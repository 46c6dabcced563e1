"""How numbers are written in the report and on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pocketknn.builder.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pocketknn.export.report.statistics.shares import Share

NO_MISTAKES = (
    "No held-out reference is misclassified, so these photos cannot show whether more would help."
)
APART = 0.05  # report the mean accuracy of classes if it differs from that of photos by this much


def percent(share: float) -> str:
    """A share as a percentage."""
    return "100%" if share == 1 else f"{share:.1%}"


def whole(share: float) -> str:
    """A share of a few votes, without decimals."""
    return f"{share:.0%}"


def interval(share: Share) -> str:
    """Both ends of a share's interval."""
    low, high = (100 * end for end in share.interval)
    return f"{low:.1f} to {high:.1f}%"


def in_words(ends: tuple[float, float]) -> str:
    """Both ends of an interval for few pictures, in whole per cent: "95%: 0 to 13%"."""
    low, high = (100 * end for end in ends)
    return f"95%: {low:.0f} to {high:.0f}%"


def of(share: Share) -> str:
    """A count out of a total."""
    return f"{share.count:,} of {share.of:,}"


def columns(share: Share) -> tuple[str, str, str]:
    """A share as three columns of a table: the count, the share, its interval."""
    return of(share), percent(share.value), interval(share)


def points(difference: float) -> str:
    """A difference of shares, with its sign."""
    return f"{100 * difference:+.1f} points"


def plural(count: int, noun: str) -> str:
    """A count with its noun."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}es" if noun.endswith("s") else f"{count:,} {noun}s"


def sentence(words: str) -> str:
    """A clause with a capital letter."""
    return f"{words[0].upper()}{words[1:]}"


def command_line(*words: str) -> str:
    """A command line, quoted for this system's shell."""
    import shlex
    import subprocess
    import sys

    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def megabytes(size: int) -> str:
    """A number of bytes, formatted."""
    return f"{size / 1e6:.2f} MB" if size >= 1e4 else f"{size} B"


def few_differ(references: dict[str, Any]) -> str | None:
    """A clause if most photos are near-copies, which makes the accuracy uncertain; else None.

    Args:
        references: the entry `references` of a manifest.
    """
    loo = references["leave_one_out"] or {}
    groups, queries = loo.get("groups"), loo.get("queries")
    if not groups or references.get("occasions") or 2 * groups > queries:
        return None
    return (
        f"only {groups} of the {queries} photos differ: near-copies are held out together and"
        " count once, so take photos of other things, in other places and light"
    )


def no_accuracy(references: dict[str, Any]) -> tuple[str, str]:
    """Why a classifier's accuracy is not known, and what is needed to measure it, as two clauses.

    Args:
        references: the references of a manifest, of two or more classes.
    """
    from pocketknn.builder.knn.validation.promise import TOO_FEW
    from pocketknn.builder.spec import UNKNOWN

    counts = [count for label, count in references["per_label"].items() if label != UNKNOWN]
    if max(counts, default=0) > 1:
        return TOO_FEW, (
            "the photos of each class are copies or near-copies of one another, which count as one"
            " photo; at least one class needs two different photos"
        )
    return TOO_FEW, "at least one class needs two photos"


def together(references: dict[str, Any]) -> str:
    """The accuracy that would be measured if photos that belong together were split.

    Args:
        references: the references of a manifest.

    Returns:
        A sentence; "" if it hardly differs from the accuracy, or the accuracy is not known.
    """
    apart, loo = references.get("apart"), references["leave_one_out"]
    if not (apart and loo and loo["accuracy"] is not None):
        return ""
    naive, count = min(loo["accuracy"] + apart["gain"], 1.0), references["count"]
    if references.get("occasions"):
        what = "share their occasion with others"
        advice = ""
    else:
        what = "are near-duplicates of others"
        advice = (
            " Measure on photos from other days and places: pocketknn eval OUT PHOTOS, or build"
            " with --occasions."
        )
    return (
        f"{apart['photos']:,} of {count:,} photos {what}: the accuracy would appear to be"
        f" {percent(naive)} if they were held out one by one; held out together it is"
        f" {percent(loo['accuracy'])}.{advice}"
    )


def other_crop(manifest: dict[str, Any]) -> tuple[str, str] | None:
    """Which platform crops differently from the build, as a clause, and its crop; None for none."""
    given = manifest["input"]
    others = {
        consumer["name"]: consumer["crop"]
        for consumer in given.get("consumers", {}).values()
        if consumer["crop"] != given["crop"]
    }
    if not others:
        return None
    names = " and ".join(f"{name} uses {crop}" for name, crop in others.items())
    return f"the crop is {given['crop']}, but by default {names}", next(iter(others.values()))


def same_lists(precisions: Iterable[str]) -> str:
    """What the share of equal lists of neighbours means, for files of these precisions."""
    from pocketknn.export.parity.check import TOLERANCES

    kinds = dict.fromkeys(precisions)
    near = ", ".join(f"{TOLERANCES[one].tie:.0e} in {one}" for one in kinds)
    low = "; int8 files differ most: eval shows what that costs" if "int8" in kinds else ""
    return f"same lists: all neighbours in order; scores closer than {near} may swap{low}"


def projected(projection: dict[str, Any]) -> str:
    """What is compared after a projection, in words."""
    if projection["by"] == "classes":
        one = "value per picture, along the direction that separates"
        many = "values per picture, along the directions that separate"
        return f"{counted(projection['directions'], one, many)} the classes"
    power = projection["whiten"]
    return (
        f"{counted(projection['size'], 'principal component')}, {projection['variance']:.1%} of the"
        " variance" + (f", whitened by the power {power:g}" if power else "")
    )
