"""A build from references keeps everything that determines how pictures are embedded."""

import json

import numpy as np
import pytest
from support import drawing

from pocketknn.builder import References, Spec
from pocketknn.builder.backbones.load import backbone_of
from pocketknn.builder.backbones.provenance import Provenance
from pocketknn.export.pipeline.material import material
from pocketknn.export.pipeline.request import Request, Selection, Watch


def made(photos, spec=None, strangers=None):
    request = Request(selection=Selection(photos=photos), spec=spec or Spec(), strangers=strangers)
    return material(request, ("tflite",), None, Watch())


@pytest.mark.parametrize("crop", ["center", "stretch", "fit"])
def test_size_crop_and_strangers_are_those_of_the_photos(photos, tmp_path, crop):
    (tmp_path / "strangers").mkdir()
    for i in range(3):
        drawing(90 + i, (60, 30)).save(tmp_path / f"strangers/{i}.png")
    there = made(photos, Spec(backbone="pixels", size=8, crop=crop), tmp_path / "strangers")
    there.references.save(tmp_path / "kept.parquet")
    here = made(tmp_path / "kept.parquet", strangers=tmp_path / "strangers")
    assert here.spec.crop == crop
    assert (here.backbone.name, here.backbone.size) == ("pixels", 8)
    np.testing.assert_array_equal(here.references.vectors, there.references.vectors)
    np.testing.assert_array_equal(here.strangers, there.strangers)


def test_the_file_asks_apps_for_the_crop_of_its_references(photos, pocketknn, tmp_path):
    small = ("--backbone", "pixels", "--size", "8", "--crop", "fit")
    assert pocketknn("refs", "new", photos, "-o", tmp_path / "kept.parquet", *small).code == 0
    out = tmp_path / "out"
    said = pocketknn(
        "build", tmp_path / "kept.parquet", "-o", out, "--formats", "tflite", "--no-report"
    )
    assert said.code == 0, said.err
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert manifest["input"]["crop"] == "fit"
    assert manifest["input"]["shape"] == [8, 8, 3]
    assert manifest["backbone"]["name"] == "pixels"


def test_a_named_network_has_the_width_and_the_size_of_the_references(tmp_path):
    import keras

    net = keras.applications.MobileNetV2((64, 64, 3), 0.35, include_top=False, weights=None)
    net.save_weights(weights := tmp_path / "some.weights.h5")
    embedded = embedded_by(Spec(backbone="mobilenet_v2", alpha=0.35, size=64, weights=weights))
    found = backbone_of(embedded, Spec(weights=weights), None)
    assert (found.name, found.alpha, found.size) == ("mobilenet_v2", 0.35, 64)


def test_a_network_of_ones_own_gets_the_pixels_it_wants(tmp_path):
    import keras

    image = keras.Input((8, 8, 3))
    keras.Model(image, keras.layers.GlobalAveragePooling2D()(image)).save(tmp_path / "own.keras")
    own = str(tmp_path / "own.keras")
    found = backbone_of(embedded_by(Spec(backbone=own, input_range="-1..1")), Spec(backbone=own))
    assert found.input_range == "-1..1"
    white = np.full((1, 8, 8, 3), 255, np.float32)
    np.testing.assert_allclose(found.model.predict(white, verbose=0), 1.0, rtol=1e-6)


def embedded_by(spec):
    """References embedded by a backbone with these choices."""
    from pocketknn.builder import load_backbone

    net = load_backbone(spec, None)
    origin = Provenance(
        backbone=net.name,
        alpha=net.alpha,
        size=net.size,
        input_range=net.input_range,
        sha256=net.sha256(),
        crop="center",
    )
    return References.of(np.eye(2, net.dim, dtype=np.float32), ["a", "b"], provenance=origin)
