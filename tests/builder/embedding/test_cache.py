"""Embeddings are cached, whatever happens to the build or the cache."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest
from support import drawing

from pocketknn.builder import Spec, embed, find, load_backbone
from pocketknn.builder.embedding import cache
from pocketknn.builder.embedding.cache import Embeddings, count
from pocketknn.builder.system.cache import Cache, mark_used


@pytest.fixture(scope="module")
def net():
    return load_backbone(Spec(backbone="bundled"))


@pytest.fixture
def counted(net, monkeypatch):
    """How many pictures the backbone has seen."""
    seen = []

    def run(pictures):
        seen.append(len(pictures))
        return real.run(pictures)

    real = net.engine
    monkeypatch.setitem(vars(net), "engine", replace(real, run=run))
    return lambda: sum(seen)


@pytest.fixture
def many(tmp_path):
    folder = tmp_path / "many"
    for i in range(150):
        place = folder / f"class {i % 3}"
        place.mkdir(parents=True, exist_ok=True)
        drawing(i, (20, 20)).save(place / f"{i:03}.png")
    return folder


def test_ten_more_pictures_cost_ten(many, net, tmp_path, counted):
    cache = Embeddings.of(Cache(tmp_path / "cache"), net, "center")
    first = embed(find(many), net, "center", cache=cache)
    assert counted() == 150
    for i in range(10):
        drawing(1000 + i).save(many / f"class 0/new{i}.png")
    second = embed(find(many), net, "center", cache=cache)
    assert counted() == 160
    assert cache.notes == []
    old = dict(zip(first.sha256, first.embeddings, strict=True))
    for key, vector in zip(second.sha256, second.embeddings, strict=True):
        if key in old:
            np.testing.assert_array_equal(vector, old[key])


def test_what_is_remembered_is_what_would_be_computed(many, net, tmp_path):
    cache = Embeddings.of(Cache(tmp_path / "cache"), net, "center")
    half = find(many)[::2]
    embed(half, net, "center", cache=cache)
    mixed = embed(find(many), net, "center", cache=cache)
    alone = embed(find(many), net, "center")
    assert mixed.sha256 == alone.sha256
    # bit for bit: a picture's embedding must not depend on the others of its batch
    np.testing.assert_array_equal(mixed.embeddings, alone.embeddings)


def test_everything_that_decides_an_embedding_is_told_apart(tmp_path, net):
    others = [
        (net, "stretch"),
        (load_backbone(Spec(backbone="bundled", size=64)), "center"),
        (load_backbone(Spec(backbone="pixels", size=96)), "center"),
    ]
    cache = Cache(tmp_path)
    paths = {Embeddings.of(cache, *made_by).path for made_by in [(net, "center"), *others]}
    assert len(paths) == 4
    assert Embeddings.of(cache, load_backbone(Spec(backbone="bundled")), "center").path in paths


def test_versions_of_what_decodes_and_runs_are_told_apart(tmp_path, net, monkeypatch):
    """Another version of Pillow may decode differently, another LiteRT may embed differently."""
    names = {Embeddings.of(Cache(tmp_path), net, "center").path.name}
    for package in ("pillow", "ai-edge-litert"):
        monkeypatch.setattr(
            cache, "version", lambda name, other=package: "0" if name == other else version(name)
        )
        names.add(Embeddings.of(Cache(tmp_path), net, "center").path.name)
    assert len(names) == 3


@pytest.mark.parametrize("what", ["_SCHEMA", "DECODING"])
def test_a_cache_of_another_version_is_left_alone(tmp_path, net, monkeypatch, what):
    ours = Embeddings.of(Cache(tmp_path), net, "center").path
    monkeypatch.setattr(f"pocketknn.builder.embedding.cache.{what}", -1)
    assert Embeddings.of(Cache(tmp_path), net, "center").path != ours


def filled(many, net, tmp_path):
    cache = Embeddings.of(Cache(tmp_path / "cache"), net, "center")
    return cache, embed(find(many), net, "center", cache=cache)


def test_a_damaged_entry_is_computed_again(many, net, tmp_path, counted):
    cache, first = filled(many, net, tmp_path)
    before = counted()
    with sqlite3.connect(cache.path) as connection:
        vector = first.embeddings[0].copy()
        vector[3] += 1
        update = "UPDATE embeddings SET vector = ? WHERE picture = ?"
        connection.execute(update, (vector.tobytes(), first.sha256[0]))
        connection.execute(update, (b"short", first.sha256[1]))
    again = embed(find(many), net, "center", cache=cache)
    assert counted() - before == 2
    np.testing.assert_array_equal(again.embeddings, first.embeddings)


def test_a_corrupt_cache_is_made_anew_with_a_line(many, net, tmp_path):
    cache, first = filled(many, net, tmp_path)
    cache.path.write_bytes(b"this is no database" * 1000)
    again = embed(find(many), net, "center", cache=cache)
    np.testing.assert_array_equal(again.embeddings, first.embeddings)
    (note,) = cache.notes
    assert "was corrupt" in note


def test_a_cache_that_cannot_be_written_never_ends_a_build(many, net, tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = Embeddings.of(Cache(tmp_path / "file"), net, "center")
    assert len(embed(find(many), net, "center", cache=cache).photos) == 150
    (note,) = cache.notes
    assert "cannot be used" in note


def test_a_class_is_not_part_of_what_is_remembered(many, net, tmp_path, counted):
    cache, _ = filled(many, net, tmp_path)
    before = counted()
    shutil.move(many / "class 0", many / "renamed")
    assert "renamed" in embed(find(many), net, "center", cache=cache).references().labels
    assert counted() == before


def test_what_is_not_ours_is_not_cleared(tmp_path, monkeypatch, pocketknn):
    """Other programs may use the folder too, and it may hold links to elsewhere."""
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "shared"))
    shared, elsewhere = tmp_path / "shared", tmp_path / "elsewhere"
    key = "0123456789abcdef01234567"
    theirs = [
        *("history.sqlite", "work.network", "true.facts", "keras-settings.txt"),
        *("shards/part-0.parquet", "templates/letter/template.docx", "onnxruntime-web-notes/x"),
    ]
    own = [
        *(f"bundled-{key}{end}" for end in (".sqlite", ".network", ".onnx.network")),
        f"{key}.facts",
        *(f"templates/onnx-{key}/template.json", f"shards/bundled-{key}.parquet"),
        *("onnxruntime-web-1.30.0/package.json", "keras-settings/keras.json"),
    ]
    for name in theirs + own:
        (shared / name).parent.mkdir(parents=True, exist_ok=True)
        (shared / name).touch()
    (elsewhere / "templates").mkdir(parents=True)
    (elsewhere / "x.sqlite").touch()
    (shared / f"a-{key}.sqlite").symlink_to(elsewhere / "x.sqlite")
    (shared / f"templates/tflite-{key}").symlink_to(elsewhere / "templates")
    said = pocketknn("cache", "clear")
    assert said.code == 0, said.err
    left = {str(path.relative_to(shared)) for path in shared.rglob("*") if path.is_file()}
    assert left == {*theirs, f"a-{key}.sqlite"}
    assert (elsewhere / "templates").is_dir()
    assert "8 caches removed" in said.out


def test_count_and_clear(many, net, tmp_path):
    kept, _ = filled(many, net, tmp_path)
    cache = Cache(tmp_path / "cache")
    (path,) = cache.items("embeddings")
    assert path.name.startswith("bundled-")
    assert (path, count(path)) == (kept.path, 150)
    assert cache.clear() == 1
    assert cache.items("embeddings") == []


def test_what_was_not_used_for_longest_makes_room(tmp_path):
    """Except recently used entries, which another build may be reading, and npm's files."""
    old, key = time.time() - 48 * 3600, "0123456789abcdef01234567"
    names = [
        f"templates/onnx-{key}/model.onnx",
        f"a-{key}.network",
        f"b-{key}.sqlite",
        f"shards/c-{key}.parquet",
        "onnxruntime-web-1.30.0/ort.wasm",
        "theirs.sqlite",
    ]
    for number, name in enumerate(names):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(100))
        for one in (path, path.parent):
            os.utime(one, (old + number, old + number))
    cache = Cache(tmp_path)
    cache.trim(limit=400)
    assert cache.items("templates")
    mark_used(tmp_path / f"templates/onnx-{key}")
    cache.trim(limit=250)
    assert not cache.items("networks"), "of the others it is the oldest"
    assert not cache.items("embeddings") or not cache.items("shards")
    cache.trim(limit=0)
    assert cache.items("templates"), "it was used just now"
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {names[0], names[-2], names[-1]}


def test_what_cannot_be_removed_does_not_keep_the_others(tmp_path, monkeypatch):
    """Another process may have removed one since the folder was read."""
    keys = [f"a-{number:024}.network" for number in range(3)]
    for key in keys:
        (tmp_path / key).write_bytes(bytes(100))
        os.utime(tmp_path / key, (0, 0))
    cache = Cache(tmp_path)
    there = cache.items("networks")
    monkeypatch.setattr(Cache, "items", lambda self, name: [*there] if name == "networks" else [])
    for key in keys[1:2]:
        (tmp_path / key).unlink()
    cache.trim(limit=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("action", ["trim", "show", "clear"])
def test_a_folder_that_another_process_removes_meanwhile_is_no_error(
    action, tmp_path, monkeypatch, pocketknn
):
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path))
    item = tmp_path / "templates" / "coreml-0123456789abcdef01234567"
    (item / "model.mlpackage" / "Data").mkdir(parents=True)
    scandir = os.scandir

    def removed_meanwhile(path):
        found = os.stat(path)  # noqa: PTH116 (a path or an open folder's number)
        if os.path.samestat(found, (item / "model.mlpackage").stat()):
            monkeypatch.setattr(os, "scandir", scandir)
            shutil.rmtree(item)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", removed_meanwhile)
    if action == "trim":
        Cache(tmp_path).trim()
    else:
        said = pocketknn("cache", action)
        assert (said.code, said.err) == (0, "")
    assert not item.exists()


def test_without_a_cache_nothing_is_remembered(many, small_net, tmp_path, pocketknn, monkeypatch):
    """Neither embeddings nor facts, networks or templates; with one, all of these are there."""
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "place"))
    words = ("--backbone", small_net, "--vote", "uniform", "--formats", "tflite", "--no-report")
    drawers = ("embeddings", "networks", "facts", "templates")
    for number, more in enumerate((["--no-cache"], [])):
        said = pocketknn("build", many, "-o", tmp_path / str(number), *words, *more)
        assert said.code == 0, said.err
        kept = {name for name in drawers if Cache(tmp_path / "place").items(name)}
        assert kept == (set() if more else {*drawers})


CODE = """
import sys
from pathlib import Path
from pocketknn.builder import Spec, embed, find, load_backbone
from pocketknn.builder.embedding.cache import Embeddings
from pocketknn.builder.system.cache import Cache
import numpy as np
net = load_backbone(Spec(backbone="bundled"))
cache = Embeddings.of(Cache(Path(sys.argv[2])), net, "center")
print("started", flush=True)
done = embed(find(Path(sys.argv[1])), net, "center", cache=cache)
np.save(sys.argv[3], done.embeddings)
"""


def start(many, place, answers):
    command = [sys.executable, "-c", CODE, many, place, answers]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def test_killed_builds_are_finished_as_if_undisturbed(many, net, tmp_path):
    place, answers = tmp_path / "cache", tmp_path / "answers.npy"
    for moment in np.linspace(0, 0.3, 6):  # alone, the pictures take 0.2 s
        build = start(many, place, answers)
        assert build.stdout.readline() == b"started\n"
        time.sleep(moment)
        build.send_signal(signal.SIGKILL)
        build.wait(timeout=300)
    cache = Embeddings.of(Cache(place), net, "center")
    finished = embed(find(many), net, "center", cache=cache)
    np.testing.assert_array_equal(finished.embeddings, embed(find(many), net, "center").embeddings)
    assert cache.notes == []


def test_two_builds_at_once_do_no_harm(many, net, tmp_path):
    answers = [tmp_path / f"{i}.npy" for i in range(2)]
    builds = [start(many, tmp_path / "cache", path) for path in answers]
    for build in builds:
        build.communicate(timeout=300)
        assert build.returncode == 0
    expected = embed(find(many), net, "center").embeddings
    for path in answers:
        np.testing.assert_array_equal(np.load(path), expected)
    assert count(Cache(tmp_path / "cache").items("embeddings")[0]) == 150
