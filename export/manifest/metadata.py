"""The metadata of an artefact: its texts, written and read back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pocketknn.builder.backbones.provenance import Provenance
from pocketknn.builder.choices import growth
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.photos.readers import read_file
from pocketknn.builder.references.csv_table import unguarded
from pocketknn.builder.spec import Spec
from pocketknn.builder.system.untrusted_json import parse_json
from pocketknn.builder.wording import counted
from pocketknn.export.output.checksums import check_texts
from pocketknn.export.output.names import LABELS, MANIFEST, SLOTS, TABLE

from .schema import BUILT, INSIDE, SCHEMA, check_manifest, upgrade

SHOWN = 5  # neighbours that are displayed, of those that vote
Row = dict[str, str | int]
COLUMNS = ("index", "id", "label", "path")


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """The metadata of an artefact.

    Attributes:
        manifest: JSON object: head, k, backbone, input, outputs, labels, references, versions.
        table: CSV of index, id, label, path, which maps an index to a picture.
        slots: the places in the file where data depends on the references, for later edits.
    """

    manifest: dict[str, Any]
    table: str
    slots: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def labels(self) -> list[str]:
        """The classes in the order of `probabilities`; empty without a vote."""
        return list(self.manifest["labels"])

    def rows(self) -> list[Row]:
        """The table of references: per row a dictionary of index, id, label and path.

        Raises:
            InputError: it is damaged, or has the wrong number of rows.
        """
        try:
            found = csv.reader(io.StringIO(self.table, newline=""), strict=True)
            columns = tuple(next(found, ()))
            rows = [dict(zip(columns, row, strict=True)) for row in found]
            if columns != COLUMNS:
                raise ValueError(f"its columns are {', '.join(columns)}")
            numbers = [row["index"] for row in rows]
            if numbers != [*map(str, range(len(rows)))]:
                raise ValueError("its rows are not numbered from 0")
        except (ValueError, csv.Error) as error:
            raise InputError(
                f"the table of references is damaged: {error}", "table-damaged"
            ) from error
        if len(rows) != (count := self.manifest["references"]["count"]):
            raise InputError(
                f"the table of references has {counted(len(rows), 'row')}, not {count}",
                "table-damaged",
            )
        return [
            {name: unguarded(cell) for name, cell in row.items()} | {"index": place}
            for place, row in enumerate(rows)
        ]

    def files(self) -> dict[str, str]:
        """The texts that a format stores, by name."""
        return {
            MANIFEST: dumps(self.manifest),
            TABLE: self.table,
            LABELS: "".join(f"{label}\n" for label in self.labels),
            SLOTS: json.dumps(self.slots),
        }

    @classmethod
    def parse(
        cls, files: dict[str, str], source: str, wanted: Mapping[str, Any] = INSIDE
    ) -> Metadata:
        """Read what `files` wrote.

        Args:
            files: the texts by name.
            source: the name of the file or folder, for messages.
            wanted: what the manifest must hold: `INSIDE` for an artefact's, `BUILT` for a folder's.

        Raises:
            InputError: something is missing or broken, or has another schema.
        """
        try:
            manifest = parse_json(files[MANIFEST])
            schema = manifest["schema"]
            if schema == SCHEMA:
                upgrade(manifest)
                check_manifest(manifest, wanted)
                spec_of(manifest)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"the manifest of {source} is broken: {first_line(error)}", "manifest-broken"
            ) from error
        if schema != SCHEMA:
            raise InputError(
                f"{source} has a manifest of schema {schema!r:.40}, not {SCHEMA!r}", "other-schema"
            )
        if not all(isinstance(text, str) for text in files.values()):  # protobuf then gives bytes
            raise InputError(f"{source} is damaged: a text in it is not UTF-8", "file-damaged")
        if wanted is INSIDE:
            check_texts(files, source)
        try:
            slots = parse_json(files.get(SLOTS, "{}"))
        except ValueError as error:
            raise InputError(
                f"the manifest of {source} is broken: {error}", "manifest-broken"
            ) from error
        return cls(manifest=manifest, table=files[TABLE], slots=slots)

    def part(self, what: str) -> Metadata:
        """The metadata of a file that stops before the top-k, with only `scores` or `embedding`."""
        manifest = self.manifest
        meaning = {
            "scores": f"{manifest['outputs']['scores']['is'].partition(' of each')[0]} of all"
            " references, in the order of references.csv",
            "embedding": "what is compared with the references",
        }
        width = manifest["references"]["count" if what == "scores" else "dim"]
        if what == "embedding" and manifest["projection"]:
            width = manifest["projection"]["size"]
        outputs = {what: {"shape": [1, width], "is": meaning[what]}}
        grown = {name: value for name, value in manifest.items() if name != growth.NAME}
        return replace(self, manifest=grown | {"outputs": outputs})


def manifest_of(out: Path) -> dict[str, Any]:
    """The manifest of a build's folder.

    Raises:
        InputError: there is none, or it is broken.
    """
    try:
        text = read_file(out / MANIFEST).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{out} is not a build: it has no readable {MANIFEST}", "no-build"
        ) from error
    manifest = Metadata.parse({MANIFEST: text, TABLE: ""}, str(out / MANIFEST), BUILT).manifest
    for name in manifest["files"]:
        if not (out / name).resolve().is_relative_to(out.resolve()):
            raise InputError(f"{out / name} is a link that leads out of the build", "link-outside")
    return manifest


def dumps(value: object) -> str:
    """JSON as written in every file of a build: readable, UTF-8, deterministic."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def spec_of(manifest: Mapping[str, Any]) -> Spec:
    """The choices of a build; its files are checked against them."""
    search, projection = manifest["search"], manifest["projection"] or {"by": "none"}
    components = projection if projection["by"] == "pca" else None
    memory = manifest.get(growth.NAME) or {}
    return Spec(
        head=manifest["head"],
        metric=manifest["metric"],
        k=manifest["k"],
        projection=projection["by"],
        pca=int(components["size"]) if components else None,
        whiten=float(components["whiten"]) if components else None,
        vote=manifest["vote"] or "uniform",
        temperature=manifest["temperature"],
        balanced=bool(manifest["balanced"]),
        reject=float(manifest["reject"]["threshold"]) if manifest["reject"] else None,
        references_precision=search["references_precision"],
        search=search["by"],
        candidates=search["candidates"] if SEARCHES[search["by"]].SCANS else None,
        grow=memory.get("slots"),
        spare=memory.get("spare") or None,
        seed=manifest["seed"],
    )


def provenance_of(manifest: Mapping[str, Any]) -> Provenance | None:
    """The provenance of a build's references."""
    backbone, given = manifest["backbone"], manifest["input"]
    if backbone is None:
        return None
    return Provenance(
        backbone=backbone["name"],
        alpha=backbone["alpha"],
        size=given["shape"][0],
        input_range=backbone["input_range"],
        sha256=backbone["sha256"],
        crop=given["crop"],
    )
