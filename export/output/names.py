"""What the files of a build are called, in its folder and inside each artefact."""

from __future__ import annotations

MODEL = "model"  # all artefacts, before their suffix
MANIFEST, TABLE, LABELS = "manifest.json", "references.csv", "labels.txt"
PARITY, REFERENCES = "parity.json", "references.parquet"
REPORT = "report.html"  # measures this machine too, and is written anew: no part of the manifest
REPORT_TITLE = "Model report"  # how its title begins, by which it is known as ours
GOLDEN, SNIPPETS = "golden", "snippets"  # folders: a test for devices, and code for apps
GOLDEN_NAMES = ("golden.json", *(f"{number}.png" for number in range(6)))
UNLISTED = {MANIFEST, PARITY, REPORT}  # the manifest's list of files is without these
OWN = UNLISTED | {TABLE, LABELS, REFERENCES, GOLDEN, SNIPPETS}  # all that is no artefact
SLOTS = "slots.json"  # inside a file: where its references lie
SEAL = "seal.txt"  # inside a file: sha256 of its texts, and of what a native runtime will be given
