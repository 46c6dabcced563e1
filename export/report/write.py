"""Write the report of a build."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.photos.photo import Photo
from pocketknn.builder.references.references import References
from pocketknn.export.manifest.metadata import manifest_of, spec_of
from pocketknn.export.output.names import REFERENCES, REPORT, REPORT_TITLE
from pocketknn.export.report.html import page, thumbnails
from pocketknn.export.report.sections import (
    accuracy,
    advice,
    calibration,
    classes,
    curves,
    embedding_map,
    files,
    pictures,
    promise,
    scores,
)
from pocketknn.export.report.wording import plural

from .blocks import Section
from .statistics.answers import HeldOut
from .statistics.outcome import Outcome
from .study import Study

if TYPE_CHECKING:
    from pocketknn.export.pipeline.export import Export

# Per file, as text: name, threads, load time, median and 95th percentile in milliseconds.
Timings = Sequence[tuple[str, ...]]

_SECTIONS = (
    *(accuracy.overview, advice.following, promise.promise, promise.search),
    *(accuracy.accuracy, calibration.calibration, classes.classes),
    *(pictures.hardest, pictures.mislabelled, pictures.duplicates),
    *(curves.examples, curves.neighbours, scores.scores, scores.unknown),
    *(embedding_map.nearby, files.files, files.choices),
)


def write_report(folder: Path, study: Study) -> Path:
    """Write `report.html` into a build's folder, or replace it.

    Sections that were added to an earlier page are copied from it, and so are the thumbnails of
    references whose photos are not available.
    """
    path = folder / REPORT
    sections = [found for section in _SECTIONS if (found := section(study))]
    kept = thumbnails.of_earlier(path)
    crop = study.manifest["input"].get("crop", "center")
    made = thumbnails.make(_wanted(study, sections), study.photo_of, crop, kept)
    count = study.manifest["references"]["count"]
    title = f"{REPORT_TITLE}: {plural(count, 'reference')}"
    html = page.render(title, study.manifest["description"], sections, made)
    page.write(path, page.with_added(html, path))
    return path


def report_build(
    built: Export,
    photos: Sequence[Photo],
    strangers: NDArray[np.floating] | None,
    timings: Timings,
) -> list[advice.Step]:
    """Write the report of a new build, and return what it advises.

    Args:
        built: the result of `export`.
        photos: the photo of each reference, if available.
        strangers: embeddings (s, d) of pictures of no class.
        timings: timings of its files.
    """
    study = Study(
        fit=built.fit,
        manifest=built.manifest,
        timings=timings,
        photos=photos,
        strangers=strangers,
    )
    write_report(built.out, study)
    return advice.steps(study)


def report_eval(
    out: Path, held_out: HeldOut, timings: Timings, outcome: Outcome | None = None
) -> Path:
    """Rewrite the report of a build, with held-out photos.

    Raises:
        InputError: the folder's manifest or references are broken.
    """
    manifest = manifest_of(out)
    fitted = fit(spec_of(manifest).exactly(), References.load(out / REFERENCES))
    study = Study(fit=fitted, manifest=manifest, timings=timings, held_out=held_out)
    study = replace(study, outcome=outcome)
    return write_report(out, study)


def _wanted(study: Study, sections: Sequence[Section]) -> Iterator[str]:
    """The thumbnails that the page shows, then more references, in case eval rewrites the page."""
    for section in sections:
        yield from section.keys
    draw = np.random.default_rng(study.manifest["seed"]).permutation(len(study.fit.references))
    for row in draw[: thumbnails.MOST]:
        yield study.reference(int(row)).key
