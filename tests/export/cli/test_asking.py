"""What predict, explain, verify and eval take: builds, folders, patterns, a stream, any order."""

import io
import json
import shutil
import sys

import pytest
from support import PLAIN

from pocketknn.export.cli.app import main
from pocketknn.export.formats.files import fastest


@pytest.fixture(scope="module")
def out(photos, tmp_path_factory):
    """A build of the small pictures in three formats."""
    folder = tmp_path_factory.mktemp("asked") / "out"
    words = ["--backbone", "pixels", "--size", "8", "--formats", "keras,tflite,onnx", *PLAIN]
    with pytest.raises(SystemExit) as end:
        main(["build", str(photos), "-o", str(folder), *words, "--no-report"])
    assert end.value.code == 0
    return folder


def asked(said):
    assert said.code == 0, said.err
    return [one["image"] for one in json.loads(said.out)]


def test_a_builds_folder_is_answered_by_its_fastest_file(out, photos, pocketknn, tmp_path):
    said = pocketknn("predict", "--json", out, photos / "apple/0.png")
    assert json.loads(said.out)[0]["neighbors"][0]["path"] == "apple/0.png"
    assert str(out / "model.tflite") in said.err
    assert fastest([out / "model.keras", out / "model.onnx"]).name == "model.onnx"
    copy = shutil.copytree(out, tmp_path / "copy")
    (copy / "model.tflite").unlink()
    assert str(copy / "model.onnx") in pocketknn("predict", copy, photos / "apple/0.png").err
    one = pocketknn("predict", out / "model.keras", photos / "apple/0.png")
    assert (one.code, one.err) == (0, "")


def test_a_file_whose_runtime_is_missing_is_passed_over(out, photos, pocketknn, monkeypatch):
    from pocketknn.export.formats import requirements

    there = requirements.is_there
    monkeypatch.setattr(
        requirements, "is_there", lambda one: one != "ai_edge_litert" and there(one)
    )
    assert str(out / "model.onnx") in pocketknn("predict", out, photos / "apple/0.png").err


def test_a_folder_is_searched_to_any_depth_and_sorted(out, photos, pocketknn, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "new")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden").mkdir()
    (folder / ".hidden/1.png").write_bytes((folder / "apple/1.png").read_bytes())
    said = pocketknn("predict", "--json", out, folder)
    assert asked(said) == sorted(
        str(path) for path in folder.glob("*/**/*.png") if ".h" not in str(path)
    )
    assert "notes.txt" in said.err, "left out, but no mistake"


def test_answers_unlike_the_name_of_the_folder_are_marked(out, photos, pocketknn, tmp_path):
    shutil.copytree(photos / "apple", tmp_path / "new/cherry")
    said = pocketknn("predict", out, tmp_path / "new").out
    right = sum(line.endswith("of the vote") for line in said.splitlines())
    wrong = sum(line.endswith("of the vote ≠ cherry") for line in said.splitlines())
    assert wrong > right
    assert (
        f"{wrong} of {wrong + right} answers differ from the name of the picture's folder" in said
    )
    shutil.move(tmp_path / "new/cherry", tmp_path / "new/no class")
    said = pocketknn("predict", out, tmp_path / "new").out
    assert "≠" not in said


def test_a_quoted_pattern_is_understood(out, photos, pocketknn, refused):
    said = pocketknn("predict", "--json", out, f"{photos}/[ac]*/[12].png", photos / "apple/0.png")
    names = ["apple/1.png", "apple/2.png", "cherry/1.png", "cherry/2.png", "apple/0.png"]
    assert asked(said) == [str(photos / name) for name in names]
    assert "[file-not-found]" in refused("predict", out, f"{photos}/*.gif")


def test_a_picture_comes_from_standard_input(out, photos, pocketknn, refused, monkeypatch):
    def stream(content, terminal=False):
        given = io.TextIOWrapper(io.BytesIO(content))
        monkeypatch.setattr(given, "isatty", lambda: terminal, raising=False)
        monkeypatch.setattr(sys, "stdin", given)

    stream((photos / "cherry/3.png").read_bytes())
    (answer,) = json.loads(pocketknn("predict", "--json", out, "-").out)
    assert answer["neighbors"][0]["path"] == "cherry/3.png"
    stream(b"no picture")
    assert "standard input: not a picture" in refused("predict", out, "-")
    stream(b"", terminal=True)
    assert "[stdin-is-terminal]" in refused("predict", out, "-")


@pytest.mark.parametrize(
    ("command", "first", "more"),
    [
        ("predict", "PICTURE", []),
        ("explain", "PICTURE", ["--json"]),
        ("verify", "PHOTOS", []),
        ("eval", "PHOTOS", ["--json"]),
    ],
)
def test_another_order_is_recognised(command, first, more, out, photos, pocketknn):
    given = {"PICTURE": photos / "apple/0.png", "PHOTOS": photos}[first]
    said = pocketknn(command, given, out, *more)
    assert said.code == 0, said.err
    assert f"pocketknn {command} {out} {given}" in said.err
    assert "comes first" not in pocketknn(command, out, given, *more).err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("predict NONE PICTURE", "[file-not-found]"),
        ("predict PICTURE PICTURE", "[not-an-artefact]"),
        ("predict PHOTOS PICTURE", "[no-artefact]"),
        ("predict OUT EMPTY", "[no-photos]"),
        ("explain OUT PHOTOS", "[not-a-file]"),
        ("predict OUT TEXTS", "[unreadable-picture]"),
    ],
)
def test_what_cannot_be_asked_is_a_line(words, code, out, photos, refused, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").write_text("no picture")
    given = {"OUT": out, "PHOTOS": photos, "PICTURE": photos / "apple/0.png"}
    given |= {"EMPTY": tmp_path / "empty", "TEXTS": tmp_path / "texts", "NONE": tmp_path / "none"}
    assert code in refused(*(given.get(word, word) for word in words.split()))


def test_eval_shows_how_far_it_is(out, photos, pocketknn):
    said = pocketknn("eval", out, photos, "--crop", "stretch")
    # Twelve photos read once, and run by three files with two crops.
    assert "84/84" in said.out
    assert "84/84" not in pocketknn("eval", out, photos, "--crop", "stretch", "--json").out


def test_people_read_of_model_files(out, photos, pocketknn, refused):
    for words in (("verify", out), ("bench", out, "--runs", 2), ("eval", out, photos)):
        said = pocketknn(*words).out
        assert "model file" in said
        assert "artefact" not in said
    assert "is not a model file" in refused("inspect", photos / "apple/0.png")
