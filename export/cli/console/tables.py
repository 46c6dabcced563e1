"""What people read at the end of a command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pocketknn.builder.embedding.embed import Skipped, with_labels
from pocketknn.builder.photos.decode import Photo
from pocketknn.export.cli.make.condense_option import kept_lines
from pocketknn.export.output.names import REPORT
from pocketknn.export.parity.check import TOLERANCES, Parity
from pocketknn.export.pipeline import Export
from pocketknn.export.report.wording import projected
from pocketknn.export.sizes.budget import Budget, Variant
from pocketknn.export.sizes.estimate import Plan

from .quiet import say
from .terminal import command_line, shown

_SHOWN = 10


def without_strays(photos: Sequence[Photo]) -> list[Photo]:
    """The photos that a build would take of these; says how many others there are."""
    wanted, skipped = with_labels(photos)
    if skipped:
        say(f"{len(skipped)} left out, such as {shown(skipped[0].name)}: {skipped[0].reason}")
    return wanted


class Row(NamedTuple):
    """A line of the parity table."""

    name: str
    bytes: int
    parity: Parity


def parity_table(rows: Sequence[Row]) -> Table:
    """One line per artefact: its size, and how it agrees with the exact k-NN."""
    table = Table(box=SIMPLE_HEAD, caption=_legend(rows), caption_justify="left", pad_edge=False)
    table.add_column("artefact", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    for heading in ("same first", "same lists", "but ties", "score error", "vote error"):
        table.add_column(heading, justify="right")
    table.add_column("parity", no_wrap=True, min_width=len("DIFFERS"))
    for name, size, parity in rows:
        shares = (parity.first_equal, parity.lists_equal, parity.lists_agree)
        table.add_row(
            Text(shown(name)),
            megabytes(size),
            *(_percent(share) for share in shares),
            f"{parity.score_error:.0e}",
            f"{parity.vote_error:.0e}",
            "[green]agrees[/]" if parity.agrees else "[red]DIFFERS[/]",
        )
    return table


def plan_table(plans: Sequence[Plan]) -> Table:
    """What each file will take, before it is written."""
    legend = (
        "backbone, references and search of one picture: millions of multiplications;"
        " read: bytes of references that a query needs"
    )
    table = Table(box=SIMPLE_HEAD, caption=legend, caption_justify="left", pad_edge=False)
    table.add_column("file", no_wrap=True)
    for heading in ("backbone", "references", "in all", "backbone ×", "search ×", "read"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in plans:
        table.add_row(
            one.format,
            *(megabytes(size) for size in (one.backbone, one.references, one.bytes)),
            f"{one.network / 1e6:.1f} M",
            f"{one.search / 1e6:.1f} M",
            megabytes(one.read),
        )
    return table


def variants_table(variants: Sequence[Variant], within: Budget, sample: int) -> Table:
    """What was measured to keep within a budget; the smallest that is good enough is chosen.

    Args:
        variants: what was measured.
        within: the budget.
        sample: how many of the photos the files were run on.
    """
    legend = (
        f"good enough: loses at most {within.loss:.1%} of accuracy and finds"
        f" {within.agreement:.0%} of the exact neighbours\n"
        "accuracy: of the exact search over all references, each left out, less what the worst file"
        f" loses of {sample} of the photos"
    )
    table = Table(box=SIMPLE_HEAD, caption=legend, caption_justify="left", pad_edge=False)
    for heading in ("precision", "projection"):
        table.add_column(heading)
    for heading in ("largest file", "accuracy", "neighbours"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for one in sorted(variants, key=lambda variant: variant.bytes):
        table.add_row(
            one.precision,
            one.projection,
            megabytes(one.bytes),
            "" if one.accuracy is None else f"{one.accuracy:.1%}",
            f"{one.agreement:.1%}",
            ("fits" if one.bytes <= within.bytes else "too large") if one.good else "",
        )
    return table


def failures(rows: Sequence[Row]) -> list[str]:
    """One line for each thing that is outside its tolerance."""
    return [f"{row.name}: {failure}" for row in rows for failure in row.parity.failures]


def facts(manifest: dict[str, Any], skipped: Sequence[Skipped]) -> list[str]:
    """What went into a build and how good it is, a line each."""
    references, backbone = manifest["references"], manifest["backbone"]
    per_label = references["per_label"]
    lines = [f"{references['count']} references" + _spread(per_label)]
    lines += kept_lines(manifest.get("condensed"))
    if references["duplicates"]:
        lines.append(f"{references['duplicates']} of them are copies of another picture")
    if pairs := references["contradictions"]:
        first, second = pairs[0]
        lines.append(f"warning: the same picture in two classes: {first} and {second}")
        if len(pairs) > 1:
            lines.append(f"  … and {len(pairs) - 1} more such pairs, all in manifest.json")
    if skipped:
        lines.append(f"{len(skipped)} skipped:")
        lines += [f"  {one.name}: {one.reason}" for one in skipped[:_SHOWN]]
        if len(skipped) > _SHOWN:
            lines.append(f"  … and {len(skipped) - _SHOWN} more, all in manifest.json")
    if backbone:
        side = manifest["input"]["shape"][0]
        lines.append(f"backbone {backbone['name']} at {side}×{side}, {backbone['dim']} values each")
        if backbone["why"]:
            lines.append(f"  {backbone['why']}")
    metric = f", metric {manifest['metric']}"
    lines.append(f"head {manifest['head']}, k = {manifest['k']}{metric}" + _voting(manifest))
    if loo := references["leave_one_out"]:
        asked = "" if loo["queries"] == references["count"] else f" over {loo['queries']} of them"
        by_parts = loo.get("folds")  # whose k is what is left of the build's, and says nothing
        how = f"{by_parts}-fold cross-validation:" if by_parts else "leave-one-out"
        with_k = "" if by_parts else f" (k = {loo['k']})"
        lines.append(f"{how} {_quality(loo)}{with_k}{asked}")
    if of := references.get("figures_of"):
        lines.append(f"  these figures are those of its build, which had {of} references")
    lines += _projection(manifest["projection"]) + _search(manifest["search"])
    lines += _rejection(manifest["reject"])
    if len(per_label) == 1 and not manifest["reject"]:
        lines.append("warning: there is one class only, so every picture will be put into it")
    return lines


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


def megabytes(size: int) -> str:
    """Bytes as people read them."""
    return f"{size / 1e6:.2f} MB" if size >= 1e4 else f"{size} B"


def _quality(loo: dict[str, Any]) -> str:
    if loo["rmse"] is None:
        return f"accuracy {loo['accuracy']:.1%}"
    errors = ", ".join(f"{name} {error:.4g}" for name, error in loo["rmse"].items())
    return f"root mean squared error: {errors}"


def _projection(projection: dict[str, Any] | None) -> list[str]:
    if not projection:
        return []
    lines = [f"compares {projected(projection)}"]
    if without := projection["without"]:
        before = without["accuracy"]
        accuracy = "" if before is None else f"accuracy {before:.1%}, "
        lines.append(
            f"  without it: {accuracy}the same first neighbour for {without['first_equal']:.1%},"
            f" {without['recall']:.1%} of the same neighbours"
        )
    return lines


def _search(search: dict[str, Any]) -> list[str]:
    """How the references are stored and searched, where it is not in the usual way."""
    by, precision = search["by"], search["references_precision"]
    if (by, precision) == ("exact", "float32"):
        return []
    what = {
        "exact": "all of them compared",
        "rerank": f"all scanned by {search['components']} components in 8 bits, the best"
        f" {search['candidates']} scored",
        "ivf": f"{search['probes']} of {search['cells']} cells scanned by {search['components']}"
        f" components in 8 bits, the best {search['candidates']} scored",
    }
    lines = [f"search {by}: {precision} references, {what[by]}"]
    if search["recall"] is not None:
        lines.append(
            f"  finds {search['recall']:.2%} of the exact neighbours of {search['queries']}"
            " references, each left out"
        )
    return lines


def _rejection(reject: dict[str, Any] | None) -> list[str]:
    if not reject:
        return []
    known, left_out = reject["known"], reject["left_out_classes"]
    lines = [f"unknown where the nearest score is below {reject['threshold']:.4g}"]
    if known is not None:
        lines.append(f"  rejects {known:.1%} of the references, each left out")
    if left_out is not None:
        lines.append(f"  rejects {left_out:.1%} of the pictures of a class that is left out")
    if reject["strangers"] is not None:
        lines.append(
            f"  rejects {reject['strangers']:.1%} of {reject['strangers_asked']} strangers"
        )
    return lines


def _voting(manifest: dict[str, Any]) -> str:
    if manifest["head"] == "neighbors":
        return ""
    temperature = manifest["temperature"]
    return (
        f", vote {manifest['vote']}"
        + (f" (temperature {temperature:.2g})" if temperature else "")
        + (", balanced" if manifest["balanced"] else "")
    )


def _percent(share: float) -> str:
    return "100%" if share == 1 else f"{share:.1%}"


def _spread(per_label: dict[str, int]) -> str:
    if not per_label:
        return ", no classes"
    least, most = min(per_label.values()), max(per_label.values())
    each = f"{least}" if least == most else f"{least} to {most}"
    return f" in {len(per_label)} classes ({each} each)"


def _legend(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    ties = ", ".join(
        f"{TOLERANCES[p].tie:.0e} for {p}" for p in dict.fromkeys(r.parity.precision for r in rows)
    )
    return (
        f"{rows[0].parity.queries} inputs, against exact k-NN in float64;"
        f" ties: scores closer than {ties}"
    )
