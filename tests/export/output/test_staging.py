"""A folder appears under its name complete, or not at all."""

import fcntl
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from support import TESTS, input_error

from pocketknn.builder import InputError
from pocketknn.builder.system import atomic_file, swap
from pocketknn.builder.system.swap import put
from pocketknn.export.cli.make.demo import write_digits
from pocketknn.export.manifest import build_folder
from pocketknn.export.manifest.build_folder import check_free, staged
from pocketknn.export.output.new_file import saved

with zipfile.ZipFile(TESTS / "version_0_1_0.zip") as archive:
    MANIFEST = archive.read("plain/manifest.json").decode()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def earlier(out):
    out.mkdir(parents=True)
    (out / "manifest.json").write_text(MANIFEST)
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


@pytest.fixture(params=["at once", "in two steps"])
def system(request, monkeypatch):
    """A system that can swap two folders, and one that cannot."""
    if request.param == "at once":
        if sys.platform not in ("linux", "darwin"):
            pytest.skip("this system has no call for it")
    else:
        monkeypatch.setattr(swap, "swapped", lambda one, other: False)
    return request.param


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_a_swap_that_fails_gives_the_old_one_back(tmp_path, monkeypatch, error):
    out = tmp_path / "out"
    earlier(out)
    real = type(out).rename

    def rename(self, target):
        if self.name == "new":
            raise error
        return real(self, target)

    monkeypatch.setattr(swap, "swapped", lambda one, other: False)
    monkeypatch.setattr(type(out), "rename", rename)
    with pytest.raises(type(error)), staged(out, force=True):
        pass
    assert (out / "model.onnx").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_a_build_takes_the_place_of_another(tmp_path, system):
    out = tmp_path / "out"
    earlier(out)
    with staged(out, force=True) as folder:
        (folder / "model.onnx").write_text("new")
        assert (out / "model.onnx").read_text() == "old"
    assert (out / "model.onnx").read_text() == "new"
    assert names(tmp_path) == ["out"]


def test_a_signal_in_the_middle_of_a_swap_waits(tmp_path, monkeypatch):
    """Between the two renames, neither the old nor the new folder would exist."""
    out, made = tmp_path / "out", tmp_path / "new"
    earlier(out)
    made.mkdir()
    real = type(out).rename

    def rename(self, target):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(self, target)

    def end(number, frame):
        raise KeyboardInterrupt

    monkeypatch.setattr(swap, "swapped", lambda one, other: False)
    monkeypatch.setattr(type(out), "rename", rename)
    before = signal.signal(signal.SIGTERM, end)  # background jobs of a shell ignore SIGINT
    try:
        with pytest.raises(KeyboardInterrupt):
            put(made, out, tmp_path / "old")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert names(tmp_path) == ["old", "out"]
    assert (tmp_path / "old/model.onnx").read_text() == "old"


KILLED = """
import os, signal, sys
from pathlib import Path
from pocketknn.builder.system import swap
step, two = int(sys.argv[1]), sys.argv[2] == "in two steps"
count = 0
def counted(call):
    def run(*given):
        global count
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*given)
    return run
swap.swapped = (lambda one, other: False) if two else counted(swap.swapped)
Path.rename = counted(Path.rename)
swap.put(Path("new"), Path("out"), Path("old"))
"""


@pytest.mark.parametrize("way", ["at once", "in two steps"])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_kill_at_any_step_of_a_swap_leaves_the_old_one_whole(tmp_path, way, step):
    for name in ("new", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model").write_text(name)
    command = [sys.executable, "-c", KILLED, str(step), way]
    done = subprocess.run(command, cwd=tmp_path, check=False)
    assert done.returncode in (0, -signal.SIGKILL)
    there = {path.name: (path / "model").read_text() for path in tmp_path.iterdir()}
    assert set(there.values()) == {"new", "out"}, "both are somewhere"
    if way == "at once":
        assert "out" in there, "and one of them is where it was asked for"


def test_a_file_takes_the_place_of_a_file(tmp_path):
    (tmp_path / "new").write_text("new")
    (tmp_path / "out").write_text("old")
    put(tmp_path / "new", tmp_path / "out", tmp_path / "aside")
    assert (tmp_path / "out").read_text() == "new"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "snippets/mine.py",
        "golden/more",
        "labels.txt/mine",
        "model.mlpackage/mine",
        "__pycache__/mine.py",
        ".DS_Store/mine.txt",
        "snippets/Thumbs.db/keep.txt",
        "report.html",
    ],
)
def test_what_people_put_into_a_build_is_not_replaced(tmp_path, name):
    out = tmp_path / "out"
    earlier(out)
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text("hours of work")
    with pytest.raises(InputError, match="--force replaces only what build wrote") as caught:
        check_free(out, force=True)
    assert name.split("/")[0] in str(caught.value)
    assert (out / name).read_text() == "hours of work"


def test_what_systems_and_builds_write_is_replaced(tmp_path):
    out = tmp_path / "out"
    earlier(out)
    (out / "snippets/__pycache__").mkdir(parents=True)
    (out / "snippets/classify.py").write_text("as a build writes it")
    (out / "snippets/__pycache__/classify.cpython-311.pyc").touch()
    (out / ".DS_Store").touch()
    (out / "report.html").write_text("<title>Model report: 12 references</title>")
    check_free(out, force=True)


def test_a_line_of_json_is_no_build(tmp_path):
    (tmp_path / "manifest.json").write_text('{"schema": "pocketknn/1"}')
    with pytest.raises(InputError, match="no manifest of a build"):
        check_free(tmp_path, force=True)


def test_a_mount_point_is_found_out_before_the_work(tmp_path, monkeypatch):
    out = tmp_path / "my out"
    line = "36 35 98:0 /a {} rw,noatime - ext4 /dev/root rw\n"
    (tmp_path / "mounts").write_text(line.format("/") + line.format(f"{tmp_path}/my\\040out"))
    monkeypatch.setattr(build_folder, "_MOUNTS", tmp_path / "mounts")
    out.mkdir()
    with input_error("out-is-mount"):
        check_free(out, force=False)
    check_free(out / "model", force=False)
    monkeypatch.setattr(build_folder, "_MOUNTS", tmp_path / "none")  # as on a Mac
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == out)
    with input_error("out-is-mount"):
        check_free(out, force=False)


def left_over(tmp_path, *folders):
    work = tmp_path / ".out.0a1b2c3d.partial"
    for name in folders:
        (work / name).mkdir(parents=True)
    (work / "lock").write_bytes(atomic_file._MARK)
    return work


def test_what_a_killed_build_left_is_swept_away(tmp_path):
    left_over(tmp_path, "new")
    (tmp_path / ".out.mine").mkdir()
    with staged(tmp_path / "out", force=False):
        pass
    assert names(tmp_path) == [".out.mine", "out"]


def test_a_folder_of_somebody_with_such_a_name_stays(tmp_path):
    """Unless one of our processes marked it: the name alone is not enough to delete it."""
    (victim := tmp_path / "victim").mkdir()
    (victim / "lock").write_text("my lock")
    (tmp_path / ".out.0a1b2c3d.partial").symlink_to(victim)
    (tmp_path / ".out.notes.partial").mkdir()
    (tmp_path / ".out.notes.partial" / "lock").write_bytes(atomic_file._MARK)
    for name, text in ((".out.11111111.partial", "mine"), (".out.22222222.partial", None)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").touch()
        if text is not None:
            (tmp_path / name / "lock").write_text(text)
    before = sorted(tmp_path.rglob("*"))
    with staged(tmp_path / "out", force=False):
        pass
    assert sorted(set(tmp_path.rglob("*")) - {tmp_path / "out"}) == before
    assert (victim / "lock").read_text() == "my lock"


def test_a_workplace_is_marked_while_it_is_held(tmp_path):
    with staged(tmp_path / "out", force=False) as folder:
        assert atomic_file._is_ours(folder.parent, tmp_path / "out")
        atomic_file.recover(tmp_path / "out")  # as another build does it
        assert folder.is_dir()


@pytest.mark.parametrize("moment", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_workplace_is_removed_leaves_nothing(tmp_path, monkeypatch, moment):
    removed = atomic_file.shutil.rmtree

    def interrupted(place, **options):
        if (tmp_path / "out").exists():  # the place was checked before
            signal.raise_signal(moment)
        removed(place, **options)

    def end(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(moment, end)
    monkeypatch.setattr(atomic_file.shutil, "rmtree", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt), staged(tmp_path / "out", force=False) as folder:
            (folder / "model.onnx").write_text("new")
    finally:
        signal.signal(moment, before)
    assert names(tmp_path) == ["out"]


def test_what_a_thread_writes_while_a_workplace_is_removed_goes_too(tmp_path, monkeypatch):
    removed, late = atomic_file.shutil.rmtree, iter([True])

    def raced(place, **options):
        removed(place, **options)
        if next(late, False):
            (place / "new").mkdir(parents=True)

    monkeypatch.setattr(atomic_file.shutil, "rmtree", raced)
    with pytest.raises(KeyboardInterrupt), staged(tmp_path / "out", force=False):
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_what_a_killed_command_left_of_a_file_is_swept_away(tmp_path):
    """For `refs`, `explain` and all other commands that write one file."""
    out = tmp_path / "both.parquet"
    code = (
        "import os, pathlib; from pocketknn.export.output.new_file import saved\n"
        f"with saved(pathlib.Path({str(out)!r}), False) as made:\n"
        "    made.write_text('half'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 1
    with saved(out, force=False) as made:
        made.write_text("whole")
    assert names(tmp_path) == ["both.parquet"]


def test_a_build_that_is_alive_is_left_alone(tmp_path):
    work = left_over(tmp_path, "new")
    with (work / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with staged(tmp_path / "out", force=False):
            pass
    assert names(tmp_path) == [".out.0a1b2c3d.partial", "out"]


def test_a_build_killed_in_the_swap_loses_nothing(tmp_path):
    earlier(left_over(tmp_path, "new") / "old")
    with pytest.raises(InputError, match="exists"), staged(tmp_path / "out", force=False):
        pass
    assert (tmp_path / "out/model.onnx").read_text() == "old"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize(
    "name",
    [
        *("digits/mine/x.png", "digits/references/0/more.txt", "bundled/x", "roses/1.jpg"),
        *("digits/held-out/0/0304.png", "digits/references/0/0000.png"),
    ],
)
def test_the_demo_writes_over_nothing_of_others(tmp_path, pocketknn, name):
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("mine")
    said = pocketknn("demo", "-o", tmp_path)
    assert said.code == 2
    assert str(tmp_path) in said.err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]


def test_the_demo_finds_its_own_digits_again(tmp_path):
    first = write_digits(tmp_path / "digits")
    one = first[1] / "0" / "0304.png"
    before = one.stat().st_mtime_ns
    assert write_digits(tmp_path / "digits") == first
    assert one.stat().st_mtime_ns == before
    Image.new("L", (8, 8)).save(one)
    with pytest.raises(InputError, match=r"digits/held-out/0/0304.png, which is not a digit"):
        write_digits(tmp_path / "digits")
    one.unlink()
    assert write_digits(tmp_path / "digits") == first
    (tmp_path / "digits" / "notes.txt").touch()
    with input_error("foreign-file", "digits/notes.txt"):
        write_digits(tmp_path / "digits")
