"""The commands as users type them: output, written files, and answers to mistakes."""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from support import PLAIN, drawing

from pocketknn.builder import References
from pocketknn.builder.knn import exact
from pocketknn.export.cli.app import main
from pocketknn.export.cli.ask.predict import answer_lines
from pocketknn.export.formats import onnx
from pocketknn.export.output.checksums import digest
from pocketknn.export.parity import test_inputs


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def built(photos, tmp_path_factory):
    """A build of the small pictures by the command itself, in all formats."""
    out = tmp_path_factory.mktemp("built") / "out"
    with pytest.raises(SystemExit) as end:
        main(["build", str(photos), "-o", str(out), "--backbone", "bundled"])
    assert end.value.code == 0
    return out


def test_a_build_holds_all_that_was_promised(built):
    names = [
        "golden",
        "labels.txt",
        "manifest.json",
        "model.keras",
        "model.mlpackage",
        "model.onnx",
        "model.tflite",
        "parity.json",
        "references.csv",
        "references.parquet",
        "report.html",
        "snippets",
    ]
    assert listed(built) == names
    assert (built / "labels.txt").read_text() == "apple\nberries/red\ncherry\n"
    assert (built / "references.csv").read_text().splitlines()[0] == "index,id,label,path"
    assert pq.read_table(built / "references.parquet").num_rows == 12


def test_the_manifest_says_everything(built):
    manifest = json.loads((built / "manifest.json").read_text())
    assert manifest["labels"] == ["apple", "berries/red", "cherry"]
    # In a soft vote all references vote, up to a hundred.
    assert (manifest["k"], manifest["head"], manifest["metric"]) == (12, "classify", "cosine")
    assert (manifest["vote"], manifest["scores_of"]) == ("soft", "classes")
    assert manifest["projection"]["by"] == "classes"
    assert manifest["temperature"] > 0
    assert "directions in which the classes differ" in manifest["outputs"]["scores"]["is"]
    assert manifest["input"]["crop"] == "center"
    assert manifest["input"]["shape"] == [96, 96, 3]
    assert set(manifest["parity"]) == {"keras", "tflite", "coreml", "onnx"}
    assert all(parity["agrees"] for parity in manifest["parity"].values())
    for name, file in manifest["files"].items():
        assert digest(built / name) == file["sha256"]
    assert json.loads((built / "parity.json").read_text()) == manifest["parity"]


def test_no_path_of_the_maker_is_inside(built, photos):
    for file in built.rglob("*"):
        if file.is_file():
            assert str(photos).encode() not in file.read_bytes(), file.name


@pytest.mark.parametrize("suffix", [".keras", ".tflite", ".mlpackage", ".onnx"])
def test_predict_finds_a_reference_itself(built, photos, pocketknn, suffix):
    picture = photos / "berries/red/2.png"
    said = pocketknn("predict", "--json", built / f"model{suffix}", picture, photos / "apple/0.png")
    assert said.code == 0, said.err
    first, second = json.loads(said.out)
    assert first["neighbors"][0]["path"] == "berries/red/2.png"
    assert first["neighbors"][0]["score"] == pytest.approx(1, abs=1e-3)
    assert len(first["neighbors"]) == 12, "all that vote"
    assert second["neighbors"][0]["path"] == "apple/0.png"
    assert first["label"] in ("apple", "berries/red", "cherry")


def test_predict_prints_each_answer_above_its_neighbours(built, photos, pocketknn):
    said = pocketknn("predict", built / "model.tflite", photos / "apple/0.png")
    assert said.code == 0
    answer, *lines = said.out.splitlines()
    assert re.fullmatch(rf"{photos}/apple/0.png: [a-z/]+, \d+% of the vote", answer)
    near = [line.split() for line in lines if line.startswith("  ")]
    assert near[0] == ["1.000", "apple/0.png"]
    assert len(near) == 5, "of those that vote five are shown"
    assert [score for score, _ in near] == sorted((s for s, _ in near), key=float, reverse=True)
    assert "score is the cosine of each neighbour along the directions in which the" in said.out


def test_predict_breaks_no_name_however_narrow_the_terminal(built, photos, pocketknn, tmp_path):
    name = "holiday in the mountains " * 5 + ".png"
    shutil.copy(photos / "apple/0.png", tmp_path / name)
    assert f"{tmp_path / name}: " in pocketknn("predict", built / "model.tflite", tmp_path).out


@pytest.mark.parametrize(
    ("answer", "reject", "lines"),
    [
        ({"label": "cat", "probability": 0.5}, None, ["x.jpg: cat, 50% of the vote"]),
        ({"label": "cat", "probability": 0.5}, 0.9, ["x.jpg: cat, 50% of the vote"]),
        (
            {"label": "unknown", "probability": 1.0},
            0.95,
            ["x.jpg: unknown, as the nearest reference scores 0.912, below 0.950"],
        ),
        ({"label": "unknown", "probability": 0.6}, None, ["x.jpg: unknown, 60% of the vote"]),
        ({"value": {"age": 3.25, "size": 1e-5}}, None, ["x.jpg: age 3.25, size 1e-05"]),
        ({}, None, ["x.jpg"]),
    ],
)
def test_an_answer_of_each_head_in_lines(answer, reject, lines):
    near = [
        {"score": 0.91234, "path": "cat/1.jpg", "id": "a", "label": "cat"},
        {"score": -11.5, "path": "", "id": "b", "label": "dog"},
        {"score": -12.0, "path": "one.jpg", "id": "c", "label": ""},
    ]
    manifest = {"reject": reject and {"threshold": reject}}
    about = SimpleNamespace(labels=("cat", "unknown"), manifest=manifest)
    found = [*answer_lines({"image": "x.jpg", "neighbors": near} | answer, about)]
    rest = ["    0.912  cat/1.jpg", "  -11.500  b (dog)", "  -12.000  one.jpg"]
    assert found == lines + rest


def test_an_artefact_alone_is_enough(built, photos, pocketknn, tmp_path):
    shutil.copy(built / "model.tflite", tmp_path / "anywhere.tflite")
    said = pocketknn("predict", "--json", tmp_path / "anywhere.tflite", photos / "cherry/1.png")
    assert json.loads(said.out)[0]["neighbors"][0]["path"] == "cherry/1.png"


def test_one_broken_picture_does_not_cost_the_others(built, photos, pocketknn, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    said = pocketknn(
        "predict", "--json", built / "model.onnx", tmp_path / "broken.jpg", photos / "apple/0.png"
    )
    assert said.code == 2
    assert len(json.loads(said.out)) == 1
    assert "broken.jpg: not a picture" in said.err


@pytest.mark.parametrize("suffix", [".keras", ".tflite", ".mlpackage", ".onnx"])
def test_inspect_says_what_a_file_is(built, pocketknn, suffix):
    said = pocketknn("inspect", built / f"model{suffix}")
    assert said.code == 0
    for words in ("12 references in 3 classes (4 each)", "bundled at 96×96", "apple, berries/red"):
        assert words in said.out
    whole = json.loads(pocketknn("inspect", "--json", built / f"model{suffix}").out)
    assert whole["backbone"]["name"] == "bundled"


def test_verify_agrees(built, photos, pocketknn):
    for arguments in ((built,), (built, photos)):
        said = pocketknn("verify", *arguments)
        assert said.code == 0, said.out
        assert said.out.count("agrees") == 4


@pytest.fixture(scope="module")
def three(photos, tmp_path_factory):
    """A build of pixels in three formats, which no test may change."""
    out = tmp_path_factory.mktemp("three") / "out"
    words = ("--backbone", "pixels", "--size", "8", "--formats", "keras,tflite,onnx")
    with pytest.raises(SystemExit) as end:
        main(["build", str(photos), "-o", str(out), *words, "--no-report", *PLAIN])
    assert end.value.code == 0
    return out


def test_verify_notices_a_changed_file(three, pocketknn, tmp_path):
    copy = shutil.copytree(three, tmp_path / "copy")
    content = bytearray((copy / "model.tflite").read_bytes())
    row = pq.read_table(copy / "references.parquet")["embedding"][3].values.to_numpy()
    place = content.index(exact.unit(row[None]).astype("<f4").tobytes())
    content[place : place + 4] = np.float32(0.9).tobytes()
    (copy / "model.tflite").write_bytes(content)
    (copy / "model.onnx").unlink()
    said = pocketknn("verify", copy)
    assert said.code == 1
    assert "model.tflite was changed after the build: checksum mismatch" in said.out
    assert "model.tflite: it cannot be run: model.tflite is damaged" in said.out
    assert "model.onnx is missing" in said.out


@pytest.mark.parametrize("more", [(), PLAIN])
def test_verify_without_the_keras_file(more, photos, pocketknn, refused, tmp_path):
    out = tmp_path / "out"
    words = ("--backbone", "pixels", "--size", 8, "--formats", "keras,onnx", "--no-report")
    assert pocketknn("build", photos, "-o", out, *words, *more).code == 0
    (out / "model.keras").unlink()
    said = pocketknn("verify", out, photos)
    assert said.code == 1
    assert "model.keras is missing" in said.out
    assert "exact k-NN: the packaged backbone pixels" in said.out
    assert said.out.count("agrees") == 1
    assert "DIFFERS" not in said.out
    manifest = json.loads((out / "manifest.json").read_text())
    del manifest["files"]["model.keras"], manifest["parity"]["keras"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert pocketknn("verify", out).code == 0
    manifest["backbone"]["sha256"] = "0" * 64
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert "[backbone-differs]" in refused("verify", out)
    manifest["backbone"]["name"] = "own.keras"
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert "[backbone-missing]" in refused("verify", out)


def test_parity_failure_is_exit_code_1_and_the_file_is_not_handed_over(
    photos, pocketknn, tmp_path, monkeypatch
):
    real = onnx.load

    def wrong(path):
        run = real(path)
        return lambda batch: (out := run(batch)) | {"scores": out["scores"] + 0.01}

    monkeypatch.setattr(onnx, "load", wrong)
    said = pocketknn(
        "build", photos, "-o", tmp_path / "out", "--backbone", "pixels", "--formats", "onnx,keras"
    )
    assert said.code == 1
    assert "DIFFERS" in said.out
    assert "score error 1.0e-02" in said.out
    assert not (tmp_path / "out/model.onnx").exists()
    assert (tmp_path / "out/model.keras").exists(), "what agrees is handed over"
    assert not json.loads((tmp_path / "out/parity.json").read_text())["onnx"]["agrees"]


def quick(photos, out, *more):
    plain = ("--formats", "keras", "--no-report")
    return "build", photos, "-o", out, "--backbone", "pixels", *plain, *more


def test_a_flat_folder_builds_image_search(photos, pocketknn, tmp_path):
    said = pocketknn(*quick(photos / "apple", tmp_path / "out"))
    assert said.code == 0, said.err
    assert "4 references, no classes" in said.out
    assert "head neighbors, k = 4" in said.out
    assert not (tmp_path / "out/labels.txt").exists()
    said = pocketknn("predict", "--json", tmp_path / "out/model.keras", photos / "apple/1.png")
    (answer,) = json.loads(said.out)
    assert set(answer) == {"image", "neighbors"}
    assert answer["neighbors"][0]["path"] == "1.png"


def test_image_search_over_class_folders_keeps_their_names(photos, pocketknn, tmp_path):
    assert pocketknn(*quick(photos, tmp_path / "out", "--head", "neighbors")).code == 0
    said = pocketknn("predict", "--json", tmp_path / "out/model.keras", photos / "cherry/1.png")
    (answer,) = json.loads(said.out)
    assert "label" not in answer
    assert answer["neighbors"][0]["label"] == "cherry"


def test_one_class_builds_with_a_warning(photos, pocketknn, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/apple").symlink_to(photos / "apple")
    said = pocketknn(*quick(tmp_path / "photos", tmp_path / "out"))
    assert said.code == 0
    assert "warning: there is only one class" in said.out


@pytest.fixture
def messy(photos, tmp_path):
    """The photos, with files among them that cannot be used."""
    folder = tmp_path / "messy"
    shutil.copytree(photos, folder)
    (folder / "apple/empty.jpg").write_bytes(b"")
    (folder / "apple/text.png").write_text("not a picture")
    whole = (folder / "cherry/0.png").read_bytes()
    (folder / "cherry/half.png").write_bytes(whole[: len(whole) // 2])
    (folder / "README.txt").write_text("about these photos")
    shutil.copy(folder / "cherry/0.png", folder / "cherry/wrong.jpg")
    return folder


def test_what_cannot_be_read_is_skipped_named_and_counted(messy, pocketknn, tmp_path):
    said = pocketknn(*quick(messy, tmp_path / "out"))
    assert said.code == 0, said.err
    assert "13 references in 3 classes (4 to 5 each)" in said.out
    assert "1 of them is a copy of another picture" in said.out
    assert "4 skipped" in said.out
    for line in (
        "README.txt: is not in a class folder",
        "apple/empty.jpg: empty file",
        "apple/text.png: not a picture",
        "cherry/half.png: ",
    ):
        assert line in said.out
    skipped = json.loads((tmp_path / "out/manifest.json").read_text())["skipped"]
    assert len(skipped) == 4


def test_strict_refuses_the_first(messy, refused, tmp_path):
    assert "apple/empty.jpg: empty file" in refused(*quick(messy, tmp_path / "out", "--strict"))
    assert listed(tmp_path) == ["messy"]


def test_a_class_with_no_usable_picture(photos, refused, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    for i in range(4):
        (folder / f"apple/{i}.png").write_bytes(b"")
    line = refused(*quick(folder, tmp_path / "out"))
    assert "the class 'apple' has no usable picture; apple/0.png: empty file" in line


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--k", "13"], "k = 13, but there are only 12 references; choose k from 1 to 12"),
        (["--k", "0"], "k must be at least 1, not 0"),
        (["--k", "many"], "--k takes a number or auto, not 'many'"),
        (["--k", "2.5"], "k must be a whole number or auto, not 2.5"),
        (["--metric", "hamming"], "unknown metric 'hamming'; choose from cosine, euclidean"),
        (["--pca", "0"], "pca must be at least 1 component"),
        (["--pca", "1.5"], "[pca-out-of-range]|not 1.5"),
        (
            ["--pca", "64"],
            "64 principal components are too many: 12 references of 3072 values have only 12",
        ),
        (["--pca", "some"], "--pca takes a number or auto, not 'some'"),
        (["--whiten", "1"], "[whiten-without-pca]"),
        (["--pca", "2", "--whiten", "2"], "[whiten-out-of-range]|not 2.0"),
        (["--reject", "nan"], "reject must be a score or auto, not nan"),
        (["--reject", "auto", "--head", "neighbors"], "[reject-needs-classes]|not 'neighbors'"),
        (["--reject", "auto", "--false-rejection", "5"], "[rejection-out-of-range]|not 5.0"),
        (["--strangers", "."], "[strangers-unused]"),
        (["--head", "regress"], "[no-targets]|--target-column"),
        (["--target-column", "age"], "[targets-need-table]"),
        (["--head", "guess"], "unknown head 'guess'; choose from classify, regress, neighbors"),
        (["--crop", "round"], "unknown crop 'round'; choose from center, stretch, fit"),
        (["--formats", "keras,tf"], "unknown format 'tf'; choose from coreml, keras, onnx, tflite"),
        (["--formats", ","], "no format"),
        (["--backbone", "resnet"], "unknown backbone 'resnet'"),
        (["--size", "100000"], "size must be 1 to 2048 pixels"),
        (["--alpha", "-1"], "alpha must be above 0"),
        (["--nonsense"], "No such option: --nonsense"),
    ],
)
def test_nonsense_is_one_line(photos, refused, tmp_path, more, words):
    line = refused(*quick(photos, tmp_path / "out", *more))
    assert all(one in line for one in words.split("|"))
    assert listed(tmp_path) == []


def test_k_is_held_against_the_usable_pictures(messy, refused, tmp_path):
    assert "only 13 references" in refused(*quick(messy, tmp_path / "out", "--k", "15"))
    assert listed(tmp_path) == ["messy"]


def test_labels_are_needed_to_classify(photos, refused, tmp_path):
    line = refused(*quick(photos / "apple", tmp_path / "out", "--head", "classify"))
    assert "needs labels" in line


def test_an_earlier_build_is_replaced_only_by_force(photos, pocketknn, refused, tmp_path):
    out = tmp_path / "out"
    assert pocketknn(*quick(photos, out)).code == 0
    before = digest(out)
    assert "[folder-exists]" in refused(*quick(photos, out))
    assert digest(out) == before
    assert pocketknn(*quick(photos, out, "--force", "--k", "2")).code == 0
    assert json.loads((out / "manifest.json").read_text())["k"] == 2
    assert listed(tmp_path) == ["out"]


def test_force_replaces_nothing_but_builds(photos, refused, tmp_path):
    (tmp_path / "thesis.doc").write_text("years of work")
    line = refused(*quick(photos, tmp_path, "--force"))
    assert "holds 'thesis.doc', and --force replaces only what build wrote" in line
    assert (tmp_path / "thesis.doc").read_text() == "years of work"
    (tmp_path / "web").mkdir()
    (tmp_path / "web/manifest.json").write_text('{"name": "a web app"}')
    assert "no manifest of a build" in refused(*quick(photos, tmp_path / "web", "--force"))
    (tmp_path / "web/model.psd").write_text("a drawing")
    assert "holds 'model.psd'" in refused(*quick(photos, tmp_path / "web", "--force"))
    (tmp_path / "file").write_text("x")
    assert "[not-a-folder]" in refused(*quick(photos, tmp_path / "file", "--force"))


def test_a_failed_build_keeps_the_earlier_one(photos, pocketknn, refused, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert pocketknn(*quick(photos, out)).code == 0
    before = digest(out)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pocketknn.export.formats.keras.fill", full)
    assert "No space left on device" in refused(*quick(photos, out, "--force"))
    assert digest(out) == before
    assert listed(tmp_path) == ["out"]


def test_interrupted_is_one_line_and_cleaned_up(photos, pocketknn, tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("pocketknn.export.formats.keras.fill", interrupt)
    said = pocketknn(*quick(photos, tmp_path / "out"))
    assert said.code == 130
    assert said.err.count("\n") == 1
    assert listed(tmp_path) == []


def test_a_place_that_cannot_be_written(photos, refused):
    assert "/proc/out" in refused(*quick(photos, "/proc/out"))


def test_pictures_of_every_kind_in_one_build(pocketknn, tmp_path):
    folder = tmp_path / "photos"
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    drawing(0).convert("CMYK").save(folder / "a/cmyk.jpg")
    drawing(1).convert("P").save(folder / "a/palette.png", transparency=0)
    drawing(2).convert("L").save(folder / "a/grey.png")
    Image.fromarray(np.arange(3600, dtype=np.uint16).reshape(60, 60) * 18).save(
        folder / "b/sixteen.png"
    )
    Image.new("RGB", (1, 1), "red").save(folder / "b/dot.png")
    exif = Image.Exif()
    exif[0x0112] = 8
    drawing(3).save(folder / "b/turned.jpg", exif=exif)
    said = pocketknn(*quick(folder, tmp_path / "out"))
    assert said.code == 0, said.err
    assert "6 references in 2 classes (3 each)" in said.out
    assert "skipped" not in said.out


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.tflite", None, "none.tflite does not exist"),
        ("model.pt", b"x", "[not-an-artefact]"),
        ("other.tflite", b"x" * 100, "[no-manifest]"),
        ("other.onnx", b"\xff" * 100, "not an ONNX file"),
        ("other.keras", b"x" * 100, "[no-manifest]"),
        ("other.mlpackage", b"x" * 100, "not a Core ML package"),
    ],
)
@pytest.mark.parametrize("command", ["inspect", "predict"])
def test_what_is_no_artefact(refused, tmp_path, command, name, content, words):
    if content:
        (tmp_path / name).write_bytes(content)
    assert words in refused(command, tmp_path / name, *(["x.jpg"] if command == "predict" else []))


def test_verify_of_what_is_no_build(refused, photos):
    assert "[no-build]" in refused("verify", photos)


def test_no_arguments_print_the_help_and_version_the_version(pocketknn):
    assert "Usage: pocketknn" in pocketknn().out
    assert pocketknn("--version").out.startswith("pocketknn 0.")


def test_names_with_markup_quotes_and_carriage_returns(pocketknn, tmp_path):
    for i, label in enumerate(("[/foo]", "[red]", 'it"s, so')):
        (tmp_path / "photos" / label).mkdir(parents=True)
        drawing(i).save(tmp_path / "photos" / label / "a\rb\n[bold].png")
    out = tmp_path / "out"
    assert pocketknn(*quick(tmp_path / "photos", out)).code == 0
    picture = tmp_path / "photos" / "[red]" / "a\rb\n[bold].png"
    said = pocketknn("predict", "--json", out / "model.keras", picture)
    nearest = json.loads(said.out)[0]["neighbors"][0]
    assert (nearest["label"], nearest["path"]) == ("[red]", "[red]/a\rb\n[bold].png")
    assert nearest["index"] == 1
    said = pocketknn("predict", out / "model.keras", picture)
    assert said.code == 0
    assert "[red]" in said.out
    assert "[/foo]" in said.out


def test_photos_and_out_must_not_lie_in_one_another(built, photos, refused, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(photos, copy)
    assert "[out-among-photos]" in refused(*quick(copy, copy / "out"))
    for source in (copy, copy / "apple"):
        assert "holds 'apple', and --force" in refused(*quick(source, copy, "--force"))
    shutil.copytree(built, tmp_path / "earlier")
    shutil.copytree(photos, tmp_path / "earlier/photos")
    line = refused(*quick(tmp_path / "earlier/photos", tmp_path / "earlier", "--force"))
    assert "holds 'photos', and --force replaces only what build wrote" in line
    assert len(list((tmp_path / "earlier/photos").rglob("*.png"))) == 12
    assert len(list(copy.rglob("*.png"))) == 12


def test_out_below_a_file(photos, refused, tmp_path):
    (tmp_path / "file").write_text("x")
    assert "[not-a-folder]" in refused(*quick(photos, tmp_path / "file/out"))


def test_a_negative_seed(photos, refused, tmp_path):
    assert "[seed-out-of-range]" in refused(*quick(photos, tmp_path / "out", "--seed", "-1"))


def test_a_backbone_that_a_converter_does_not_take_costs_one_format(photos, pocketknn, tmp_path):
    import keras

    image = keras.Input((8, 8, 3))
    flat = keras.layers.Flatten()(image) / 255.0
    keras.Model(image, keras.ops.erfinv(flat * 0.9)).save(tmp_path / "odd.keras")
    said = pocketknn(
        *("build", photos, "-o", tmp_path / "out", "--backbone", tmp_path / "odd.keras"),
        *("--formats", "keras,onnx"),
    )
    assert said.code == 1
    assert "model.onnx: it cannot be converted: " in said.out
    assert (tmp_path / "out/model.keras").exists()
    assert "its file is model.keras" in said.out


def test_nothing_agrees_is_said_plainly(photos, pocketknn, tmp_path, monkeypatch):
    monkeypatch.setattr("pocketknn.export.parity.compare.holds", lambda *arguments: False)
    said = pocketknn(*quick(photos, tmp_path / "out"))
    assert said.code == 1
    assert "no file agrees with the exact k-NN" in said.out
    assert "is ready" not in said.out


def spoil(path, name):
    """Overwrite the middle of a file."""
    content = bytearray((path / name).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(range(200))
    (path / name).write_bytes(content)


def test_damaged_files_are_one_line(built, photos, refused, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(built, copy)
    spoil(copy, "model.keras")
    picture = photos / "apple/0.png"
    assert "Keras cannot open model.keras" in refused("predict", copy / "model.keras", picture)
    assert "model.keras" in refused("verify", copy)
    weights = copy / "model.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
    weights.unlink()
    line = refused("predict", copy / "model.mlpackage", picture)
    assert "model.mlpackage is damaged" in line
    (copy / "model.onnx").write_bytes((copy / "model.onnx").read_bytes()[:50_000])
    refused("predict", copy / "model.onnx", picture)


def without(manifest, *path):
    changed = json.loads(json.dumps(manifest))
    place = changed
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return changed


@pytest.mark.parametrize(
    "path",
    [
        *(("files",), ("seed",), ("precision",), ("labels",), ("k",), ("head",), ("backbone",)),
        *(("backbone", "sha256"), ("input", "shape"), ("references", "count")),
        *(("precision", "onnx"), ("files", "model.onnx", "sha256")),
    ],
)
def test_a_damaged_manifest_is_one_line(built, refused, tmp_path, path):
    shutil.copytree(built, tmp_path / "copy")
    manifest = json.loads((built / "manifest.json").read_text())
    (tmp_path / "copy/manifest.json").write_text(json.dumps(without(manifest, *path)))
    assert "[manifest-broken]" in refused("verify", tmp_path / "copy")


def test_verify_notices_changed_tables(three, pocketknn, tmp_path):
    copy = shutil.copytree(three, tmp_path / "copy")
    (copy / "labels.txt").write_text("x\ny\nz\n")
    table = (copy / "references.csv").read_text().replace("apple", "cherry")
    (copy / "references.csv").write_text(table)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["k"] = 3
    (copy / "manifest.json").write_text(json.dumps(manifest))
    said = pocketknn("verify", copy)
    assert said.code == 1
    for name in ("labels.txt", "references.csv"):
        assert f"{name} was changed after the build: checksum mismatch" in said.out
    assert "manifest.json differs from the one inside model.onnx" in said.out


def test_verify_with_photos_that_are_none(built, refused, tmp_path):
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk/a.txt").write_text("no picture")
    assert "[no-readable-picture]" in refused("verify", built, tmp_path / "junk")


def test_verify_of_tiny_embeddings(photos, pocketknn, tmp_path):
    """Normalising unit vectors again would flip last bits, most easily in few dimensions."""
    assert pocketknn(*quick(photos, tmp_path / "out", "--size", "1")).code == 0
    assert pocketknn("verify", tmp_path / "out").code == 0


def test_a_signal_to_end_cleans_up(photos, tmp_path):
    command = [
        *(sys.executable, "-c", "from pocketknn.export.cli.app import main; main()"),
        *("build", photos, "-o", tmp_path / "deep/out", "--backbone", "bundled"),
    ]
    build = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while not list(tmp_path.glob(".out.*")):
        assert build.poll() is None, build.stderr.read()
        time.sleep(0.02)
    build.terminate()
    _, said = build.communicate(timeout=300)
    assert build.returncode == 130
    assert said == "pocketknn: interrupted; no half-written file is left behind\n"
    assert listed(tmp_path) == []


@pytest.mark.parametrize("module", ["typer", "rich", "numpy", "PIL", "pyarrow", "tensorflow"])
def test_an_interruption_of_an_import_is_one_line(module, three, tmp_path):
    """Some libraries turn it into another exception if it arrives while they are imported."""
    out = shutil.copytree(three, tmp_path / "out")
    if module != "tensorflow":  # whose own import takes seconds, during which the others' wait
        (out / "model.keras").unlink()
    code = f"""
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt as error:
                if name == "numpy":
                    raise ImportError("half a library") from error
                raise
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupting())
from pocketknn.export.cli.entry import main
sys.argv[1:] = ["verify", {str(out)!r}]
main()
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert said.returncode == 130, said.stderr
    assert said.stderr.startswith("pocketknn: interrupted")
    assert said.stderr.count("\n") == 1


def test_a_report_that_cannot_be_made_does_not_cost_the_build(
    photos, pocketknn, tmp_path, monkeypatch
):
    def broken(*arguments):
        raise RuntimeError("no fonts")

    monkeypatch.setattr("pocketknn.export.report.write.report_build", broken)
    words = [word for word in quick(photos, tmp_path / "out") if word != "--no-report"]
    said = pocketknn(*words)
    assert said.code == 0, said.err
    assert "warning: no report was written: no fonts" in said.out
    assert "manifest.json" in listed(tmp_path / "out")


def test_the_order_of_classes_can_be_fixed(photos, pocketknn, refused, tmp_path):
    labels = tmp_path / "labels"
    labels.write_text("\ufeffcherry\napple\nberries/red\nmissing\n", "utf-8")  # as in Notepad
    assert pocketknn(*quick(photos, tmp_path / "out", "--labels", labels)).code == 0
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["labels"] == ["cherry", "apple", "berries/red", "missing"]
    assert pocketknn("verify", tmp_path / "out").code == 0
    labels.write_text("cherry\napple\n")
    line = refused(*quick(photos, tmp_path / "out2", "--labels", labels))
    assert "'berries/red' is not in the list of classes" in line
    labels.write_text("a\na\n")
    assert "must name each class once" in refused(
        *quick(photos, tmp_path / "out2", "--labels", labels)
    )


def test_an_order_of_classes_where_there_are_none(photos, refused, tmp_path):
    (tmp_path / "labels").write_text("apple\n")
    more = ("--labels", tmp_path / "labels")
    assert "orders classes, but" in refused(*quick(photos / "apple", tmp_path / "out", *more))


def test_a_build_without_the_names_of_its_photos(photos, pocketknn, tmp_path):
    folder = tmp_path / "photos"
    for path in photos.rglob("*.png"):
        place = folder / path.parent.name / f"of-anna-{path.name}"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    (folder / "red/of-anna.txt").write_text("not a picture")
    shutil.copy(folder / "red/of-anna-0.png", folder / "apple/of-anna-again.png")
    out, plain = tmp_path / "out", ("--backbone", "pixels", "--size", 8)
    more = ("--formats", "tflite,onnx", "--no-names")
    assert pocketknn("build", folder, "-o", out, *plain, *more).code == 0
    files = [path for path in out.rglob("*") if path.is_file()]
    assert {"report.html", "references.parquet"} <= {path.name for path in files}
    assert [path.name for path in files if b"of-anna" in path.read_bytes()] == []
    assert not any(References.load(out / "references.parquet").paths)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["skipped"] == [{"name": "", "reason": "not a picture"}]
    (pair,) = manifest["references"]["contradictions"]
    assert len(set(pair)) == 2
    picture = folder / "cherry/of-anna-1.png"
    (answer,) = json.loads(pocketknn("predict", "--json", out / "model.onnx", picture).out)
    assert answer["neighbors"][0]["path"] == ""
    assert answer["neighbors"][0]["id"] in pocketknn("predict", out / "model.tflite", picture).out
    (tmp_path / "more/cherry").mkdir(parents=True)
    drawing(99).save(tmp_path / "more/cherry/of-anna-new.png")
    more = ("--add", tmp_path / "more", "--out", tmp_path / "more.tflite")
    said = pocketknn("edit", out / "model.tflite", *more)
    assert said.code == 0, said.err
    assert pocketknn("eval", out, folder).code == 0
    files = [tmp_path / "more.tflite", *(path for path in out.rglob("*") if path.is_file())]
    assert [path.name for path in files if b"of-anna" in path.read_bytes()] == []


def test_a_stray_photo_counts_in_eval_as_in_build(photos, pocketknn, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    shutil.copy(photos / "apple/0.png", folder / "stray.png")
    assert pocketknn(*quick(folder, tmp_path / "out")).code == 0
    said = pocketknn("eval", "--json", tmp_path / "out", folder)
    assert said.code == 0, said.err
    assert [row["photos"] for row in json.loads(said.out)] == [12]
    assert "1 file left out, such as stray.png: is not in a class folder" in said.err


def test_the_cache_serves_a_second_build_and_can_be_cleared(
    photos, pocketknn, refused, tmp_path, monkeypatch
):
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))
    first = quick(photos, tmp_path / "first", "--vote", "distance", "--balanced")
    assert pocketknn(*first).code == 0
    assert "pixels-" in pocketknn("cache").out
    assert ": 12 pictures" in pocketknn("cache", "show").out
    assert "a converted graph" in pocketknn("cache", "show").out
    monkeypatch.setattr(
        "pocketknn.builder.embedding.local.picture", None
    )  # nothing is decoded again
    monkeypatch.setattr(
        test_inputs, "from_photos", lambda photos, net, *more, **options: test_inputs.synthetic(net)
    )
    assert pocketknn(*quick(photos, tmp_path / "second")).code == 0
    tables = [pq.read_table(tmp_path / name / "references.parquet") for name in ("first", "second")]
    assert tables[0].equals(tables[1])
    assert "caches removed" in pocketknn("cache", "clear").out
    assert "a converted graph" not in pocketknn("cache").out
    assert "0 caches removed" in pocketknn("cache", "clear").out
    assert "unknown action 'eat'" in refused("cache", "eat")


def test_the_same_picture_in_two_classes_is_a_warning_or_strictly_refused(
    photos, pocketknn, refused, tmp_path
):
    shutil.copytree(photos, tmp_path / "photos")
    shutil.copy(photos / "apple/1.png", tmp_path / "photos/cherry/again.png")
    said = pocketknn(*quick(tmp_path / "photos", tmp_path / "out"))
    assert said.code == 0
    words = "the same picture in two classes: apple/1.png and cherry/again.png"
    assert f"warning: {words}" in said.out
    line = refused(*quick(tmp_path / "photos", tmp_path / "strict", "--strict"))
    assert "the same picture is in two classes: apple/1.png and cherry/again.png" in line


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here: it takes root")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_disk_that_fills_half_way(photos, refused, tiny_disk):
    line = refused(
        "build", photos, "-o", tiny_disk / "out", "--backbone", "bundled", "--formats", "keras"
    )
    assert "No space left" in line or "cannot be written" in line
    assert listed(tiny_disk) == []


def test_twenty_thousand_empty_files(refused, tmp_path):
    folder = tmp_path / "photos/empty"
    folder.mkdir(parents=True)
    for i in range(20_000):
        (folder / f"{i}.jpg").touch()
    line = refused(*quick(tmp_path / "photos", tmp_path / "out"))
    assert "the class 'empty' has no usable picture; empty/0.jpg: empty file" in line


@pytest.fixture
def priced(tmp_path):
    """A table of grey pictures with two numbers each: brightness and darkness."""
    lines = ["path,brightness,darkness,nonsense"]
    for grey in range(10, 250, 10):
        Image.new("RGB", (20, 20), (grey, grey // 2, 40)).save(tmp_path / f"{grey}.png")
        lines.append(f"{grey}.png,{grey},{255 - grey},{'nan' if grey == 30 else 'high'}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    Image.new("RGB", (20, 20), (105, 52, 40)).save(tmp_path / "new.jpg", quality=95)
    return tmp_path


def test_a_regression_from_a_table(pocketknn, priced):
    out = priced / "out"
    columns = ("--target-column", "brightness", "--target-column", "darkness")
    choices = ("--backbone", "pixels", "--metric", "euclidean", "--vote", "distance", "--k", "2")
    said = pocketknn("build", priced / "table.csv", "-o", out, *columns, *choices)
    assert said.code == 0, said.err
    assert "brightness: root mean squared error " in said.out
    for file in ("model.keras", "model.tflite", "model.mlpackage", "model.onnx"):
        (answer,) = json.loads(pocketknn("predict", out / file, priced / "new.jpg", "--json").out)
        assert answer["value"]["brightness"] == pytest.approx(105, abs=2)
        assert answer["value"]["darkness"] == pytest.approx(150, abs=2)
    assert "brightness 10" in pocketknn("predict", out / "model.onnx", priced / "new.jpg").out
    assert pocketknn("verify", out, priced / "table.csv").code == 0


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("price", "table.csv has no column 'price'; its columns are 'path', 'brightness'"),
        ("nonsense", "'nonsense' of 10.png is 'high', which is not a number"),
    ],
)
def test_a_target_that_is_no_number(pocketknn, priced, column, message):
    given = ("build", priced / "table.csv", "-o", priced / "out", "--target-column", column)
    said = pocketknn(*given, "--backbone", "pixels")
    assert said.code == 2
    assert message in said.err
    assert not (priced / "out").exists()


def test_an_infinite_target(pocketknn, priced):
    (priced / "table.csv").write_text("path,x\n10.png,1\n20.png,inf\n")
    given = ("build", priced / "table.csv", "-o", priced / "out", "--target-column", "x")
    said = pocketknn(*given, "--backbone", "pixels")
    assert said.code == 2
    assert "'x' of 20.png is 'inf'; a target must be finite" in said.err


def test_the_version_is_the_same_everywhere(pocketknn):
    import pocketknn as package

    assert pocketknn("--version").out == f"pocketknn {package.__version__}\n"
    assert importlib.metadata.version("pocketknn") == package.__version__
    with pytest.raises(AttributeError, match="nothing"):
        _ = package.nothing


def test_strangers_are_measured_and_called_unknown(pocketknn, photos, tmp_path):
    (tmp_path / "strangers").mkdir()
    for i in range(4):
        Image.new("RGB", (30, 30), (255 * (i % 2), 0, 60 * i)).save(tmp_path / f"strangers/{i}.png")
    choices = ("--backbone", "pixels", "--reject", "auto", "--strangers", tmp_path / "strangers")
    said = pocketknn("build", photos, "-o", tmp_path / "out", *choices)
    assert said.code == 0, said.err
    assert "of 4 strangers pass" in said.out
    assert "before rejection" in said.out
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["labels"][-1] == "unknown"
    assert manifest["reject"]["strangers_asked"] == 4
    assert (tmp_path / "out" / "labels.txt").read_text().splitlines() == manifest["labels"]
    for file in ("model.keras", "model.tflite", "model.mlpackage", "model.onnx"):
        (answer,) = json.loads(
            pocketknn(
                "predict", tmp_path / "out" / file, tmp_path / "strangers/0.png", "--json"
            ).out
        )
        assert (answer["label"], answer["probability"]) == ("unknown", 1.0)


def test_references_that_were_kept_build_the_same_model(pocketknn, photos, tmp_path):
    choices = ("--backbone", "pixels", "--size", "8", "--formats", "onnx,tflite")
    assert pocketknn("build", photos, "-o", tmp_path / "a", *choices).code == 0
    kept = tmp_path / "a" / "references.parquet"
    said = pocketknn("build", kept, "-o", tmp_path / "b", "--formats", "onnx,tflite")
    assert said.code == 0, said.err
    first, second = (
        np.array(pq.read_table(tmp_path / which / "references.parquet")["embedding"].to_pylist())
        for which in "ab"
    )
    np.testing.assert_array_equal(first, second)
    picture = photos / "apple" / "0.png"
    answers = [
        json.loads(pocketknn("predict", tmp_path / which / "model.tflite", picture, "--json").out)
        for which in "ab"
    ]
    assert answers[0] == answers[1]
    said = pocketknn("build", kept, "-o", tmp_path / "c", "--backbone", "bundled")
    assert said.code == 2
    assert "the references come from another backbone, pixels at 8" in said.err
    assert not (tmp_path / "c").exists()
