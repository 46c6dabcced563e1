"""Verification from Python: the same files, photos and seed reproduce the build's figures."""

import shutil

import numpy as np
import pytest

from pocketknn.builder import InputError, References, Spec, find
from pocketknn.builder.system.cache import USUAL
from pocketknn.export import Verification, export, verify
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
