"""Commands on files that grow: they take them as they are, with nothing taught."""

import json
import re
import shutil

import pytest
from support import drawing, input_error

from pocketknn.builder import References, Spec
from pocketknn.builder.choices import growth
from pocketknn.builder.knn.resolve import fit
from pocketknn.export.pipeline.build import build
from pocketknn.export.pipeline.request import Request, Selection, Watch

SLOTS, SPARE = 16, 2
LABELS = ["apple", "berries/red", "cherry", "taught 1", "taught 2", "unknown"]


@pytest.fixture(scope="module")
def built(photos, tmp_path_factory):
    """A build of the small pictures, and what it remarked."""
    remarks, out = [], tmp_path_factory.mktemp("build") / "out"
    spec = Spec(backbone="pixels", grow=SLOTS, spare=SPARE, reject="auto", k=3)
    request = Request(selection=Selection(photos=photos), spec=spec)
    result, _ = build(request, out, watch=Watch(remark=remarks.append))
    assert result.agrees, result.manifest["parity"]
    return out, remarks


def manifest_of(out):
    return json.loads((out / "manifest.json").read_text("utf-8"))


def test_the_manifest_says_what_an_app_must_know(built):
    out, _ = built
    manifest = manifest_of(out)
    facts, d = manifest["memory"], manifest["references"]["dim"]
    assert (facts["slots"], facts["width"], facts["classes"]) == (SLOTS, d + 1, 3)
    assert facts["spare"] == SPARE
    assert manifest["labels"] == LABELS
    assert (out / "labels.txt").read_text("utf-8").split("\n")[:-1] == LABELS
    assert manifest["outputs"]["embedding"]["shape"] == [1, d]
    assert manifest["outputs"]["probabilities"]["shape"] == [1, len(LABELS)]
    assert manifest["choices"]["spec"]["grow"] == SLOTS


def test_what_growth_changes_is_said_once_each(built):
    """No learned projection, and no MediaPipe, which is not named as a consumer either."""
    out, remarks = built
    assert sum("--projection" in line for line in remarks) == 1
    (line,) = [line for line in remarks if "MediaPipe" in line]
    assert "without --grow" in line
    manifest = manifest_of(out)
    assert manifest["projection"] is None
    assert "tflite" not in manifest["input"]["consumers"]
    assert not (out / "snippets/ClassifyMediaPipe.kt").exists()


@pytest.mark.parametrize("name", ["model.tflite", "model.onnx", "model.mlpackage", "model.keras"])
def test_inspect_and_predict(name, built, pocketknn, photos):
    out, _ = built
    said = pocketknn("inspect", out / name)
    assert said.code == 0
    assert re.search(f"{SLOTS} taught examples.*{SPARE} new classes", said.out)
    assert re.search(f"^memory:\n  slots: {SLOTS}$", said.out, re.MULTILINE)
    picture = next((photos / "cherry").iterdir())
    said = pocketknn("predict", out / name, picture, "--json")
    (answer,) = json.loads(said.out)
    assert answer["label"] == "cherry"
    assert answer["neighbors"][0]["label"] == "cherry"


def test_verify_eval_bench_explain_and_diff_take_them(built, pocketknn, photos, tmp_path):
    out, _ = built
    for command in (
        ("verify", out, photos),
        ("verify", out),
        ("eval", out, photos),
        ("bench", out, "--runs", "2"),
        ("explain", out, photos / "apple/1.png", "-o", tmp_path / "explained.png"),
        ("diff", out / "model.onnx", out / "model.onnx"),
    ):
        said = pocketknn(*command)
        assert said.code == 0, (command, said.out, said.err)


def test_a_file_of_a_build_that_grows_is_edited(built, pocketknn, photos, tmp_path):
    out, _ = built
    for suffix in ("tflite", "onnx"):
        new = tmp_path / f"new.{suffix}"
        said = pocketknn("edit", out / f"model.{suffix}", "--remove-class", "apple", "-o", new)
        assert said.code == 0, said.out + said.err
        said = pocketknn("inspect", new, "--json")
        manifest = json.loads(said.out)
        assert manifest["labels"] == LABELS[1:]
        assert manifest["memory"]["classes"] == 2
        assert manifest["memory"]["slots"] == SLOTS


def test_a_build_that_grows_is_built_again(built, pocketknn, tmp_path):
    out, _ = built
    more = tmp_path / "more" / "date"
    more.mkdir(parents=True)
    for number in range(4):
        drawing(50 + number).save(more / f"{number}.png")
    said = pocketknn("edit", out, "--add", more.parent, "-o", tmp_path / "new")
    assert said.code == 0, said.out + said.err
    manifest = manifest_of(tmp_path / "new")
    assert manifest["memory"]["classes"] == 4
    assert manifest["memory"]["spare"] == SPARE


def test_files_of_few_photos_list_as_many_neighbours_as_are_usual(photos, pocketknn, tmp_path):
    """What is taught later is answered as if it had been there at the build."""
    for label in ("apple", "cherry"):
        (tmp_path / "two" / label).mkdir(parents=True)
        shutil.copy(photos / label / "0.png", tmp_path / "two" / label)
    out, words = tmp_path / "out", ("--backbone", "pixels", "--size", "12", "--no-report")
    said = pocketknn("build", tmp_path / "two", "-o", out, *words, "--grow", "40", "--spare", "2")
    assert said.code == 0, said.out + said.err
    usual = pocketknn("build", photos, "-o", tmp_path / "many", *words, "--formats", "tflite")
    assert usual.code == 0, usual.out + usual.err
    assert manifest_of(out)["k"] > manifest_of(tmp_path / "many")["k"] > 2
    for name in ("model.tflite", "model.onnx", "model.mlpackage", "model.keras"):
        said = pocketknn("predict", out / name, photos / "cherry/1.png", "--json")
        (answer,) = json.loads(said.out)
        assert answer["label"] == "cherry"
        assert [one["label"] for one in answer["neighbors"]] == ["cherry", "apple"]
    for command in (("verify", out), ("verify", out, photos), ("eval", out, tmp_path / "two")):
        said = pocketknn(*command)
        assert said.code == 0, (command, said.out, said.err)
    for change in (("--remove-class", "apple"), ("--add", photos)):
        said = pocketknn("edit", out / "model.onnx", *change, "-o", tmp_path / "new.onnx")
        assert (said.code, "[no-slots]" in said.err) == (2, True), said.err
    assert not (tmp_path / "new.onnx").exists()


BAD = {
    "no room": (("--grow", "0"), "grow-out-of-range"),
    "no spare class": (("--grow", "8", "--spare", "0"), "spare-out-of-range"),
    "more classes than examples": (("--grow", "8", "--spare", "9"), "spare-out-of-range"),
    "spare alone": (("--spare", "3"), "option-not-applicable"),
    "more than a phone holds": (("--grow", "10000000"), "grow-out-of-range"),
    "regression": (("--grow", "8", "--head", "regress"), "grow-needs-classes"),
    "spare classes of a search": (
        ("--grow", "8", "--spare", "2", "--head", "neighbors"),
        "spare-needs-classes",
    ),
}


@pytest.mark.parametrize("options", BAD)
def test_what_cannot_grow_is_refused_in_a_line(options, refused, photos, tmp_path):
    given, code = BAD[options]
    said = refused("build", photos, "-o", tmp_path / "out", "--backbone", "pixels", *given)
    assert f"[{code}]" in said
    assert not (tmp_path / "out").exists()


def test_classes_named_as_taught_ones_are_refused(refused, tmp_path):
    for label in ("apple", "taught 2"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        drawing(1).save(tmp_path / "photos" / label / "1.png")
    given = ("build", tmp_path / "photos", "-o", tmp_path / "out", "--backbone", "pixels")
    said = refused(*given, "--grow", "4", "--spare", "2")
    assert "[reserved-class-name]" in said
    assert "'taught 2'" in said
    references = References.of([[1.0, 0], [0, 1.0]], ["taught 1", "b"])
    with input_error("reserved-class-name", "taught 1"):
        fit(Spec(backbone="vector", grow=4), references)
    assert fit(Spec(backbone="vector"), references).labels == ("b", "taught 1")
    note = References.of(
        [[1.0, 0], [0, 1.0]], ["pocketknn", "b"]
    )  # what a saved memory begins with
    with input_error("reserved-class-name", "pocketknn"):
        fit(Spec(backbone="vector", grow=4), note)
    assert fit(Spec(backbone="vector"), note).labels == ("b", "pocketknn")


def test_room_for_classes_alone_makes_no_sense():
    with input_error("spare-needs-grow"):
        Spec(spare=2)


def test_targets_cannot_be_taught():
    references = References.of([[1.0, 0], [0, 1.0]], targets=[1, 2])
    with input_error("grow-needs-classes"):
        fit(Spec(backbone="vector", grow=4), references)


def test_a_file_refuses_a_memory_that_is_not_its_own(built):
    from pocketknn.export.manifest.artefact import load

    file = load(built[0] / "model.onnx")
    width = file.metadata.manifest["memory"]["width"]
    pictures = built_picture(file)
    for slots, wide in ((SLOTS, width - 1), (SLOTS + 1, width)):
        with input_error("wrong-shape", SLOTS, width):
            file.run(pictures, growth.nothing(slots, wide))
    memory = growth.nothing(SLOTS, width)
    memory[3, 5] = float("nan")
    with input_error("memory-not-finite"):
        file.run(pictures, memory)


def built_picture(file):
    import numpy as np

    return np.zeros((1, *file.metadata.manifest["input"]["shape"]), np.uint8)
