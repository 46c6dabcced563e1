"""pocketknn refs new: the first references, of photos."""

from __future__ import annotations

from dataclasses import asdict

import typer

from pocketknn import builder
from pocketknn.builder.errors import InputError
from pocketknn.export.cli.console.text import say
from pocketknn.export.cli.inapplicable import check_place
from pocketknn.export.cli.options import Crop, Network, Targets

from .arguments import Force, New, Places, Reading


def new(
    context: typer.Context,
    photos: Places,
    *,
    out: New,
    network: Network,
    crop: Crop = "center",
    columns: Targets,
    reading: Reading,
    force: Force = False,
) -> None:
    """Make the first references, of photos."""
    from pocketknn.export.output.atomic_file import check_new

    from .files import PARQUET, conflicts, counted, described, save
    from .source import embedded, photos_in, print_skipped

    check_place(context, photos)
    spec = builder.Spec(**asdict(network), crop=crop)
    check_new(out, [PARQUET], force)
    targets = columns.target_column or []
    found = photos_in(photos, columns, targets, reading, out)
    net, done = embedded(found, spec, reading, lambda cache: builder.load_backbone(spec, cache))
    refs = done.references(target_names=targets or None)
    conflict = conflicts(refs)
    if reading.strict and conflict:
        raise InputError(conflict)
    save(refs, out, force)
    say(f"{described(refs)}; written to {out}")
    say(f"  backbone {net.name} at {net.size}×{net.size}, {counted(net.dim, 'value')} each")
    if net.why:
        say(f"  {net.why}")
    if conflict:
        say(f"warning: {conflict}")
    print_skipped(done.skipped)
