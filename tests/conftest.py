"""Fixtures: the command line, small pictures and networks, and real data if available."""

import gc
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
from support import DATA, Held, Said, drawing

# Skipped by `make test-quick`: files whose tests take half a minute or more.
SLOW = """
    backbone budget canonical classical coreml docs_commands efficientnet_lite formats golden
    growing index keras_alone light mil mil_reading notebooks onnx_web plan precision ray
    real_photos report_html silent_failures teach template threads web
"""


def pytest_collection_modifyitems(items):
    for one in items:
        if one.path.stem.removeprefix("test_") in SLOW.split():
            one.add_marker("slow")


HEAVY = {"tensorflow", "coremltools", "sklearn"}
_frozen = set()


def pytest_runtest_setup(item):
    """Exempt large packages from garbage collection, which coremltools runs in each conversion."""
    if new := HEAVY & sys.modules.keys() - _frozen:
        _frozen.update(new)
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """The tests' builds cache embeddings and templates in their own folder.

    All processes of a run share it.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    os.environ["POCKETKNN_CACHE"] = str(shared / "cache")


@pytest.fixture(scope="session")
def data():
    """The folder of real photos and weights."""
    return Held(DATA)


@pytest.fixture(scope="session")
def imagenet(data):
    """Weights file of MobileNetV2 1.0 at 224, trained on ImageNet."""
    return data / "weights" / "mobilenet_v2_1.0_224_no_top.weights.h5"


@pytest.fixture
def pocketknn(capfd):
    """Run a command; its exit code and what it printed."""

    from pocketknn.export.cli.app import main

    def run(*arguments):
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        return Said(end.value.code, capfd.readouterr())

    return run


@pytest.fixture
def refused(pocketknn):
    """Run a command that must end in one line on stderr and exit code 2."""

    def run(*arguments):
        said = pocketknn(*arguments)
        assert said.code == 2, said.out + said.err
        assert said.err.startswith("pocketknn: ")
        assert said.err.count("\n") == 1, said.err
        return said.err

    return run


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Three classes of four small pictures, one class in a nested folder."""
    folder = tmp_path_factory.mktemp("photos")
    for c, label in enumerate(("apple", "berries/red", "cherry")):
        (folder / label).mkdir(parents=True)
        for i in range(4):
            drawing(10 * c + i).save(folder / label / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def pixels_build(photos, tmp_path_factory):
    """A build of the small pictures by their 8 × 8 pixels, which no test may change."""
    from pocketknn.export.cli.app import main

    out = tmp_path_factory.mktemp("built") / "out"
    words = ("--backbone", "pixels", "--size", "8", "--formats", "keras", "--no-report")
    with pytest.raises(SystemExit) as end:
        main(["build", str(photos), "-o", str(out), *words])
    assert end.value.code == 0
    return out


@pytest.fixture(scope="session")
def small_net(tmp_path_factory):
    """A user's own network with the layer types of a MobileNet, which converts in a second or two.

    For tests that do not depend on the backbone: the bundled one takes ten.
    """
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(image)
    x = keras.layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu6")(x)
    y = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    x = keras.layers.Add()([x, y])
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(24, 1, use_bias=False)(x))
    path = tmp_path_factory.mktemp("net") / "small.keras"
    keras.Model(image, keras.layers.GlobalAveragePooling2D()(x)).save(path)
    return str(path)
