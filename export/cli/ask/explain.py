"""pocketknn explain: which parts of a picture decide the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pocketknn import builder
from pocketknn.builder.errors import InputError
from pocketknn.builder.wording import counted
from pocketknn.export.cli.console.quiet import note
from pocketknn.export.cli.console.text import say, say_json
from pocketknn.export.cli.options import BuildOrFile, Json

from .order import model_first
from .pictures import pictures
from .predict import pixels_of

_THUMBNAIL = 160  # pixels


def explain(
    out: BuildOrFile,
    image: Annotated[Path, typer.Argument(metavar="PICTURE", help="A picture.")],
    figure: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            help="The .png or .svg to write; default: NAME-explained.png, or none with --json.",
        ),
    ] = None,
    photos: Annotated[
        list[Path] | None,
        typer.Option(
            help="The photos the model was built from, to show the neighbours' pictures; may be"
            " repeated."
        ),
    ] = None,
    patch: Annotated[
        float, typer.Option(help="Side of the hidden patch, as a share of the picture's side.")
    ] = 0.2,
    steps: Annotated[int, typer.Option(help="Number of patch positions in each direction.")] = 12,
    as_json: Json = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier figure.")] = False,
) -> None:
    """Show the neighbours, and which parts of a picture decide the answer, by hiding each part.

    Examples:
        pocketknn explain out picture.jpg
        pocketknn explain out picture.jpg --photos photos -o why.png
    """
    from pocketknn.builder.photos.photo import PictureError
    from pocketknn.builder.references.match import thumbnails
    from pocketknn.export.analysis import figures
    from pocketknn.export.analysis.occlusion import words
    from pocketknn.export.analysis.occlusion.chart import draw
    from pocketknn.export.analysis.occlusion.explanation import Patches, check
    from pocketknn.export.analysis.occlusion.measure import explain
    from pocketknn.export.cli.console.terminal import progress
    from pocketknn.export.manifest.artefact import load, metadata_of, path_of, picture_input
    from pocketknn.export.manifest.reopen import scorer_of
    from pocketknn.export.output.new_file import PICTURES, check_new
    from pocketknn.export.report import extra_sections

    check(patch, steps)
    first, word = model_first("explain", str(out), str(image))
    out = Path(first)
    path = path_of(out)
    name, given = path.name, picture_input(path.name, metadata_of(path))
    one, *others = pictures([word])
    if others:
        raise InputError(
            f"{word} stands for {1 + len(others)} files; name one picture", "not-a-file"
        )
    image = Path(one.name)
    if figure is None and not as_json:
        figure = Path(f"{image.stem}-explained.png")
    if figure is not None:
        check_new(figure, PICTURES, force, (image,))
    origin = [photo for place in photos or () for photo in builder.find(place, note=note)]
    try:
        picture = pixels_of(one, given)
    except PictureError as error:
        raise InputError(f"{image}: {error}", "unreadable-picture") from error
    patches = Patches.of(given["shape"][0], patch, steps)
    file = load(path)
    folder = out.parent if name == out.name else out
    scorer = scorer_of(folder, file.metadata.manifest)
    with progress("hiding parts", len(patches.corners), shown=not as_json) as done:
        rows = file.metadata.rows()
        found = explain(file, rows, picture, patches, scorer=scorer, progress=done)
    known = thumbnails({one.id: one.path for one in found.near}, origin, _THUMBNAIL, given["crop"])
    if figure is not None:
        figures.save(draw(found, image.name, known), figure, force)
    if as_json:
        say_json({"image": str(image), "artefact": name} | words.as_json(found))
        return
    lines = words.sentences(found)
    say(f"{image}: {found.label}" if found.label else str(image), *lines)
    say(f"figure: {figure}")
    if folder == out:
        drawn = figures.rendered(draw(found, image.name, known), "png")
        section = extra_sections.explanation(image.name, found.label, lines, drawn)
        say(extra_sections.add(out, section))
    if not photos:
        say("to see the neighbours' pictures, add --photos with the photos of the build")
    elif missing := len(found.near) - len(known):
        single, several = (f"of the neighbours' pictures {verb} not in" for verb in ("is", "are"))
        say(f"{counted(missing, single, several)} {', '.join(map(str, photos))}")
