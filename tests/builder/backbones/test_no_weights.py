"""Networks without weights share a hash, and are not taken for one another."""

import urllib.request

import keras
from support import input_error

from pocketknn.builder import Spec, embed, find, load_backbone
from pocketknn.builder.backbones.load import backbone_of
from pocketknn.builder.system.cache import Cache


def test_pixels_do_not_find_the_file_of_another_network(photos, tmp_path):
    cache = Cache(tmp_path / "cache")
    image = keras.Input((8, 8, 3))
    keras.Model(image, keras.layers.Flatten()(image) / 255.0).save(tmp_path / "odd.keras")
    odd = load_backbone(Spec(backbone=str(tmp_path / "odd.keras")), cache)
    pixels = load_backbone(Spec(backbone="pixels", size=8), cache)
    assert odd.sha256() == pixels.sha256()
    references = embed(find(photos), pixels, "center").references()
    assert backbone_of(references, Spec(), cache).name == "pixels"


def test_weights_that_cannot_be_downloaded_are_named_with_their_address(monkeypatch, tmp_path):
    def unreachable(*given, **options):
        raise OSError("no network")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    address = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/mobilenet_2_5"
    with input_error("download-failed", address, "--weights"):
        load_backbone(Spec(backbone="mobilenet", alpha=0.25), Cache(tmp_path / "cache"))
