"""A build's folder with other references: the same choices, in a new folder."""

import json
import re
import shutil

import pytest
from support import drawing, vector_case

from pocketknn.builder import References, Spec
from pocketknn.export import export
from pocketknn.export.formats.options import Options
from pocketknn.export.manifest.choices import choices_of, chosen
from pocketknn.export.manifest.metadata import manifest_of

CHOICES = (
    *("--backbone", "pixels", "--size", 8, "--crop", "fit", "--formats", "tflite,onnx"),
    *("--metric", "euclidean", "--reject", "auto", "--license", "mine", "--pixels", "uint8"),
    *("--projection", "pca:4:0.5", "--false-rejection", 0.1),
)


@pytest.fixture(scope="module")
def more(tmp_path_factory):
    folder = tmp_path_factory.mktemp("more")
    for c, label in enumerate(("apple", "date")):
        (folder / label).mkdir()
        for i in range(3):
            drawing(500 + 10 * c + i).save(folder / label / f"new-{i}.png")
    return folder


@pytest.fixture
def built(photos, pocketknn, tmp_path):
    out = tmp_path / "out"
    assert pocketknn("build", photos, "-o", out, *CHOICES, "--no-report").code == 0
    return out


def test_it_is_the_build_of_all_photos(built, photos, more, pocketknn, tmp_path):
    both, new, wanted = tmp_path / "both", tmp_path / "new", tmp_path / "wanted"
    shutil.copytree(photos, both)
    shutil.copytree(more, both, dirs_exist_ok=True)
    said = pocketknn("edit", built, "--add", more, "-o", new)
    assert said.code == 0, said.err
    assert "12 references → 18, with the choices of" in said.out
    assert pocketknn("build", both, "-o", wanted, *CHOICES).code == 0
    for name in ("model.tflite", "model.onnx", "references.csv", "labels.txt"):
        assert (new / name).read_bytes() == (wanted / name).read_bytes(), name
    manifests = [json.loads((one / "manifest.json").read_text()) for one in (new, wanted)]
    assert manifests[0]["choices"] == manifests[1]["choices"]
    report = (new / "report.html").read_text("utf-8")
    assert re.search("<h1>.*>new<", report)
    assert "hold none" in report, "why there are no pictures"
    assert "hold none" not in (wanted / "report.html").read_text("utf-8")


def test_a_class_is_removed_and_one_renamed(built, pocketknn, tmp_path):
    changes = ("--remove-class", "cherry", "--rename", "apple=pear")
    assert pocketknn("edit", built, *changes, "-o", tmp_path / "new").code == 0
    assert manifest_of(tmp_path / "new")["labels"][:2] == ["pear", "berries/red"]


def test_mistakes_are_one_line(built, more, refused, tmp_path):
    assert "[missing-out]" in refused("edit", built, "--add", more)
    assert "[nothing-to-do]" in refused("edit", built, "-o", tmp_path / "new")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a").touch()
    assert "full" in refused("edit", built, "--add", more, "-o", tmp_path / "full")
    manifest = json.loads((built / "manifest.json").read_text())
    for broken in ([], {"spec": {"colour": 1}, "options": {}}, {"spec": {}, "options": {"ios": 1}}):
        text = json.dumps(manifest | {"choices": broken})
        (built / "manifest.json").write_text(text)
        line = refused("edit", built, "--add", more, "-o", tmp_path / "new")
        assert "[manifest-broken]" in line
    assert not (tmp_path / "new").exists()


def test_photos_cannot_be_added_to_vectors(more, refused, tmp_path):
    case = vector_case()
    export(case.spec, case.references, None, tmp_path / "out", formats=["onnx"])
    line = refused("edit", tmp_path / "out", "--add", more, "-o", tmp_path / "new")
    assert "[takes-vectors]" in line


def test_a_build_of_an_earlier_version_keeps_what_was_chosen(built, more, pocketknn, tmp_path):
    manifest = json.loads((built / "manifest.json").read_text())
    del manifest["choices"]
    (built / "manifest.json").write_text(json.dumps(manifest))
    assert pocketknn("edit", built, "--add", more, "-o", tmp_path / "new").code == 0
    found = manifest_of(tmp_path / "new")
    assert (found["metric"], found["input"]["crop"]) == ("euclidean", "fit")
    assert found["reject"]["threshold"] == manifest["reject"]["threshold"]


@pytest.mark.parametrize(
    "spec",
    [
        Spec(),
        Spec(k="auto", projection="pca:0.9:0.5", reject="auto", search="rerank", recall=0.9),
        Spec(pca="auto", vote="distance", balanced=True, seed=3),
    ],
)
def test_choices_are_read_back_as_they_were(spec):
    options = Options(precision="float16", outputs=("scores",), ios=17, author="me")
    as_json = json.loads(json.dumps(choices_of(spec, options)))
    assert chosen({"choices": as_json}) == (spec, options)
    assert choices_of(Spec(backbone="bundled", crop="fit"), Options()) == {
        "spec": {},
        "options": {},
    }


def test_references_without_names_stay_so(photos, more, pocketknn, tmp_path):
    words = ("--backbone", "pixels", "--size", 8, "--formats", "onnx", "--no-report", "--no-names")
    assert pocketknn("build", photos, "-o", tmp_path / "out", *words).code == 0
    assert pocketknn("edit", tmp_path / "out", "--add", more, "-o", tmp_path / "new").code == 0
    assert not any(References.load(tmp_path / "new/references.parquet").paths)
