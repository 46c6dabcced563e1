"""Options without effect are refused in one line that names the option."""

import pytest
from support import drawing

BUILD = ("build", "PHOTOS", "-o", "NEW", "--backbone", "pixels", "--size", "8")
KEPT = ("build", "KEPT", "-o", "NEW", "--formats", "onnx")
REFUSED = [
    (BUILD, ("--loss", "0.1"), "--loss needs --budget"),
    (BUILD, ("--agreement", "0.5"), "--agreement needs --budget"),
    (BUILD, ("--false-rejection", "0.1"), "needs --reject auto"),
    (BUILD, ("--label-column", "a"), "is for a table"),
    (BUILD, ("--path-column", "a"), "is for a table"),
    (BUILD, ("--formats", "onnx", "--ios", "17"), "is for Core ML files"),
    (BUILD, ("--formats", "keras", "--pixels", "uint8"), "is for TFLite and ONNX files"),
    (BUILD, ("--formats", "keras", "--precision", "int8"), "is not for Keras files"),
    (BUILD, ("--formats", "onnx", "--outputs", "scores"), "is for TFLite files"),
    (BUILD, ("--plan", "--strangers", "PHOTOS"), "--plan writes nothing"),
    (BUILD, ("--plan", "--no-report"), "--plan writes nothing"),
    (KEPT, ("--strict",), "holds references"),
    (KEPT, ("--exclude", "a*"), "holds references"),
    (KEPT, ("--limit", "3"), "holds references"),
    (KEPT, ("--label-column", "a"), "holds references"),
    (KEPT, ("--crop", "stretch"), "was embedded with center"),
    (KEPT, ("--input-range", "0..1"), "was embedded with 0..255"),
    (("tune", "PHOTOS"), ("--label-column", "a"), "is for a table"),
    (("tune", "KEPT"), ("--limit", "3"), "holds references"),
    (("tune", "KEPT"), ("--no-cache",), "holds references"),
    (("refs", "new", "PHOTOS", "-o", "NEW"), ("--label-column", "a"), "is for a table"),
    (("refs", "add", "KEPT", "PHOTOS", "-o", "NEW"), ("--path-column", "a"), "is for a table"),
    (("eval", "OUT", "PHOTOS"), ("--seed", "1"), "--seed needs --shift"),
    (("eval", "OUT", "PHOTOS"), ("--force",), "--force needs --shift"),
    (("eval", "OUT", "PHOTOS", "--shift"), ("--force",), "--force needs --chart"),
    (("web", "OUT"), ("--thumbnails", "1MB"), "--thumbnails needs --photos"),
    (("web", "OUT", "--export", "NEW"), ("--port", "1"), "--port is for serving"),
    (("web", "OUT", "--export", "NEW"), ("--no-open",), "--open is for serving"),
    (("web", "OUT", "--teach"), ("--thumbnails", "1MB"), "--thumbnails does not apply to --teach"),
    (("teach", "--export", "NEW"), ("--no-open",), "--open is for serving"),
    (("teach", "OUT"), ("--crop", "fit"), "--crop cannot be changed"),
]


def test_two_folders_are_told_what_to_do_with_them(refused, photos, tmp_path):
    one, two = photos / "apple", photos / "cherry"
    for command in ("build", "tune"):
        line = refused(command, one, two, "-o", tmp_path / "out")
        assert "[too-many-places]" in line
        assert str(one) in line
        assert f"pocketknn edit OUT --add {two} -o NEW" in line
    line = refused("build", one, tmp_path / "new")
    assert f"[missing-out] name the folder to write with --out: pocketknn build {one} -o" in line
    assert "No such option: --nonsense" in refused("build", one, "--nonsense")


@pytest.fixture(scope="module")
def kept(photos, tmp_path_factory):
    from pocketknn.builder import Spec, embed, find, load_backbone

    path = tmp_path_factory.mktemp("typed") / "references.parquet"
    net = load_backbone(Spec(backbone="pixels", size=8))
    embed(find(photos), net, "center").references().save(path)
    return path


@pytest.mark.parametrize(("words", "more", "message"), REFUSED, ids=lambda one: " ".join(one[-2:]))
def test_what_means_nothing_is_refused(words, more, message, kept, photos, pocketknn, tmp_path):
    places = {"PHOTOS": photos, "KEPT": kept, "NEW": tmp_path / "new", "OUT": tmp_path / "out"}
    said = pocketknn(*(places.get(word, word) for word in (*words, *more)))
    assert said.code == 2
    assert message in said.err
    assert said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_strangers_are_measured_on_references_that_were_kept(kept, pocketknn, tmp_path):
    strange = tmp_path / "strange"
    strange.mkdir()
    for i in range(5):
        drawing(700 + i).save(strange / f"{i}.png")
    words = ("build", kept, "-o", tmp_path / "out", "--formats", "onnx", "--no-report")
    said = pocketknn(*words, "--reject", "auto", "--crop", "center", "--strangers", strange)
    assert said.code == 0, said.err
    assert "of 5 strangers pass" in said.out
    assert "a file of references records no options of the build" in said.out
