"""Files are checked with another runtime than their own, and on other pictures."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from support import drawing, plain

from pocketknn.builder import Spec, embed, find, load_backbone
from pocketknn.builder.backbones.engines import conversion
from pocketknn.export import export
from pocketknn.export.formats import tflite
from pocketknn.export.formats.onnx.of_litert import onnx_of_litert
from pocketknn.export.parity import judges, test_inputs
from pocketknn.export.parity.judges import Judges


@pytest.fixture
def net(small_net):
    return load_backbone(plain(backbone=small_net))


def test_the_test_inputs_of_a_format_are_embedded_by_another_runtime(net):
    against = test_inputs.synthetic(net)
    found = Judges(against, net)
    named = {name: found.of(name).judge for name in ("keras", "tflite", "coreml", "onnx")}
    assert named == {
        "keras": "litert",
        "tflite": "onnxruntime",
        "coreml": "litert",
        "onnx": "litert",
    }
    by_keras = net.model.predict(against.inputs.astype("f4"), verbose=0)
    np.testing.assert_allclose(found.of("tflite").embeddings, by_keras, atol=1e-5)
    np.testing.assert_allclose(found.of("onnx").embeddings, by_keras, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "size"), [("bundled", None), ("bundled", 67), ("efficientnet_lite0", 97)]
)
def test_onnxruntime_has_the_packaged_backbones_without_the_converter(name, size):
    """Also at odd sizes, where padding differs; Keras is the oracle."""
    net = load_backbone(Spec(backbone=name, size=size))
    content = onnx_of_litert(net.graph()).SerializeToString()
    import onnxruntime as ort

    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    pictures = np.random.default_rng(0).integers(0, 256, (2, net.size, net.size, 3)).astype("f4")
    (found,) = session.run(None, {"image": pictures})
    by_keras = net.model.predict(pictures, verbose=0)
    assert np.abs(by_keras).max() > 1
    np.testing.assert_allclose(found, by_keras, atol=2e-5)  # 50 layers of float32 sums


def test_what_the_packaged_backbones_do_not_have_is_not_guessed_at(tmp_path):
    image = keras.Input((8, 8, 3))
    found = keras.layers.Conv2D(4, 3, activation="relu")(image)
    found = keras.layers.GlobalAveragePooling2D()(found)
    keras.Model(image, found).save(tmp_path / "relu.keras")
    net = load_backbone(plain(backbone=str(tmp_path / "relu.keras")))
    with pytest.raises(NotImplementedError, match="CONV_2D with the activation 1"):
        onnx_of_litert(conversion.convert(net))


def test_what_keras_embedded_does_not_judge_keras(small_net):
    net = load_backbone(plain(backbone=small_net))
    net = replace(net, by_keras=True)
    found = Judges(test_inputs.synthetic(net), net)
    assert [found.of(name).judge for name in ("keras", "tflite")] == ["onnxruntime", "keras"]


def test_a_backbone_that_onnxruntime_cannot_have_is_judged_by_keras(net, monkeypatch, tmp_path):
    def refuse(backbone):
        raise ValueError("no such operation")

    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path))
    monkeypatch.setattr(judges, "convert", refuse)
    assert Judges(test_inputs.synthetic(net), net).of("tflite").judge == "keras"


def test_a_runtime_that_errs_everywhere_alike_is_found_out(net, photos, tmp_path, monkeypatch):
    """A LiteRT that swaps red and blue embeds the references and runs the file."""
    right, opened = net.engine, tflite.load
    wrong = replace(right, run=lambda pictures: right.run(pictures[..., ::-1]))
    monkeypatch.setitem(vars(net), "engine", wrong)
    monkeypatch.setattr(tflite, "load", lambda path: turned(opened(path)))
    spec = plain(backbone=net.name)
    references = embed(find(photos), net, "center").references()
    build = export(spec, references, net, tmp_path / "out", formats=["tflite"])
    (one,) = build.written
    assert not one.parity.agrees
    assert one.parity.judge == "onnxruntime"
    said = json.loads((tmp_path / "out" / "parity.json").read_text())
    assert said["tflite"]["judge"] == "onnxruntime"


def turned(run):
    return lambda batch: run(batch[..., ::-1])


def test_ranges_come_from_other_photos_than_those_that_judge(photos):
    found = find(photos)
    for count in (1, 2, 5, len(found)):
        judging, ranges = test_inputs.apart(found[:count])
        assert not set(judging) & set(ranges)
        assert len(judging) + len(ranges) == count
        assert len(judging) >= len(ranges) == count // 2


def test_a_build_in_int8_is_calibrated_on_photos_that_do_not_judge_it(
    photos, small_net, tmp_path, pocketknn, monkeypatch
):
    seen = {}

    def spy(found, backbone, square, **more):
        seen["judging"] = found
        return drawn(found, backbone, square, **more)

    def spy_ranges(found, square):
        seen["ranges"] = found
        return given(found, square)

    drawn, given = test_inputs.from_photos, test_inputs.calibration
    monkeypatch.setattr(test_inputs, "from_photos", spy)
    monkeypatch.setattr(test_inputs, "calibration", spy_ranges)
    copies = tmp_path / "photos"
    for label in ("a", "b"):
        (copies / label).mkdir(parents=True)
        for number in range(4):  # each picture twice
            drawing(10 * ord(label) + number // 2).save(copies / label / f"{number}.png")
    choices = ("--backbone", small_net, "--precision", "int8", "--formats", "onnx", "--k", "1")
    said = pocketknn("build", copies, "-o", tmp_path / "out", *choices)
    assert said.code == 0, said.err
    judging, ranges = ({photo.content() for photo in seen[name]} for name in ("judging", "ranges"))
    assert (len(judging), len(ranges)) == (2, 2)
    assert not judging & ranges


def test_int8_without_photos_says_what_gave_its_ranges(photos, small_net, tmp_path, pocketknn):
    choices = ("--formats", "tflite", "--no-report")
    kept = pocketknn("build", photos, "-o", tmp_path / "a", "--backbone", small_net, *choices)
    assert kept.code == 0, kept.err
    again = pocketknn(
        "build",
        tmp_path / "a" / "references.parquet",
        "-o",
        tmp_path / "b",
        "--backbone",
        small_net,
        "--precision",
        "int8",
        *choices,
    )
    assert again.code == 0, again.err
    assert "int8: calibrated and checked on noise, as no photos are given" in again.out
