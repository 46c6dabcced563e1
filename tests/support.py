"""Shared by test files: small generated data, cases, and checks of refusals."""

import os
import re
import shlex
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pocketknn.builder import References, Spec, embed, find, load_backbone
from pocketknn.builder.choices.heads import HEADS
from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.protocols import Voting
from pocketknn.builder.choices.votes import VOTES
from pocketknn.builder.errors import InputError
from pocketknn.builder.graph.wire import wire
from pocketknn.builder.knn.resolve import fit
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.storage.slots import Slots
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.describe import describe
from pocketknn.export.manifest.figures import measure
from pocketknn.export.parity.test_inputs import Queries
from pocketknn.export.templates.content import content_of
from pocketknn.export.templates.template import Order, write

TESTS = Path(__file__).parent
ROOT = TESTS.parent
DATA = Path(os.environ.get("POCKETKNN_DATA", ROOT.parent / "shared" / "data"))
# Choices that scikit-learn has too; they are not the defaults for classes.
PLAIN = ("--projection", "none", "--vote", "uniform")
PRECISION = {"keras": "float32", "tflite": "float32", "coreml": "float16", "onnx": "float32"}


@contextmanager
def input_error(code, *values):
    """The block must raise an `InputError` with this code and these values in its message."""
    with pytest.raises(InputError) as caught:
        yield
    assert caught.value.code == code, str(caught.value)
    for value in values:
        assert str(value) in str(caught.value)


class Held(type(Path())):
    """A folder outside the project; looking up a missing file skips the test."""

    def __truediv__(self, name):
        path = super().__truediv__(name)
        if not path.exists():
            pytest.skip(f"{path} is not there; POCKETKNN_DATA names another folder")
        return path


class Said:
    def __init__(self, code, captured):
        self.code, self.out, self.err = code, captured.out, captured.err

    @property
    def command(self):
        """The words of the last line."""
        return shlex.split(self.out.strip().splitlines()[-1])


def drawing(seed, size=(60, 48)):
    """A picture with colour and structure; each seed gives a different one."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


def tinted(seed, colour, size, share):
    """A drawing blended with one colour, so that pixels separate the classes."""
    return Image.blend(drawing(seed, size), Image.new("RGB", size, colour), share)


def blobs(n=60, d=6, classes=3, spread=1.5, seed=0, **more):
    """References around a random centre for each class."""
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((classes, d)) * 3
    number = np.arange(n) % classes
    rows = middles[number] + spread * rng.standard_normal((n, d))
    return References.of(rows, [f"c{i}" for i in number], **more)


def plain(**choices):
    """A spec without projection and with uniform votes, unless given.

    As in image search and scikit-learn; the defaults for classes differ.
    """
    if choices.get("pca") is None:
        choices.setdefault("projection", "none")
    return Spec(**({"vote": "uniform"} | choices))


class Case:
    """A model, with everything its artefacts are compared with."""

    def __init__(self, spec, references, backbone, queries):
        self.fit = fit(spec, references)
        self.references, self.backbone, self.queries = references, backbone, queries
        self.metadata = describe(self.fit, backbone, PRECISION, measure(self.fit))

    @property
    def spec(self):
        return self.fit.spec

    def write(
        self, name, path, precision="float32", metadata=None, options=None, outputs="neighbors"
    ):
        """An artefact, as a build writes it."""
        write(self.order(name, precision, options, outputs), metadata or self.metadata, path)
        return path

    def convert(
        self, name, path, precision="float32", options=None, outputs="neighbors", *, wholly=False
    ):
        """The same from the official converter, with a graph that holds the real references.

        Only the backbone has the precision, unless it is wanted `wholly`.
        """
        order, raw = (
            self.order(name, precision, options, outputs),
            path.with_name(f"raw-{path.name}"),
        )
        slots = self.fit.slots if FORMATS[name].FIXED else None
        model = wire(self.fit, self.backbone, precision=precision, outputs=outputs, slots=slots)
        stored = precision if self.backbone or wholly else "float32"
        given = (self.fit.labels, order.options, stored, order.calibration)
        apart = name == "coreml" and not wholly
        with _half_only_in_backbone() if apart else nullcontext():
            FORMATS[name].convert(model, raw, *given)
        metadata = self.metadata if outputs == "neighbors" else self.metadata.part(outputs)
        content = content_of(self.fit, precision, outputs)
        FORMATS[name].fill(raw, path, Slots(), content, metadata.files())
        return path

    def order(self, name, precision="float32", options=None, outputs="neighbors"):
        return Order(
            format=name,
            fit=self.fit,
            backbone=self.backbone,
            precision=precision,
            options=options or Options(),
            outputs=outputs,
            calibration=self.queries.inputs,
        )


@contextmanager
def _half_only_in_backbone():
    """A whole graph in Core ML: only its backbone may be in half precision."""
    import coremltools as ct

    half = ct.transform.FP16ComputePrecision
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(half, "__init__", partialmethod(half.__init__, _in_backbone))
        yield


def _in_backbone(op):
    """Whether nothing the operation depends on belongs to the head.

    Operations inserted by passes have names of their own, so names alone are not enough.
    """
    waiting, seen = [op], {id(op)}
    while waiting:
        here = waiting.pop()
        if re.match(r"pocketknn(_\d+)?/(?!backbone)", here.name):
            return False
        for given in here.inputs.values():
            for value in given if isinstance(given, list | tuple) else [given]:
                before = getattr(value, "op", None)
                if before is not None and id(before) not in seen:
                    seen.add(id(before))
                    waiting.append(before)
    return True


def voting(examples, by="uniform", metric="cosine", **choices):
    return Voting(examples=examples, vote=VOTES[by], metric=METRICS[metric], **choices)


def vote(found, label_ids, classes, **choices):
    """The exact shares of the classes among these neighbours."""
    examples = SimpleNamespace(label_ids=label_ids, labels=range(classes))
    return HEADS["classify"].answers(found, voting(examples, **choices))


def vector_case(n=40, d=16, k=5, classes=6, seed=0, head="classify", **choices):
    """References that are random vectors, and random queries with a row of zeros; see `plain`."""
    rng = np.random.default_rng(seed)
    labels = [f"class {i}" for i in rng.integers(0, classes, n)]
    targets = rng.standard_normal((n, 2)) * [1, 100] if head == "regress" else None
    references = References.of(rng.standard_normal((n, d)), labels, targets=targets)
    queries = rng.standard_normal((50, d)).astype(np.float32)
    queries[0] = 0
    spec = plain(backbone="vector", k=k, head=head, **choices)
    return Case(spec, references, None, Queries(queries, queries))


def photo_case(photos, backbone="pixels", head="classify", by_keras=False, **choices):
    """References that are the small pictures; queries are others, and a black one; see `plain`.

    Embedded by Keras, if wanted: LiteRT's converter takes seconds for a large network.
    """
    spec = plain(backbone=backbone, head=head, **choices)
    net = load_backbone(spec)
    net = replace(net, by_keras=True) if by_keras else net
    references = embed(find(photos), net, spec.crop).references()
    from pocketknn.builder.embedding.local import run
    from pocketknn.builder.photos.pixels.crop import square

    pictures = [square(drawing(100 + i), net.size, "center") for i in range(12)]
    inputs = np.stack([np.zeros_like(pictures[0]), *pictures])
    return Case(spec, references, net, Queries(inputs, run(net, inputs)))


def study_of(fitted, **more):
    from pocketknn.export.report.study import Study

    manifest = describe(fitted, None, {}, measure(fitted)).manifest
    return Study(fit=fitted, manifest=manifest | {"files": {}, "parity": {}, "skipped": []}, **more)


def scattered(counts, d=60, spread=1.0, seed=0):
    """Embeddings that share a direction; classes differ in all directions, photos in a few more."""
    rng = np.random.default_rng(seed)
    ids = np.repeat(np.arange(len(counts)), counts)
    nuisance = rng.standard_normal((8, d))
    rows = 4 + rng.standard_normal((len(counts), d))[ids]
    rows += spread * (
        rng.standard_normal((len(ids), 8)) @ nuisance + rng.standard_normal((len(ids), d))
    )
    return rows.astype(np.float32), ids
