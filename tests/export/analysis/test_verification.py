"""Verification from Python: the same files, photos and seed reproduce the build's figures."""

import shutil

import numpy as np
import pytest

from pocketknn.builder import InputError, References, Spec, find
from pocketknn.builder.system.cache import USUAL
from pocketknn.export import Verification, export, verify
from pocketknn.export.manifest import reopen
from pocketknn.export.pipeline.build import build
from pocketknn.export.pipeline.request import Request, Selection


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory):
    """A build with another seed, and its measurements."""
    request = Request(
        selection=Selection(photos=photos),
        spec=Spec(backbone="pixels", size=8, seed=5),
        formats=("tflite",),
    )
    result, _ = build(request, tmp_path_factory.mktemp("verified") / "out", cache=USUAL)
    return result


def test_a_build_is_measured_as_when_it_was_made(made, photos):
    found = verify(made.out, find(photos))
    assert isinstance(found, Verification)
    assert found.agrees
    (file,), (written,) = found.files, made.written
    assert (file.name, file.bytes) == (written.name, written.bytes)
    assert file.parity == written.parity
    assert found.source.startswith("the packaged backbone pixels")
    assert (found.changed, found.not_run) == ((), ())


def test_what_has_changed_is_told(made, tmp_path):
    copy = shutil.copytree(made.out, tmp_path / "copy")
    (copy / "labels.txt").write_text("apple\n", "utf-8")
    found = verify(copy)
    assert found.changed == ("labels.txt was changed after the build: checksum mismatch",)
    assert not found.agrees
    assert all(one.parity.agrees for one in found.files)


def test_vectors_are_not_compared_on_photos(photos, tmp_path):
    references = References.of(np.eye(4, dtype=np.float32), ["a", "b", "a", "b"])
    export(Spec(backbone="vector"), references, None, tmp_path / "out", formats=["tflite"])
    with pytest.raises(InputError, match="takes vectors, not pictures; verify it without photos"):
        verify(tmp_path / "out", find(photos))


def test_a_packaged_backbone_is_read_without_keras(photos, tmp_path, monkeypatch):
    """And it is the same as by Keras, which reads what cannot be read without it."""
    spec = Spec(backbone="pixels", size=8, projection="classes", k=3)
    request = Request(selection=Selection(photos=photos), spec=spec, formats=("keras",))
    built, _ = build(request, tmp_path / "out")
    expected = reopen.reopen(built.out, {**built.manifest, "backbone": _unpackaged(built)})
    by_keras = reopen._keras_model
    monkeypatch.setattr(reopen, "_keras_model", None)
    found = reopen.reopen(built.out, built.manifest)
    assert found.source == expected.source == "model.keras"
    assert found.backbone.engine.name == "numpy"
    assert found.backbone.sha256() == expected.backbone.sha256()
    np.testing.assert_array_equal(found.projection.kernel, expected.projection.kernel)
    np.testing.assert_array_equal(found.projection.bias, expected.projection.bias)
    monkeypatch.setattr(reopen, "_keras_model", by_keras)
    monkeypatch.setattr(reopen, "projection_of", _no_slots)
    again = reopen.reopen(built.out, built.manifest)
    assert again.backbone.engine.name == "keras"
    np.testing.assert_array_equal(again.projection.kernel, expected.projection.kernel)


def _unpackaged(built):
    """The facts of its backbone, under a name that is no package's."""
    return built.manifest["backbone"] | {"name": "own.keras"}


def _no_slots(path):
    raise InputError("it holds too few references", "no-slots")
