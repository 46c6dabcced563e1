"""`eval` and `bench`: accuracy and speed of a build, measured on its own files."""

import json
import shutil

import numpy as np
import pytest
from support import drawing, tinted

from pocketknn.builder import InputError, find
from pocketknn.builder.photos.pixels.decode import pixels
from pocketknn.export import load


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Two classes of pictures three times as wide as high: references and new photos."""
    folder = tmp_path_factory.mktemp("wide")
    for part, count in (("references", 5), ("new", 4)):
        for label, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
            (folder / part / label).mkdir(parents=True)
            for i in range(count):
                seed = 100 * len(part) + 10 * len(label) + i
                tinted(seed, colour, (90, 30), 0.4).save(folder / part / label / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def built(wide):
    from pocketknn.export.cli.app import main

    out = wide / "out"
    choices = ["--backbone", "pixels", "--size", "12", "--reject", "auto", "--k", "3"]
    with pytest.raises(SystemExit) as end:
        main(["build", str(wide / "references"), "-o", str(out), *choices])
    assert end.value.code == 0
    return out


def test_the_bar_says_what_its_total_counts(pocketknn, wide, built):
    said = pocketknn("eval", built, wide / "new")
    assert "8 photos × (reading + 4 files)" in said.out
    assert "40/40" in said.out
    said = pocketknn("eval", built / "model.onnx", wide / "new", "--crop", "fit")
    assert "8 photos × (reading + 1 file × 2 crops)" in said.out
    assert "24/24" in said.out


def test_accuracy_and_what_another_crop_costs(pocketknn, wide, built):
    said = pocketknn("eval", built, wide / "new", "--crop", "stretch", "--json")
    assert said.code == 0, said.err
    rows = json.loads(said.out)
    assert [(row["name"], row["crop"]) for row in rows] == [
        (name, crop)
        for name in ("model.keras", "model.tflite", "model.mlpackage", "model.onnx")
        for crop in ("center", "stretch")
    ]
    photos = find(wide / "new")
    file = load(built / "model.onnx")
    own, other = (
        file.run(np.stack([pixels(photo, 12, crop) for photo in photos]))
        for crop in ("center", "stretch")
    )
    won = [file.metadata.labels[i] for i in own["probabilities"].argmax(axis=1)]
    expected = np.mean([one == photo.label for one, photo in zip(won, photos, strict=True)])
    shared = [
        len(set(a) & set(b)) / 3 for a, b in zip(own["indices"], other["indices"], strict=True)
    ]
    for row in rows:
        assert row["photos"] == 8
        if row["crop"] == "center":
            assert (row["accuracy"], row["first_equal"], row["recall"]) == (expected, 1, 1)
        else:
            assert row["recall"] == pytest.approx(np.mean(shared))
            assert row["recall"] < 1


def test_photos_of_classes_that_the_model_does_not_know_are_told(pocketknn, wide, built, tmp_path):
    for label in ("red", "green", "Blue"):
        (tmp_path / label).mkdir()
        for i in range(2):
            drawing(len(label) + i).save(tmp_path / label / f"{i}.png")
    for more in ([], ["--shift"]):
        said = pocketknn("eval", built / "model.onnx", tmp_path, *more)
        assert said.code == 0, said.err
        told = "4 of the photos are in classes the model does not know: 'Blue', 'green'; each"
        assert told in said.out
    (row,) = json.loads(pocketknn("eval", built / "model.onnx", tmp_path, "--json").out)
    assert row["foreign"] == 4
    assert row["accuracy"] <= 2 / 6


def test_a_package_is_one_file_and_no_build(pocketknn, wide, built):
    """Though it is a folder."""
    for more in ([], ["--shift"]):
        said = pocketknn("eval", built / "model.mlpackage", wide / "new", *more)
        assert said.code == 0, said.err
        assert "report" not in said.out
    assert not list((built / "model.mlpackage").glob("*.html"))


def test_references_among_the_photos_are_told(pocketknn, wide, built):
    said = pocketknn("eval", built / "model.tflite", wide / "references")
    assert said.code == 0, said.err
    assert "10 of the photos are references themselves" in said.out
    assert "references themselves" not in pocketknn("eval", built / "model.onnx", wide / "new").out


def test_bench_times_every_file(pocketknn, built):
    said = pocketknn("bench", built, "--runs", "3", "--json")
    assert said.code == 0, said.err
    rows = json.loads(said.out)
    assert [(row["name"], row["threads"]) for row in rows] == [
        ("model.keras", None),
        ("model.tflite", 1),
        ("model.tflite", 2),
        ("model.mlpackage", None),
        ("model.onnx", 1),
        ("model.onnx", 2),
    ]
    assert all(0 < row["median_ms"] <= row["p95_ms"] for row in rows)
    assert all(row["bytes"] > 0 and row["load_ms"] > 0 for row in rows)
    assert "over 2 runs" in pocketknn("bench", built, "--runs", "2").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["eval", "{out}", "{photos}", "--crop", "round"], "[unknown-crop]"),
        (["eval", "{photos}", "{photos}"], "holds no model file"),
        (["eval", "{out}", "{out}/nowhere"], "does not exist"),
        (["bench", "{photos}"], "[no-build]"),
        (["bench", "{out}", "--runs", "0"], "[runs-out-of-range]"),
    ],
)
def test_nonsense_is_one_line(pocketknn, wide, built, arguments, message):
    given = [one.format(out=built, photos=wide / "new") for one in arguments]
    said = pocketknn(*given)
    assert said.code == 2
    assert message in said.err
    assert said.err.count("\n") == 1


def test_files_that_lost_by_precision_are_compared_with_the_exact_neighbours(
    pocketknn, wide, built, tmp_path, monkeypatch
):
    from pocketknn.export.analysis.evaluation import evaluate
    from pocketknn.export.cli.judge import eval as command
    from pocketknn.export.manifest import reopen

    photos, file = find(wide / "new"), load(built / "model.onnx")
    assert command._exact(built, file) is None, "float32 weights lose nothing"
    monkeypatch.setattr(command, "_precision", lambda file: "int8")
    pictures = np.stack([pixels(photo, 12, "center") for photo in photos])
    nearest = command._exact(built, file)
    assert (nearest(pictures) == file.run(pictures)["indices"]).all()
    made = evaluate([("one", file)], photos, None, lambda given: 1 + nearest(given))
    assert made.rows[0].first_equal == 0, "it is not its own judge"
    out = tmp_path / "out"
    shutil.copytree(built, out, ignore=shutil.ignore_patterns("*.keras", "*.mlpackage"))
    said = pocketknn("eval", out, wide / "new").out
    assert "agreement with the exact k-NN over float32 embeddings" in said

    def fail(*given):
        raise InputError("no backbone", "backbone-missing")

    monkeypatch.setattr(reopen, "reopen", fail)
    said = pocketknn("eval", out, wide / "new").out
    assert "model.tflite itself has int8 weights" in said


def test_eval_tells_known_photos_and_strangers_apart(pocketknn, wide, built, tmp_path):
    shutil.copytree(wide / "new", tmp_path / "photos")
    (tmp_path / "photos/unknown").mkdir()
    for i in range(5):
        drawing(900 + i).save(tmp_path / f"photos/unknown/{i}.png")
    file = load(built / "model.onnx")
    squares = [pixels(photo, 12, "center") for photo in find(tmp_path / "photos/unknown")]
    won = file.run(np.stack(squares))["probabilities"].argmax(axis=1)
    passed = int((won != file.metadata.labels.index("unknown")).sum())
    said = pocketknn("eval", built / "model.onnx", tmp_path / "photos")
    assert said.code == 0, said.err
    assert "Known photos: " in said.out
    assert " of 8 right" in said.out
    assert f"Strangers: {passed} of 5 pass" in said.out
    (row,) = json.loads(pocketknn("eval", built / "model.onnx", tmp_path / "photos", "--json").out)
    told = row["promise"]
    assert (told["photos"], told["strangers"], told["strangers_passed"]) == (8, 5, passed)
    assert told["promised_after_rejection"] <= told["promised"]
    said = pocketknn("eval", built / "model.onnx", tmp_path / "photos/unknown")
    assert said.code == 0, said.err
    assert f"{5 - passed} of 5 {'is' if passed == 4 else 'are'} called unknown" in said.out
    assert "a folder named unknown" in said.out
    assert "accuracy cannot be measured" not in said.out
    for label in ("red", "blue"):
        shutil.rmtree(tmp_path / "photos" / label)
    said = pocketknn("eval", built / "model.onnx", tmp_path / "photos")
    assert f"Strangers: {passed} of 5 pass" in said.out


def test_the_report_is_worked_out_before_keras_is_waited_for(pocketknn, wide, built, monkeypatch):
    from contextlib import contextmanager

    from pocketknn.export.formats.keras import apart
    from pocketknn.export.report.study import Study

    order, work_out = [], Study.work_out

    @contextmanager
    def meanwhile(work):
        yield lambda: order.append("keras") or work()

    monkeypatch.setattr(apart, "meanwhile", meanwhile)
    monkeypatch.setattr(Study, "work_out", lambda self: order.append("report") or work_out(self))
    said = pocketknn("eval", built, wide / "new")
    assert "details: see" in said.out
    assert order == ["report", "keras"]
