"""pocketknn explain: what in a picture an answer hangs on."""

from __future__ import annotations

from pathlib import Path

from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.decode import Photo, PictureError, pixels
from pocketknn.builder.photos.find import find
from pocketknn.builder.photos.readers import LocalFile
from pocketknn.export.analysis import figures
from pocketknn.export.analysis.match import thumbnails
from pocketknn.export.analysis.occlusion import words as words
from pocketknn.export.analysis.occlusion.chart import draw
from pocketknn.export.analysis.occlusion.explain import PATCH, STEPS, Patches, explain
from pocketknn.export.cli.console.progress import progress
from pocketknn.export.cli.console.quiet import say
from pocketknn.export.cli.console.terminal import console, say_json
from pocketknn.export.manifest.artefact import artefact_of, picture_input
from pocketknn.export.manifest.reopen import scorer_of
from pocketknn.export.output.atomic_file import PICTURES, check_new
from pocketknn.export.report.sections import extra_sections

_THUMBNAIL = 160  # pixels


def explain_picture(
    out: Path,
    image: Path,
    *,
    figure: Path | None = None,
    photos: Path | None = None,
    patch: float = PATCH,
    steps: int = STEPS,
    as_json: bool = False,
    force: bool = False,
) -> None:
    """Say and draw what of a picture the answer hangs on.

    The report of the build shows it too, but not when JSON is asked for.

    Args:
        out: a build, of which the first file is taken, or one of its files.
        image: the picture.
        figure: the `.png` or `.svg` to write; when None, `NAME-explained.png` in the working
            folder, and with JSON nothing.
        photos: where the references' pictures are.
        patch: side of the hidden parts, as a share of the picture's.
        steps: how many of them there are in a row.
        as_json: print JSON.
        force: replace an earlier figure.

    Raises:
        InputError: the artefact cannot be opened or takes features, the picture cannot be read, or
            the figure cannot be written.
    """
    if figure is None and not as_json:
        figure = Path(f"{image.stem}-explained.png")
    if figure is not None:
        check_new(figure, PICTURES, force, (image,))
    origin = find(photos, note=say) if photos else []
    name, file = artefact_of(out)
    given = picture_input(name, file.metadata)
    size, crop = given["shape"][0], given["crop"]
    photo = Photo(name=str(image), label="", content=LocalFile(str(image.absolute())))
    try:
        picture = pixels(photo, size, crop)
    except PictureError as error:
        raise InputError(f"{image}: {error}") from error
    patches = Patches.of(size, patch, steps)
    folder = out.parent if name == out.name else out
    with progress(shown=not as_json) as bar:
        step = bar.add_task("hiding parts", total=len(patches.corners))
        found = explain(
            file,
            file.metadata.rows(),
            picture,
            patches,
            scorer=scorer_of(folder, file.metadata.manifest),
            progress=lambda done: bar.advance(step, done),
        )
    known = thumbnails(found.near, origin, _THUMBNAIL, crop)
    if figure is not None:
        figures.save(draw(found, image.name, known), figure, force)
    if as_json:
        said = {"image": str(image), "artefact": name} | words.as_json(found)
        say_json(said)
        return
    for line in [f"{image}: {found.label}" if found.label else str(image), *words.said(found)]:
        console.print(line, markup=False)
    console.print(f"{figure} shows it", markup=False)
    if folder == out:
        drawn = figures.rendered(draw(found, image.name, known), "png")
        section = extra_sections.explanation(found, image.name, drawn)
        console.print(extra_sections.add(out, section), markup=False)
    if photos is None:
        hint = "--photos PHOTOS, the place that was built from, shows the neighbours' pictures too"
        console.print(hint)
    elif missing := len(found.near) - len(known):
        console.print(f"{missing} of the neighbours' pictures are not in {photos}", markup=False)
