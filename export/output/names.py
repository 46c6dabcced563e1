"""The names of a build's files, in its folder and inside each artefact."""

from __future__ import annotations

MODEL = "model"  # stem of all artefacts
MANIFEST, TABLE, LABELS = "manifest.json", "references.csv", "labels.txt"
PACKED = f"{TABLE}.gz.base64"  # inside a file: a table that is long
PARITY, REFERENCES = "parity.json", "references.parquet"
REPORT = "report.html"  # not in the manifest: it includes timings and is rewritten later
REPORT_TITLE = "Model report"  # how its title begins, by which we recognise our own
GOLDEN, SNIPPETS = "golden", "snippets"  # folders: a test for devices, and code for apps
THUMBNAILS = "thumbnails"  # a folder of INDEX.jpg, with build --thumbnails
GOLDEN_NAMES = ("golden.json", *(f"{number}.png" for number in range(6)))
UNLISTED = {MANIFEST, PARITY, REPORT}  # not in the manifest's list of files
FOLDERS = {GOLDEN, SNIPPETS, THUMBNAILS}
OWN = UNLISTED | FOLDERS | {TABLE, LABELS, REFERENCES}  # everything but the artefacts
SLOTS = "slots.json"  # inside a file: where its references are
SEAL = "seal.txt"  # inside a file: sha256 of its texts, and of what a native runtime reads


def thumbnail_of(index: int | str) -> str:
    """The file name of a reference's thumbnail, in the folder `THUMBNAILS`."""
    return f"{index}.jpg"
