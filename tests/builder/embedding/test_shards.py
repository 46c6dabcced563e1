"""Shards of embeddings are read back as written, or not at all."""

import os

import numpy as np
import pytest

from pocketknn.builder import Spec, find, load_backbone
from pocketknn.builder.embedding.embedded import Done
from pocketknn.builder.embedding.local import Look, attempt
from pocketknn.builder.embedding.ray import shards
from pocketknn.builder.photos.photo import PictureError, UnreadError


@pytest.fixture
def net():
    return load_backbone(Spec(backbone="pixels", size=6))


@pytest.fixture
def folder(photos, tmp_path):
    """Six pictures; one is broken, and one disappears after it was listed."""
    for name in "abcdef":
        (tmp_path / f"{name}.png").write_bytes((photos / "apple/0.png").read_bytes())
    (tmp_path / "b.png").write_bytes(b"no picture")
    return tmp_path


@pytest.fixture
def made(folder, net):
    """The pictures, the results of embedding them, and the shard's file."""
    found = find(folder)
    (folder / "d.png").unlink()
    outcomes = attempt(found, Look(net.engine, net.size, "center"))
    return found, outcomes, shards.encode(found, outcomes, net.dim)


def test_what_is_written_is_read_to_the_bit(made):
    found, outcomes, content = made
    again = shards.decode(content, found)
    assert [type(one) for one in again] == [Done, PictureError, Done, UnreadError, Done, Done]
    for one, other in zip(again, outcomes, strict=True):
        if isinstance(one, Done):
            assert one.sha256 == other.sha256
            assert one.embedding.tobytes() == other.embedding.tobytes()
        else:
            assert str(one) == str(other)


@pytest.mark.parametrize("outcomes", [[PictureError("a"), UnreadError("b")], "done"])
def test_a_shard_of_one_kind_only(made, net, outcomes):
    found = made[0][:2]
    given = [Done("0a", np.ones(net.dim, "f4"))] * 2 if outcomes == "done" else outcomes
    again = shards.decode(shards.encode(found, given, net.dim), found)
    assert [type(one) for one in again] == [type(one) for one in given]


def test_every_damaged_byte_is_noticed_or_without_effect(made, tmp_path):
    found, _, content = made
    whole = [repr(one) for one in shards.decode(content, found)]
    unnoticed = 0
    for place in range(0, len(content), 41):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        (tmp_path / "shard").write_bytes(damaged)
        again = shards.load(tmp_path / "shard", found)
        assert again is None or [repr(one) for one in again] == whole
        unnoticed += again is not None
    assert unnoticed < len(content) / 41
    assert shards.load(tmp_path / "none", found) is None
    assert shards.decode(content[:-9], found) is None


def test_a_shard_of_other_pictures_is_none(made):
    found, _, content = made
    assert shards.decode(content, found[:5]) is None
    assert shards.decode(content, found[::-1]) is None


def test_its_name_is_all_that_decides_what_is_in_it(folder, net, monkeypatch):
    monkeypatch.setattr(shards, "TOGETHER", 4)

    def names(crop="center", by=net):
        return [one.name for one in shards.cut(find(folder), by, crop)]

    before = names()
    assert len(before) == 2
    assert not set(before) & set(names(crop="fit"))
    assert not set(before) & set(names(by=load_backbone(Spec(backbone="pixels", size=7))))
    os.utime(folder / "f.png", ns=(1, 1))
    assert names()[0] == before[0]
    assert names()[1] != before[1]
