"""Code shared by the scripts: held-out pictures, evaluation, weights, options, learning rate."""

# ruff: noqa: ANN401 (Keras comes without types)
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def held_out(label: Array, names: list[str]) -> tuple[Array, Array, Array]:
    """Rows to train on, rows to validate on, and which classes are known: 0 or 1 for each.

    Validation takes 40 pictures of each of 37 classes. The 30 Tiny-ImageNet classes among them are
    not known: the label loss never uses them, so that validation measures classes without labels.
    """
    rng = np.random.default_rng(7)
    used = sorted(set(label.tolist()))
    tiny = [c for c in used if names[c].startswith("tiny/")]
    hidden = rng.choice(tiny, min(30, len(tiny)), replace=False)
    drawn = [c for c in used if names[c].startswith("pacs/")]
    rows = [
        rng.choice(np.flatnonzero(label == c), 40, replace=False)
        for c in [*hidden.tolist(), *drawn]
    ]
    validation = np.concatenate(rows)
    known = np.ones(len(names), np.float32)
    known[hidden] = 0.0
    return np.setdiff1d(np.arange(len(label)), validation), validation, known


def rich(label: Array, names: list[str]) -> Array:
    """Whether each picture is from `samples/`, the only folder with a thousand kinds of objects."""
    return np.array([name.startswith("samples/") for name in names])[label]


def heads(rows: Array, label: Array, names: list[str], times: int) -> Array:
    """The rows of an epoch; those from `samples/`, the most diverse, appear several times."""
    return np.concatenate([rows, *[rows[rich(label[rows], names)]] * (times - 1)])


def leave_one_out(features: Array, labels: Array, count: int = 5) -> tuple[float, Array]:
    """Accuracy of `count` neighbours by cosine, and the neighbours of every row, nearest first.

    Ties of votes go to the lower class.
    """
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    classes, number = np.unique(labels, return_inverse=True)
    votes = np.zeros((len(labels), len(classes)), np.int64)
    for column in nearest.T:
        np.add.at(votes, (np.arange(len(labels)), number[column]), 1)
    return float(np.mean(votes.argmax(axis=1) == number)), nearest


def judgement(features: Array, labels: Array, teacher: Array) -> str:
    """One line: k-NN accuracy, and the share of the teacher's neighbours (n, k) that were found."""
    count = teacher.shape[1]
    accuracy, nearest = leave_one_out(features, labels, count)
    shared = [len(set(a) & set(b)) / count for a, b in zip(nearest, teacher, strict=True)]
    return f"{count}-NN {accuracy:.4f} teacher's neighbours {np.mean(shared):.4f}"


def load(model: Any, path: Path) -> None:
    """Set a Keras model's weights to those of an .npz in the format of the bundled file."""
    with np.load(path) as arrays:
        for layer in model.layers:
            named = [arrays[f"{layer.name}/{variable.name}"] for variable in layer.weights]
            layer.set_weights([array.astype(np.float32) for array in named])


def rate_at(progress: float) -> float:
    """The share of the full learning rate: short warm-up, plateau, then linear decay to zero."""
    return max(0.0, min(1.0, progress / 0.02, (1.0 - progress) / 0.7))


def add_options(parser: argparse.ArgumentParser, **defaults: float) -> None:
    """Add the options of both training scripts, each with its own defaults."""
    parser.add_argument("--out", type=Path, required=True, help="the .npz to write")
    parser.add_argument("--minutes", type=float, help="minutes until the last check")
    parser.add_argument("--alpha", type=float, default=0.5, help="the student's width")
    parser.add_argument("--rich", type=int, help="how often an epoch uses each of `samples/`")
    parser.add_argument("--rate", type=float, help="learning rate of Muon; AdamW has half")
    parser.add_argument(
        "--decay", type=float, default=0.05, help="weight decay, multiplied by the rate"
    )
    parser.add_argument("--keep", type=float, default=0.998, help="decay of the moving average")
    parser.add_argument(
        "--weights",
        type=float,
        nargs=4,
        default=[1.0, 2.0, 1.0, 0.2],
        help="weights of the relational, regression, places and label losses",
    )
    parser.add_argument("--seed", type=int, default=1, help="random seed of crops and mixtures")
    parser.add_argument("--judge-every", type=float, help="seconds between checks")
    parser.set_defaults(**defaults)
