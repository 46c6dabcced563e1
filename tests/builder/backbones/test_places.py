"""A weights file that was loaded once is found again, by path and hash."""

import pytest
from support import input_error

from pocketknn.builder import Spec, load_backbone
from pocketknn.builder.backbones.load import backbone_of, is_available
from pocketknn.builder.backbones.weights import places
from pocketknn.builder.system.cache import Cache


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture
def own(tmp_path):
    """Write a network of one layer that multiplies by a number; gives its path."""
    import keras

    def write(name, scale):
        image = keras.Input((8, 8, 3))
        start = keras.initializers.Constant(scale)
        pooled = keras.layers.GlobalAveragePooling2D()(image)
        path = tmp_path / f"{name}.keras"
        keras.Model(image, keras.layers.Dense(4, kernel_initializer=start)(pooled)).save(path)
        return path

    return write


class Kept:
    """References of a backbone."""

    def __init__(self, net):
        self.provenance = net.provenance("center")


def test_a_file_is_found_from_elsewhere(own, cache, tmp_path, monkeypatch):
    net = load_backbone(Spec(backbone=str(own("net", 1.0))), cache)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert is_available(net.name, net.sha256(), cache)
    found = backbone_of(Kept(net), Spec(), cache)
    assert (found.name, found.sha256()) == ("net.keras", net.sha256())


def test_a_relative_path_is_remembered_whole(own, cache, tmp_path, monkeypatch):
    own("net", 1.0)
    monkeypatch.chdir(tmp_path)
    net = load_backbone(Spec(backbone="net.keras"), cache)
    assert places.remembered(net.sha256(), cache) == tmp_path / "net.keras"


def test_a_file_that_has_changed_since_is_not_taken(own, cache):
    net = load_backbone(Spec(backbone=str(own("net", 1.0))), cache)
    own("net", 2.0)
    with input_error("provenance-mismatch", net.sha256()[:12]):
        backbone_of(Kept(net), Spec(), cache)


def test_a_file_that_is_gone_must_be_named(own, cache, tmp_path):
    path = own("net", 1.0)
    net = load_backbone(Spec(backbone=str(path)), cache)
    path.rename(tmp_path / "moved.keras")
    assert not is_available(net.name, net.sha256(), cache)
    with input_error("file-not-found", "net.keras"):
        backbone_of(Kept(net), Spec(), cache)
    found = backbone_of(Kept(net), Spec(weights=tmp_path / "moved.keras"), cache)
    assert found.sha256() == net.sha256()


def test_nothing_is_remembered_without_a_cache(own):
    net = load_backbone(Spec(backbone=str(own("net", 3.0))), None)
    assert not is_available(net.name, net.sha256())
    assert places.remembered(net.sha256(), None) is None


@pytest.mark.parametrize("content", [b"", b"\xff", b"a\0b", b"/nowhere/net.keras"])
def test_a_damaged_entry_is_as_none(content, own, cache):
    net = load_backbone(Spec(backbone=str(own("net", 1.0))), cache)
    (entry,) = cache.items("places")
    entry.write_bytes(content)
    assert places.remembered(net.sha256(), cache) is None


def test_paths_are_cleared_with_the_cache(own, cache):
    load_backbone(Spec(backbone=str(own("net", 1.0))), cache)
    assert len(cache.items("places")) == 1
    cache.clear()
    assert cache.items("places") == []
