"""Embedding on a real Ray cluster: two nodes with one core each, one of which loses a worker."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import metadata
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from packaging.requirements import Requirement
from support import drawing, input_error

from pocketknn.builder import InputError, Spec, embed, find, load_backbone
from pocketknn.builder.embedding.ray import embed as ray_engine
from pocketknn.builder.embedding.ray import shards
from pocketknn.builder.embedding.ray.connection import Cluster, connected
from pocketknn.builder.photos.readers import LocalFile
from pocketknn.builder.system.cache import Cache

pytest.importorskip("ray", reason="Ray is not installed: pip install 'ray[data]<2.64'")

CLASSES, EACH, TOGETHER = ("ant", "bee", "cat"), 24, 8
BROKEN, STRAY = "bee/03.jpg", "stray.jpg"


# These come first: once the nodes below have started, `auto` finds them.
BAD = {
    "--engine ray --ray-address auto": "no Ray cluster can be reached at auto: Could not find",
    "--engine ray --ray-address 127.0.0.1:1": "no Ray cluster can be reached at 127.0.0.1:1: ",
    "--engine ray --ray-address ray://127.0.0.1:1": "can be reached at ray://127.0.0.1:1: ",
    "--engine ray --ray-address there": "[bad-cluster-address]",
    "--ray-address auto": "--ray-address auto needs --engine ray",
    "--engine ray --plan": "[option-not-applicable]",
    "--engine spark --plan": "unknown engine 'spark'",
    "--engine spark": "unknown engine 'spark'; choose from local, ray",
}


@pytest.mark.parametrize("options", BAD)
def test_a_cluster_that_cannot_be_had_is_one_line(
    pocketknn, photos, tmp_path, monkeypatch, options
):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    given = ("--backbone", "bundled", "--no-cache")
    said = pocketknn("build", photos, "-o", tmp_path / "out", *given, *options.split())
    assert (said.code, len(said.err.splitlines())) == (2, 1)
    assert BAD[options] in said.err
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def nodes():
    """A cluster of two nodes with a core each, to which this process stays connected."""
    import ray
    from ray.cluster_utils import Cluster as Nodes

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        each = {"num_cpus": 1, "object_store_memory": 80 << 20}
        made = Nodes(initialize_head=True, head_node_args={**each, "include_dashboard": False})
        made.add_node(**each)
        with connected(Cluster(address=made.address)):
            assert ray.is_initialized()
            yield made
        assert not ray.is_initialized()
        made.shutdown()


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Nine shards of pictures that take a while, with copies, a broken one and a misplaced one."""
    folder = tmp_path_factory.mktemp("many")
    for label in CLASSES:
        (folder / label).mkdir()
        drawing(ord(label[0]), (2400, 1801)).save(folder / STRAY)
        content = (folder / STRAY).read_bytes()
        for i in range(EACH):  # bytes after a JPEG's end make it a different file
            (folder / label / f"{i:02}.jpg").write_bytes(content + bytes([i // 2]))
    (folder / BROKEN).write_bytes(b"no picture")
    (folder / STRAY).write_bytes(b"beside the classes")
    return folder


@pytest.fixture(scope="module")
def net():
    return load_backbone(Spec(backbone="bundled"))


@pytest.fixture(scope="module")
def local(many, net):
    return embed(find(many), net, "center")


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "TOGETHER", TOGETHER)


@pytest.fixture
def on_cluster(nodes, many, net):
    """Embed on the cluster; by default the many pictures."""

    def run(found=None, address=None, place=None, **given):
        cluster = Cluster(address=address or nodes.address)
        given["cache"] = Cache(place) if place else None
        return ray_engine.embed(found or find(many), net, "center", cluster=cluster, **given)

    return run


def same(ours, theirs):
    """Whether two engines gave the same results, bit for bit and in the same order."""
    one, other = ours.references(), theirs.references()
    assert one.vectors.tobytes() == other.vectors.tobytes()
    np.testing.assert_array_equal(one.label_ids, other.label_ids)
    for name in ("ids", "paths", "labels", "sha256", "provenance"):
        assert getattr(one, name) == getattr(other, name)
    assert ours.skipped == theirs.skipped
    return True


def busy(nodes):
    """The worker processes of these nodes that are embedding now."""
    ours = {node.all_processes["raylet"][0].process.pid for node in nodes.list_all_nodes()}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            embeds = (process / "cmdline").read_bytes().startswith(b"ray::Map(_file_of)")
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if embeds and parent in ours:
                yield int(process.name)
        except OSError:  # it has just ended
            continue


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="workers are found in /proc")
def test_a_worker_that_is_killed_costs_nothing(on_cluster, nodes, local, tmp_path):
    seen, killed, over = [], [], threading.Event()

    def kill():
        while not killed and not over.wait(0.02):
            if pids := list(busy(nodes)):
                os.kill(pids[0], signal.SIGKILL)
                killed.append(pids[0])

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    try:
        embedded = on_cluster(place=tmp_path, progress=seen.append)
    finally:
        over.set()
        killer.join()
    assert killed, "nothing was running any more"
    assert same(embedded, local)
    assert sum(seen) == len(CLASSES) * EACH + 1
    assert len(list(tmp_path.rglob("*.parquet"))) == len(CLASSES) * EACH // TOGETHER
    assert [one.name for one in embedded.skipped] == [STRAY, BROKEN]


def files(folder):
    """The files in a folder, each with its inode."""
    return {path: path.stat().st_ino for path in folder.iterdir()}


def test_an_interrupted_run_goes_on(on_cluster, local, tmp_path):
    seen, said = [0], []

    def interrupt(done):
        seen[0] += done
        if seen[0] > 3 * TOGETHER:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        on_cluster(place=tmp_path, progress=interrupt)
    kept = files(tmp_path / "shards")
    assert 3 <= len(kept) < 9
    assert same(on_cluster(place=tmp_path, note=said.append), local)
    assert said == [f"{len(kept)} of 9 shards were embedded by an earlier run"]
    assert kept.items() <= files(tmp_path / "shards").items(), "none of them is written again"
    # All are there now, so no cluster is needed.
    assert same(on_cluster(place=tmp_path, address="127.0.0.1:1"), local)


def test_a_shard_that_is_damaged_or_whose_picture_changed_is_embedded_again(
    on_cluster, net, many, tmp_path
):
    found = find(many, limit=TOGETHER)
    first = on_cluster(found, place=tmp_path / "kept")
    damaged, *_ = sorted((tmp_path / "kept/shards").iterdir())
    column = pq.ParquetFile(damaged).metadata.row_group(0).column(4)
    assert column.path_in_schema.startswith("embedding")
    content = bytearray(damaged.read_bytes())
    content[(column.dictionary_page_offset + column.data_page_offset) // 2] ^= 1  # a value's
    damaged.write_bytes(content)
    said = []
    assert same(on_cluster(found, place=tmp_path / "kept", note=said.append), first)
    assert said == [
        "3 of 3 shards were embedded by an earlier run",
        f"the shard {damaged.name} was damaged; embedding it here",
    ]
    assert on_cluster(found, place=tmp_path / "kept", note=said.append)
    assert len(said) == 3, "it is whole again"
    copies = [
        replace(one, content=LocalFile(str(tmp_path / one.name.replace("/", "-"))))
        for one in found
        if one.name not in (BROKEN, STRAY)
    ]
    for one in copies:
        Path(one.content.path).write_bytes((many / one.name).read_bytes())
    on_cluster(copies, place=tmp_path / "kept")
    drawing(7).save(copies[0].content.path)
    again = on_cluster(copies, place=tmp_path / "kept", note=said.append)
    assert said[3:] == ["2 of 3 shards were embedded by an earlier run"]
    assert same(again, embed(copies, net, "center"))


def built(photos, out, *options):
    """A build in its own process: one process cannot use two clusters."""
    given = ("--backbone", "bundled", "--formats", "tflite", "--no-report", "--no-cache")
    code = "from pocketknn.export.cli.app import main; main()"
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", code, "build", photos, "-o", out, *given, *options],
        **{"capture_output": True, "text": True, "check": False, "env": environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [(out / name).read_bytes() for name in ("model.tflite", "references.parquet")]


def test_the_command(nodes, photos, tmp_path):
    """With a cluster started by the command, and with a running one."""
    local = built(photos, tmp_path / "local")
    for number, address in enumerate((None, nodes.address)):
        options = ("--ray-address", address) if address else ()
        assert built(photos, tmp_path / str(number), "--engine", "ray", *options) == local


@contextmanager
def as_by_client(cluster):
    """The result over ray://…; on a busy machine its server may take too long."""
    with connected(cluster):
        yield True


def test_through_an_actor_from_a_store_with_a_picture_that_vanishes(
    on_cluster, net, many, tmp_path, monkeypatch
):
    monkeypatch.setattr(ray_engine, "connected", as_by_client)
    folder = tmp_path / "copy"
    for path in many.rglob("*/0*.jpg"):
        target = folder / path.relative_to(many)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    found = find(f"local://{folder}")
    (folder / "cat" / "05.jpg").unlink()
    place = tmp_path / "kept"
    embedded = on_cluster(found, place=place)
    assert same(embedded, embed(found, net, "center"))
    assert [(one.name, one.reason) for one in embedded.skipped] == [
        (BROKEN, "not a picture"),
        ("cat/05.jpg", "No such file or directory"),
    ]
    assert len(list(place.rglob("*.parquet"))) == 3, "what may be there again tomorrow is not kept"
    with pytest.raises(InputError, match=r"bee/03\.jpg: not a picture$"):
        on_cluster(found, strict=True, place=place)


def test_a_folder_that_the_nodes_do_not_see(on_cluster, many, monkeypatch):
    """As without a shared disk: /proc/self is a different folder in each process."""
    monkeypatch.chdir(many)
    found = [
        replace(photo, content=LocalFile(f"/proc/self/cwd/{photo.name}"))
        for photo in find(many, limit=TOGETHER)
    ]
    with input_error("node-cannot-read", "ant/00.jpg"):
        on_cluster(found)


def test_a_node_with_other_packages(on_cluster, many, monkeypatch):
    ours = ray_engine.versions()
    monkeypatch.setattr(ray_engine, "versions", lambda: ours | {"pillow": "1.0"})
    with input_error("node-cannot-embed", "has pillow ", "install 1.0"):
        on_cluster(find(many, limit=4))


class Poison(LocalFile):
    """A picture that kills the worker that reads it."""

    def __init__(self):
        super().__init__(__file__)

    def __reduce__(self):
        return os._exit, (1,)


def test_a_picture_that_kills_its_worker_each_time_ends_the_run(on_cluster, many, monkeypatch):
    monkeypatch.setattr(ray_engine, "_RETRIES", 1)
    photos = find(many, limit=TOGETHER)
    photos[-1] = replace(photos[-1], content=Poison())
    with input_error("cluster-failed", "The worker died unexpectedly"):
        on_cluster(photos)


def test_the_cache_tells_of_shards(pocketknn, nodes, photos, tmp_path):
    given = ("--backbone", "bundled", "--formats", "tflite", "--no-report", "--engine", "ray")
    assert pocketknn("build", photos, "-o", tmp_path / "out", *given).code == 0
    assert "parts from --engine ray" in pocketknn("cache").out


def test_what_a_cluster_cannot_read(tmp_path, photos, net):
    import zipfile

    fsspec = pytest.importorskip("fsspec")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(photos / "apple/0.png", "apple/0.png")
    with input_error("unreachable-for-cluster", "archive"):
        ray_engine.embed(find(tmp_path / "photos.zip"), net, "center", cluster=Cluster())
    memory = fsspec.filesystem("memory")
    memory.pipe("/ray/0.png", (photos / "apple/0.png").read_bytes())
    with input_error("unreachable-for-cluster", "memory"):
        ray_engine.embed(find("memory://ray"), net, "center", cluster=Cluster())


def test_a_backbone_that_keras_runs_does_not_travel(photos, net):
    from pocketknn.builder.backbones.backbone import Backbone

    by_keras = Backbone.of("own.keras", load_backbone(Spec(backbone="pixels", size=8)).model)
    with input_error("keras-on-cluster", "own.keras"):
        ray_engine.embed(find(photos), by_keras, "center", cluster=Cluster())


def test_without_ray(pocketknn, photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    said = pocketknn("build", photos, "-o", tmp_path / "out", "--engine", "ray")
    assert (said.code, said.err) == (
        2,
        "pocketknn: [package-not-installed] --engine ray needs Ray: pip install 'ray[data]<2.64'\n",
    )
    wanted = [Requirement(line) for line in metadata("pocketknn").get_all("Requires-Dist")]
    (ray,) = (one for one in wanted if one.name == "ray" and "ray" in str(one.marker))
    assert "<2.64" in str(ray.specifier), "which the line says as well"
