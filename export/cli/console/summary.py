"""The summary of a build, line by line: what went into it, and how good it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pocketknn.builder.choices import growth
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.embedding.embedded import Skipped
from pocketknn.builder.wording import counted
from pocketknn.export.pipeline.request import skipped_lines
from pocketknn.export.report.calibration_words import calibration_words, worst_bin
from pocketknn.export.report.outcome_words import image_search
from pocketknn.export.report.unknown_words import after_rejection, unknown_words
from pocketknn.export.report.wording import (
    APART,
    command_line,
    few_differ,
    no_accuracy,
    other_crop,
    projected,
    together,
)

if TYPE_CHECKING:
    from pocketknn.export.pipeline.export import Export

_NAMED = 5  # classes in a line
_ONE_CLASS = "warning: there is only one class, so every picture will be assigned to it"


def facts(manifest: dict[str, Any], skipped: Sequence[Skipped]) -> list[str]:
    """What went into a build and how good it is, one line per fact."""
    one_class = len(manifest["references"]["per_label"]) == 1 and not manifest["reject"]
    return [
        *_references(manifest),
        *skipped_lines(skipped, all_in=", all in manifest.json"),
        *_model(manifest),
        *_quality(manifest),
        *filter(None, [f"  {line}" if (line := together(manifest["references"])) else ""]),
        *_calibration(manifest["references"].get("calibration")),
        *_projection(manifest),
        *_search(manifest["search"]),
        *_unknown(manifest),
        *_growth(manifest.get(growth.NAME)),
        *([_ONE_CLASS] if one_class else []),
    ]


def crops(result: Export) -> list[str]:
    """A warning if a platform crops differently from the build, and how to measure the cost."""
    if not (other := other_crop(result.manifest)):
        return []
    words, crop = other
    return [
        f"warning: {words}; crop the pictures yourself, or measure the cost:",
        f"  {command_line('pocketknn', 'eval', str(result.out), 'PHOTOS', '--crop', crop)}",
    ]


def _references(manifest: dict[str, Any]) -> Iterator[str]:
    references = manifest["references"]
    per_label, classes = references["per_label"].values(), ", no classes"
    if per_label:
        smallest, largest = min(per_label), max(per_label)
        each = f"{smallest}" if smallest == largest else f"{smallest} to {largest}"
        classes = f" in {counted(len(per_label), 'class', 'classes')} ({each} each)"
    yield f"{counted(references['count'], 'reference')}{classes}"
    yield from kept_lines(manifest.get("condensed"))
    yield from _occasions(references)
    yield from _inner_folders(references)
    if references["duplicates"]:
        one, many = "of them is a copy of another picture", "of them are copies of other pictures"
        yield counted(references["duplicates"], one, many)
    if pairs := references["contradictions"]:
        first, second = pairs[0]
        yield f"warning: the same picture in two classes: {first} and {second}"
        if len(pairs) > 1:
            yield f"  … and {counted(len(pairs) - 1, 'more such pair')}, all in manifest.json"


def _occasions(references: dict[str, Any]) -> Iterator[str]:
    if not (occasions := references.get("occasions")):
        return
    alone = references["count"] - occasions["photos"]
    others = f"; {counted(alone, 'photo belongs', 'photos belong')} to none" if alone else ""
    yield f"from {counted(occasions['count'], 'occasion')}, each held out as a whole{others}"
    if names := occasions["classes_of_one"]:
        one = "class has only one occasion, so it is not measured"
        many = "classes have only one occasion each, so they are not measured"
        yield f"warning: {counted(len(names), one, many)}: {_some(names)}"


def _inner_folders(references: dict[str, Any]) -> Iterator[str]:
    """A note on folders inside class folders: each became a class, perhaps by mistake."""
    names = [*references["per_label"]]
    beside = [name for name in names if any(name.startswith(f"{one}/") for one in names)]
    if beside:
        above = beside[0].rpartition("/")[0]
        yield (
            f"warning: folders inside class folders are classes of their own, such as {beside[0]!r}"
            f" beside {above!r}: move their photos up to make them one class, or leave them out"
            f" with --exclude '{beside[0]}/*'"
        )
        return
    outer = {name.partition("/")[0] for name in names}
    if len(outer) == 1 < len(names):
        (wrapping,) = outer
        yield f"all classes are inside {wrapping!r}; build from that folder for shorter names"
        return
    inner = all("/" in name for name in names) and 1 < len(outer) <= len(names) / 2
    if inner and not references.get("occasions"):
        yield (
            f"each folder is a class, such as {names[0]}; if the inner folders are days or"
            " places, build with --occasions folders"
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


def _model(manifest: dict[str, Any]) -> Iterator[str]:
    if backbone := manifest["backbone"]:
        side = manifest["input"]["shape"][0]
        yield f"backbone {backbone['name']} at {side}×{side}, {backbone['dim']} values each"
        if backbone["why"]:
            yield f"  {backbone['why']}"
    voting = ""
    if manifest["head"] != "neighbors":
        voting = f", vote {manifest['vote']}"
        if temperature := manifest["temperature"]:
            voting += f" (temperature {temperature:.2g})"
        voting += ", balanced" if manifest["balanced"] else ""
    yield f"head {manifest['head']}, k = {manifest['k']}, metric {manifest['metric']}{voting}"


def _quality(manifest: dict[str, Any]) -> Iterator[str]:
    if manifest["head"] == "neighbors":
        return image_search(manifest["references"])
    return _accuracy(manifest["references"], after_rejection(manifest))


def _accuracy(references: dict[str, Any], rejecting: float | None) -> Iterator[str]:
    if len(references["per_label"]) == 1:  # of which another line warns
        return
    if loo := references["leave_one_out"]:
        yield from _errors(loo) if loo["rmse"] is not None else _shares(loo, rejecting)
        yield f"  {_measured(loo, references['count'])}"
        if few := few_differ(references):
            yield f"  {few}"
    elif len(references["per_label"]) > 1:
        yield f"accuracy: {'; '.join(no_accuracy(references))}"
    if of := references.get("figures_of"):
        yield f"  measured before the edit, with the {counted(of, 'reference')} of the build"


def _shares(loo: dict[str, Any], rejecting: float | None) -> Iterator[str]:
    """The accuracy, as in "accuracy 83 % (76 to 88 %; chance 20 %): good".

    Older builds record only the 83 %.
    """
    line, by_class = f"accuracy {loo['accuracy']:.1%}", loo.get("by_class")
    if loo.get("interval") and loo.get("chance") is not None:
        low, high = loo["interval"]
        line += f" ({100 * low:.0f} to {high:.0%}; chance {loo['chance']:.0%})"
    yield line + (f": {loo['verdict']}" if loo.get("verdict") else "")
    if rejecting is not None:
        yield f"  accuracy is measured before rejection; {rejecting:.1%} are right and not rejected"
    if by_class is not None and abs(by_class - loo["accuracy"]) >= APART:
        yield f"  classes differ in size: the mean of their accuracies is {by_class:.1%}"


def _errors(loo: dict[str, Any]) -> Iterator[str]:
    for name, error in loo["rmse"].items():
        line = f"{name}: root mean squared error {error:.4g}"
        ends, mean = ((loo.get(key) or {}).get(name) for key in ("rmse_interval", "rmse_of_mean"))
        if ends and mean is not None:
            line += f" ({ends[0]:.4g} to {ends[1]:.4g}; always predicting the mean: {mean:.4g})"
        yield line


def _measured(loo: dict[str, Any], count: int) -> str:
    """How the accuracy or error was measured, in a few words."""
    sample = "" if loo["queries"] == count else f"; measured on {loo['queries']:,} of the {count:,}"
    if folds := loo.get("folds"):
        how = f"{folds}-fold cross-validation" if folds > 1 else "one part held out, once"
        return how + sample
    return f"leave-one-out: each reference predicted from its {loo['k']} nearest others{sample}"


def _projection(manifest: dict[str, Any]) -> Iterator[str]:
    if projection := manifest["projection"]:
        yield f"compares {projected(projection)}"
        if without := projection["without"]:
            before = without["accuracy"]
            accuracy = "" if before is None else f"accuracy {before:.1%}, "
            # Lists of most of the references have most in common, whatever is compared.
            telling = 2 * manifest["k"] <= manifest["references"]["count"]
            shared = f", {without['recall']:.1%} of neighbours in common" if telling else ""
            first = f"same nearest photo for {without['first_equal']:.1%}"
            yield f"  without the projection: {accuracy}{first}{shared}"


def _search(search: dict[str, Any]) -> Iterator[str]:
    """How the references are stored and searched, unless in the default way."""
    by, precision = search["by"], search["references_precision"]
    if not SEARCHES[by].SCANS and precision == "float32":
        return
    yield f"search {by}: {precision} references, {SEARCHES[by].WORDS.format(**search)}"
    if search["recall"] is not None:
        yield (
            f"  finds {search['recall']:.2%} of the exact neighbours of"
            f" {counted(search['queries'], 'held-out reference')}"
        )


def _unknown(manifest: dict[str, Any]) -> Iterator[str]:
    if reject := manifest["reject"]:
        yield f"answers unknown if the nearest score is below {reject['threshold']:.4g}"
    elif manifest.get("strangers"):
        yield "unknown is one of the classes; the accuracy covers the others"
    yield from (f"  {line}" for line in unknown_words(manifest))


def _growth(memory: dict[str, Any] | None) -> Iterator[str]:
    if memory:
        classes = f" and {counted(memory['spare'], 'new class', 'new classes')}"
        yield (
            f"grows: room for {counted(memory['slots'], 'taught example')}"
            + (classes if memory["spare"] else "")
        )


def _calibration(found: dict[str, Any] | None) -> Iterator[str]:
    """One line if shares of the vote cannot be read as probabilities."""
    if found and (worst := worst_bin(found)):
        yield f"  warning: {calibration_words(worst)}"


def kept_lines(condensed: dict[str, Any] | None) -> list[str]:
    """How many references were kept, and what that costs, in one line each."""
    if not condensed:
        return []
    by, before, kept = condensed["by"], condensed["before"], condensed["kept"]
    taken = f"{kept * condensed['bytes_each'] / 1e6:.2f} MB"
    lines = [f"condensed from {before} references to {kept} ({by}), {taken} of vectors"]
    curve = condensed["curve"]
    measured = [one for one in curve if one["accuracy"] is not None or one["rmse"]]
    if measured:
        lines.append(f"  measured on all {before}, each held out: " + _costs(measured))
    return lines


def _costs(curve: Sequence[dict[str, Any]]) -> str:
    def value(point: dict[str, Any]) -> str:
        if point["rmse"]:
            return " ".join(f"{error:.4g}" for error in point["rmse"].values())
        return f"{point['accuracy']:.1%}"

    what = "error" if curve[0]["rmse"] else "accuracy"
    points = (f"{value(point)} with {point['kept']}" for point in reversed(curve))
    return f"{what} " + ", ".join(points)
