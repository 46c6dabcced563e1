"""What people read of a cross-validation: lines, a table, and a file of all trials."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from math import floor, log10
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from pocketknn.builder.selection.grid import VECTOR
from pocketknn.builder.selection.results import Trial, Tuning
from pocketknn.builder.spec import DEFAULT_K, resolve_k

_CHOICES = ("k", "metric", "vote", "projection", "crop")
_SHOWN = 15


def varied(tuning: Tuning) -> list[str]:
    """The choices of which more than one value was tried."""
    return [name for name in _CHOICES if len({choice(trial, name) for trial in tuning.trials}) > 1]


def described(trial: Trial, names: Sequence[str]) -> str:
    """Some of a trial's choices, as in "euclidean, pca:0.95, stretch"."""
    words = {"k": f"k = {trial.spec.k}"}
    if trial.spec.projection == "none":
        words["projection"] = "no projection"
    return ", ".join(words.get(name) or choice(trial, name) for name in names)


def choice(trial: Trial, name: str) -> str:
    """The value that a trial has of a choice, as it is typed; "" for the crop of vectors."""
    if name == "crop" and trial.spec.backbone == VECTOR:
        return ""
    return trial.spec.compared if name == "projection" else str(getattr(trial.spec, name))


def quality(tuning: Tuning, trial: Trial) -> str:
    """Mean ± standard error."""
    return f"{_number(tuning, trial.mean)} ± {_number(tuning, trial.error)}"


def measured(tuning: Tuning) -> str:
    """What the numbers are."""
    if not tuning.regress:
        return "accuracy"
    several = ", in standard deviations of each target" if tuning.targets > 1 else ""
    return f"root mean squared error{several}"


def default(tuning: Tuning) -> Trial | None:
    """What `build` does unless it is told otherwise, if that was tried."""
    usual = {"metric": "cosine", "crop": "center"}
    if tuning.regress:
        usual |= {"k": str(DEFAULT_K), "vote": "uniform", "projection": "none"}
    else:
        most = resolve_k(None, tuning.examples, "soft")
        tried = [int(trial.spec.k or 0) for trial in tuning.trials]
        most = max((k for k in tried if k <= most), default=0)
        usual |= {"k": str(most), "vote": "soft", "projection": "classes"}
    same = [
        trial
        for trial in tuning.trials
        if all(choice(trial, name) in (value, "") for name, value in usual.items())
    ]
    return same[0] if same else None


def facts(tuning: Tuning) -> list[str]:
    """What was compared, a line each."""
    folds = len(tuning.best.by_fold)
    lines = [f"{tuning.examples} examples in {folds} folds, {len(tuning.trials)} combinations"]
    same = {name: choice(tuning.best, name) for name in _CHOICES if name not in varied(tuning)}
    if fixed := [f"{name} {value}" for name, value in same.items() if value]:
        lines[0] += f", all with {', '.join(fixed)}"
    if tuning.copies:
        lines.append(f"{tuning.copies} copies of another picture are left out")
    return lines + list(tuning.notes)


def table(tuning: Tuning) -> Table:
    """The best trials, and below them the winner and the default where they rank lower."""
    names = varied(tuning)
    shown = Table(box=SIMPLE_HEAD, caption=_legend(tuning), caption_justify="left", pad_edge=False)
    shown.add_column("", justify="right")
    for name in names:
        shown.add_column(name, justify="right" if name == "k" else "left", no_wrap=True)
    shown.add_column("error" if tuning.regress else "accuracy", justify="right", no_wrap=True)
    shown.add_column("")
    remarks = {id(default(tuning)): "default", id(tuning.winner): "chosen"}
    if default(tuning) is tuning.winner:
        remarks = {id(tuning.winner): "chosen, default"}
    for rank, trial in enumerate(tuning.trials, 1):
        remark = remarks.get(id(trial), "")
        if rank <= _SHOWN or remark:
            choices = (_detailed(trial, name) for name in names)
            style = "bold" if trial is tuning.winner else None
            shown.add_row(str(rank), *choices, quality(tuning, trial), remark, style=style)
    return shown


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
            chosen = "yes" if trial is tuning.winner else ""
            lines.writerow([rank, *(choice(trial, name) for name in _CHOICES), *numbers, chosen])


def _detailed(trial: Trial, name: str) -> str:
    """A choice, and of a share of variance how many components that is."""
    text = choice(trial, name)
    found = name == "projection" and trial.spec.projection != "none"
    return f"{text} → {trial.width}" if found and not isinstance(trial.spec.pca, int) else text


def _number(tuning: Tuning, value: float) -> str:
    """An accuracy as percent, an error with two digits of the largest standard error."""
    if not tuning.regress:
        return f"{value:.1%}"
    error = max(trial.error for trial in tuning.trials)
    return f"{value:.{max(0, 1 - floor(log10(error))) if error else 4}f}"


def _legend(tuning: Tuning) -> str:
    bound = f"{_number(tuning, tuning.bound)} or {'less' if tuning.regress else 'more'}"
    near = f"simplest of the {len(tuning.near)}" if len(tuning.near) > 1 else "only one"
    return (
        f"{measured(tuning)}: mean ± standard error over the folds\n"
        f"chosen: the {near} within one standard error of the best ({bound})"
    )
