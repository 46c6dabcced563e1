"""The smallest files that are good enough."""

import json

import numpy as np
import pytest
from support import PLAIN, input_error

from pocketknn.builder import InputError, Spec
from pocketknn.export.cli.options import parse_bytes
from pocketknn.export.pipeline.build import build
from pocketknn.export.pipeline.request import Request, Selection, Watch
from pocketknn.export.sizes import budget
from pocketknn.export.sizes.budget import Budget, Variant, smallest


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2MB", 2_000_000), ("500 kb", 500_000), ("1.5MiB", 1_572_864), ("123 B", 123)],
)
def test_sizes_as_people_write_them(text, expected):
    assert parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "MB", "2", "2000000", "2 GB", "-1MB", "2MB or so"])
def test_what_is_no_size(text):
    with input_error("bad-amount", repr(text)):
        parse_bytes(text)


def variant(size, good):
    return Variant(
        precision="int8", projection="none", bytes=size, accuracy=0.5, agreement=0.9, good=good
    )


def test_the_smallest_that_is_good_enough_wins():
    variants = [variant(900, True), variant(300, False), variant(500, True)]
    assert smallest(variants, Budget(bytes=600)).bytes == 500
    with input_error("budget-not-met", "0.00 MB", "--agreement", "--budget 0.1MB"):
        smallest(variants, Budget(bytes=400))
    with input_error("budget-not-met", "2.0%", "--loss", "--backbone"):
        smallest([variant(300, False)], Budget(bytes=900))


def test_only_what_would_help_is_advised():
    large = [variant(4_170_000, True), variant(13_000_000, True)]
    with pytest.raises(InputError) as raised:
        smallest(large, Budget(bytes=2_000_000), lambda: ", or --backbone bundled --budget 1.3MB")
    assert "--budget 4.2MB" in str(raised.value)
    assert "--backbone bundled" in str(raised.value)
    assert "--agreement" not in str(raised.value), "no variant fits, however bad"


def test_a_budget_below_the_network_is_refused_before_photos_are_embedded(
    pocketknn, photos, tmp_path, monkeypatch
):
    def embed(*given, **options):
        raise AssertionError("embedded")

    monkeypatch.setattr("pocketknn.export.pipeline.material.embed", embed)
    given = ("build", photos, "-o", tmp_path / "out", "--formats", "tflite")
    said = pocketknn(*given, "--backbone", "efficientnet_lite0", "--budget", "2MB")
    assert said.code == 2
    assert "[budget-not-met]" in said.err
    assert "--budget 4." in said.err
    assert "--backbone bundled --budget 1." in said.err
    said = pocketknn(*given, "--backbone", "bundled", "--budget", "500KB")
    assert said.code == 2
    assert "--budget 1." in said.err
    assert "--backbone" not in said.err


def test_a_reference_is_not_its_own_neighbour():
    outputs = {
        "scores": np.array([[1.0, 0.9, 0.8], [1, 1, 0.5], [1, 1, 1]], np.float32),
        "indices": np.array([[4, 7, 1], [2, 5, 3], [0, 1, 2]]),
    }
    found = budget._without_itself(outputs, [4, 5, 9])
    assert found.indices.tolist() == [[7, 1], [2, 3], [0, 1]]
    np.testing.assert_allclose(found.scores, [[0.9, 0.8], [1, 0.5], [1, 1]])


@pytest.fixture(scope="module")
def wide_net(tmp_path_factory):
    """Most of its bytes are weights of convolutions, as in a MobileNet, but it has only three."""
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(image)
    x = keras.layers.Conv2D(32, 3, strides=8, activation="relu")(x)
    x = keras.layers.Conv2D(128, 3, strides=2, activation="relu")(x)
    x = keras.layers.Conv2D(64, 1, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    path = tmp_path_factory.mktemp("net") / "wide.keras"
    keras.Model(image, x).save(path)
    return str(path)


@pytest.mark.parametrize(("more", "compared"), [((), "classes"), (PLAIN, "none")])
def test_a_build_within_a_budget(more, compared, pocketknn, photos, wide_net, tmp_path):
    given = ("build", photos, "-o", tmp_path / "out", "--backbone", wide_net, "--k", "3")
    choices = ("--formats", "tflite", "--agreement", "0.5", "--loss", "0.9")
    said = pocketknn(*given, *choices, *more, "--budget", "2MB")
    assert said.code == 0, said.err
    words = [line.split() for line in said.out.splitlines() if " MB " in line]
    lines = [line for line in words if line[0] in budget.PRECISIONS]
    assert {line[1] for line in lines} == {compared}
    sizes = {line[0]: float(line[2]) for line in lines}
    assert sizes["int8"] < sizes["float16"] < sizes["float32"]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["precision"] == {"tflite": "int8"}
    assert manifest["budget"] == 2_000_000
    assert manifest["scores_of"] == ("embedding" if compared == "none" else compared)
    assert (tmp_path / "out" / "model.tflite").stat().st_size / 1e6 == pytest.approx(
        sizes["int8"], abs=0.02
    )


def test_what_is_measured_of_a_variant_is_kept_nowhere(
    pocketknn, photos, small_net, tmp_path, monkeypatch
):
    """A variant gets no leave-one-out and no cached head; Core ML has no int8 on iOS 15."""
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))
    asked = []
    monkeypatch.setattr(
        "pocketknn.export.manifest.figures.leave_one_out", lambda fit: asked.append(fit.k) or None
    )
    given = ("build", photos, "-o", tmp_path / "out", "--backbone", small_net, "--k", "3")
    choices = ("--formats", "coreml", "--agreement", "0.1", "--loss", "0.9", "--ios", "15")
    said = pocketknn(*given, *choices, *PLAIN, "--budget", "9MB", "--no-report")
    assert said.code == 0, said.err
    assert asked == [3], "of the build, not of its variants"
    kept = len(list((tmp_path / "cache" / "templates").iterdir()))
    assert kept == 3, "a head, and the backbone in half precision and in float32"
    assert "int8 was not tried" in said.out
    assert "float16" in said.out
    assert "on a sample of 6 photos" in said.out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--budget", "small"], "[bad-amount]"),
        (["--budget", "1KB", "--formats", "keras"], "name a format besides keras"),
        (["--budget", "1KB", "--loss", "2"], "the loss is a share"),
        (["--budget", "9MB", "--k", "12"], "needs more than k references"),
    ],
)
def test_nonsense_is_one_line(pocketknn, photos, tmp_path, more, message):
    said = pocketknn("build", photos, "-o", tmp_path / "out", "--backbone", "bundled", *more)
    assert said.code == 2
    assert message in said.err
    assert not (tmp_path / "out").exists()


def test_a_backbone_without_weights_has_nothing_to_make_smaller(pocketknn, photos, tmp_path):
    given = ("build", photos, "-o", tmp_path / "out", "--backbone", "pixels", "--k", "3")
    choices = ("--formats", "tflite,onnx", "--loss", "0.9", "--agreement", "0.1")
    said = pocketknn(*given, *choices, "--budget", "1MB", "--no-report")
    assert said.code == 0, said.err
    parity = json.loads((tmp_path / "out" / "parity.json").read_text())
    assert {one["agrees"] for one in parity.values()} == {True}


def test_as_many_variants_are_counted_as_there_are(photos, tmp_path):
    """In their own step, or they would be added to the count of photos before them."""
    told = []

    def step(name, total):
        if total is not None:
            told.append([name, total, 0])

    def done(count):
        told[-1][2] += count

    request = Request(
        selection=Selection(photos=photos),
        spec=Spec(backbone="pixels", k=3),
        formats=("onnx",),
        within=Budget(bytes=1_000_000, loss=0.9, agreement=0.1),
    )
    build(request, tmp_path / "out", watch=Watch(step=step, done=done))
    counts = {name: (done, total) for name, total, done in told}
    assert counts["measuring smaller variants"][0] > 0
    assert all(done == total for done, total in counts.values()), counts
