"""The results of a cross-validation: lines, a table, a chart, and a file of all trials."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from math import floor, log10
from pathlib import Path

from rich.table import Table

from pocketknn.builder.selection.grid import VECTOR
from pocketknn.builder.selection.results import Trial, Tuning
from pocketknn.builder.spec import Spec
from pocketknn.builder.wording import counted
from pocketknn.export.analysis.figures import COLOURS, MARKERS
from pocketknn.export.cli.console import tables

_CHOICES = ("k", "metric", "vote", "balanced", "projection", "crop")
_SHOWN = 15
_SIMPLEST = "the simplest combination near the best"
_LINES = 4  # draw the best four, and those of the winner and the default
_APART = 0.06  # of the distance between two ks, so that error bars do not overlap


def facts(tuning: Tuning) -> list[str]:
    """What was compared, in lines."""
    folds = len(tuning.best.by_fold)
    combinations = counted(len(tuning.trials), "combination")
    lines = [f"{tuning.examples} examples in {folds} folds, {combinations}"]
    varied = {*_varied(tuning), "balanced"}
    same = {name: _choice(tuning.best, name) for name in _CHOICES if name not in varied}
    if fixed := [f"{name} {value}" for name, value in same.items() if value]:
        lines[0] += f", all with {', '.join(fixed)}"
    if tuning.copies:
        one, many = "copy of another picture is left out", "copies of other pictures are left out"
        lines.append(counted(tuning.copies, one, many))
    return lines + list(tuning.notes)


def table(tuning: Tuning) -> Table:
    """The best trials, then the winner and the default if they rank lower."""
    names = _varied(tuning)
    shown = tables.table((), [""], _legend(tuning), no_wrap=False)
    for name in names:
        shown.add_column(name, justify="right" if name == "k" else "left", no_wrap=True)
    shown.add_column("error" if tuning.regress else "accuracy", justify="right", no_wrap=True)
    shown.add_column("")
    remarks: dict[int, str] = {}
    named = [(tuning.default, "default"), (tuning.winner, "simplest")]
    for trial, what in [(tuning.chosen, "chosen"), *named]:
        if trial is not None:
            remarks[id(trial)] = ", ".join(filter(None, (remarks.get(id(trial)), what)))
    for rank, trial in enumerate(tuning.trials, 1):
        remark = remarks.get(id(trial), "")
        if rank <= _SHOWN or remark:
            choices = (_detailed(trial, name) for name in names)
            quality = f"{_number(tuning, trial.mean)} ± {_number(tuning, trial.error)}"
            style = "bold" if trial is tuning.chosen else None
            shown.add_row(str(rank), *choices, quality, remark, style=style)
    return shown


def verdict(tuning: Tuning) -> list[str]:
    """What was chosen, why, and how good it is, in lines."""
    winner, default, chosen = tuning.winner, tuning.default, tuning.chosen
    measure = "error" if tuning.regress else "accuracy"
    found = _number(tuning, chosen.mean)
    line = f"chosen: {'the default' if chosen is default else _SIMPLEST}"
    line += f", {measure} {found}"
    if chosen is not default:
        line += f"; {_number(tuning, tuning.expected)} corrected for selection bias"
    if not tuning.regress:
        low, high = tuning.interval
        line += f" ({100 * low:.0f} to {high:.0%})"
    if default is None or default is winner:
        return [line]
    gain, error = tuning.gain(default)
    margin = (
        ""
        if tuning.regress
        else f" ({100 * gain:+.1f} ± {100 * error:.1f} points, paired by example)"
    )
    clearly = "is clearly better than" if tuning.clearly_better else "is not clearly better than"
    return [line, f"  {_SIMPLEST} {clearly} the default{margin}"]


def write(tuning: Tuning, path: Path) -> None:
    """Write all trials as CSV, the best first."""
    folds = range(1, len(tuning.best.by_fold) + 1)
    value = "rmse" if tuning.regress else "accuracy"
    heading = ["rank", *_CHOICES, "values", value, "standard_error"]
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow([*heading, *(f"fold_{fold}" for fold in folds), "chosen"])
        for rank, trial in enumerate(tuning.trials, 1):
            numbers = [trial.width, trial.mean, trial.error, *trial.by_fold]
            chosen = "yes" if trial is tuning.chosen else ""
            lines.writerow([rank, *(_choice(trial, name) for name in _CHOICES), *numbers, chosen])


def draw(tuning: Tuning, path: Path) -> None:
    """Draw the best few combinations of metric, vote, projection and crop against k."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.6), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    lines = _lines(tuning)
    # Evenly spaced, as the ks that people try grow ever further apart.
    ks = sorted({_k(one) for one in tuning.trials})
    names = [name for name in _varied(tuning) if name != "k"]
    best, bound = tuning.best.mean, tuning.bound
    near = "within one standard error of the best"
    axes.axhspan(*sorted((best, bound)), color="0.92", zorder=0, label=near)
    for number, line in enumerate(lines):
        shift = (number - (len(lines) - 1) / 2) * _APART
        places = [ks.index(_k(one)) + shift for one in line]
        means, errors = [one.mean for one in line], [one.error for one in line]
        words = [_described(line[0], names), "(default)" if tuning.default in line else ""]
        axes.errorbar(
            places,
            means,
            errors,
            color=COLOURS[number],
            marker=MARKERS[number],
            markersize=5,
            linewidth=1.6,
            elinewidth=0.8,
            label=" ".join(filter(None, words)) or None,
        )
        if tuning.chosen in line:
            at = line.index(tuning.chosen)
            ring = (places[at], means[at], f"chosen: k = {tuning.chosen.spec.k}")
    axes.plot(*ring[:2], "o", markersize=15, color="black", fillstyle="none", label=ring[2])
    axes.set_xticks(range(len(ks)), [str(k) for k in ks])
    axes.set_xlabel("neighbours, k")
    axes.set_ylabel(f"{_measured(tuning)}, ± standard error")
    if not tuning.regress:
        axes.yaxis.set_major_formatter(lambda share, place: f"{100 * share:.4g}%")
        axes.set_ylim(top=min(axes.get_ylim()[1], 1.005))
    axes.grid(axis="y", color="0.85", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path)


def _varied(tuning: Tuning) -> list[str]:
    """The choices for which more than one value was tried."""
    found = [name for name in _CHOICES if len({_choice(one, name) for one in tuning.trials}) > 1]
    if all(one.usually_balanced for one in tuning.trials):  # it follows from the vote
        found = [name for name in found if name != "balanced"]
    return found


def _described(trial: Trial, names: Sequence[str]) -> str:
    """Some of a trial's choices, as in "euclidean, pca:0.95, stretch"."""
    words = {"k": f"k = {trial.spec.k}"}
    if trial.spec.projection == "none":
        words["projection"] = "no projection"
    return ", ".join(words.get(name) or _choice(trial, name) for name in names)


def _choice(trial: Trial, name: str) -> str:
    """A trial's value for a choice, as it is typed; "" for the crop of vectors."""
    if name == "crop" and trial.spec.backbone == VECTOR:
        return ""
    if name == "balanced":
        return "yes" if trial.spec.balanced else "no"
    return trial.spec.compared if name == "projection" else str(getattr(trial.spec, name))


def _measured(tuning: Tuning) -> str:
    """What the numbers measure."""
    if not tuning.regress:
        return "accuracy"
    several = ", in standard deviations of each target" if tuning.targets > 1 else ""
    return f"root mean squared error{several}"


def _lines(tuning: Tuning) -> list[list[Trial]]:
    """The lines to draw, best first; each holds the trials that differ only in k, sorted by k."""
    lines: dict[Spec, list[Trial]] = {}
    for trial in tuning.trials:
        lines.setdefault(replace(trial.spec, k=None), []).append(trial)
    also = (tuning.winner, tuning.chosen)
    chosen = [
        line
        for rank, line in enumerate(lines.values())
        if rank < _LINES or any(trial in line for trial in also)
    ]
    return [sorted(line, key=_k) for line in chosen]


def _k(trial: Trial) -> int:
    return int(trial.spec.k or 1)


def _detailed(trial: Trial, name: str) -> str:
    """A choice as text; for a share of variance, also the number of components."""
    text = _choice(trial, name)
    found = name == "projection" and trial.spec.projection != "none"
    return f"{text} → {trial.width}" if found and not isinstance(trial.spec.pca, int) else text


def _number(tuning: Tuning, value: float) -> str:
    """An accuracy as a percentage; an error, to two digits of the largest standard error."""
    if not tuning.regress:
        return f"{value:.1%}"
    error = max(trial.error for trial in tuning.trials)
    return f"{value:.{max(0, 1 - floor(log10(error))) if error else 4}f}"


def _legend(tuning: Tuning) -> str:
    bound = f"{_number(tuning, tuning.bound)} or {'less' if tuning.regress else 'more'}"
    near = f"{len(tuning.near)} are" if len(tuning.near) > 1 else "one is"
    return (
        f"{_measured(tuning)}: mean ± standard error over the folds\n"
        f"{near} within one standard error of the best ({bound})"
    )
