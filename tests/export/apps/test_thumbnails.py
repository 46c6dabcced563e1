"""`build --thumbnails`: a small picture of each reference, for apps to show."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from support import drawing

BUILD = ("--backbone", "pixels", "--size", "24", "--formats", "tflite", "--no-report")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("thumbnails") / "photos"
    folder.mkdir()
    for number in range(8):
        drawing(number, (300, 200)).save(folder / f"{number}.png")
    return folder


def build(command, photos, out, *more):
    return command("build", photos, "-o", out, *BUILD, *more)


def listed(out):
    return json.loads((out / "manifest.json").read_text("utf-8"))["files"]


def test_each_is_of_its_reference(pocketknn, photos, tmp_path):
    out = tmp_path / "out"
    build(pocketknn, photos, out, "--thumbnails", "1MB")
    with (out / "references.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == len(list((out / "thumbnails").iterdir())) == 8
    for row in rows:
        small = Image.open(out / "thumbnails" / f"{row['index']}.jpg")
        whole = Image.open(photos / row["path"]).convert("RGB").crop((50, 0, 250, 200))
        difference = np.asarray(small.resize((40, 40)), int) - np.asarray(whole.resize((40, 40)))
        assert np.abs(difference).mean() < 10
    assert "thumbnails" in listed(out)


def test_there_are_none_unless_asked_for(pocketknn, photos, tmp_path):
    build(pocketknn, photos, tmp_path / "out")
    assert not (tmp_path / "out/thumbnails").exists()
    assert "thumbnails" not in listed(tmp_path / "out")


def test_they_keep_to_their_bytes(pocketknn, photos, tmp_path):
    build(pocketknn, photos, tmp_path / "out", "--thumbnails", "16KB")
    sizes = [path.stat().st_size for path in (tmp_path / "out/thumbnails").iterdir()]
    assert len(sizes) == 8
    assert max(sizes) <= 2000


def test_force_replaces_them_and_nothing_else(pocketknn, refused, photos, tmp_path):
    out = tmp_path / "out"
    build(pocketknn, photos, out, "--thumbnails", "1MB")
    stray = out / "thumbnails/8.jpg"  # there are only eight references
    stray.write_bytes(b"")
    assert "foreign-file" in build(refused, photos, out, "--force")
    stray.unlink()
    build(pocketknn, photos, out, "--force")
    assert not (out / "thumbnails").exists()


def test_references_have_no_pictures(pocketknn, refused, photos, tmp_path):
    build(pocketknn, photos, tmp_path / "out")
    place = tmp_path / "out/references.parquet"
    said = refused("build", place, "-o", tmp_path / "new", "--thumbnails", "1MB")
    assert "option-not-applicable" in said


def test_a_changed_build_says_that_it_has_none(pocketknn, photos, tmp_path):
    out = tmp_path / "out"
    build(pocketknn, photos, out, "--thumbnails", "1MB")
    with (out / "references.csv").open(encoding="utf-8", newline="") as table:
        gone = next(csv.DictReader(table))["id"]
    said = pocketknn("edit", out, "--remove", gone, "-o", tmp_path / "new")
    assert said.code == 0, said.err
    assert "thumbnails are not copied" in said.out + said.err
    assert "thumbnails" not in listed(tmp_path / "new")
