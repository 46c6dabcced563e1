"""A folder is complete under its name, or not there."""

import fcntl

import pytest

from pocketknn.builder import InputError
from pocketknn.export.metadata import SCHEMA
from pocketknn.export.staging import staged


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def earlier(out):
    out.mkdir(parents=True)
    (out / "manifest.json").write_text(f'{{"schema": "{SCHEMA}"}}')
    (out / "model.onnx").write_text("old")


def test_it_appears_when_the_block_ends_well(tmp_path):
    with staged(tmp_path / "deep/out", force=False) as folder:
        (folder / "model.onnx").write_text("new")
        assert not (tmp_path / "deep").exists()
    assert names(tmp_path) == ["deep"]
    assert (tmp_path / "deep/out/model.onnx").read_text() == "new"


def test_nothing_is_left_of_a_block_that_fails(tmp_path):
    with pytest.raises(RuntimeError), staged(tmp_path / "deep/out", force=False):
        raise RuntimeError
    assert names(tmp_path) == []


def test_one_that_came_first_is_not_replaced(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match="exists"), staged(out, force=False):
        earlier(out)
    assert (out / "model.onnx").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_a_swap_that_fails_gives_the_old_one_back(tmp_path, monkeypatch):
    out = tmp_path / "out"
    earlier(out)
    real = type(out).rename

    def rename(self, target):
        if self.name == "new":
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(type(out), "rename", rename)
    with pytest.raises(OSError, match="Input"), staged(out, force=True):
        pass
    assert (out / "model.onnx").read_text() == "old"
    assert names(tmp_path) == ["out"]


def left_over(tmp_path, *folders):
    work = tmp_path / ".out.abc.partial"
    for name in folders:
        (work / name).mkdir(parents=True)
    (work / "lock").touch()
    return work


def test_what_a_killed_build_left_is_swept_away(tmp_path):
    left_over(tmp_path, "new")
    (tmp_path / ".out.mine").mkdir()
    with staged(tmp_path / "out", force=False):
        pass
    assert names(tmp_path) == [".out.mine", "out"]


def test_a_build_that_is_alive_is_left_alone(tmp_path):
    work = left_over(tmp_path, "new")
    with (work / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with staged(tmp_path / "out", force=False):
            pass
    assert names(tmp_path) == [".out.abc.partial", "out"]


def test_a_build_killed_in_the_swap_loses_nothing(tmp_path):
    earlier(left_over(tmp_path, "new") / "old")
    with pytest.raises(InputError, match="exists"), staged(tmp_path / "out", force=False):
        pass
    assert (tmp_path / "out/model.onnx").read_text() == "old"
    assert names(tmp_path) == ["out"]
