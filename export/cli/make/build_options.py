"""The options of `build`, and the values they stand for."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from pocketknn import builder
from pocketknn.builder.errors import InputError
from pocketknn.export.cli import options
from pocketknn.export.formats.options import Options

if TYPE_CHECKING:
    from pocketknn.builder.embedding.ray.connection import Cluster
    from pocketknn.builder.selection.condense import Condense
    from pocketknn.export.sizes.budget import Budget

ENGINES = ("local", "ray")


@dataclass(frozen=True, kw_only=True)
class Model:
    """What the model computes; the fields are those of `Spec`."""

    k: Annotated[
        str | None,
        typer.Option(help="Number of neighbours, or auto; default: up to 100."),
    ] = None
    metric: options.Metric = "cosine"
    projection: Annotated[
        str,
        typer.Option(
            help="Which part of an embedding is compared: classes (the directions that separate the"
            " classes, learned from the photos), none (all of it), pca:64, pca:0.95 (a share of the"
            " variance), pca:auto, pca:64:0.5 (whitened by a power), or auto (classes if"
            " cross-validation favours it)."
        ),
    ] = "auto"
    pca: options.OldPca = None
    whiten: Annotated[float | None, typer.Option(hidden=True)] = None
    vote: options.Vote = None
    temperature: Annotated[
        float | None,
        typer.Option(help="Temperature of the soft vote, in score units; fitted if omitted."),
    ] = None
    balanced: Annotated[
        bool | None,
        typer.Option(help="Weight classes equally whatever their size; default for soft votes."),
    ] = None
    head: Annotated[
        str | None,
        typer.Option(
            help="Answer: classify (default with classes), regress (with targets) or neighbors."
        ),
    ] = None
    reject: Annotated[
        str | None,
        typer.Option(help="Score below which a picture is called unknown, or auto."),
    ] = None
    false_rejection: Annotated[
        float, typer.Option(help="Share of known pictures that --reject auto may reject.")
    ] = 0.05
    references_precision: Annotated[
        str, typer.Option(help="Precision of the stored references: float32, float16 or int8.")
    ] = "float32"
    search: Annotated[
        str,
        typer.Option(help="Search: exact, rerank (scan, then rescore the best) or auto."),
    ] = "exact"
    recall: Annotated[
        float | None, typer.Option(help="Share of the exact neighbours to find; default: 0.99.")
    ] = None
    candidates: Annotated[
        int | None,
        typer.Option(help="Number of references that rerank rescores; default: as needed."),
    ] = None
    crop: options.Crop = "center"
    grow: Annotated[
        int | None,
        typer.Option(metavar="SLOTS", help="Number of examples that an app may teach the model."),
    ] = None
    spare: Annotated[
        int | None,
        typer.Option(help="With --grow: number of new classes that an app may teach; default: 8."),
    ] = None
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0

    def spec(self, network: options.Network) -> builder.Spec:
        """The choices as a `Spec`; some may be typed as a number or `auto`."""
        typed = {name: _auto_or(getattr(self, name), name) for name in ("k", "pca", "reject")}
        return builder.Spec(**asdict(network) | asdict(self) | typed)


@dataclass(frozen=True, kw_only=True)
class Files:
    """How the files are written; the fields are those of `Options`."""

    precision: Annotated[
        str | None,
        typer.Option(help="Backbone precision: float32, float16 or int8; default by format."),
    ] = None
    pixels: Annotated[
        str, typer.Option(help="Input type of TFLite and ONNX: float32 or uint8.")
    ] = "float32"
    outputs: Annotated[
        str,
        typer.Option(help="Extra TFLite files that stop before the top-k: embedding, scores."),
    ] = ""
    ios: Annotated[
        int, typer.Option(help="Minimum iOS version of the Core ML model: 15 to 18.")
    ] = 16
    author: Annotated[str, typer.Option(help="Author of the model, for its metadata.")] = ""
    license: Annotated[str, typer.Option(help="Terms of use, for the metadata.")] = ""

    def options(self) -> Options:
        """The options of the files."""
        return Options(**asdict(self) | {"outputs": options.names(self.outputs)})


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many references to keep, and how small the files must be."""

    condense: Annotated[
        str | None,
        typer.Option(
            help="Keep fewer references: 500, 50% or 2MB (of vectors), or edited, which drops"
            " those that the others outvote."
        ),
    ] = None
    condense_by: options.CondenseBy = None
    budget: Annotated[
        str | None,
        typer.Option(
            help="Size limit, such as 5MB; for --backbone bundled, such as 1.5MB. Picks a precision"
            " and PCA that fit."
        ),
    ] = None
    loss: Annotated[
        float, typer.Option(help="How much accuracy --budget may cost, as a share.")
    ] = 0.02
    agreement: Annotated[
        float, typer.Option(help="Share of the exact neighbours that --budget must keep.")
    ] = 0.8

    def fewer(self) -> Condense | None:
        """How many references to keep; None for all."""
        if not (self.condense or self.condense_by):
            return None
        return options.parse_amount(self.condense, self.condense_by)

    def within(self) -> Budget | None:
        """The limit on the files' size; None for no limit."""
        from pocketknn.export.sizes.budget import Budget

        if self.budget is None:
            return None
        limit = options.parse_bytes(self.budget)
        return Budget(bytes=limit, loss=self.loss, agreement=self.agreement)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Where photos are embedded."""

    engine: Annotated[
        str, typer.Option(help="Where to embed photos: local, or ray for a Ray cluster.")
    ] = "local"
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="With ray: auto or ray://HOST:PORT; if omitted, Ray is started on this machine."
        ),
    ] = None

    def cluster(self) -> Cluster | None:
        """The cluster; None for this process."""
        from pocketknn.builder.embedding.ray.connection import Cluster

        if self.engine not in ENGINES:
            raise InputError(
                f"unknown engine {self.engine!r}; choose from {', '.join(ENGINES)}",
                "unknown-engine",
            )
        if self.engine == "ray":
            return Cluster(address=self.ray_address)
        if self.ray_address is not None:
            raise InputError(
                f"--ray-address {self.ray_address} needs --engine ray", "option-not-applicable"
            )
        return None


def _auto_or(text: str | None, option: str) -> int | float | str | None:
    if text in (None, "auto"):
        return text
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    raise InputError(f"--{option} takes a number or auto, not {text!r}", "not-a-number")
