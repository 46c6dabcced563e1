"""Builds, references and caches of version 0.1.0, from before learned projections.

`version_0_1_0.zip` holds what its commands wrote from 24 handwritten digits: `build photos -o plain
--backbone pixels --size 8`, the same with `--pca 4 --whiten 0.5 --reject auto` in `pca`, the cache
after both, and the output of `predict --json` for 18 other digits.
"""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support import TESTS

from pocketknn.builder import References
from pocketknn.export import load
from pocketknn.export.manifest.metadata import manifest_of

FILES = [
    *(f"plain/model.{ending}" for ending in ("keras", "tflite", "mlpackage", "onnx")),
    *(f"pca/model.{ending}" for ending in ("tflite", "onnx")),
]


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """The folder as it was."""
    folder = tmp_path_factory.mktemp("earlier")
    with zipfile.ZipFile(TESTS / "version_0_1_0.zip") as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def digits(earlier):
    return [earlier / f"more/{label}/{i}.png" for label in (0, 1, 4) for i in range(8, 14)]


@pytest.mark.parametrize("name", FILES)
def test_files_answer_as_they_did(earlier, digits, pocketknn, name):
    said = pocketknn("predict", earlier / name, *digits, "--json")
    assert said.code == 0, said.err
    wanted = json.loads((earlier / "answers.json").read_text())[name]
    for now, before in zip(json.loads(said.out), wanted, strict=True):
        assert now["label"] == before["label"]
        assert now["probability"] == pytest.approx(before["probability"], abs=1e-6)
        assert [one["id"] for one in now["neighbors"]] == before["ids"]
        scores = [one["score"] for one in now["neighbors"]]
        assert scores == pytest.approx(before["scores"], abs=1e-5)


@pytest.mark.parametrize(("build", "scores_of"), [("plain", "embedding"), ("pca", "pca")])
def test_manifests_are_understood(earlier, build, scores_of):
    manifest = manifest_of(earlier / build)
    assert manifest["scores_of"] == scores_of
    assert manifest["temperature"] is None
    assert manifest["vote"] == "uniform"
    if build == "pca":
        assert (manifest["projection"]["by"], manifest["projection"]["whiten"]) == ("pca", 0.5)


def test_a_build_is_verified_and_evaluated(earlier, pocketknn):
    said = pocketknn("verify", earlier / "plain", earlier / "photos")
    assert said.code == 0, said.err
    assert "DIFFERS" not in said.out
    said = pocketknn("eval", earlier / "plain", earlier / "more")
    assert said.code == 0, said.err


@pytest.mark.parametrize("name", ["plain/model.tflite", "pca/model.onnx", "plain/model.mlpackage"])
def test_files_are_edited(earlier, tmp_path, pocketknn, name):
    out = tmp_path / Path(name).name
    said = pocketknn("edit", earlier / name, "--add", earlier / "more", "-o", out)
    assert said.code == 0, said.err
    assert "agrees" in said.out
    metadata = load(out).metadata
    assert metadata.labels[:3] == ["0", "1", "4"]
    assert metadata.manifest["references"]["count"] == 42
    said = pocketknn("diff", earlier / name, out)
    assert (said.code, said.err) == (1, "")  # as they differ


def test_references_are_built_anew(earlier, tmp_path, pocketknn):
    """With the choices of that version they give exactly the matrix in the file."""
    said = pocketknn(
        *("build", earlier / "plain/references.parquet", "-o", tmp_path / "out", "--no-report"),
        *("--projection", "none", "--vote", "uniform", "--formats", "tflite"),
    )
    assert said.code == 0, said.err
    before = load(earlier / "plain/model.tflite")
    after = load(tmp_path / "out/model.tflite")
    pictures = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.float32)
    for name, values in before.run(pictures).items():
        np.testing.assert_array_equal(values, after.run(pictures)[name])
    old = References.load(earlier / "plain/references.parquet")
    new = References.load(tmp_path / "out/references.parquet")
    assert old.ids == new.ids
    np.testing.assert_array_equal(old.vectors, new.vectors)


def test_a_cache_does_no_harm(earlier, tmp_path, pocketknn, monkeypatch):
    """Its entries come from other versions, so they are not used."""
    cache = shutil.copytree(earlier / "cache", tmp_path / "cache")
    monkeypatch.setenv("POCKETKNN_CACHE", str(cache))
    before = {path.name: path.read_bytes() for path in cache.glob("*.sqlite")}
    said = pocketknn(
        *("build", earlier / "photos", "-o", tmp_path / "out", "--no-report"),
        *("--backbone", "pixels", "--size", "8", "--formats", "tflite"),
    )
    assert said.code == 0, said.err
    assert "Traceback" not in said.err
    assert {path.name for path in cache.iterdir()} > before.keys()
    assert before == {name: (cache / name).read_bytes() for name in before}
    assert pocketknn("cache", "show").code == 0
