"""Write the report of a build."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.references.references import References
from pocketknn.export.manifest.metadata import manifest_of, spec_of
from pocketknn.export.output.names import REFERENCES, REPORT
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

from .blocks import Section
from .statistics.answers import HeldOut
from .statistics.outcome import Outcome
from .study import Study

if TYPE_CHECKING:
    from pocketknn.export.pipeline.export import Export

# Per file, as text: name, precision, threads; load time, median and 95th percentile in ms.
Timings = Sequence[tuple[str, ...]]

_SECTIONS = (
    *(accuracy.overview, advice.following, promise.promise, promise.search),
    *(accuracy.accuracy, calibration.calibration, classes.classes),
    *(pictures.hardest, pictures.mislabelled, pictures.duplicates),
    *(curves.examples, curves.neighbours, scores.scores, scores.unknown),
    *(embedding_map.nearby, files.files, files.choices),
)

# Those of them that need no files and no held-out photos, and are drawn.
_EARLY = (curves.examples, curves.neighbours, scores.scores, scores.unknown)

_NO_PICTURES = (
    "No pictures are shown, as this was built from references, which hold none; a build from the"
    " photos shows them."
)


def begin(study: Study) -> None:
    """Work out and draw what needs no files, while these are checked; it takes seconds."""
    study.work_out()
    for section in _EARLY:
        study.sections[section] = section(study)


def write_report(folder: Path, study: Study, heading: page.Heading | None = None) -> Path:
    """Write `report.html` into a build's folder, or replace it.

    Sections that were added to an earlier page are copied from it, and so are the thumbnails of
    references whose photos are not available, and the heading if none is given.
    """
    path = folder / REPORT
    ready = study.sections
    made_of = (ready[one] if one in ready else one(study) for one in _SECTIONS)
    sections = [found for found in made_of if found]
    kept = study.thumbnails | thumbnails.of_earlier(path)
    made = thumbnails.make(_wanted(study, sections), study.photo_of, study.crop, kept)
    if not made and any(key for section in sections for key in section.keys):
        first = replace(sections[0], blocks=(*sections[0].blocks, _NO_PICTURES))
        sections = [first, *sections[1:]]
    heading = heading or page.heading_of(path) or page.Heading(folder.resolve().name)
    html = page.render(heading, study.manifest["description"], sections, made)
    page.write(path, page.with_added(html, path))
    return path


def report_build(
    built: Export, begun: Study, timings: Timings, name: str = ""
) -> list[advice.Step]:
    """Write the report of a new build, and return what it advises.

    Args:
        built: the result of `export`.
        begun: its study, from before its files were checked.
        timings: timings of its files.
        name: name of the place of its photos; if it is "", or the build keeps no names of photos,
            the build folder's name is used.
    """
    study = begun.completed(built.manifest, timings)
    if not (name and any(built.fit.references.paths)):
        name = built.out.resolve().name
    write_report(built.out, study, page.Heading(name, _today()))
    return advice.steps(study)


def study_again(out: Path) -> Study:
    """The study of a build in its folder.

    Raises:
        InputError: the folder's manifest or references are broken.
    """
    manifest = manifest_of(out)
    fitted = fit(spec_of(manifest).exactly(), References.load(out / REFERENCES))
    return Study(fit=fitted, manifest=manifest, out=out.name or ".")


def report_eval(
    out: Path, begun: Study, held_out: HeldOut, timings: Timings, outcome: Outcome | None = None
) -> Path:
    """Rewrite the report of a build, with held-out photos; `begun` is from `study_again`."""
    return write_report(out, begun.completed(begun.manifest, timings, held_out, outcome))


def _today() -> date:
    """The day that SOURCE_DATE_EPOCH names (https://reproducible-builds.org), or today."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = datetime.now().astimezone()
    return (datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else now).date()


def _wanted(study: Study, sections: Sequence[Section]) -> Iterator[str]:
    """The thumbnails that the page shows, then more references, in case eval rewrites the page."""
    for section in sections:
        yield from section.keys
    yield from study.drawn
