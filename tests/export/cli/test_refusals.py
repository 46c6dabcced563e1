"""Commands refuse these in one line, before a runtime, a model or photos are loaded."""

import pickle

import pytest
from support import drawing, input_error, plain

from pocketknn.builder import InputError, find
from pocketknn.export.analysis.occlusion.explanation import Patches
from pocketknn.export.cli.options import parse_amount, parse_bytes
from pocketknn.export.manifest import artefact, reopen


@pytest.fixture(scope="module")
def out(photos, tmp_path_factory):
    """A build of the small pictures, as one ONNX file."""
    from pocketknn.export.pipeline.build import build
    from pocketknn.export.pipeline.request import Request, Selection

    folder = tmp_path_factory.mktemp("refused") / "out"
    spec = plain(backbone="pixels", size=8, k=3)
    build(Request(selection=Selection(photos=photos), spec=spec, formats=("onnx",)), folder)
    return folder


@pytest.mark.parametrize("command", [("edit", "--rename", "a=b"), ("inspect",), ("diff", "x.onnx")])
def test_a_folder_where_one_file_is_wanted(refused, tmp_path, command):
    name, *more = command
    assert "[not-an-artefact]" in refused(name, tmp_path, *more)
    (tmp_path / "model.onnx").touch()
    (tmp_path / "model.mlpackage").mkdir()
    line = refused(name, tmp_path, *more)
    assert "is a folder; name one file in it: model.mlpackage, model.onnx" in line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("verify OUT NONE", "does not exist"),
        ("explain OUT TEXT", "text.jpg: not a picture"),
        ("explain OUT PICTURE --patch 0", "above 0 and below 1, not 0"),
        ("explain OUT PICTURE --steps 0", "[steps-out-of-range]"),
        ("explain OUT PICTURE --steps 100000000", "[steps-out-of-range]"),
        ("eval OUT PHOTOS --shift --sample 0", "[too-few-photos]"),
        ("eval OUT PHOTOS --shift --seed -1", "[seed-out-of-range]"),
        ("predict OUT/model.onnx TEXT NONE", "text.jpg: not a picture; "),
        ("bench OUT --runs 100000000", "[runs-out-of-range]"),
    ],
)
def test_mistakes_are_refused_before_a_model_is_loaded(
    words, told, out, photos, refused, tmp_path, monkeypatch
):
    def loaded(*given):
        raise AssertionError("it was loaded in vain")

    monkeypatch.setattr(artefact, "load", loaded)
    monkeypatch.setattr(reopen, "reopen", loaded)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.jpg").write_text("no picture")
    drawing(7).save(tmp_path / "picture.png")
    given = {"OUT": out, "PHOTOS": photos, "NONE": tmp_path / "none"}
    given |= {"TEXT": tmp_path / "text.jpg", "PICTURE": tmp_path / "picture.png"}
    given["OUT/model.onnx"] = out / "model.onnx"
    assert told in refused(*(given.get(word, word) for word in words.split()))


def test_numbers_beyond_any_use_are_refused_or_mean_all(out, photos, pocketknn):
    assert len(find(photos, limit=10**30)) == 12
    with pytest.raises(InputError, match="must be 2 to 64"):
        Patches.of(96, 0.2, 10**9)
    for text in ("9" * 400 + "MB", "9" * 5000 + "KB"):
        with input_error("bad-amount"):
            parse_bytes(text)
    with input_error("bad-amount"):
        parse_amount("9" * 5000, None)
    said = pocketknn("eval", out, photos, "--shift", "--sample", str(10**30), "--json")
    assert said.code == 0, said.err


def test_an_error_keeps_its_code_on_its_way_to_another_process():
    error = pickle.loads(pickle.dumps(InputError("k = 9 is more than 5 references", "k-too-large")))
    assert (str(error), error.code) == ("k = 9 is more than 5 references", "k-too-large")
