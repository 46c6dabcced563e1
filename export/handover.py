"""Convert, load, compare with the exact k-NN, and hand over what agrees."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbone import Backbone
from pocketknn.builder.embedding import Skipped
from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.fit import Fit, fit
from pocketknn.builder.model import wire
from pocketknn.builder.references import References
from pocketknn.builder.spec import Spec
from pocketknn.builder.unknown import measure

from . import golden, parity, queries, templates
from .artefact import FORMATS, check_formats
from .metadata import (
    GOLDEN,
    LABELS,
    MANIFEST,
    MODEL,
    PARITY,
    REFERENCES,
    SNIPPETS,
    TABLE,
    Metadata,
    describe,
    dumps,
)
from .options import Options
from .parity import Parity
from .queries import Queries
from .staging import staged

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class Written:
    """An artefact that was converted, run and compared.

    Attributes:
        format: its name in `FORMATS`.
        name: its file name in the folder.
        bytes: its size.
        seconds: time to convert and write it.
        parity: how it agrees with the exact k-NN; where it does not, the file was not kept.
    """

    format: str
    name: str
    bytes: int
    seconds: float
    parity: Parity


@dataclass(frozen=True, kw_only=True)
class Export:
    """What a call of `export` left in its folder.

    Attributes:
        out: the folder.
        fit: the choices and the references.
        manifest: the content of its manifest.json.
        written: the artefacts.
    """

    out: Path
    fit: Fit
    manifest: dict[str, Any]
    written: tuple[Written, ...]

    @property
    def agrees(self) -> bool:
        """Whether every artefact agrees with the exact k-NN."""
        return all(one.parity.agrees for one in self.written)


def export(
    spec: Spec,
    references: References,
    backbone: Backbone | None,
    out: Path,
    *,
    against: Queries | None = None,
    strangers: NDArray[np.floating] | None = None,
    options: Options | None = None,
    formats: Sequence[str] = tuple(FORMATS),
    skipped: Sequence[Skipped] = (),
    force: bool = False,
    progress: Callable[[str], None] = lambda name: None,
) -> Export:
    """Build a model and write it in all formats, with references and manifest, into a new folder.

    Each file is opened in its own runtime and compared with the exact k-NN over the embeddings of
    `against`. One that does not agree is not handed over; parity.json says why.

    Args:
        spec: the choices.
        references: the stored examples.
        backbone: the feature extractor; None for a model of feature vectors.
        out: the folder; it appears when everything in it is complete.
        against: what to compare on, and what int8 takes its ranges from; a black picture and noise
            when None.
        strangers: embeddings (q, d) of what is of no class, to measure rejection on.
        options: how the files are written.
        formats: names in `FORMATS`.
        skipped: the pictures that were left out, for the manifest.
        force: replace an earlier build.
        progress: called with the name of each format before it is written.

    Raises:
        InputError: an unknown format, a choice that the references cannot serve, or `out` exists
            or cannot be written.
    """
    check_formats(formats)
    options = options or Options()
    precision = {name: precision_of(name, options, backbone) for name in dict.fromkeys(formats)}
    fitted = fit(spec, references)
    metadata = describe(fitted, backbone, precision, measure(fitted, strangers), options)
    if against is None:
        against = (
            queries.synthetic(backbone, seed=spec.seed)
            if backbone
            else queries.from_vectors(references.vectors, seed=spec.seed)
        )
    models: dict[str, keras.Model] = {}
    with staged(out, force) as folder:
        written = []
        for name in precision:
            progress(name)
            kind = precision[name]
            if kind not in models:
                models[kind] = wire(fitted, backbone, precision=kind)
            written.append(_write(name, models[kind], metadata, fitted, against, folder))
        for what in options.outputs if "tflite" in precision else ():
            progress(what)
            kind = precision["tflite"]
            part = wire(fitted, backbone, precision=kind, outputs=what)
            _write_part(what, part, metadata.part(what), fitted, against, folder)
        references.save(folder / REFERENCES)
        for name, text in metadata.files().items():
            if name == TABLE or (name == LABELS and metadata.labels):
                (folder / name).write_text(text, encoding="utf-8", newline="")
        if kept := [one.format for one in written if one.parity.agrees]:
            golden.write(folder / GOLDEN, fitted, metadata.manifest, against, kept)
            templates.write(folder / SNIPPETS, metadata.manifest, kept)
        manifest = metadata.manifest | {
            "skipped": [asdict(one) for one in skipped],
            "files": {p.name: _facts(p) for p in sorted(folder.iterdir())},
            "parity": {one.format: one.parity.as_json() for one in written},
        }
        (folder / PARITY).write_text(dumps(manifest["parity"]), encoding="utf-8")
        (folder / MANIFEST).write_text(dumps(manifest), encoding="utf-8")
    return Export(out=out, fit=fitted, manifest=manifest, written=tuple(written))


def precision_of(name: str, options: Options, backbone: Backbone | None) -> str:
    """What a format is written in: what is asked for where it can, else its default.

    Without a backbone there is nothing to make smaller.
    """
    target, asked = FORMATS[name], options.precision
    return asked if backbone and asked in target.PRECISIONS else target.PRECISION


def compare(name: str, path: Path, precision: str, fit: Fit, against: Queries) -> Parity:
    """Open a file in its own runtime and compare its answers with the exact k-NN."""
    try:
        outputs = FORMATS[name].load(path)(against.inputs)
    except Exception as error:  # a runtime may raise anything on a file that it cannot run
        refusal = f"it cannot be run: {first_line(error)}"
        return parity.refused(precision, len(against.inputs), refusal)
    return parity.check(
        outputs,
        against.embeddings,
        fit,
        precision=precision,
        stored=parity.holds(_files(path), fit.space),
    )


def digest(path: Path) -> str:
    """sha256 of a file, or of the names and contents of a package's files in order."""
    found = hashlib.sha256()
    for file in _files(path):
        if path.is_dir():
            found.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                found.update(block)
    return found.hexdigest()


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a package."""
    return sum(file.stat().st_size for file in _files(path))


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path] if path.exists() else []


def _write(
    name: str,
    model: keras.Model,
    metadata: Metadata,
    fitted: Fit,
    against: Queries,
    folder: Path,
) -> Written:
    target = FORMATS[name]
    path = folder / f"{MODEL}{target.SUFFIX}"
    precision = metadata.manifest["precision"][name]
    start = time.perf_counter()
    try:
        target.convert(model, path, metadata, precision, against.inputs)
        refusal = ""
    except OSError:
        raise
    except Exception as error:  # the converters raise anything on a backbone they do not know
        refusal = f"it cannot be converted: {first_line(error)}"
    seconds = time.perf_counter() - start
    written = Written(
        format=name,
        name=path.name,
        bytes=size(path),
        seconds=seconds,
        parity=parity.refused(precision, 0, refusal)
        if refusal
        else compare(name, path, precision, fitted, against),
    )
    if not written.parity.agrees:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return written


def _write_part(
    what: str,
    model: keras.Model,
    metadata: Metadata,
    fitted: Fit,
    against: Queries,
    folder: Path,
) -> None:
    """A TFLite file that ends before the top-k.

    Raises:
        InputError: it does not agree with the exact values.
    """
    target, precision = FORMATS["tflite"], metadata.manifest["precision"]["tflite"]
    path = folder / f"{MODEL}-{what}{target.SUFFIX}"
    target.convert(model, path, metadata, precision, against.inputs)
    error = parity.check_part(target.load(path)(against.inputs), what, against.embeddings, fitted)
    if error > (allowed := parity.TOLERANCES[precision].score):
        raise InputError(f"{path.name}: {what} off by {error:.1e}, allowed are {allowed:.0e}")


def _facts(path: Path) -> dict[str, Any]:
    return {"bytes": size(path), "sha256": digest(path)}
