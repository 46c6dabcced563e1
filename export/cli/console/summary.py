"""What people read of a build, in lines: what went in, how good it is, and what to type next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.embedding.embedded import Skipped
from pocketknn.builder.knn.validation.promise import TOO_FEW
from pocketknn.export.output.names import REPORT
from pocketknn.export.pipeline.request import skipped_lines
from pocketknn.export.report.calibration_words import calibration_words, worst_bin
from pocketknn.export.report.outcome_words import image_search
from pocketknn.export.report.unknown_words import unknown_words
from pocketknn.export.report.wording import APART, counted, projected, together

from .text import command_line

if TYPE_CHECKING:
    from pocketknn.export.pipeline.export import Export

_NAMED = 5  # classes in a line
_ONE_CLASS = "warning: there is one class only, so every picture will be put into it"


def facts(manifest: dict[str, Any], skipped: Sequence[Skipped]) -> list[str]:
    """What went into a build and how good it is, a line each."""
    one_class = len(manifest["references"]["per_label"]) == 1 and not manifest["reject"]
    return [
        *_references(manifest),
        *skipped_lines(skipped, all_in=", all in manifest.json"),
        *_model(manifest),
        *(image_search if manifest["head"] == "neighbors" else _accuracy)(manifest["references"]),
        *filter(None, [f"  {line}" if (line := together(manifest["references"])) else ""]),
        *_calibration(manifest["references"].get("calibration")),
        *_projection(manifest["projection"]),
        *_search(manifest["search"]),
        *_unknown(manifest),
        *([_ONE_CLASS] if one_class else []),
    ]


def crops(result: Export) -> list[str]:
    """Where a platform would make squares otherwise than the build did, and how to see the cost."""
    given = result.manifest["input"]
    others = {
        consumer["name"]: consumer["crop"]
        for consumer in given.get("consumers", {}).values()
        if consumer["crop"] != given["crop"]
    }
    if not others:
        return []
    names = " and ".join(f"{name} takes {crop}" for name, crop in others.items())
    crop = next(iter(others.values()))
    return [
        f"warning: the crop is {given['crop']}, but by default {names};"
        " crop before, or see the cost:",
        f"  {command_line('pocketknn', 'eval', str(result.out), 'PHOTOS', '--crop', crop)}",
    ]


def next_steps(result: Export) -> list[str]:
    """What is there, and the commands to type next."""
    kept = [one.name for one in result.written if one.parity.agrees]
    if not kept:
        return [f"no file agrees with the exact k-NN; {result.out} holds the references only"]
    # Where there is a choice, not the file whose runtime takes seconds to import.
    best = str(result.out / min(kept, key=lambda name: name == "model.keras"))
    pictures = result.manifest["input"]["name"] == "image"
    report = f"; {REPORT} in it shows how good it is" if (result.out / REPORT).exists() else ""
    lines = [f"{result.out} is ready{report}. Next:"]
    if pictures:
        lines.append(f"  {command_line('pocketknn', 'predict', best, 'PICTURE.jpg')}")
    lines.append(f"  {command_line('pocketknn', 'inspect', best)}")
    if "model.keras" in kept:  # verify takes the embeddings from it
        photos = ["PHOTOS"] if pictures else []
        lines.append(f"  {command_line('pocketknn', 'verify', str(result.out), *photos)}")
    return lines


def _references(manifest: dict[str, Any]) -> Iterator[str]:
    references = manifest["references"]
    per_label, classes = references["per_label"].values(), ", no classes"
    if per_label:
        least, most = min(per_label), max(per_label)
        each = f"{least}" if least == most else f"{least} to {most}"
        classes = f" in {len(per_label)} classes ({each} each)"
    yield f"{references['count']} references{classes}"
    yield from kept_lines(manifest.get("condensed"))
    yield from _occasions(references)
    if references["duplicates"]:
        yield f"{references['duplicates']} of them are copies of another picture"
    if pairs := references["contradictions"]:
        first, second = pairs[0]
        yield f"warning: the same picture in two classes: {first} and {second}"
        if len(pairs) > 1:
            yield f"  … and {len(pairs) - 1} more such pairs, all in manifest.json"


def _occasions(references: dict[str, Any]) -> Iterator[str]:
    if not (occasions := references.get("occasions")):
        return
    alone = references["count"] - occasions["photos"]
    others = f"; {counted(alone, 'photo has', 'photos have')} none" if alone else ""
    yield f"of {counted(occasions['count'], 'occasion')}, each left out as a whole{others}"
    if names := occasions["classes_of_one"]:
        classes, they = ("classes are", "they stay") if len(names) > 1 else ("class is", "it stays")
        yield (
            f"warning: {len(names)} {classes} of one occasion only, so {they} unmeasured:"
            f" {_some(names)}"
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


def _accuracy(references: dict[str, Any]) -> Iterator[str]:
    if len(references["per_label"]) == 1:  # of which another line warns
        return
    if loo := references["leave_one_out"]:
        yield from _errors(loo) if loo["rmse"] is not None else _shares(loo)
        yield f"  {_measured(loo, references['count'])}"
    elif len(references["per_label"]) > 1:
        yield f"accuracy: {TOO_FEW}; it takes two photos of a class, the second to ask for"
    if of := references.get("figures_of"):
        yield f"  these figures are those of its build, which had {of} references"


def _shares(loo: dict[str, Any]) -> Iterator[str]:
    """As in "accuracy 83 % (76 to 88 %; chance 20 %): good"; builds before said the first only."""
    said, apart = f"accuracy {loo['accuracy']:.1%}", loo.get("by_class")
    if loo.get("interval") and loo.get("chance") is not None:
        low, high = loo["interval"]
        said += f" ({100 * low:.0f} to {high:.0%}; chance {loo['chance']:.0%})"
    yield said + (f": {loo['verdict']}" if loo.get("verdict") else "")
    if apart is not None and abs(apart - loo["accuracy"]) >= APART:
        yield f"  classes differ in size: the mean of their accuracies is {apart:.1%}"


def _errors(loo: dict[str, Any]) -> Iterator[str]:
    for name, error in loo["rmse"].items():
        said = f"{name}: root mean squared error {error:.4g}"
        ends, mean = ((loo.get(key) or {}).get(name) for key in ("rmse_interval", "rmse_of_mean"))
        if ends and mean is not None:
            said += f" ({ends[0]:.4g} to {ends[1]:.4g}; always saying the mean {mean:.4g})"
        yield said


def _measured(loo: dict[str, Any], count: int) -> str:
    """How, in a few words."""
    sample = "" if loo["queries"] == count else f"; {loo['queries']} of them were asked for"
    if folds := loo.get("folds"):
        return f"out of fold: each of {folds} parts answered by a model of the others{sample}"
    return f"each reference answered by its {loo['k']} nearest others{sample}"


def _projection(projection: dict[str, Any] | None) -> Iterator[str]:
    if projection:
        yield f"compares {projected(projection)}"
        if without := projection["without"]:
            before = without["accuracy"]
            accuracy = "" if before is None else f"accuracy {before:.1%}, "
            yield (
                f"  without it: {accuracy}the same first neighbour for"
                f" {without['first_equal']:.1%}, {without['recall']:.1%} of the same neighbours"
            )


def _search(search: dict[str, Any]) -> Iterator[str]:
    """How the references are stored and searched, where it is not in the usual way."""
    by, precision = search["by"], search["references_precision"]
    if not SEARCHES[by].SCANS and precision == "float32":
        return
    yield f"search {by}: {precision} references, {SEARCHES[by].WORDS.format(**search)}"
    if search["recall"] is not None:
        yield (
            f"  finds {search['recall']:.2%} of the exact neighbours of {search['queries']}"
            " references, each left out"
        )


def _unknown(manifest: dict[str, Any]) -> Iterator[str]:
    if reject := manifest["reject"]:
        yield f"unknown where the nearest score is below {reject['threshold']:.4g}"
    elif manifest.get("strangers"):
        yield "unknown is one of the classes; the accuracy is that of the others"
    yield from (f"  {line}" for line in unknown_words(manifest))


def _calibration(found: dict[str, Any] | None) -> Iterator[str]:
    """One line where shares of the vote are no probabilities."""
    if found and (worst := worst_bin(found)):
        yield f"  warning: {calibration_words(worst)}"


def kept_lines(condensed: dict[str, Any] | None) -> list[str]:
    """What was kept and what it costs, a line each."""
    if not condensed:
        return []
    by, before, kept = condensed["by"], condensed["before"], condensed["kept"]
    taken = f"{kept * condensed['bytes_each'] / 1e6:.2f} MB"
    lines = [f"condensed from {before} references to {kept} ({by}), {taken} of vectors"]
    curve = condensed["curve"]
    measured = [one for one in curve if one["accuracy"] is not None or one["rmse"]]
    if measured:
        lines.append(f"  all {before} asked of so many, none of itself: " + _told(measured))
    return lines


def _told(curve: Sequence[dict[str, Any]]) -> str:
    def value(point: dict[str, Any]) -> str:
        if point["rmse"]:
            return " ".join(f"{error:.4g}" for error in point["rmse"].values())
        return f"{point['accuracy']:.1%}"

    what = "error" if curve[0]["rmse"] else "accuracy"
    return f"{what} " + ", ".join(f"{value(point)} of {point['kept']}" for point in reversed(curve))
