"""How strange pictures are handled, in words, for the terminal and the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pocketknn.builder.wording import counted

from .wording import percent

# Share of strange pictures stopped: below the first it does not work, from the second on it does.
_HARDLY, _MOSTLY = 1 / 3, 0.8
_MOST_KNOWN = 0.2  # maximum share of known pictures rejected for "rejection works"
_CLEARLY = 0.1  # difference in the share stopped
FEW_STRANGERS = 10  # with fewer, a share is only a guess
_TOO_FEW = "too few strangers to tell whether rejection works"


def unknown_words(manifest: dict[str, Any]) -> Iterator[str]:
    """How many strange pictures would pass, whether that is enough, and what to do, in lines."""
    if reject := manifest["reject"]:
        yield from _of_threshold(reject, manifest)
    if strangers := manifest.get("strangers"):
        yield from _of_learned(strangers)


def _of_threshold(reject: dict[str, Any], manifest: dict[str, Any]) -> Iterator[str]:
    if reject["known"] is not None:
        yield f"{percent(reject['known'])} of the references are rejected when held out"
    given = reject["strangers"] is not None
    stopped = reject["strangers"] if given else reject["left_out_classes"]
    if stopped is None:
        yield "it is not known how many strange pictures pass: measure it with --strangers PHOTOS"
        return
    on = f"on {counted(reject['strangers_asked'], 'stranger')}" if given else "on held-out classes"
    kind = "strange pictures" if given else "pictures of a class it does not know"
    if given and reject["strangers_asked"] < FEW_STRANGERS:
        passing = _counted(stopped, reject["strangers_asked"])
        yield f"{passing} strange pictures would pass: {_TOO_FEW}"
        if (stopped := reject["left_out_classes"]) is None:
            return
    else:
        verdict = _verdict(stopped, reject["known"])
        yield f"{_passing(stopped)} {kind} would pass (measured {on}): {verdict}"
    if given and (share := reject["left_out_classes"]) is not None:
        yield f"{_passing(share)} pictures of a held-out class would pass"
    if stopped < _MOSTLY:
        yield from _advice(reject, manifest, stopped)


def _counted(stopped: float, total: int) -> str:
    return f"{total - round(total * stopped)} of {total}"


def _passing(stopped: float) -> str:
    return f"{round(100 * (1 - stopped))} of 100"


def _verdict(stopped: float, known: float | None) -> str:
    if stopped < _HARDLY:
        return "rejection does not work for these photos with this backbone"
    if known is not None and known > _MOST_KNOWN:
        return "many known pictures are rejected as well"
    return "rejection works" if stopped >= _MOSTLY else "rejection works for only some of them"


def _advice(reject: dict[str, Any], manifest: dict[str, Any], stopped: float) -> Iterator[str]:
    yield (
        "--strangers PHOTOS --learn-strangers instead of --reject may stop more; the build measures"
        " it"
    )
    plain = reject.get("unprojected")
    if plain is not None and plain >= stopped + _CLEARLY:
        yield f"with --projection none {_passing(plain)} would pass"
    backbone = manifest["backbone"]
    if backbone and backbone["name"] == "bundled":
        yield "--backbone efficientnet_lite0 usually stops more than this small backbone"


def _of_learned(strangers: dict[str, Any]) -> Iterator[str]:
    known, measured = strangers["known"], strangers["held_back"]
    passing, verdict = _passing(strangers["strangers"]), _verdict(strangers["strangers"], known)
    one, many = "stranger is a reference", "strangers are references"
    if measured < FEW_STRANGERS:
        passing, verdict = _counted(strangers["strangers"], measured), _TOO_FEW
    yield (
        f"{counted(strangers['learned'], one, many)} of the class unknown;"
        f" measured on {counted(measured, 'other')}, {passing} would pass: {verdict}"
    )
    if known is not None:
        yield f"{percent(known)} of the other references are called unknown when held out"
    if (share := strangers["threshold_strangers"]) is not None:
        yield (
            f"with only a threshold {_passing(share)} would pass, and"
            f" {percent(strangers['threshold_known'])} of the references would be rejected"
        )
        if share >= strangers["strangers"] + _CLEARLY:
            yield "the threshold stops more here: use --reject auto instead of --learn-strangers"
    yield "other kinds of strangers may still pass"
