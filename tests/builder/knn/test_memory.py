"""References that do not fit into memory are refused before the work begins."""

import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from support import input_error

from pocketknn.builder import InputError, References, Spec, embed, find, load_backbone
from pocketknn.builder.knn import memory
from pocketknn.builder.knn.memory import check_room
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.references import ml5_json, parquet
from pocketknn.builder.system import container
from pocketknn.export import export
from pocketknn.export.manifest.read_back import open_artefact

N, D = 4000, 256
CHOICES = {
    "float32": {},
    "int8": {"references_precision": "int8"},
    "rerank": {"search": "rerank", "references_precision": "int8"},
    "projected": {"pca": 8},
}


@pytest.fixture
def free(monkeypatch):
    """Set how much memory is free."""

    def say(size):
        monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=size))
        monkeypatch.setattr(psutil, "swap_memory", lambda: SimpleNamespace(free=0))

    monkeypatch.setattr(container, "_OWN", Path("nowhere"))
    return say


@pytest.mark.parametrize(
    ("own", "folder", "names"),
    [
        ("0::/a/b\n", "a", ("memory.max", "memory.current", "inactive_file")),
        ("0::/\n", "", ("memory.max", "memory.current", "inactive_file")),
        (
            "3:cpu,cpuacct:/x\n4:memory:/docker/1\n",
            "memory",
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ),
    ],
)
def test_what_a_container_allows_is_seen(own, folder, names, free, monkeypatch, tmp_path):
    free(10**10)
    assert memory.free_memory() == 10**10
    limit, used, files = names
    here = tmp_path / "groups" / folder
    here.mkdir(parents=True)
    (here / limit).write_text("5000000\n")
    (here / used).write_text("3000000\n")
    (here / "memory.stat").write_text(f"anon 1\n{files} 1000000\n")
    (tmp_path / "own").write_text(own)
    monkeypatch.setattr(container, "_OWN", tmp_path / "own")
    monkeypatch.setattr(container, "_GROUPS", tmp_path / "groups")
    assert memory.free_memory() == 3_000_000
    with input_error("references-too-large", "10.2 MB", "3.0 MB"):
        check_room(Spec(), 1000, 1280)
    (here / limit).write_text("max\n")
    assert memory.free_memory() == 10**10


@pytest.mark.parametrize(
    ("own", "files", "found"),
    [
        ("0::/a/b\n", {"a/cpu.max": "150000 100000\n"}, 2),
        ("0::/a\n", {"cpu.max": "max 100000\n", "a/cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "900000 100000\n"}, 8),  # more than there are
        (
            "4:cpu,cpuacct:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "250000\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            3,
        ),
        (
            "4:cpu,cpuacct:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "-1\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            8,
        ),
        ("4:memory:/x\n", {}, 8),
        # No kernel writes these: values that are not a limit are ignored.
        ("0::/\n", {"cpu.max": "50000 0\n"}, 8),
        ("0::/\n", {"cpu.max": "-50000 -100000\n"}, 8),
        ("nonsense\n\n7\n0:\n0::/\n", {"cpu.max": "150000 100000\n"}, 2),
    ],
)
def test_cores_that_a_container_allows(own, files, found, monkeypatch, tmp_path):
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text)
    (tmp_path / "own").write_text(own)
    monkeypatch.setattr(container, "_OWN", tmp_path / "own")
    monkeypatch.setattr(container, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(container.os, "sched_getaffinity", lambda number: set(range(8)))
    assert container.cores() == found


def test_cores_of_a_system_that_does_not_say_which_are_ours(monkeypatch):
    monkeypatch.setattr(container, "_OWN", Path("nowhere"))
    monkeypatch.delattr(container.os, "sched_getaffinity")
    for there, found in ((6, 6), (None, 1)):
        monkeypatch.setattr(container.os, "cpu_count", lambda there=there: there)
        assert container.cores() == found


def test_memory_that_ends_is_said_in_a_line(pocketknn, photos, tmp_path, monkeypatch):
    def ends(*args, **options):
        raise np._core._exceptions._ArrayMemoryError((10**9, 1280), np.dtype("f4"))

    monkeypatch.setattr("pocketknn.export.pipeline.material.embed", ends)
    said = pocketknn("build", photos, "-o", tmp_path / "out", "--backbone", "pixels")
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert said.err.startswith("pocketknn: not enough memory: Unable to allocate 4.66 TiB")


def test_embeddings_are_held_once(photos):
    net = load_backbone(Spec(backbone="pixels", size=8))
    embedded = embed(find(photos), net, "center")
    references = embedded.references()
    assert np.shares_memory(references.vectors, embedded.embeddings)
    own = np.ones((3, 2), np.float32)
    fixed = own[:]
    fixed.flags.writeable = False
    assert not np.shares_memory(References.of(fixed).vectors, own), "whose owner may change them"


def test_it_is_said_before_a_photo_is_read(photos, pocketknn, tmp_path, monkeypatch, free):
    monkeypatch.setattr("pocketknn.builder.embedding.local.picture", None)
    free(2 * 4 * 12 * 1280 - 1)
    for more in ([], ["--plan"]):
        given = ("-o", tmp_path / "out", "--backbone", "bundled", "--no-cache", *more)
        said = pocketknn("build", photos, *given)
        assert (said.code, said.err.count("\n")) == (2, 1)
        assert "12 references of 1280 values need at least" in said.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("choices", CHOICES.values(), ids=CHOICES)
def test_what_is_refused_could_not_have_been_held(choices, free):
    """The minimum that is accepted is at most what numpy needs."""
    rows = np.random.default_rng(0).gamma(0.5, size=(N, D)).astype(np.float32)
    references = References.of(rows)
    spec = Spec(backbone="vector", recall=0.1 if "references_precision" in choices else None)
    spec = Spec(**{**vars(spec), **choices})
    tracemalloc.start()
    fitted = fit(spec, references)
    assert len(fitted.space.matrix if fitted.index is None else fitted.index.table) == N
    _, taken = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    low, high = 0, 100 * N * D
    while low < high:  # the minimum that is accepted
        middle = (low + high) // 2
        free(middle)
        try:
            check_room(spec, N, D, held=True)
            high = middle
        except InputError:
            low = middle + 1
    assert N * D <= low <= taken


def test_a_smaller_store_may_fit_where_a_larger_one_does_not(free):
    references = References.of(np.random.default_rng(0).gamma(0.5, size=(N, D)))
    free(2 * N * D)
    fit(Spec(backbone="vector", references_precision="int8", recall=0.1), references)
    with pytest.raises(InputError, match=r"^4,000 references of 256 values need at least"):
        fit(Spec(backbone="vector"), references)


@pytest.fixture
def kept(tmp_path):
    """A file of references, and the size of their vectors."""
    references = References.of(
        np.random.default_rng(0).gamma(0.5, size=(N, D)), [f"class {i % 3}" for i in range(N)]
    )
    references.save(tmp_path / "kept.parquet")
    return tmp_path / "kept.parquet", 4 * N * D


def test_references_that_are_kept_are_refused_before_they_are_read(kept, pocketknn, free, tmp_path):
    path, size = kept
    free(size)
    for words in (("build", path, "-o", tmp_path / "out"), ("tune", path)):
        said = pocketknn(*words)
        assert (said.code, said.err.count("\n")) == (2, 1 + said.err.count("warning")), said.err
        assert f"{path}: 4,000 references of 256 values need at least 5.1 MB of memory" in said.err
    with input_error("references-too-large", "4.1 MB is free"):
        References.load(path)
    assert pocketknn("refs", "list", path).code == 0, "which needs no vectors"


def test_values_of_ml5_are_refused_before_they_are_read(kept, pocketknn, free, tmp_path):
    path, size = tmp_path / "kept.json", kept[1]
    assert pocketknn("refs", "export", kept[0], "-o", path).code == 0
    file = path.stat().st_size
    for most in (file, 3 * file):  # limited by its size, and by its content
        free(most)
        with input_error("references-too-large", f"the values of {path} need at least"):
            ml5_json.read(path)
    free(100 * size)
    assert len(ml5_json.read(path)) == N


def test_references_of_a_model_are_refused_before_they_are_read(tmp_path, free):
    references = References.of(np.random.default_rng(0).standard_normal((40, 16)))
    spec = Spec(backbone="vector", metric="euclidean")
    export(spec, references, None, tmp_path / "out", formats=["onnx"])
    free(2 * 4 * 40 * 16 - 1)
    with input_error("references-too-large", "the 40 references of 16 values in model.onnx need"):
        open_artefact(tmp_path / "out" / "model.onnx")
    free(10**9)
    assert len(open_artefact(tmp_path / "out" / "model.onnx").fit.references) == 40


def test_kept_references_are_read_without_a_copy_and_listed_without_vectors(kept, monkeypatch):
    path, size = kept
    monkeypatch.setattr(parquet, "_AT_ONCE", 50 * D)
    for vectors, least, most in ((True, 1, 1.6), (False, 0, 0.7)):
        tracemalloc.start()
        found = References.load(path, vectors=vectors)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found.vectors.shape == (N, D)
        assert least * size <= peak <= most * size, peak / size


def test_listing_still_notices_damage(kept, pocketknn):
    path, _ = kept
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10  # inside the vectors
    path.write_bytes(content)
    said = pocketknn("refs", "list", path)
    assert said.code == 2
    assert said.err.count("\n") == 1
