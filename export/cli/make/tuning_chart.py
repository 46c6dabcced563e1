"""The plot of a cross-validation: accuracy against k."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pocketknn.builder.selection.results import Trial, Tuning
from pocketknn.builder.spec import Spec
from pocketknn.export.analysis.figures import COLOURS, MARKERS

from .tuning_table import default, described, measured, varied

_LINES = 4  # of the best; the winner's and the default's come on top
_APART = 0.06  # of the distance between two ks, so that error bars do not cover each other


def draw(tuning: Tuning, path: Path) -> None:
    """Draw the best few combinations of metric, vote, projection and crop against k.

    Args:
        tuning: what was found.
        path: a `.png`, `.svg` or `.pdf`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.6), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    lines = _lines(tuning)
    # Places in equal steps: the ks that people try lie ever further apart.
    ks = sorted({_k(one) for one in tuning.trials})
    names = [name for name in varied(tuning) if name != "k"]
    best, bound = tuning.best.mean, tuning.bound
    axes.axhspan(
        *sorted((best, bound)),
        color="0.92",
        zorder=0,
        label="within one standard error of the best",
    )
    for number, line in enumerate(lines):
        shift = (number - (len(lines) - 1) / 2) * _APART
        colour = COLOURS[number]
        places = [ks.index(_k(one)) + shift for one in line]
        means, errors = [one.mean for one in line], [one.error for one in line]
        words = [described(line[0], names), "(default)" if default(tuning) in line else ""]
        axes.errorbar(
            places,
            means,
            errors,
            color=colour,
            marker=MARKERS[number],
            markersize=5,
            linewidth=1.6,
            elinewidth=0.8,
            label=" ".join(filter(None, words)) or None,
        )
        if tuning.winner in line:
            at = line.index(tuning.winner)
            ring = (places[at], means[at], f"chosen: k = {tuning.winner.spec.k}")
    axes.plot(*ring[:2], "o", markersize=15, color="black", fillstyle="none", label=ring[2])
    axes.set_xticks(range(len(ks)), [str(k) for k in ks])
    axes.set_xlabel("neighbours, k")
    axes.set_ylabel(f"{measured(tuning)}, ± standard error")
    if not tuning.regress:
        axes.yaxis.set_major_formatter(lambda share, place: f"{100 * share:.4g}%")
        axes.set_ylim(top=min(axes.get_ylim()[1], 1.005))
    axes.grid(axis="y", color="0.85", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path)


def _lines(tuning: Tuning) -> list[list[Trial]]:
    """Trials that differ in k alone, by k; the lines of the best first."""
    lines: dict[Spec, list[Trial]] = {}
    for trial in tuning.trials:
        lines.setdefault(replace(trial.spec, k=None), []).append(trial)
    also = (tuning.winner, default(tuning))
    chosen = [
        line
        for rank, line in enumerate(lines.values())
        if rank < _LINES or any(trial in line for trial in also)
    ]
    return [sorted(line, key=_k) for line in chosen]


def _k(trial: Trial) -> int:
    return int(trial.spec.k or 1)
