"""How strange pictures are handled, in words, for the terminal and the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pocketknn.builder.knn.validation.promise import interval, wilson
from pocketknn.builder.wording import counted

from .wording import in_words, percent

# Share of strange pictures stopped: below the first rejection does not work, below the second it
# fails for most, and from the third on it works.
_HARDLY, _HALF, _MOSTLY = 1 / 3, 1 / 2, 0.8
_MOST_KNOWN = 0.2  # maximum share of known pictures rejected for "rejection works"
_CLEARLY = 0.1  # difference in the share stopped
FEW_STRANGERS = 10  # with fewer, a share is only a guess
_TOO_FEW = "too few strangers to tell whether rejection works"


def unknown_words(manifest: dict[str, Any]) -> Iterator[str]:
    """How many strange pictures would pass, whether that is too many, and what to do, in lines."""
    if reject := manifest["reject"]:
        yield from _of_threshold(reject, manifest)
    if strangers := manifest.get("strangers"):
        yield from _of_learned(strangers)


def weakness(reject: dict[str, Any]) -> str | None:
    """A sentence if too many strange pictures pass; None if they do not, or that is unclear."""
    given = reject["strangers"] is not None and reject["strangers_asked"] >= FEW_STRANGERS
    stopped = reject["strangers"] if given else reject["left_out_classes"]
    if stopped is None or stopped >= _MOSTLY:
        return None
    trust = "Do not rely on “unknown”" if stopped < _HALF else "“Unknown” stops most, not all"
    if given:
        return f"{trust}: {_passing(stopped, reject['strangers_asked'], ' strangers')}."
    return f"{trust}: about {_about(stopped)} of pictures of a held-out class would pass."


def after_rejection(manifest: dict[str, Any]) -> float | None:
    """The accuracy if right answers that are rejected count as wrong; None if not measured."""
    loo = manifest["references"]["leave_one_out"] or {}
    kept = (manifest["reject"] or {}).get("right_kept")
    accuracy = loo.get("accuracy")
    return None if kept is None or accuracy is None else float(kept * accuracy)


def _of_threshold(reject: dict[str, Any], manifest: dict[str, Any]) -> Iterator[str]:
    if reject["known"] is not None:
        yield _known(reject["known"], reject.get("known_asked"))
    given, asked = reject["strangers"] is not None, reject["strangers_asked"]
    left_out, photos = reject["left_out_classes"], reject.get("left_out_asked")
    stopped = reject["strangers"] if given else left_out
    if stopped is None:
        yield "it is not known how many strange pictures pass: measure it with --strangers PHOTOS"
        return
    on = f", measured on {counted(photos, 'photo')} of classes held out" if photos else ""
    if given:
        few = asked < FEW_STRANGERS
        verdict = _TOO_FEW if few else _verdict(stopped, reject["known"])
        yield f"{_passing(stopped, asked, ' strangers')}: {verdict}"
        if left_out is not None:
            yield f"about {_about(left_out)} of pictures of a held-out class would pass{on}"
        if few and (stopped := left_out) is None:
            return
    else:
        yield (
            f"about {_about(stopped)} of pictures of a class it does not know would pass{on}:"
            f" {_verdict(stopped, reject['known'])}"
        )
    if stopped < _MOSTLY:
        yield from _advice(reject, manifest, stopped)


def _known(share: float, asked: int | None) -> str:
    """A clause such as "3 of 60 references are rejected when held out (95%: 1 to 15%)"."""
    if not asked:  # a build of an older version
        return f"{percent(share)} of the references are rejected when held out"
    count, ends = round(share * asked), interval(share, asked)
    verb = "is" if count == 1 else "are"
    return f"{count:,} of {asked:,} references {verb} rejected when held out ({in_words(ends)})"


def _passing(stopped: float, total: int, what: str = "") -> str:
    """How many pass, as in "1 of 40 strangers passes (95%: 0 to 13%)".

    In this example, `what` is " strangers", with the space before it.
    """
    count = total - round(total * stopped)
    verb = "passes" if count == 1 else "pass"
    return f"{count:,} of {total:,}{what} {verb} ({in_words(wilson(count / total, total))})"


def _about(stopped: float) -> str:
    return f"{1 - stopped:.0%}"


def _verdict(stopped: float, known: float | None) -> str:
    if stopped < _HARDLY:
        return "rejection does not work for these photos with this backbone"
    if known is not None and known > _MOST_KNOWN:
        return "many known pictures are rejected as well"
    if stopped < _HALF:
        return "rejection fails for most of them, do not rely on it"
    return "rejection works" if stopped >= _MOSTLY else "rejection stops most of them, not all"


def _advice(reject: dict[str, Any], manifest: dict[str, Any], stopped: float) -> Iterator[str]:
    if reject["strangers_asked"] < FEW_STRANGERS:
        yield "measure it on your own strangers: --reject auto --strangers PHOTOS"
    else:
        yield (
            "--strangers PHOTOS --learn-strangers instead of --reject may stop more: a build with"
            " these options compares both methods"
        )
    plain = reject.get("unprojected")
    if plain is not None and plain >= stopped + _CLEARLY:
        yield f"with --projection none about {_about(plain)} would pass"
    backbone = manifest["backbone"]
    if backbone and backbone["name"] == "bundled":
        yield "--backbone efficientnet_lite0 usually stops more than this small backbone"


def _of_learned(strangers: dict[str, Any]) -> Iterator[str]:
    known, measured = strangers["known"], strangers["held_back"]
    few = measured < FEW_STRANGERS
    verdict = _TOO_FEW if few else _verdict(strangers["strangers"], known)
    one, many = "stranger is a reference", "strangers are references"
    yield (
        f"{counted(strangers['learned'], one, many)} of the class unknown;"
        f" {_passing(strangers['strangers'], measured, ' other strangers')}: {verdict}"
    )
    if known is not None:
        yield f"{percent(known)} of the other references are called unknown when held out"
    if (share := strangers["threshold_strangers"]) is not None:
        yield (
            f"with a threshold instead, {_passing(share, measured)}, and"
            f" {percent(strangers['threshold_known'])} of the references are rejected"
        )
        if not few and share >= strangers["strangers"] + _CLEARLY:
            yield "the threshold stops more here: use --reject auto instead of --learn-strangers"
    yield "other kinds of strangers may still pass"
