"""Every command that README and the docs tell a reader to type is run, or listed with a reason."""

import csv
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base
from support import ROOT, drawing, tinted

from pocketknn.builder import KNNClassifier, References
from pocketknn.builder.backbones import load, pixels
from pocketknn.builder.references import memory_json

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "pages").rglob("*.md"))]
# By what they begin with.
NOT_RUN = {
    "demo": "make demo runs it",
    "predict out rows.csv": "it needs a model of vectors; see test_vectors.py",
    "web out --photos photos": "it serves until Ctrl-C, or needs npm; see test_web.py",
    "web out --title": "it needs npm; see test_web.py",
    "web out --phone": "as above; see test_server.py",
    "web out --port": "as above",
    "teach": "it serves until Ctrl-C, or needs npm; see test_teach.py",
    "web out --teach": "as above",
    "build s3:": "there is no such bucket; test_addresses.py reads others",
    "build photos -o out --engine ray": "Ray takes long to start; see test_ray.py",
}
COLOURS = {"apple": "red", "lemon": "yellow", "pear": "green"}
PETS = {"bird": "blue", "kitty": "orange", "kitten": "brown"}


def typed(text):
    """The commands in shell blocks, fenced or indented."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    lines += re.findall(r"^ {4}(\S*pocketknn .*)", text, re.MULTILINE)
    ours = [line.partition("pocketknn ") for line in lines]
    return [rest for before, found, rest in ours if found and before in ("", ".venv/bin/")]


LINES = sorted({line for page in PAGES for line in typed(page.read_text("utf-8"))})
RUN = [line for line in LINES if not line.startswith(tuple(NOT_RUN))]


@pytest.fixture(scope="module", autouse=True)
def quick():
    """The default is the picture itself instead of a network: what is tested are the commands."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("auto", "bundled"):
            kind = replace(load.BACKBONES[name], load=small_pixels)
            patch.setitem(load.BACKBONES, name, kind)
        yield


def small_pixels(name, spec, cache=None):
    return pixels.load("pixels", replace(spec, size=12), cache)


def write(folder, colours, photos, seed):
    """Photos of each class, from eight days."""
    for number, (label, colour) in enumerate(colours.items()):
        (folder / label).mkdir(parents=True)
        for i in range(photos):
            exif = Image.Exif()
            exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = f"2025:05:{1 + i % 8:02} 12:00:00"
            picture = tinted(seed + 1000 * number + i, colour, (24, 20), 0.6)
            picture.save(folder / label / f"{i}.jpg", exif=exif)


def main(*words):
    from pocketknn.export.cli.app import main

    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return end.value.code


def build(photos, out, *more):
    assert main("build", photos, "-o", out, "--no-report", *more) == 0


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with all that the commands speak of."""
    place = tmp_path_factory.mktemp("commands")
    real = tmp_path_factory.mktemp("real")
    write(real / "photos", COLOURS, 28, seed=0)
    write(real / "many", COLOURS, 105, seed=0)
    for name in ("photos", "many"):  # which are too many to copy for each command
        (place / name).symlink_to(real / name)
    for i in range(5):
        markets = {f"{label}/market {i}": colour for label, colour in COLOURS.items()}
        write(place / "markets", markets, 2, seed=10_000 + 10 * i)
    write(place / "fewer", COLOURS, 14, seed=0)
    write(place / "more-photos", COLOURS, 2, seed=20_000)
    write(place / "new-photos", COLOURS, 2, seed=30_000)
    write(place / "pets", PETS, 6, seed=40_000)
    (place / "other-photos").mkdir()
    for i in range(6):
        drawing(50_000 + i).save(place / "other-photos" / f"{i}.jpg")
    drawing(60_000).save(place / "new.jpg")
    with (place / "table.csv").open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(["path", "label", "shop", "price"])
        for i, path in enumerate(sorted((place / "photos").rglob("*.jpg"))):
            rows.writerow([path.relative_to(place), path.parent.name, f"shop {i % 5}", i])
    knn = KNNClassifier()
    for i in range(12):
        knn.add_example([1.0, i % 3, (i % 3) ** 2 + 0.01 * i], ["cat", "dog", "bird"][i % 3])
    knn.save(place / "saved.json")
    build(place / "fewer", place / "out", "--formats", "tflite,onnx")
    build(place / "pets", place / "of-pets", "--formats", "tflite,onnx", "--projection", "none")
    for name in ("model.tflite", "model.onnx"):
        shutil.copy(place / "of-pets" / name, place / name)
    build(place / "fewer", place / "grown", "--formats", "tflite", "--grow", 16, "--spare", 2)
    taught(place / "grown", place / "memory.json", place / "taught.parquet")
    for name in ("grown", "better", "other", "all"):
        shutil.copy(place / "of-pets" / "references.parquet", place / f"{name}.parquet")
    words = ("--add", place / "more-photos", "--out", place / "new.tflite")
    assert main("edit", place / "model.tflite", *words) == 0
    return place


def taught(out, memory, table):
    """A class that was taught to a build, as an app saves it and as it is imported."""
    known = References.load(out / "references.parquet")
    rows = References.of(known.vectors[:3] + 1, ["mug"] * 3, provenance=known.provenance)
    memory_json.write(rows, memory)
    memory_json.read(memory).like(known).save(table)


def quicker(words):
    """The same with one format and without a report, or with one crop."""
    if words[0] == "build" and "--plan" not in words:
        words = [*words, "--no-report", *(() if "--formats" in words else ("--formats", "tflite"))]
    elif words[0] == "tune":
        words = [*words, "--crop", "center"]
    return words


@pytest.mark.parametrize("line", RUN)
def test_a_command_runs_as_it_stands(line, place, tmp_path, monkeypatch, pocketknn):
    here = tmp_path / "here"
    shutil.copytree(place, here, symlinks=True)
    monkeypatch.chdir(here)
    words = shlex.split(line, comments=True)
    if words[0] == "cache":  # the other tests' cache stays
        monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))
    written = [words[i + 1] for i, word in enumerate(words) if word in ("-o", "--out", "--chart")]
    for name in written:  # nothing that is there is replaced
        shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink(missing_ok=True)
    with (place / "of-pets" / "references.csv").open(newline="") as table:
        stands_for = {"68922bcdf1a0": next(csv.DictReader(table))["id"]}
    if "--occasions folders" in line:
        stands_for["photos"] = "markets"
    elif "--condense 300" in line:
        stands_for["photos"] = "many"
    elif words[0] in ("tune", "eval"):
        stands_for["photos"] = "fewer"
    said = pocketknn(*quicker([stands_for.get(word, word) for word in words]))
    assert said.code == (1 if words[0] == "diff" else 0), said.out + said.err
    assert "--plan" in words or all(Path(name).exists() for name in written)


def test_what_is_not_run_is_there():
    for start in NOT_RUN:
        assert [line for line in LINES if line.startswith(start)], f"nobody types {start}"


@pytest.mark.parametrize("line", sorted(set(LINES) - set(RUN)))
def test_what_is_not_run_can_at_least_be_typed(line):
    import typer

    from pocketknn.export.cli.app import app

    command, words = typer.main.get_command(app), shlex.split(line, comments=True)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context(line, words)


def test_a_wrong_command_would_be_noticed(refused):
    assert "no-such-folder" in refused("build", "no-such-folder", "-o", "out")
