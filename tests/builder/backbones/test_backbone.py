"""Backbones, against keras.applications with its own preprocess_input."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from support import TESTS, input_error

from pocketknn.builder import InputError, Spec, embed, find, load_backbone
from pocketknn.builder.backbones import bundled
from pocketknn.builder.backbones.networks.mobilenets import FAMILIES
from pocketknn.builder.backbones.weights.info_cache import hash_of
from pocketknn.builder.embedding.local import run

APPLICATIONS = keras.applications


def witness(paths, weights, size=224):
    """Embeddings without any of our code: Pillow, preprocess_input, the network."""
    net = APPLICATIONS.MobileNetV2((size, size, 3), include_top=False, pooling="avg", weights=None)
    net.load_weights(weights)
    pictures = []
    for path in paths:
        image = Image.open(path).convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
        pictures.append(np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), "f4"))
    return net(APPLICATIONS.mobilenet_v2.preprocess_input(np.stack(pictures))).numpy()


def by_us(paths, tmp_path, weights, *, by_keras=False):
    for i, path in enumerate(paths):
        (tmp_path / f"{i:02}.jpg").symlink_to(path)
    net = load_backbone(Spec(backbone="mobilenet_v2", weights=weights))
    net = replace(net, by_keras=True) if by_keras else net
    return embed(find(tmp_path), net, "center").embeddings


def distance(a, b):
    """Largest difference, as a share of the largest value."""
    return np.abs(a - b).max() / np.abs(b).max()


def test_embeddings_equal_those_of_the_plain_network(data, imagenet, tmp_path):
    paths = sorted((data / "flowers").glob("*/*.jpg"))[::25]
    # the same float32 network in two graphs: they differ by rounding only
    assert distance(by_us(paths, tmp_path, imagenet), witness(paths, imagenet)) < 1e-5


def test_the_witness_notices_a_wrong_rescaling(data, imagenet, tmp_path, monkeypatch):
    wrong = FAMILIES["mobilenet_v2"]._replace(input_range="0..1")
    monkeypatch.setitem(FAMILIES, "mobilenet_v2", wrong)
    paths = sorted((data / "flowers").glob("*/*.jpg"))[::60]
    wrongly = by_us(paths, tmp_path, imagenet, by_keras=True)  # without LiteRT's conversion
    assert distance(wrongly, witness(paths, imagenet)) > 0.1


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_each_family_wants_the_pixels_that_its_preprocess_input_gives(name, tmp_path):
    """With random weights: a small oracle that needs no data."""
    title, alpha = FAMILIES[name].title, FAMILIES[name].alphas[0]
    net = getattr(APPLICATIONS, title)(
        (64, 64, 3), alpha=alpha, include_top=False, pooling="avg", weights=None
    )
    net.save_weights(tmp_path / "random.weights.h5")
    spec = Spec(backbone=name, alpha=alpha, size=64, weights=tmp_path / "random.weights.h5")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    package = name.removesuffix("_small").removesuffix("_large")
    preprocess = getattr(APPLICATIONS, package).preprocess_input
    expected = net(preprocess(pixels.astype("f4"))).numpy()
    found = load_backbone(spec)
    assert found.engine.name == "litert"
    assert distance(run(found, pixels), expected) < 1e-5


def test_bundled_weights_load_into_the_stock_class_from_the_installed_package():
    found = load_backbone(Spec(backbone="bundled"))
    assert (found.size, found.dim) == (bundled.SIZE, 1280)
    assert len(found.weights_sha256) == 64
    a, b = run(found, np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), np.uint8))
    assert np.isfinite(a).all()
    assert np.abs(a - b).max() > 0.01, "different pictures have different embeddings"


def fixed_pictures():
    """A ramp, a chequerboard and noise: the same on every machine."""
    y, x = np.mgrid[0:96, 0:96]
    ramp = np.stack([x * 2, y * 2, 255 - x], -1)
    board = np.where((x // 12 + y // 12)[..., None] % 2, [230, 40, 10], [20, 60, 200])
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3))
    return np.stack([ramp, board, noise]).astype(np.uint8)


def test_the_shipped_weights_give_the_stored_embeddings():
    """The embeddings beside this test were stored when the weights were trained."""
    with np.load(TESTS / "bundled_vectors.npz") as stored:
        found = run(load_backbone(Spec(backbone="bundled")), fixed_pictures())
        # float32 convolutions differ between processors by some 1e-6 of the largest value
        assert distance(found, stored["vectors"]) < 1e-4


def test_the_card_names_the_hash_of_the_weights():
    from importlib.resources import files

    card = files("pocketknn.builder").joinpath("bundled", "CARD.md").read_text("utf-8")
    assert load_backbone(Spec(backbone="bundled")).weights_sha256 in card


def test_pixels_are_the_pixels():
    found = load_backbone(Spec(backbone="pixels", size=4))
    picture = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    assert run(found, picture).tolist() == [list(range(48))]


def own(tmp_path, shape=(20, 20, 3), vector=True):
    image = keras.Input(shape)
    out = keras.layers.Conv2D(4, 3)(image)
    out = keras.layers.GlobalAveragePooling2D()(out) if vector else out
    keras.Model(image, out).save(tmp_path / "own.keras")
    return tmp_path / "own.keras"


@pytest.mark.parametrize(
    ("input_range", "scale", "offset"),
    [("0..255", 1, 0), ("0..1", 1 / 255, 0), ("-1..1", 2 / 255, -1)],
)
def test_a_users_own_model_gets_the_pixels_it_wants(tmp_path, input_range, scale, offset):
    path = own(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 20, 20, 3), np.uint8)
    found = run(load_backbone(Spec(backbone=str(path), input_range=input_range)), pixels)
    expected = keras.saving.load_model(path).predict(pixels * scale + offset, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_a_model_of_any_size_needs_one(tmp_path):
    path = own(tmp_path, (None, None, 3))
    with pytest.raises(InputError, match="--size"):
        load_backbone(Spec(backbone=str(path)))
    assert load_backbone(Spec(backbone=str(path), size=24)).size == 24


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"backbone": "resnet"}, "unknown backbone 'resnet'; choose from auto, bundled"),
        ({"backbone": "none.keras"}, "none.keras does not exist"),
        ({"backbone": "bundled", "alpha": 1.0}, "alpha 1.0 .* 'bundled'"),
        ({"backbone": "bundled", "input_range": "0..1"}, "input range .* .keras"),
        ({"backbone": "bundled", "size": 16}, "at least 32 pixels"),
        ({"backbone": "mobilenet_v2", "alpha": 0.6}, "no ImageNet weights .* alpha can be 0.35"),
        ({"backbone": "mobilenet_v2", "weights": "no.weights.h5"}, "no.weights.h5 does not exist"),
    ],
)
def test_nonsense_is_refused_in_one_line(choices, message):
    choices = {k: Path(v) if k == "weights" else v for k, v in choices.items()}
    with pytest.raises(InputError, match=message) as caught:
        load_backbone(Spec(**choices))
    assert "\n" not in str(caught.value)


def test_foreign_models_are_refused_in_one_line(tmp_path):
    (tmp_path / "broken.keras").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"broken\.keras is damaged or not a Keras file"):
        load_backbone(Spec(backbone=str(tmp_path / "broken.keras")))
    with pytest.raises(InputError, match="must have one vector output"):
        load_backbone(Spec(backbone=str(own(tmp_path, vector=False))))
    with pytest.raises(InputError, match="must have one image input"):
        load_backbone(Spec(backbone=str(own(tmp_path, (20, 20, 1)))))
    with pytest.raises(InputError, match="square pictures of one size"):
        load_backbone(Spec(backbone=str(own(tmp_path, (20, 30, 3)))))


def test_pickle_inside_a_model_is_not_run(tmp_path):
    image = keras.Input((8, 8, 3))
    out = keras.layers.Lambda(lambda x: keras.ops.mean(x, axis=(1, 2)))(image)
    keras.Model(image, out).save(tmp_path / "lambda.keras")
    with pytest.raises(InputError, match="safe mode") as caught:
        load_backbone(Spec(backbone=str(tmp_path / "lambda.keras")))
    assert "\n" not in str(caught.value)


def random_net(title="MobileNetV2", alpha=0.35, top=False):
    return getattr(APPLICATIONS, title)(
        (224, 224, 3) if top else (64, 64, 3), alpha=alpha, include_top=top, weights=None
    )


@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("ending", [".weights.h5", ".h5", ".keras"])
def test_weights_are_read_from_every_kind_of_file(tmp_path, ending, top):
    net = random_net(top=top)
    path = tmp_path / f"w{ending}"
    net.save_weights(path) if ending == ".weights.h5" else net.save(path)
    spec = Spec(backbone="mobilenet_v2", alpha=0.35, size=64, weights=path)
    found = load_backbone(spec).model.get_weights()
    for ours, theirs in zip(found, net.get_weights()[: len(found)], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_imagenet_weights_with_a_top_from_another_maker(data):
    path = data / "weights" / "mobilenet_v1_0.25_224.weights.h5"
    found = load_backbone(Spec(backbone="mobilenet", alpha=0.25, weights=path))
    assert (found.dim, found.size) == (256, 224)
    with pytest.raises(InputError, match=r"alpha 0.25, not MobileNetV2 with alpha 1$"):
        load_backbone(Spec(backbone="mobilenet_v2", weights=path))


@pytest.mark.parametrize("ending", [".weights.h5", ".h5", ".keras"])
def test_weights_of_another_network_are_one_line_that_names_both(tmp_path, ending):
    path = tmp_path / f"narrow{ending}"
    net = random_net()
    net.save_weights(path) if ending == ".weights.h5" else net.save(path)
    asked = [
        ("mobilenet_v2", 0.5, "MobileNetV2 with alpha 0.5"),
        ("mobilenet_v3_small", None, "MobileNetV3Small with alpha 1"),
    ]
    for name, alpha, wanted in asked if ending == ".keras" else asked[:1]:
        words = f"holds the weights of MobileNetV2 with alpha 0.35, not {wanted}$"
        with pytest.raises(InputError, match=words) as caught:
            load_backbone(Spec(backbone=name, alpha=alpha, size=64, weights=path))
        assert "\n" not in str(caught.value)


def test_a_file_with_a_part_of_the_weights_is_refused(tmp_path):
    net = random_net()
    part = keras.Model(net.input, net.layers[40].output)
    part.save_weights(tmp_path / "part.weights.h5")
    (tmp_path / "text.weights.h5").write_text("no weights")
    (tmp_path / "weights.pkl").write_bytes(b"")
    for name, *fault in (
        ("part.weights.h5", "wrong-weights", "another network", "MobileNetV2 with alpha 0.35"),
        ("text.weights.h5", "wrong-weights", "no readable weights"),
        ("weights.pkl", "not-a-keras-file", ".weights.h5, .h5 or .keras, not weights.pkl"),
    ):
        spec = Spec(backbone="mobilenet_v2", size=64, alpha=0.35, weights=tmp_path / name)
        with input_error(*fault):
            load_backbone(spec)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No cached weights and no network."""

    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)


def test_no_network_is_one_line_with_the_ways_out(offline):
    with pytest.raises(InputError, match=r"--backbone bundled.*--weights FILE") as caught:
        load_backbone(Spec(backbone="mobilenet_v2"))
    assert "\n" not in str(caught.value)


def test_auto_is_the_same_everywhere_and_asks_no_network(offline):
    found = load_backbone(Spec(backbone="auto"))
    assert (found.name, found.size, found.dim) == ("efficientnet_lite0", 224, 1280)
    assert "--backbone bundled" in found.why
    assert found.identity() == load_backbone(Spec(backbone="efficientnet_lite0")).identity()


def test_auto_with_weights_is_still_mobilenet_v2(tmp_path):
    random_net().save_weights(tmp_path / "some.weights.h5")
    spec = Spec(alpha=0.35, size=64, weights=tmp_path / "some.weights.h5")
    assert load_backbone(spec).name == "mobilenet_v2"


def test_the_hash_speaks_of_the_numbers():
    one = load_backbone(Spec(backbone="bundled"))
    same = load_backbone(Spec(backbone="bundled", size=64))
    assert one.sha256() == same.sha256()
    weights = same.model.get_weights()
    assert hash_of(weights) == one.sha256(), "Keras has the same weights in the same order"
    weights[-1][0] += 1e-6
    assert hash_of(weights) != one.sha256()
