"""What a manifest says of its backbone and its references, in numbers that all differ."""

import hashlib
from importlib.resources import files

import numpy as np
import pytest

from pocketknn.builder import References, Spec, load_backbone
from pocketknn.builder.backbones import bundled
from pocketknn.builder.knn.resolve import fit
from pocketknn.export.manifest.describe import describe


def manifest_of(backbone, **more):
    net = load_backbone(Spec(backbone=backbone, **more))
    vectors = np.random.default_rng(0).standard_normal((9, net.dim))
    spec = Spec(backbone=backbone, k=3, projection="none", vote="uniform", crop="fit")
    found = fit(spec, References.of(vectors, ["a"] * 5 + ["b"] * 4))
    return describe(found, net, {"onnx": "float32"}).manifest


@pytest.mark.parametrize(
    ("backbone", "size", "dim", "alpha"),
    [("bundled", 64, 1280, 0.5), ("pixels", 16, 16 * 16 * 3, None)],
)
def test_what_it_says_of_the_backbone_and_the_references(backbone, size, dim, alpha):
    manifest = manifest_of(backbone, size=size)
    said = manifest["backbone"]
    known = {name: said[name] for name in ("name", "alpha", "dim")}
    assert known == {"name": backbone, "alpha": alpha, "dim": dim}
    given = manifest["input"]
    assert (given["shape"], given["crop"], given["range"]) == ([size, size, 3], "fit", [0, 255])
    references = manifest["references"]
    assert (references["count"], references["dim"], manifest["k"]) == (9, dim, 3)
    assert (manifest["labels"], references["per_label"]) == (["a", "b"], {"a": 5, "b": 4})


def test_the_hash_of_a_weights_file_is_that_of_the_file_and_another_than_of_its_numbers():
    said = manifest_of("bundled", size=64)["backbone"]
    weights = files("pocketknn.builder").joinpath("bundled", bundled.WEIGHTS).read_bytes()
    assert said["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert len(said["sha256"]) == 64
    assert said["sha256"] != said["weights_sha256"]


def test_what_has_no_weights_names_none():
    said = manifest_of("pixels", size=16)["backbone"]
    assert (said["weights"], said["weights_sha256"]) == (None, None)
