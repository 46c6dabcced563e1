"""An explanation in words, and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .explanation import Explanation, Occlusion

_RANKS = (("upper left", "top", "upper right"), ("left", "middle", "right"))
_REGIONS = (*_RANKS, ("lower left", "bottom", "lower right"))


def sentences(found: Explanation) -> list[str]:
    """An explanation, line by line."""
    lines = [f"nearest reference: {found.near[0].name}"]
    for one in found.maps:
        lines.append(f"{titled(one)}: {number(one, one.plain)}{_extremes(found, one)}")
        if one.what == "vote":
            lines += _others(found)
    return lines + _left(found)


def titled(one: Occlusion) -> str:
    """The title of a map: "vote for tulips"."""
    titles = {"vote": f"vote for {one.of}", "score": "score of the nearest reference"}
    return titles.get(one.what, one.of)


def number(one: Occlusion, value: float) -> str:
    """A vote as a percentage, anything else to three or four digits."""
    if one.what == "vote":
        return f"{value:.0%}"
    return f"{value:.3f}" if one.what == "score" else f"{value:.4g}"


def region(found: Explanation, place: tuple[int, int]) -> str:
    """Where in the picture the middle of a patch is: "upper left"."""
    parts = found.patches
    third = [int(3 * (parts.starts[at] + parts.side / 2) / parts.size) for at in place]
    return _REGIONS[third[0]][third[1]]


def as_json(found: Explanation) -> dict[str, Any]:
    """Everything but the picture, for programs."""
    return {
        "size": found.patches.size,
        "patch": found.patches.side,
        "starts": found.patches.starts.tolist(),
        "colour": list(found.colour),
        "label": found.label or None,
        "maps": [
            {
                "what": one.what,
                "of": one.of,
                "plain": one.plain,
                "hidden": one.hidden.tolist(),
                "bounded": one.bounded.tolist(),
            }
            for one in found.maps
        ],
        "left": found.left,
        "others": found.others,
        "neighbors": [asdict(one) for one in found.near],
    }


def _extremes(found: Explanation, one: Occlusion) -> str:
    """How far the number falls and rises."""
    words = []
    for place, change in ((one.worst, "falls"), (one.best, "rises")):
        if place is not None:
            bound = "at most " if one.bounded[place] else ""
            value = number(one, one.hidden[place])
            words.append(f"{change} to {bound}{value} when the {region(found, place)} is hidden")
    return "; " + ", ".join(words) if words else "; no single patch changes it"


def _others(found: Explanation) -> list[str]:
    total = found.maps[0].hidden.size
    if not found.others:
        return [f"  {found.label} wins, whichever of the {total} parts is hidden"]
    each = ", ".join(f"{label} {count}" for label, count in found.others.items())
    return [
        f"  another class wins for {sum(found.others.values())} of {total} hidden parts: {each}"
    ]


def _left(found: Explanation) -> list[str]:
    if not found.left:
        return []
    score = found.maps[-1]
    how = (
        "at most the last neighbour's"
        if score.bounded.any()
        else "computed from the references themselves"
    )
    return [
        f"  for {found.left} of {score.hidden.size} hidden parts this reference is not among"
        f" the {len(found.near)} nearest; its score is then {how}"
    ]
