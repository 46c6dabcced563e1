"""pocketknn refs condense: fewer references that answer like all of them."""

from __future__ import annotations

from typing import Annotated

import typer

from pocketknn import builder
from pocketknn.export.cli.console.text import say
from pocketknn.export.cli.options import CondenseBy, Metric, Vote

from .arguments import File, Force, New


def condense(
    file: File,
    amount: Annotated[
        str,
        typer.Argument(
            help="500, 50%, 2MB of vectors; or edited: all that the others do not vote against."
        ),
    ],
    out: New,
    by: CondenseBy = None,
    k: Annotated[int | None, typer.Option(help="Neighbours; as a build has them.")] = None,
    metric: Metric = "cosine",
    vote: Vote = None,
    seed: Annotated[int, typer.Option(help="Draws where clusters begin, and an order.")] = 0,
    force: Force = False,
) -> None:
    """Keep fewer references that answer like all of them, for a k, a metric and a vote."""
    from pocketknn.builder.selection import condense as condensing
    from pocketknn.export.cli.console.summary import kept_lines
    from pocketknn.export.cli.make.condense_option import plan_of

    from .files import opened_for, save_change

    spec = builder.Spec(k=k, metric=metric, vote=vote, seed=seed)
    refs = opened_for(out, file, force)
    found = condensing.condense(spec, refs, plan_of(amount, by))
    save_change(refs, found.references, out, force)
    say(*kept_lines(found.as_json()))
