"""A report from a build."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.fit import fit
from pocketknn.builder.images import Photo
from pocketknn.builder.references import References
from pocketknn.export.artefact import FORMATS, runnable
from pocketknn.export.handover import Export
from pocketknn.export.metadata import MODEL, REFERENCES, REPORT, manifest_of, spec_of
from pocketknn.export.timing import Timing, time_files

from . import build, choices, examples, page, pairs, quality, thumbnails
from .blocks import Section, keys
from .study import HeldOut, Study

_RUNS = 5
_SECTIONS: tuple[Callable[[Study], Section | None], ...] = (
    quality.overview,
    quality.accuracy,
    quality.classes,
    examples.hardest,
    examples.mislabelled,
    examples.duplicates,
    choices.examples,
    choices.neighbours,
    pairs.pairs,
    choices.unknown,
    build.neighbourhood,
    build.files,
    build.spec,
)


def write_report(folder: Path, study: Study) -> Path:
    """Write `report.html` into a build's folder, or write it anew.

    An earlier page gives its thumbnails of the references where their photos are not at hand, and
    the sections that were added to it.

    Args:
        folder: of the build.
        study: what it is about.
    """
    path = folder / REPORT
    sections = [section for make in _SECTIONS if (section := make(study))]
    kept = thumbnails.of_earlier(path)
    crop = study.manifest["input"].get("crop", "center")
    pictures = thumbnails.make(_wanted(study, sections), study.photo_of, crop, kept)
    count = study.manifest["references"]["count"]
    html = page.render(
        f"Model report: {count:,} reference{'s' if count != 1 else ''}",
        study.manifest["description"],
        sections,
        pictures,
    )
    page.write(path, page.with_added(html, path))
    return path


def report_build(
    built: Export,
    photos: Sequence[Photo] = (),
    strangers: NDArray[np.floating] | None = None,
) -> Path:
    """Write the report of what was built just now.

    Args:
        built: what `export` wrote.
        photos: the photo of each reference, where they are at hand.
        strangers: embeddings (s, d) of pictures of no class.
    """
    study = Study(
        fit=built.fit,
        manifest=built.manifest,
        timings=_time_shortly(built.out, built.manifest),
        photos=photos,
        strangers=strangers,
    )
    return write_report(built.out, study)


def report_eval(out: Path, held_out: HeldOut) -> Path:
    """Write the report of a build anew, with photos that it does not hold.

    Args:
        out: the build's folder.
        held_out: the photos, and what its files made of them.

    Raises:
        InputError: the folder's manifest or references are broken.
    """
    manifest = manifest_of(out)
    fitted = fit(spec_of(manifest).exactly(), References.load(out / REFERENCES))
    timings = _time_shortly(out, manifest)
    study = Study(fit=fitted, manifest=manifest, timings=timings, held_out=held_out)
    return write_report(out, study)


def _time_shortly(folder: Path, manifest: dict[str, Any]) -> list[Timing]:
    """A few runs of each file; Core ML on a Mac only, as elsewhere our evaluator runs it."""
    paths = [
        folder / f"{MODEL}{target.SUFFIX}"
        for name, target in FORMATS.items()
        if name != "coreml" or sys.platform == "darwin"
    ]
    return time_files(runnable([path for path in paths if path.exists()]), manifest, _RUNS)


def _wanted(study: Study, sections: Sequence[Section]) -> Iterator[str]:
    """What the page shows, and then further references, for a page that eval writes anew."""
    yield from keys(sections)
    draw = np.random.default_rng(study.manifest["seed"]).permutation(len(study.fit.references))
    for row in draw[: thumbnails.MOST]:
        yield thumbnails.reference(int(row))
