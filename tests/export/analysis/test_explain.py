"""`explain`: how the answer changes when parts of a picture are hidden, against numpy."""

import base64
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import PLAIN, drawing, vector_case

from pocketknn.builder import find
from pocketknn.builder.photos.pixels.crop import square
from pocketknn.builder.photos.pixels.decode import decode
from pocketknn.export import load
from pocketknn.export.analysis.occlusion.explanation import Occlusion, Patches
from pocketknn.export.analysis.occlusion.measure import explain
from pocketknn.export.manifest.artefact import Artefact
from pocketknn.export.manifest.metadata import Metadata
from pocketknn.export.manifest.reopen import scorer_of

SIZE, SIDE = 20, 4
SPOT = (4, 8)  # top and left of the query's bright square
FORMATS = ("keras", "tflite", "mlpackage", "onnx")
BUILD = ("--backbone", "pixels", "--size", str(SIZE), "--vote", "uniform")


def spotted(spot, seed):
    """A dark picture with a little noise and, if a spot is given, a bright square."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(20, 40, (SIZE, SIZE, 3)).astype(np.uint8)
    if spot:
        picture[spot[0] : spot[0] + SIDE, spot[1] : spot[1] + SIDE] = 250
    return Image.fromarray(picture)


@pytest.fixture(scope="module")
def spots(tmp_path_factory):
    """Classes that differ only in the position of their bright square, and a query of the first."""
    folder = tmp_path_factory.mktemp("spots")
    for label, spot in (("dark", None), ("left", SPOT), ("right", (12, 12))):
        (folder / "photos" / label).mkdir(parents=True)
        for i in range(4):
            spotted(spot, 100 * ord(label[0]) + i).save(folder / "photos" / label / f"{i}.png")
    spotted(SPOT, 99).save(folder / "query.png")
    return folder


@pytest.fixture(scope="module")
def built(spots):
    from pocketknn.export.cli.app import main

    out = spots / "out"
    with pytest.raises(SystemExit) as end:
        main(["build", str(spots / "photos"), "-o", str(out), *BUILD, *PLAIN, "--k", "3"])
    assert end.value.code == 0
    return out


def by_hand(query, photos, k, starts):
    """The vote and the nearest reference's score for each patch, with loops over plain cosines."""
    rows = np.stack([square(decode(photo.content()), SIZE, "center") for photo in photos])
    rows = rows.reshape(len(photos), -1).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    def cosines(picture):
        vector = picture.reshape(-1).astype(np.float64)
        return rows @ (vector / np.linalg.norm(vector))

    nearest = cosines(query).argmax()
    winner = photos[nearest].label
    colour = np.rint(query.reshape(-1, 3).mean(axis=0)).astype(np.uint8)
    votes, scores, inside = (np.empty((len(starts), len(starts))) for _ in range(3))
    for i, top in enumerate(starts):
        for j, left in enumerate(starts):
            hidden = query.copy()
            hidden[top : top + SIDE, left : left + SIDE] = colour
            found = cosines(hidden)
            best = np.argsort(-found, kind="stable")[:k]
            votes[i, j] = np.mean([photos[row].label == winner for row in best])
            scores[i, j] = found[nearest]
            inside[i, j] = nearest in best
    return nearest, votes, scores, inside.astype(bool)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_maps_equal_brute_force_and_peak_on_the_square(spots, built, kind):
    query = np.asarray(Image.open(spots / "query.png"))
    photos = find(spots / "photos")
    file = load(built / f"model.{kind}")
    patches = Patches.of(SIZE, SIDE / SIZE, 9)
    scorer = scorer_of(built, file.metadata.manifest)
    found = explain(file, file.metadata.rows(), query, patches, scorer=scorer)
    nearest, votes, scores, inside = by_hand(query, photos, 3, patches.starts)
    tolerance = 1e-2 if kind == "mlpackage" else 1e-5  # Core ML is float16 by default
    vote, score = found.maps
    assert found.label == vote.of == "left"
    assert found.near[0].path == score.of == photos[nearest].name
    np.testing.assert_allclose(vote.hidden, votes, atol=tolerance)
    np.testing.assert_allclose(score.hidden, scores, atol=tolerance)
    assert not score.bounded.any()
    assert found.left == (~inside).sum() > 0
    for one in found.maps:
        assert tuple(patches.starts[list(one.worst)]) == SPOT
        spread = patches.spread(one.loss)
        top, left = np.unravel_index(spread.argmax(), spread.shape)
        assert SPOT[0] <= top < SPOT[0] + SIDE
        assert SPOT[1] <= left < SPOT[1] + SIDE


def test_a_file_on_its_own_bounds_the_score(spots, built, tmp_path):
    shutil.copy(built / "model.onnx", tmp_path / "model.onnx")
    (tmp_path / "manifest.json").write_text('{"name": "of a web page"}')
    query = np.asarray(Image.open(spots / "query.png"))
    file = load(tmp_path / "model.onnx")
    assert scorer_of(tmp_path, file.metadata.manifest) is None
    patches = Patches.of(SIZE, SIDE / SIZE, 9)
    score = explain(file, file.metadata.rows(), query, patches).maps[-1]
    _, _, exact, inside = by_hand(query, find(spots / "photos"), 3, patches.starts)
    assert (score.bounded == ~inside).all()
    assert score.bounded.any()
    assert (score.hidden >= exact - 1e-5).all()
    np.testing.assert_allclose(score.hidden[inside], exact[inside], atol=1e-5)


@pytest.mark.parametrize(
    "choices",
    [
        ("euclidean", "--pca", "4"),
        ("manhattan",),
        ("cosine", "--crop", "fit"),
        ("cosine", "--projection", "classes", "--vote", "soft"),
    ],
)
def test_scores_that_no_file_gives_continue_those_that_it_gives(spots, tmp_path, choices):
    from pocketknn.export.cli.app import main

    out = tmp_path / "out"
    more = ("--metric", *choices, "--k", "12", "--formats", "keras,onnx")
    with pytest.raises(SystemExit) as end:
        main(["build", str(spots / "photos"), "-o", str(out), *BUILD, *more])
    assert end.value.code == 0
    file = load(out / "model.onnx")
    queries = np.stack([np.asarray(spotted(spot, 7)) for spot in (SPOT, (0, 0), None)])
    outputs = file.run(queries)
    scorer = scorer_of(out, file.metadata.manifest)
    # Errors of distances are relative to the vectors' lengths.
    scale = 1 if choices[0] == "cosine" else np.abs(outputs["scores"]).max()
    for row in range(12):
        given = outputs["scores"][outputs["indices"] == row]
        assert len(given) == len(queries)
        np.testing.assert_allclose(scorer(queries, row), given, rtol=0, atol=1e-5 * scale)


def test_a_changed_build_is_not_trusted(built, tmp_path):
    copy = tmp_path / "out"
    shutil.copytree(built, copy)
    manifest = load(copy / "model.tflite").metadata.manifest
    assert scorer_of(copy, manifest) is not None
    (copy / "references.parquet").write_bytes(b"other")
    assert scorer_of(copy, manifest) is None


def test_the_command_says_and_draws_it(pocketknn, spots, built, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = pocketknn("explain", built, spots / "query.png", "--photos", spots / "photos")
    assert said.code == 0, said.err
    assert "query.png: left" in said.out
    assert "falls to 0% when the top is hidden" in said.out
    assert "computed from the references themselves" in said.out
    picture = Image.open(tmp_path / "query-explained.png")
    assert len(picture.convert("RGB").getcolors(1 << 20)) > 50, "something is drawn"
    again = pocketknn("explain", built, spots / "query.png")
    assert again.code == 2
    assert "replace it with --force" in again.err
    first = (tmp_path / "query-explained.png").read_bytes()
    more = ("--photos", spots / "photos", "--force")
    assert pocketknn("explain", built, spots / "query.png", *more).code == 0
    assert (tmp_path / "query-explained.png").read_bytes() == first, "the same bytes each time"
    quick = ("--force", "--steps", "6")
    lost = pocketknn(
        "explain", built, spots / "query.png", "--photos", spots / "out/golden", *quick
    )
    assert "3 of the neighbours' pictures are not in" in lost.out
    both = ("--photos", spots / "out/golden", "--photos", spots / "photos")
    found = pocketknn("explain", built, spots / "query.png", *both, *quick)
    assert "not in" not in found.out
    named = pocketknn("explain", built, spots / "query.png", "-o", "one.svg", *quick)
    assert "add --photos" in named.out
    assert (tmp_path / "one.svg").read_text().count("<svg") == 1


def test_the_report_of_a_build_shows_the_last_explanation(pocketknn, spots, built, tmp_path):
    build = Path(shutil.copytree(built, tmp_path / "build"))
    before = (build / "report.html").read_bytes()

    def run(picture, *more):
        given = ("-o", tmp_path / "one.png", "--steps", "6", "--force", *more)
        said = pocketknn("explain", build, picture, *given)
        assert said.code == 0, said.err
        return said.out

    run(spots / "query.png", "--json")
    assert (build / "report.html").read_bytes() == before
    first = next((spots / "photos").rglob("*.png"))
    for picture in (first, spots / "query.png"):
        out = run(picture)
        assert 'report.html as "What decides the answer"' in " ".join(out.split())
    assert "in place of the earlier one" in " ".join(out.split())
    page = (build / "report.html").read_text("utf-8")
    assert page.count('<section id="explain"') == page.count('href="#explain"') == 1
    assert f"<p>{picture.name}: left</p>" in page
    assert f"{first.name}: " not in page
    drawn = base64.b64encode((tmp_path / "one.png").read_bytes()).decode()
    assert f"data:image/png;base64,{drawn}" in page
    (build / "report.html").unlink()
    assert "the report was not changed: there is no page" in " ".join(run(first).split())
    assert not (build / "report.html").exists()


def test_json_holds_the_maps(pocketknn, spots, built, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    more = ("--json", "--steps", "6")
    said = pocketknn("explain", built / "model.tflite", spots / "query.png", *more)
    assert said.code == 0, said.err
    assert not list(tmp_path.iterdir())
    found = json.loads(said.out)
    assert list(found) == [
        *("image", "artefact", "size", "patch", "starts", "colour", "label", "maps", "left"),
        *("others", "neighbors"),
    ]
    assert (found["artefact"], found["size"], found["patch"]) == ("model.tflite", SIZE, SIDE)
    assert [one["what"] for one in found["maps"]] == ["vote", "score"]
    for one in found["maps"]:
        assert np.shape(one["hidden"]) == np.shape(one["bounded"]) == (6, 6)
    assert [one["label"] for one in found["neighbors"]] == ["left"] * 3
    assert sum(found["others"].values()) == np.sum(np.array(found["maps"][0]["hidden"]) < 0.5)


def answering(head, values):
    """An artefact of one reference whose answer is the mean brightness of the picture."""
    manifest = {"labels": [], "targets": ["weight", "age"] if head == "regress" else []}
    manifest["references"] = {"count": 1}
    table = "index,id,label,path\r\n0,a,,\r\n"

    def run(batch):
        bright = batch.mean(axis=(1, 2, 3)).astype(np.float32)[:, None]
        found = {"scores": bright, "indices": np.zeros((len(batch), 1), np.int64)}
        return found | ({"value": np.concatenate([bright, -bright], axis=1)} if values else {})

    return Artefact(format="keras", metadata=Metadata(manifest=manifest, table=table), run=run)


@pytest.mark.parametrize(("head", "maps"), [("neighbors", 1), ("regress", 3)])
def test_heads_without_classes_have_maps_of_what_they_say(head, maps):
    from pocketknn.export.analysis.figures import rendered
    from pocketknn.export.analysis.occlusion.chart import draw
    from pocketknn.export.analysis.occlusion.words import sentences

    file = answering(head, maps == 3)
    picture = np.zeros((12, 12, 3), np.uint8)
    picture[:4, :4] = 144
    patches = Patches.of(12, 1 / 3, 3)
    found = explain(file, file.metadata.rows(), picture, patches)
    expected = np.full((3, 3), 16 + 16 * 16 / 144)  # the patch adds the mean colour elsewhere
    expected[0, 0] = 16 * 16 / 144
    assert len(found.maps) == maps
    assert found.label == ""
    np.testing.assert_allclose(found.maps[-1].hidden, expected, rtol=1e-6)
    lines = "\n".join(sentences(found))
    assert "score of the nearest reference: 16.000; falls to 1.778" in lines
    if head == "regress":
        np.testing.assert_allclose(found.maps[1].hidden, -expected, rtol=1e-6)
        assert "weight: 16; falls to 1.778 when the upper left is hidden" in lines
    assert rendered(draw(found, "one $x$ 漢字.png"), "png").startswith(b"\x89PNG")


def test_a_picture_that_nothing_changes(built):
    from pocketknn.export.analysis.occlusion.words import sentences

    file = load(built / "model.onnx")
    picture = np.full((SIZE, SIZE, 3), 77, np.uint8)  # covered with its own colour
    found = explain(file, file.metadata.rows(), picture, Patches.of(SIZE))
    assert all(one.worst is None and one.best is None for one in found.maps)
    assert "no single patch changes it" in "\n".join(sentences(found))
    assert not found.others


def test_of_equal_losses_the_middle_of_the_largest_group_is_named():
    hidden = np.ones((5, 5))
    hidden[1:4, 2:5] = hidden[0, 0] = 0.5
    one = Occlusion(what="vote", of="a", plain=1.0, hidden=hidden, bounded=np.zeros((5, 5), bool))
    assert tuple(one.worst) == (2, 3)
    assert one.best is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{out}", "{spots}/none.png"], "none.png: No such file or directory"),
        (["{out}", "{spots}/broken.png"], "broken.png: not a picture"),
        (["{spots}", "{spots}/query.png"], "[no-artefact]"),
        (["{out}", "{spots}/query.png", "--patch", "1"], "above 0 and below 1, not 1.0"),
        (["{out}", "{spots}/query.png", "--steps", "1"], "[steps-out-of-range]"),
        (["{out}", "{spots}/query.png", "--steps", "3"], "[patches-leave-gaps]"),
        (["{out}", "{spots}/query.png", "--photos", "{spots}/none"], "none does not exist"),
        (["{out}", "{spots}/query.png", "-o", "{spots}/x.jpg"], "must end in .png or .svg"),
        (["{out}", "{spots}/query.png", "-o", "{spots}/query.png"], "is the input"),
        (
            ["{out}", "{spots}/query.png", "-o", "{spots}/photos/left/0.png", "--force"],
            "was not written by pocketknn",
        ),
    ],
)
def test_mistakes_are_one_line(pocketknn, spots, built, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (spots / "broken.png").write_text("no picture")
    said = pocketknn("explain", *(one.format(out=built, spots=spots) for one in arguments))
    assert said.code == 2, said.out + said.err
    assert message in said.err
    assert said.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_vectors_have_no_parts(pocketknn, spots, tmp_path):
    path = vector_case().write("onnx", tmp_path / "model.onnx")
    said = pocketknn("explain", path, spots / "query.png", "-o", tmp_path / "one.png")
    assert said.code == 2
    assert "takes vectors of 16 features, not pictures" in said.err


def test_thumbnails_are_of_the_very_pictures(spots, built, tmp_path):
    from pocketknn.builder.references.match import thumbnails
    from pocketknn.export.analysis.occlusion.explanation import Near

    shutil.copytree(spots / "photos", tmp_path / "photos")
    rows = load(built / "model.onnx").metadata.rows()
    near = [Near(**row, score=1.0) for row in rows[:3]]
    drawing(1).save(tmp_path / "photos" / near[0].path)  # replaced by another picture
    (tmp_path / "photos" / near[1].path).unlink()
    found = thumbnails({one.id: one.path for one in near}, find(tmp_path / "photos"), 10, "center")
    assert list(found) == [near[2].id]
    expected = square(Image.open(spots / "photos" / near[2].path), 10, "center")
    assert (found[near[2].id] == expected).all()
