"""Endless files and decompression bombs are refused at once, in one line."""

import io
import os
import signal
import tarfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import drawing, input_error, vector_case

from pocketknn.builder import InputError, References, find
from pocketknn.builder.photos import archives, limits
from pocketknn.builder.photos.readers import LocalFile, read_file


@pytest.fixture(autouse=True)
def no_hang():
    """Fail instead of waiting for a pipe for ever."""

    def late(number, frame):
        raise TimeoutError("it was still waiting after a minute")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    return vector_case().write("onnx", path)


ENDINGS = [
    *("csv", "parquet", "json", "zip", "tar.gz", "txt", "keras", "h5", "pth"),
    *("onnx", "tflite", "mlpackage"),
]
COMMANDS = [
    "build pipe.csv -o out",
    "build pipe.parquet -o out",
    "build pipe.json -o out",
    "build pipe.zip -o out",
    "build pipe.tar.gz -o out",
    "build photos -o out --labels pipe.txt --backbone pixels",
    "build photos -o out --backbone pipe.keras",
    "build photos -o out --backbone mobilenet_v2 --weights pipe.h5",
    "build photos -o out --backbone efficientnet_lite0 --weights pipe.pth",
    "tune pipe.csv",
    *(f"inspect pipe{end}" for end in (".onnx", ".tflite", ".keras", ".mlpackage")),
    "predict pipe.tflite photos/a/0.png",
    "explain pipe.onnx photos/a/0.png",
    "edit pipe.onnx --remove-class a",
    "diff pipe.onnx pipe.tflite",
    "verify folder",
    "eval folder photos",
    "bench folder",
    "web folder",
    "refs list pipe.parquet",
    "refs add pipe.parquet photos -o new.parquet",
    "refs import pipe.json -o new.parquet",
    "refs new photos -o pipe.parquet --backbone pixels --force",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_waits_for_a_pipe(command, pocketknn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for ending in ENDINGS:
        os.mkfifo(f"pipe.{ending}")
    for place in ("photos/a", "folder"):
        (tmp_path / place).mkdir(parents=True)
    drawing(0).save("photos/a/0.png")
    os.mkfifo("folder/manifest.json")
    said = pocketknn(*command.split())
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "/dev/stdin", "made up"])
def test_what_has_no_end_is_not_read(name, tmp_path):
    if name == "made up":
        name = "/proc/self/status"  # reports a size of 0, as does /proc/kmsg, which blocks
        if not Path(name).exists():
            pytest.skip("there is no /proc")
        assert read_file(name) == b""
        return
    if name == "pipe":
        os.mkfifo(tmp_path / name)
    with pytest.raises(OSError, match="not a regular file"):
        read_file(tmp_path / name)


def test_a_photo_that_is_a_pipe_or_has_an_impossible_name_is_skipped(tmp_path, pocketknn):
    for label in "ab":
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(2):
            drawing(ord(label) + 9 * number).save(tmp_path / "photos" / label / f"{number}.png")
    os.mkfifo(tmp_path / "photos" / "a" / "pipe.png")
    (tmp_path / "photos" / "b" / "log.png").symlink_to("/proc/kmsg")
    choices = ("--backbone", "pixels", "--formats", "onnx", "--no-report")
    said = pocketknn("build", tmp_path / "photos", "-o", tmp_path / "out", *choices)
    assert said.code == 0, said.err
    assert "a/pipe.png: not a regular file" in said.out
    assert "b/log.png: " in said.out
    with pytest.raises(OSError, match="invalid character"):
        LocalFile("a\0b.png")()
    assert LocalFile("a\0b.png").stamp() == "a\0b.png"


def test_a_small_archive_that_grows_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST", 1 << 20)
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("a/zeros.bmp")
        info.size = 4 << 20
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(InputError, match="unpacks to more than 20 times its size"):
        find(tmp_path / "bomb.tar.gz")
    monkeypatch.setattr(archives, "_SPARE_DISK", 1 << 60)
    monkeypatch.setattr(archives, "LARGEST", 1 << 30)
    with pytest.raises(InputError, match="does not fit into"):
        find(tmp_path / "bomb.tar.gz")


def test_a_small_table_of_endless_rows_is_refused(tmp_path, monkeypatch):
    rows = np.zeros(20_000_001, np.int8)
    pq.write_table(pa.table({"path": rows, "embedding": rows}), tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 1e6
    for read in (find, References.load):
        with input_error("too-many-rows", "20,000,001 rows", "20,000,000"):
            read(tmp_path / "t.parquet")
    monkeypatch.setattr(limits, "_FEW_VALUES", 1 << 20)
    zeros = pa.array(np.zeros(1_100_000, np.int8))
    for cells in (zeros, pa.ListArray.from_arrays([0, len(zeros)], zeros)):
        pq.write_table(pa.table({"path": cells}), tmp_path / "t.parquet")
        for read in (find, References.load):
            with input_error("too-many-rows", "1,100,000"):
                read(tmp_path / "t.parquet")
    few = pa.table({"id": ["1"], "path": [""], "label": [""], "sha256": [""], "embedding": [0.5]})
    pq.write_table(few, tmp_path / "few.parquet")
    with pytest.raises(InputError, match="holds double, not lists of numbers"):
        References.load(tmp_path / "few.parquet")


@pytest.mark.parametrize("kind", ["path", "label", "id"])
def test_a_small_table_of_endless_text_is_refused(kind, tmp_path):
    """Each row stands for 20,000 bytes, which the dictionary stores only once."""
    rows = 60_000
    long = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["a" * 20_000])
    columns = dict.fromkeys(("id", "path", "label", "sha256"), pa.array(["x"] * rows))
    columns["embedding"] = pa.array([[1.0]] * rows)
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns | {kind: long}), path, store_schema=False)
    assert path.stat().st_size < 1e6
    for read in (References.load, *([find] if kind != "id" else [])):
        with pytest.raises(InputError, match=r"more than 1,024 MiB of text"):
            read(path)


def test_a_table_whose_paths_are_no_texts(tmp_path):
    for kind in ([["a.png"]], [b"a.png"]):
        pq.write_table(pa.table({"path": kind}), tmp_path / "t.parquet")
        with pytest.raises(InputError, match=r"the column 'path' of t.parquet holds \S+"):
            find(tmp_path / "t.parquet")
    texts = {name: ["x"] for name in ("id", "path", "label", "sha256")}
    pq.write_table(pa.table(texts | {"embedding": [["a"]]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"holds list<\S+ string>, not lists of numbers"):
        References.load(tmp_path / "t.parquet")


@pytest.mark.parametrize("ending", ["csv", "txt", "json"])
def test_lists_that_are_too_long_are_not_read(ending, pocketknn, photos, tmp_path):
    path = tmp_path / f"long.{ending}"
    with path.open("wb") as file:
        file.truncate((1 << 30) + 1)
    given = [photos, "--labels", path] if ending == "txt" else [path]
    said = pocketknn("build", *given, "-o", tmp_path / "out", "--backbone", "pixels")
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert "larger than 1,024 MiB" in said.err


def test_columns_that_nobody_wants_cost_nothing(tmp_path):
    wide, path = 300_000, tmp_path / "wide.csv"
    path.write_text("path" + "," * wide + "\n" + "a.png\n" * 2000)
    begin = time.perf_counter()
    assert len(find(path)) == 2000
    assert time.perf_counter() - begin < 5  # reading all cells takes minutes


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_column_that_is_there_twice(tmp_path, ending):
    path = tmp_path / f"twice.{ending}"
    path.write_text("path,path\na.png,b.png\n")
    if ending == "parquet":
        columns = [pa.array(["a.png"]), pa.array(["b.png"])]
        pq.write_table(pa.Table.from_arrays(columns, names=["path", "path"]), path)
    with pytest.raises(InputError, match="more than one column 'path'"):
        find(path)
