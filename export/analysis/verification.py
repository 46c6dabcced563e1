"""Run every file of a build again and compare it with the exact k-NN.

Embeddings come from the packaged backbone if the build has its weights, otherwise from the one in
`model.keras`; the projection comes from `model.keras`, and neighbours from `references.parquet`, in
float64. Without `model.keras`, or TensorFlow, the projection comes from the first available file.
A file whose runtime is not installed is checked only by its sha256.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.photo import Photo
from pocketknn.builder.photos.pixels.decode import Squares
from pocketknn.export.formats import side_by_side
from pocketknn.export.formats.requirements import reason
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.artefact import metadata_of
from pocketknn.export.manifest.metadata import manifest_of
from pocketknn.export.output.checksums import digest, size
from pocketknn.export.output.names import MANIFEST, MODEL
from pocketknn.export.parity import test_inputs
from pocketknn.export.parity.check import Parity
from pocketknn.export.parity.compare import compare
from pocketknn.export.parity.judges import Judges
from pocketknn.export.parity.test_inputs import Queries

if TYPE_CHECKING:
    from pocketknn.export.manifest.reopen import Build


@dataclass(frozen=True, kw_only=True)
class Verified:
    """A file that was run.

    Attributes:
        name: name of the file.
        bytes: its size.
        parity: how well it agrees with the exact k-NN.
    """

    name: str
    bytes: int
    parity: Parity


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The result of verifying a build's files.

    Attributes:
        files: the files that were run.
        changed: what has changed since the build, one line each.
        not_run: why other files were not run, one line each.
        source: where the exact k-NN's backbone and projection come from.
    """

    files: tuple[Verified, ...]
    changed: tuple[str, ...]
    not_run: tuple[str, ...]
    source: str

    @property
    def agrees(self) -> bool:
        """Whether nothing has changed, and every file that was run agrees."""
        return not self.changed and all(one.parity.agrees for one in self.files)


def verify(out: Path, photos: Sequence[Photo] = ()) -> Verification:
    """Run every file of a build again and compare it with the exact k-NN.

    Args:
        out: the folder of the build.
        photos: photos to compare on, sampled with the build's seed; synthetic pictures if empty.

    Raises:
        InputError: the folder is not a build, its files take no pictures, there is nothing to
            compare them with, or none of them can be run here.
    """
    from pocketknn.export.manifest.reopen import reopen

    manifest = manifest_of(out)
    if photos and manifest["backbone"] is None:
        raise InputError(
            f"{out} takes vectors, not pictures; verify it without photos", "takes-vectors"
        )
    changed = tuple(_changes(out, manifest))
    there = {
        name: path
        for name, target in FORMATS.items()
        if (path := out / f"{MODEL}{target.SUFFIX}").name in manifest["files"] and path.exists()
    }
    lacking = {name: why for name in there if (why := reason(FORMATS[name].RUNTIME))}
    not_run = [f"{there[name].name} was not run: it needs {why}" for name, why in lacking.items()]
    if not changed and len(lacking) == len(there):
        raise InputError("; ".join(["nothing was verified", *not_run]), "nothing-verified")
    build = reopen(out, manifest)
    judges = Judges(_inputs(build, manifest, photos), build.backbone)

    def compared(name: str, against: Queries) -> Verified:
        path, precision = there[name], manifest["precision"][name]
        parity = compare(name, path, precision, build.fit, against, as_built=not changed)
        return Verified(name=path.name, bytes=size(path), parity=parity)

    work = {name: partial(compared, name, judges.of(name)) for name in there if name not in lacking}
    return Verification(
        files=tuple(side_by_side.each(work).values()),
        changed=changed,
        not_run=tuple(not_run),
        source=build.source,
    )


def _inputs(build: Build, manifest: Mapping[str, Any], photos: Sequence[Photo]) -> Queries:
    """The queries for the files; the same as in their build if the photos are the same."""
    net, seed = build.backbone, manifest["seed"]
    if not photos or net is None:
        return test_inputs.made_up(build.references.vectors, net, seed=seed)
    squares = Squares(net.size, manifest["input"]["crop"])
    return test_inputs.from_photos(photos, net, squares.of, seed=seed)


def _changes(out: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """What has changed since the build, in lines."""
    for name, file in manifest["files"].items():
        path = out / name
        if not path.exists():
            yield f"{name} is missing"
        elif digest(path) != file["sha256"]:
            yield f"{name} was changed after the build: checksum mismatch"
        elif path.suffix in {target.SUFFIX for target in FORMATS.values()}:
            inside = metadata_of(path).manifest
            if any(manifest.get(key) != value for key, value in inside.items()):
                yield f"{MANIFEST} differs from the one inside {name}"
