"""A report from a build."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.photos.decode import Photo
from pocketknn.builder.references.references import References
from pocketknn.export.analysis.latency import Timing, time_files
from pocketknn.export.formats.files import runnable
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.metadata import manifest_of
from pocketknn.export.manifest.spec import spec_of
from pocketknn.export.output.names import MODEL, REFERENCES, REPORT
from pocketknn.export.pipeline import Export
from pocketknn.export.report.sections import files_and_map, galleries, quality, what_if
from pocketknn.export.report.statistics import score_pairs

from . import page, thumbnails
from .blocks import Section, keys
from .data import HeldOut, Study

_RUNS = 5
_SECTIONS: tuple[Callable[[Study], Section | None], ...] = (
    quality.overview,
    quality.accuracy,
    quality.classes,
    galleries.hardest,
    galleries.mislabelled,
    galleries.duplicates,
    what_if.examples,
    what_if.neighbours,
    score_pairs.pairs,
    what_if.unknown,
    files_and_map.neighbourhood,
    files_and_map.files,
    files_and_map.spec,
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
    """A few runs of each file that is run here by what runs it on devices."""
    paths = [folder / f"{MODEL}{target.SUFFIX}" for target in FORMATS.values() if target.NATIVE]
    return time_files(runnable([path for path in paths if path.exists()]), manifest, _RUNS)


def _wanted(study: Study, sections: Sequence[Section]) -> Iterator[str]:
    """What the page shows, and then further references, for a page that eval writes anew."""
    yield from keys(sections)
    draw = np.random.default_rng(study.manifest["seed"]).permutation(len(study.fit.references))
    for row in draw[: thumbnails.MOST]:
        yield thumbnails.reference(int(row))
