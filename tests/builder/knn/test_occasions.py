"""Photos of one occasion are held out together; folders, times and columns define occasions."""

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score
from sklearn.model_selection import LeaveOneGroupOut, LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from support import input_error

from pocketknn.builder import InputError, Photo, References, Spec, find
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.knn.validation.apart import apart
from pocketknn.builder.knn.validation.folds import folds
from pocketknn.builder.knn.validation.leave_one_out import leave_one_out
from pocketknn.builder.knn.validation.occasions import (
    check_occasions,
    described,
    of_one_occasion,
    together,
)
from pocketknn.builder.photos.occasions import with_occasions
from pocketknn.builder.selection.cross_validation import tune
from pocketknn.builder.selection.grid import Grid
from pocketknn.export.report import wording as words


def sessions(classes=4, shops=3, each=5, seed=0):
    """Embeddings that depend on class and, more strongly, shop: (vectors, labels, occasions)."""
    rng = np.random.default_rng(seed)
    kinds, places = rng.standard_normal((classes, 16)), rng.standard_normal((classes, shops, 16))
    rows = [
        (kinds[c] + 3 * places[c, s] + 1.2 * rng.standard_normal(16), f"class {c}", f"shop {s}")
        for c in range(classes)
        for s in range(shops)
        for _ in range(each)
    ]
    vectors, labels, occasions = zip(*rows, strict=True)
    return np.array(vectors, np.float32), list(labels), list(occasions)


def saved(path, taken=None, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    exif = Image.Exif()
    if taken:
        exif.get_ifd(0x8769)[0x9003] = taken
    Image.fromarray(pixels).save(path, "JPEG", exif=exif)


@pytest.mark.parametrize("vote", ["soft", "uniform"])
def test_the_accuracy_is_that_of_shops_never_seen(vote):
    vectors, labels, occasions = sessions()
    spec = Spec(backbone="vector", projection="none", vote=vote, k=1)
    apart = leave_one_out(fit(spec, References.of(vectors, labels)))
    found = leave_one_out(fit(spec, References.of(vectors, labels, occasions=occasions)))
    witness = KNeighborsClassifier(1, metric="cosine")
    answered = cross_val_predict(witness, vectors, labels, groups=occasions, cv=LeaveOneGroupOut())
    fewer = (2 / 3) ** (1 / 4)  # only two of three shops were there to vote
    wrong = 1 - accuracy_score(labels, answered)
    assert found.accuracy == pytest.approx(1 - fewer * wrong)
    assert found.folds == 3
    assert found.queries == len(labels)
    assert apart.accuracy > 0.8
    assert found.accuracy < 0.7


@pytest.mark.parametrize("seed", range(5))
def test_no_part_divides_an_occasion_or_takes_a_class(seed):
    rng = np.random.default_rng(seed)
    ids = np.repeat(np.arange(12), 10)
    shops = rng.integers(0, 8, 120)
    shops[ids == 3] = 5  # from a single shop, which other classes share
    refs = References.of(
        rng.standard_normal((120, 4)),
        [f"{one:02}" for one in ids],
        occasions=[f"shop {one}" for one in shops],
    )
    assert of_one_occasion(refs) == ("03",)
    whole = together(refs, np.arange(120))
    parts = folds(ids, whole, seed, across=True)
    for test in parts:
        train = np.delete(np.arange(120), test)
        assert not set(shops[test]) & set(shops[train][ids[train] != 3])
        assert set(ids[train]) == set(range(12))
    asked = np.concatenate(parts)
    assert len(asked) == len(set(asked.tolist()))
    assert 3 not in ids[asked]
    assert set(shops[asked].tolist()) == set(range(8)), "that shop is asked for other classes"


def test_near_copies_join_their_occasions():
    refs = References.of(np.eye(6), [*"aaabbb"], occasions=["x", "y", "", "x", "", "z"])
    assert together(refs, np.array([0, 1, 1, 3, 4, 5])).tolist() == [0, 1, 1, 0, 4, 5]
    bare = References.of(np.eye(6), [*"aaabbb"])
    assert together(bare, np.arange(6)).tolist() == [*range(6)]


def test_a_class_of_one_occasion_is_told_and_all_of_one_refused():
    refs = References.of(np.eye(4), [*"aabb"], occasions=["x", "x", "x", "y"])
    assert described(refs) == {"count": 2, "photos": 4, "classes_of_one": ["a"]}
    check_occasions(refs)
    with pytest.raises(InputError, match="single occasion"):
        check_occasions(References.of(np.eye(4), [*"aabb"], occasions=["x", "x", "y", "y"]))
    check_occasions(References.of(np.eye(2), [*"ab"]))


def test_occasions_survive_what_is_done_to_references(tmp_path):
    refs = References.of(np.eye(4), [*"aabb"], occasions=["x", "", "y", "y"], paths=[*"1234"])
    refs.save(tmp_path / "r.parquet")
    again = References.load(tmp_path / "r.parquet")
    assert again.occasions == ("x", "", "y", "y")
    assert again.select([3, 0]).occasions == ("y", "x")
    assert again.relabel({"a": "c"}).occasions == refs.occasions
    assert again.merge(refs).occasions == refs.occasions * 2
    hidden = again.without_names().occasions
    assert hidden[1] == ""
    assert hidden[2] == hidden[3] != hidden[0]
    assert not set(hidden) & {"x", "y"}
    with pytest.raises(InputError, match="number of occasions is 3"):
        References.of(np.eye(4), [*"aabb"], occasions=[*"xyz"])


def test_files_without_occasions_are_as_they_were(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    References.of(np.eye(2), [*"ab"]).save(tmp_path / "r.parquet")
    assert pq.read_schema(tmp_path / "r.parquet").names == [
        *("id", "path", "label", "sha256", "embedding")
    ]


def test_folders_below_the_class_are_occasions(tmp_path):
    for seed, name in enumerate(["apple/kitchen/1", "apple/shop/1", "apple/2", "pear/shop/1"]):
        saved(tmp_path / f"{name}.jpg", seed=seed)
    told = []
    found = find(tmp_path, occasions="folders", note=told.append)
    assert [(one.label, one.occasion) for one in found] == [
        *(("apple", ""), ("apple", "kitchen"), ("apple", "shop"), ("pear", "shop"))
    ]
    assert [line.partition(";")[0] for line in told] == ["1 of 4 photos has no occasion"]
    assert {one.label for one in find(tmp_path)} == {
        *("apple", "apple/kitchen", "apple/shop", "pear/shop")
    }


def test_photos_half_an_hour_apart_are_of_other_occasions(tmp_path):
    times = {
        "a/1": "2024:05:01 10:00:00",
        "b/1": "2024:05:01 10:29:59",
        "a/2": "2024:05:01 10:59:59",
        "b/2": "2024:05:01 11:30:00",
        "a/3": None,
        "b/3": "0000:00:00 00:00:00",
    }
    for seed, (name, taken) in enumerate(times.items()):
        saved(tmp_path / f"{name}.jpg", taken, seed)
    (tmp_path / "a/4.jpg").write_bytes(b"no picture")
    told = []
    found = find(tmp_path, occasions="time", note=told.append)
    occasions = {one.name[:3]: one.occasion for one in found}
    assert occasions["a/1"] == occasions["b/1"] == occasions["a/2"] == "2024-05-01 10:00:00"
    assert occasions["b/2"] == "2024-05-01 11:30:00"
    assert occasions["a/3"] == occasions["b/3"] == occasions["a/4"] == ""
    assert [line.partition(";")[0] for line in told] == ["3 of 7 photos have no time"]


def test_a_column_names_occasions(tmp_path):
    for seed in range(3):
        saved(tmp_path / f"{seed}.jpg", seed=seed)
    table = tmp_path / "photos.csv"
    table.write_text("path,label,shop\n0.jpg,a,Lidl\n1.jpg,a, \n2.jpg,b,Lidl\n")
    assert [one.occasion for one in find(table, occasions="shop")] == ["Lidl", "", "Lidl"]
    with pytest.raises(InputError, match="no column 'market'"):
        find(table, occasions="market")
    with input_error("occasions-not-applicable", "photos.csv"):
        find(table, occasions="folders")


@pytest.mark.parametrize(
    ("how", "words"),
    [("folders", "CLASS/OCCASION"), ("time", "DateTimeOriginal"), ("shop", "'shop'")],
)
def test_occasions_that_are_not_there_are_refused(tmp_path, how, words):
    saved(tmp_path / "apple/1.jpg")
    with pytest.raises(InputError, match=words):
        find(tmp_path, occasions=how)


def test_an_empty_column_is_refused(tmp_path):
    saved(tmp_path / "0.jpg")
    (tmp_path / "photos.csv").write_text("path,label,shop\n0.jpg,a,\n")
    with pytest.raises(InputError, match="column is empty"):
        find(tmp_path / "photos.csv", occasions="shop")


def test_times_of_what_cannot_be_read_are_none():
    def broken():
        raise OSError("gone")

    photo = Photo(name="1", label="a", content=broken)
    with input_error("no-occasions", "DateTimeOriginal"):
        with_occasions([photo], "time", print)


def test_tuning_leaves_occasions_out_together():
    vectors, labels, occasions = sessions()
    refs = References.of(vectors, labels, occasions=occasions)
    grid = Grid(
        ks=(1,), metrics=("cosine",), votes=("uniform",), projections=("none",), crops=("center",)
    )
    found = tune(Spec(backbone="vector"), grid, lambda crop: refs).winner
    assert len(found.by_fold) == 3
    witness = KNeighborsClassifier(1, metric="cosine")
    answered = cross_val_predict(witness, vectors, labels, groups=occasions, cv=LeaveOneGroupOut())
    assert found.mean == pytest.approx(accuracy_score(labels, answered))


def test_near_copies_flatter_and_the_build_says_by_how_much():
    vectors, labels, _ = sessions(classes=6, shops=8, each=1)
    rng = np.random.default_rng(1)
    twice = np.concatenate([vectors, vectors + 0.05 * rng.standard_normal(vectors.shape)])
    refs = References.of(twice, labels * 2)
    spec = Spec(backbone="vector", projection="none", k=1)
    found, one_by_one = fit(spec, refs), KNeighborsClassifier(1, metric="cosine")
    flattered = cross_val_predict(one_by_one, twice, labels * 2, cv=LeaveOneOut())
    told, together = apart(found), leave_one_out(found)
    assert told.photos == len(refs)
    # By chance, one in five copies is held out together with its original.
    most = accuracy_score(labels * 2, flattered) - together.accuracy
    assert 0.6 * most < told.gain <= most
    assert told.gain > 0.3
    assert apart(fit(spec, References.of(vectors, labels))) is None


def test_words_name_both_figures():
    told = {
        "count": 100,
        "leave_one_out": {"accuracy": 0.5},
        "apart": {"photos": 40, "gain": 0.25},
    }
    assert all(one in words.together(told) for one in ("40 of 100", "75.0%", "50.0%", "eval"))
    assert "occasion" in words.together(told | {"occasions": {"count": 3}})
    assert not words.together(told | {"apart": None})
