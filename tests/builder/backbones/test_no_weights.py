"""Networks without weights share a hash, and are not taken for one another."""

import keras

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
