"""`eval --shift`: the shifts applied to pictures, and the measurements on the answers."""

import base64
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from support import PLAIN, drawing, tinted

from pocketknn.builder import find
from pocketknn.builder.photos.pixels.crop import square
from pocketknn.builder.photos.pixels.decode import decode
from pocketknn.builder.spec import CROPS
from pocketknn.export import load
from pocketknn.export.analysis.robustness import corruptions
from pocketknn.export.analysis.robustness.corruptions import shifts
from pocketknn.export.analysis.robustness.measure import measure

SIZE = 16
NAMES = ["rotation", "scale", "brightness", "blur", "noise", "jpeg", "crop", "resampler"]


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Two classes of wide pictures: references, other photos, and a build."""
    from pocketknn.export.cli.app import main

    folder = tmp_path_factory.mktemp("wide")
    for part, count in (("references", 6), ("new", 5)):
        for label, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
            (folder / part / label).mkdir(parents=True)
            for i in range(count):
                seed = 1000 * len(part) + 100 * len(label) + i
                tinted(seed, colour, (61, 40), 0.3).save(folder / part / label / f"{i}.png")
    choices = ("--backbone", "pixels", "--size", str(SIZE), "--k", "3", "--reject", "auto", *PLAIN)
    with pytest.raises(SystemExit) as end:
        main(
            [
                "build",
                str(folder / "references"),
                "-o",
                str(folder / "out"),
                *choices,
                "--formats",
                "onnx,tflite",
            ]
        )
    assert end.value.code == 0
    return folder


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("shape", [(61, 40), (40, 61), (1, 90), (7, 7)])
def test_the_plain_strength_changes_nothing(crop, shape):
    picture = drawing(3, shape)
    expected = square(picture, SIZE, crop)
    ways = shifts(SIZE, crop)
    assert [way.name for way in ways] == NAMES
    for way in ways:
        assert way.strengths.count(way.plain) == 1
        assert (way.make(picture, way.plain, rng()) == expected).all(), way.name


def test_the_other_strengths_change_something_the_same_way_each_time():
    picture = Image.fromarray(rng(4).integers(0, 256, (150, 200, 3)).astype(np.uint8))
    plain = square(picture, 96, "center")
    for way in shifts(96, "center"):
        for strength in way.strengths:
            made = way.make(picture, strength, rng())
            assert made.shape == plain.shape
            assert made.dtype == np.uint8
            assert (made == way.make(picture, strength, rng())).all()
            assert (made != plain).any() == (strength != way.plain), (way.name, strength)


def test_turning_is_a_quarter_and_a_half_turn():
    pixels = np.asarray(drawing(5, (32, 32)))
    for quarters in (1, 2):
        made = np.asarray(corruptions.turned(Image.fromarray(pixels), 90 * quarters))
        assert (made == np.rot90(pixels, quarters)).all()
    wide = np.asarray(drawing(5, (41, 20)))
    assert (np.asarray(corruptions.turned(Image.fromarray(wide), 180)) == wide[::-1, ::-1]).all()
    quarter = np.asarray(corruptions.turned(Image.fromarray(wide), 90))
    assert quarter.shape == wide.shape
    white = Image.new("RGB", (30, 11), "white")
    assert (np.asarray(corruptions.turned(white, 33)) == 255).all(), "no black corners come in"


def test_a_large_photo_is_turned_as_if_by_all_its_pixels():
    picture = drawing(9, (640, 320))
    (rotation,) = (way for way in shifts(SIZE, "center") if way.name == "rotation")
    made = rotation.make(picture, 180, rng()).astype(int)
    exact = square(picture.rotate(180), SIZE, "center").astype(int)
    assert np.abs(made - exact).max() <= 3


def test_scaling_takes_the_middle_or_mirrors_the_edges():
    pixels = np.asarray(drawing(6, (40, 24)))
    near = np.asarray(corruptions.scaled(Image.fromarray(pixels), 2))
    assert (near == pixels[6:18, 10:30]).all()
    far = np.asarray(corruptions.scaled(Image.fromarray(pixels), 0.5))
    assert far.shape == (48, 80, 3)
    assert (far[12:36, 20:60] == pixels).all()
    assert (far[11, 20:60] == pixels[0]).all()
    assert (far[12:36, 19] == pixels[:, 0]).all()


def test_brightness_blur_noise_and_jpeg_do_what_they_say():
    pixels = np.asarray(drawing(7, (100, 100)))
    assert (corruptions.brightened(pixels, 0.5) == np.rint(pixels * 0.5)).all()
    assert (corruptions.brightened(pixels, 2) == np.minimum(2 * pixels.astype(int), 255)).all()
    blurred = corruptions.blurred(pixels, 3).astype(float)
    exact = gaussian_filter(pixels.astype(float), (3, 3, 0), mode="nearest")
    assert np.abs(blurred - exact).max() < 6, "Pillow approximates a Gaussian by boxes"
    grey = np.full((100, 100, 3), 128, np.uint8)
    noise = corruptions.noisy(grey, 10, rng()).astype(float) - 128
    assert noise.std() == pytest.approx(10, rel=0.02)
    assert abs(noise.mean()) < 0.2
    assert (corruptions.noisy(grey, 10, rng(1)) != corruptions.noisy(grey, 10, rng())).any()
    errors = [
        np.abs(corruptions.compressed(pixels, q).astype(float) - pixels).mean() for q in (90, 30, 5)
    ]
    assert 0 < errors[0] < errors[1] < errors[2]


def test_the_resampler_without_antialiasing_takes_four_pixels():
    pixels = np.asarray(drawing(8, (64, 64)))
    (resampler,) = (way for way in shifts(SIZE, "center") if way.name == "resampler")
    made = resampler.make(Image.fromarray(pixels), "aliased", rng())
    # The middle of each block of 4 by 4 lies between its four inner pixels.
    four = sum(pixels[1 + i :: 4, 1 + j :: 4].astype(float) for i in (0, 1) for j in (0, 1)) / 4
    assert np.abs(made - four).max() <= 1


def answers(file, squares):
    outputs = file.run(np.stack(squares))
    votes = np.asarray(outputs["probabilities"])
    return [file.metadata.labels[i] for i in votes.argmax(axis=1)], outputs["indices"].tolist()


def test_what_is_measured_equals_a_count_by_hand(wide):
    photos = find(wide / "new")
    file = load(wide / "out" / "model.onnx")
    rows = {(row.shift, row.strength): row for row in measure("m", file, photos)[0]}
    middles = [square(decode(photo.content()), SIZE, "center") for photo in photos]
    cases = {
        ("rotation", 180): [
            square(decode(p.content()).rotate(180), SIZE, "center") for p in photos
        ],
        ("brightness", 2): [np.minimum(one.astype(int) * 2, 255).astype("u1") for one in middles],
        ("crop", "fit"): [square(decode(photo.content()), SIZE, "fit") for photo in photos],
    }
    before, near = answers(file, middles)
    for key, squares in cases.items():
        now, nearest = answers(file, squares)
        row = rows[key]
        assert row.photos == 10
        assert row.accuracy == pytest.approx(
            sum(one == photo.label for one, photo in zip(now, photos, strict=True)) / 10
        )
        assert row.same_label == pytest.approx(
            sum(one == other for one, other in zip(before, now, strict=True)) / 10
        )
        pairs = list(zip(near, nearest, strict=True))
        assert row.first_equal == pytest.approx(sum(a[0] == b[0] for a, b in pairs) / 10)
        assert row.recall == pytest.approx(sum(len(set(a) & set(b)) / 3 for a, b in pairs) / 10)
    assert rows["crop", "fit"].recall < 1
    for row in rows.values():
        if row.plain:
            assert (row.same_label, row.first_equal, row.recall) == (1, 1, 1)


def test_more_noise_and_blur_leave_fewer_neighbours(wide):
    rows = measure("m", load(wide / "out" / "model.onnx"), find(wide / "new"))[0]
    for name in ("noise", "blur"):
        shares = [row.recall for row in rows if row.shift == name]
        assert shares[0] == 1
        assert shares[-1] < shares[0]
        assert shares == sorted(shares, reverse=True)


def test_json_is_a_row_for_each_strength(pocketknn, wide, tmp_path):
    chart = tmp_path / "chart.png"
    more = ("--shift", "--json", "--chart", chart)
    said = pocketknn("eval", wide / "out" / "model.tflite", wide / "new", *more)
    assert said.code == 0, said.err
    rows = json.loads(said.out)
    assert list(dict.fromkeys(row["shift"] for row in rows)) == NAMES
    assert [row["strength"] for row in rows if row["shift"] == "crop"] == [
        *("center", "stretch", "fit")
    ]
    for row in rows:
        assert list(row) == [
            *("name", "shift", "strength", "unit", "plain", "photos", "accuracy", "unknown"),
            *("same_label", "first_equal", "recall"),
        ]
        assert (row["name"], row["photos"]) == ("model.tflite", 10)
        assert 0 <= row["recall"] <= 1
    other = pocketknn(
        "eval", wide / "out" / "model.tflite", wide / "new", "--crop", "fit", "--json"
    )
    asked = {row["crop"]: row for row in json.loads(other.out)}
    for row in rows:
        if row["shift"] == "crop" and row["strength"] in asked:
            same = ("accuracy", "unknown", "first_equal", "recall")
            assert [row[key] for key in same] == [asked[row["strength"]][key] for key in same]
    picture = Image.open(chart)
    assert len(picture.convert("RGB").getcolors(1 << 20)) > 50, "something is drawn"
    again = pocketknn("eval", wide / "out", wide / "new", "--shift", "--chart", chart)
    assert again.code == 2
    assert "replace it with --force" in again.err


def test_the_report_of_a_build_shows_the_chart_and_the_numbers(pocketknn, wide, tmp_path):
    build = shutil.copytree(wide / "out", tmp_path / "out")
    rows = json.loads(pocketknn("eval", build, wide / "new", "--shift", "--json").out)
    assert '<section id="shift"' not in (build / "report.html").read_text("utf-8")
    chart = tmp_path / "chart.png"
    said = pocketknn("eval", build, wide / "new", "--shift", "--chart", chart)
    assert said.code == 0, said.err
    assert 'report.html as "Robustness to image changes"' in " ".join(said.out.split())
    page = (build / "report.html").read_text("utf-8")
    section = re.search(r'<section id="shift".*?</section>', page, re.DOTALL)[0]
    assert base64.b64encode(chart.read_bytes()).decode() in section
    cells = re.findall(r'<td class="number">([\d.]+)%</td>', section)
    keys = ("accuracy", "unknown", "same_label", "first_equal", "recall")
    expected = [100 * row[key] for row in rows for key in keys]
    np.testing.assert_allclose(np.array(cells, float), expected, atol=0.05001)


def test_photos_without_classes_are_compared_with_themselves(pocketknn, wide, tmp_path):
    shutil.copytree(wide / "new" / "red", tmp_path / "flat")
    shutil.copy(wide / "references/red/0.png", tmp_path / "flat" / "known.png")
    (tmp_path / "flat" / "broken.png").write_text("no picture")
    said = pocketknn("eval", wide / "out", tmp_path / "flat", "--shift")
    assert said.code == 0, said.err
    assert "model.tflite on 6 photos" in said.out
    assert "accuracy" not in said.out
    assert "1 of the photos is a reference itself" in said.out
    assert "0.85 times" in said.out
    assert "aliased" in said.out
    assert "unknown" in said.out
    assert "…" not in said.out, "all of it is shown in 80 columns"


def test_a_sample_is_drawn_by_the_seed(pocketknn, wide):
    def run(*more):
        said = pocketknn("eval", wide / "out", wide / "new", "--shift", "--sample", "4", *more)
        assert said.code == 0, said.err
        return said.out

    first = run()
    assert "on 4 photos, sampled from 10 (--sample, --seed)" in first
    assert run() == first
    assert run("--seed", "5") != first


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--chart", "one.png"], "--chart needs --shift"),
        (["--sample", "3"], "--sample needs --shift"),
        (["--shift", "--crop", "fit"], "[option-not-applicable]"),
        (["--shift", "--sample", "0"], "[too-few-photos]"),
        (["--shift", "--seed", "-1"], "[seed-out-of-range]"),
        (["--shift", "--chart", "one.jpg"], "must end in .png or .svg"),
        (["--shift", "--chart", "{wide}/new/red/0.png", "--force"], "was not written by pocketknn"),
    ],
)
def test_nonsense_is_one_line(pocketknn, wide, tmp_path, monkeypatch, more, message):
    monkeypatch.chdir(tmp_path)
    given = [one.format(wide=wide) for one in more]
    said = pocketknn("eval", wide / "out", wide / "new", *given)
    assert said.code == 2, said.out + said.err
    assert message in said.err
    assert said.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_places_without_pictures_or_models_are_one_line(pocketknn, wide, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/broken.png").write_text("no picture")
    for arguments, message in (
        ((wide / "out", tmp_path), "[no-readable-picture]"),
        ((wide / "out", tmp_path / "none"), "does not exist"),
        ((wide / "new", wide / "new"), "[no-artefact]"),
    ):
        said = pocketknn("eval", *arguments, "--shift")
        assert said.code == 2
        assert message in said.err
        assert said.err.count("\n") == 1
