"""What needs no converter works without them, above all without TensorFlow."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from installed import environment
from same_artefacts import APART, hashes
from support import ROOT, drawing

from pocketknn import builder
from pocketknn.builder import Spec, embed, find, load_backbone
from pocketknn.export import export
from pocketknn.export.output.checksums import digest

RUN = "import sys; from pocketknn.export.cli.entry import main; main()"
EQUAL = (APART, "weight.bin")
GONE = "which is not installed: pip install tensorflow\n"


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python with the packages in light.txt, and this package."""
    folder = tmp_path_factory.mktemp("light")
    lines = (line.partition("#")[0].strip() for line in (ROOT / "light.txt").open())
    python = environment(folder, [line for line in lines if line])
    (packages,) = folder.glob("lib/python*/site-packages")
    here = Path(builder.__file__).parents[2]
    for path in (here / "pocketknn", *here.glob("pocketknn-*.dist-info")):
        shutil.copytree(path, packages / path.name)
    yield python
    shutil.rmtree(folder)


@pytest.fixture
def run(python, tmp_path):
    def command(*words):
        environment = os.environ | {"POCKETKNN_CACHE": str(tmp_path / "cache")}
        return subprocess.run(
            [python, "-I", "-c", RUN, *map(str, words)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return command


@pytest.fixture(scope="module")
def built(photos, tmp_path_factory):
    spec = Spec(backbone="bundled", k=3, vote="uniform", projection="none")
    net = load_backbone(spec)
    out = tmp_path_factory.mktemp("full") / "out"
    assert export(spec, embed(find(photos), net, "center").references(), net, out).agrees
    return out


def test_no_converter_is_there(python):
    code = "import importlib.util as u; print([n for n in %r if u.find_spec(n)])"
    names = ["tensorflow", "keras", "tf2onnx", "coremltools"]
    done = subprocess.run([python, "-I", "-c", code % names], capture_output=True, check=True)
    assert done.stdout == b"[]\n"


def test_files_answer_as_with_all_installed(built, run, pocketknn, tmp_path):
    drawing(9).save(tmp_path / "new.png")
    for name in ("model.tflite", "model.onnx", "model.mlpackage"):
        done = run("predict", built / name, tmp_path / "new.png", "--json")
        assert done.returncode == 0, done.stderr
        here = json.loads(pocketknn("predict", built / name, tmp_path / "new.png", "--json").out)
        assert json.loads(done.stdout) == here
    assert run("inspect", built / "model.keras").returncode == 0
    assert run("explain", built, tmp_path / "new.png").returncode == 0


def test_a_build_is_verified_and_measured_but_for_what_keras_runs(built, run, photos, tmp_path):
    out = shutil.copytree(built, tmp_path / "out")
    done = run("verify", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("agrees") == 3
    assert f"model.keras was not run: it needs tensorflow, {GONE}" in done.stdout
    assert "exact k-NN: the packaged backbone bundled" in done.stdout
    (out / "model.tflite").write_bytes((out / "model.onnx").read_bytes())
    assert run("verify", out).returncode == 1
    done = run("eval", built, photos)
    assert done.returncode == 0, done.stderr
    assert f"model.keras is not run: it needs tensorflow, {GONE}" in done.stderr + done.stdout
    for name in ("model.tflite", "model.onnx", "model.mlpackage"):
        assert name in done.stdout


@pytest.mark.parametrize("search", ["exact", "rerank"])
def test_a_projection_is_read_from_a_file_without_keras(search, run, photos, tmp_path):
    """The second file's references are int8 and cannot be read back, but its projection can."""
    spec = Spec(backbone="pixels", size=8, k=3, projection="classes", search=search)
    spec = replace(spec, references_precision="int8" if search == "rerank" else "float32")
    net, out = load_backbone(spec), tmp_path / "out"
    references = embed(find(photos), net, "center").references()
    assert export(spec, references, net, out, formats=["keras", "onnx"]).agrees
    done = run("verify", out)
    assert done.returncode == 0, done.stderr
    assert "the packaged backbone pixels and the projection of model.keras" in done.stdout
    assert done.stdout.count("agrees") == 1


@pytest.mark.parametrize("name", ["model.tflite", "model.onnx", "model.mlpackage"])
def test_a_file_is_edited_to_the_byte_as_with_all_installed(
    name, built, run, pocketknn, tmp_path, monkeypatch
):
    (tmp_path / "more" / "damson").mkdir(parents=True)
    for number in range(2):
        drawing(50 + number).save(tmp_path / "more" / "damson" / f"{number}.png")
    change = ("edit", built / name, "--add", tmp_path / "more", "--rename", "cherry=kirsche")
    done = run(*change, "--out", tmp_path / f"light-{name}")
    assert done.returncode == 0, done.stderr
    assert "agrees" in done.stdout
    assert pocketknn(*change, "--out", tmp_path / f"full-{name}").code == 0
    assert digest(tmp_path / f"light-{name}") == digest(tmp_path / f"full-{name}")


def test_references_are_made_and_changed(built, run, photos, tmp_path):
    done = run("refs", "add", built, photos, "-o", tmp_path / "grown.parquet")
    assert done.returncode == 0, done.stderr
    done = run("tune", photos, "--backbone", "bundled", "--folds", "2")
    assert done.returncode == 0, done.stderr


def test_the_default_choices_are_built(run, pocketknn, photos, tmp_path):
    build = ("build", photos, "--backbone", "bundled", "-o")
    done = run(*build, tmp_path / "light")
    assert done.returncode == 0, done.stderr
    assert f"model.keras is not written: it needs tensorflow, {GONE}" in done.stdout
    assert pocketknn(*build, tmp_path / "full", "--formats", "tflite,coreml,onnx").code == 0
    # Apart from the manifest in each file, which says what is installed.
    light, full = (
        {name: value for name, value in hashes(tmp_path / out).items() if name.endswith(EQUAL)}
        for out in ("light", "full")
    )
    assert light == full
    assert len(light) == len(EQUAL) + 2
    assert (tmp_path / "light" / "report.html").exists()


def test_what_takes_a_converter_is_refused_in_a_line(built, run, photos, tmp_path):
    drawing(9).save(tmp_path / "new.png")
    lines = {
        ("predict", built / "model.keras", tmp_path / "new.png"): "running model.keras needs",
        ("edit", built / "model.keras", "--rename", "cherry=x", "--out", "x.keras"): (
            "editing model.keras needs"
        ),
        ("build", photos, "-o", tmp_path / "out", "--formats", "keras"): "writing keras needs",
        ("refs", "add", built, photos, "-o", "x.parquet", "--weights", tmp_path / "new.png"): "",
    }
    for words, begin in lines.items():
        done = run(*words)
        assert done.returncode == 2, words
        assert done.stderr.count("\n") == 1, done.stderr
        if begin:
            begin = f"pocketknn: [package-not-installed] {begin}"
            assert done.stderr.startswith(f"{begin} tensorflow, {GONE.strip()}")
    done = run("build", photos, "-o", tmp_path / "out", "--metric", "euclidean")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "pocketknn: [package-not-installed] writing tflite, onnx with these choices needs"
        " tensorflow and tf2onnx, which are not installed: pip install tensorflow tf2onnx;"
    )
    done = run("demo", "-o", tmp_path / "demo")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "demo").exists()


def test_a_backbone_that_would_have_to_be_converted_is_refused_in_a_line(run, photos, tmp_path):
    (tmp_path / "x.keras").write_bytes(b"PK")
    done = run("tune", photos, "--folds", "2", "--backbone", tmp_path / "x.keras")
    assert done.returncode == 2
    assert done.stderr == f"pocketknn: this needs tensorflow, {GONE}"


def test_pictures_are_embedded_as_with_all_installed(python, photos, tmp_path):
    code = (
        "import sys, numpy; from pathlib import Path; from pocketknn.builder import *\n"
        "net = load_backbone(Spec(backbone='bundled'))\n"
        f"found = embed(find(Path({str(photos)!r})), net, 'center').embeddings\n"
        f"numpy.save({str(tmp_path / 'found.npy')!r}, found)"
    )
    subprocess.run([python, "-I", "-c", code], check=True)
    net = load_backbone(Spec(backbone="bundled"))
    here = embed(find(photos), net, "center").embeddings
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), here)
