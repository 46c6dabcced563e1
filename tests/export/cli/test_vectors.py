"""A build of feature vectors: predict answers rows of vectors; other commands say what to do."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest

from pocketknn.builder import KNNClassifier
from pocketknn.export.cli.app import main

WIDTH = 6


@pytest.fixture(scope="module")
def rows():
    """The rows of two classes, the first three of one."""
    rng = np.random.default_rng(0)
    centres = 3 * rng.standard_normal((2, WIDTH))
    return (centres.repeat(3, 0) + rng.standard_normal((6, WIDTH))).astype(np.float32)


@pytest.fixture(scope="module")
def out(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    knn = KNNClassifier()
    for row, label in zip(rows, "aaabbb", strict=True):
        knn.add_example(row, label)
    knn.save(folder / "saved.json")
    with pytest.raises(SystemExit) as end:
        main(["build", str(folder / "saved.json"), "-o", str(folder / "out"), "--formats", "onnx"])
    assert end.value.code == 0
    return folder / "out"


def write(path, rows):
    if path.suffix == ".npy":
        np.save(path, rows)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows.tolist()))
    else:
        heading = ",".join(f"f{i}" for i in range(WIDTH)) if path.stem == "headed" else ""
        np.savetxt(path, rows, delimiter=",", header=heading, comments="")
    return path


@pytest.mark.parametrize("name", ["x.npy", "x.csv", "headed.csv", "x.json"])
def test_predict_answers_each_row(pocketknn, out, rows, tmp_path, name):
    path = write(tmp_path / name, rows)
    said = pocketknn("predict", out, path, "--json")
    assert said.code == 0, said.err
    answers = json.loads(said.out)
    assert [one["label"] for one in answers] == [*"aaabbb"]
    assert [one["row"] for one in answers] == [1, 2, 3, 4, 5, 6]
    assert {one["vectors"] for one in answers} == {str(path)}
    assert [one["neighbors"][0]["index"] for one in answers] == [0, 1, 2, 3, 4, 5]
    lines = pocketknn("predict", out, path).out
    assert f"{path}, row 6: b, " in lines
    assert "picture" not in lines


def test_predict_answers_the_file_of_ml5_it_was_built_from(pocketknn, out):
    said = pocketknn("predict", out, out.parent / "saved.json", "--json")
    assert said.code == 0, said.err
    answers = json.loads(said.out)
    assert [one["label"] for one in answers] == [*"aaabbb"]
    assert all(one["neighbors"][0]["score"] > 0.999 for one in answers)


@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_one_vector_is_one_row(pocketknn, out, rows, tmp_path, suffix):
    said = pocketknn("predict", out, write(tmp_path / f"one{suffix}", rows[4]), "--json")
    assert [one["label"] for one in json.loads(said.out)] == ["b"]


def test_json_comes_from_standard_input(pocketknn, out, rows, monkeypatch):
    content = io.BytesIO(json.dumps(rows[:2].tolist()).encode())
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=content, isatty=lambda: False))
    said = pocketknn("predict", out, "-", "--json")
    assert [one["label"] for one in json.loads(said.out)] == ["a", "a"]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("x.json", b"[[1, 2, 3]]", "width-mismatch"),
        ("x.json", b"[]", "wrong-shape"),
        ("x.json", b"[[[1, 2, 3, 4, 5, 6]]]", "wrong-shape"),
        ("x.json", b"[[1, 2, 3, 4, 5, 6], [1]]", "not-a-number-table"),
        ("x.json", b'{"a": 1}', "not-a-number-table"),
        ("x.json", b"[[1, 2, 3, 4, 5, NaN]]", "not-a-number-table"),
        ("x.json", b"[[1, 2, 3, 4, 5, 1e99]]", "value-not-finite"),
        ("x.csv", b"1,2,3,4,5,nan", "value-not-finite"),
        ("x.csv", b"1,2,3,4,5,x", "not-a-number-table"),
        ("x.csv", b"\xff\xfe", "not-a-number-table"),
        ("x.npy", b"no array", "not-a-number-table"),
        ("x.npy", b"", "not-a-number-table"),
        ("x.png", b"\x89PNG", "takes-vectors"),
        (None, None, "unreadable-file"),
    ],
)
def test_other_files_are_refused_in_a_line(refused, out, tmp_path, name, content, code):
    path = tmp_path / (name or "absent.npy")
    if name:
        path.write_bytes(content)
    line = refused("predict", out, path)
    assert f"[{code}]" in line
    assert path.name in line


def test_commands_for_pictures_say_what_to_do_instead(refused, out, rows, tmp_path):
    path = write(tmp_path / "x.npy", rows)
    for arguments in (("explain", out, path), ("web", out), ("eval", out, tmp_path)):
        line = refused(*arguments)
        assert "[takes-vectors]" in line
        assert "pocketknn predict" in line


def test_a_build_of_vectors_advises_what_works(pocketknn, out, tmp_path):
    said = pocketknn("build", out.parent / "saved.json", "-o", tmp_path / "o", "--formats", "onnx")
    assert "pocketknn predict" in said.out
    assert "pocketknn eval" not in said.out
    assert f"classify.mjs in {tmp_path / 'o' / 'snippets'}; the app must" in said.out
