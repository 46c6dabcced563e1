"""Fewer references: against slow implementations of the same rules, and through the commands."""

import json
from functools import partial

import numpy as np
import pytest
import support
from scipy.special import softmax
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from support import PLAIN, input_error, plain

from pocketknn.builder import InputError, References, Spec
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.selection import size_curve
from pocketknn.builder.selection.condense import Condense, condense
from pocketknn.builder.selection.condense_methods import shares

METRICS = ("cosine", "euclidean", "manhattan")


blobs = partial(support.blobs, n=120, classes=4, spread=1.2)


def answered(references, rows, k, metric="cosine", weights="uniform"):
    """The slow way: scikit-learn queried with each original, one by one."""
    said = []
    for query in range(len(references)):
        left = np.setdiff1d(rows, [query])
        judge = KNeighborsClassifier(k, metric=metric, weights=weights, algorithm="brute")
        judge.fit(references.vectors[left].astype("f8"), references.label_ids[left])
        said.append(judge.predict(references.vectors[[query]].astype("f8"))[0])
    return np.array(said)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("vote", ["uniform", "distance"])
def test_edited_is_wilsons_rule(metric, vote):
    references = blobs(spread=3.0)
    vectors, labels = references.vectors.astype("f8"), references.label_ids
    judge = KNeighborsClassifier(3, metric=metric, weights=vote, algorithm="brute")
    right = cross_val_predict(judge, vectors, labels, cv=LeaveOneOut()) == labels
    found = condense(plain(metric=metric, vote=vote, k=3), references, Condense(by="edited"))
    assert found.rows.tolist() == np.flatnonzero(right).tolist()
    assert 20 < len(found.rows) < 120


def test_editing_leaves_no_class_without_a_reference():
    rows = np.concatenate(
        [blobs(n=40, classes=2).vectors, blobs(n=40, classes=2).vectors[:2] + 0.01]
    )
    references = References.of(rows, ["a", "b"] * 20 + ["odd", "odd"], classes=["b", "odd", "a"])
    found = condense(plain(k=5), references, Condense(by="edited"))
    assert found.references.labels == ("b", "odd", "a")
    assert found.references.counts["odd"] == 1


@pytest.mark.parametrize("projection", ["classes", "pca:3"])
def test_edited_asks_those_that_did_not_shape_the_space(projection):
    """By hand: a soft vote in the space that each fold learns without its queries."""
    references = blobs(spread=3.0)
    whole = fit(Spec(projection=projection, k=7), references)
    folds, labels = whole.space.folds, references.label_ids
    assert len(folds) > 1
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(120))
    right = np.zeros(120, bool)
    for fold in folds:
        train = np.setdiff1d(np.arange(120), fold.test)
        assert train.tolist() == fold.train.tolist()
        rows = fold.project(references.vectors)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        for query in fold.test:
            cosines = rows[train] @ rows[query]
            near = np.argsort(-cosines)[:7]
            weights = softmax(cosines[near] / whole.temperature)
            votes = np.bincount(labels[train[near]], weights, minlength=4)
            right[query] = votes.argmax() == labels[query]
    found = condense(Spec(projection=projection, k=7), references, Condense(by="edited"))
    assert found.rows.tolist() == np.flatnonzero(right).tolist()
    assert 20 < len(found.rows) < 120


@pytest.mark.parametrize("by", ["prototypes", "edited"])
def test_by_default_the_space_of_all_is_learned_from_those_that_are_kept(by):
    references = blobs(spread=2.0)
    count = None if by == "edited" else 40
    found = condense(Spec(), references, Condense(by=by, count=count))
    assert found.spec.projection == "classes"
    again = fit(found.spec, found.references)
    assert again.scores_of == "classes"


def test_by_default_one_photo_of_each_class_can_be_kept():
    """They show little of how photos of a class vary, but can still be neighbours."""
    references = blobs(spread=2.0)
    fewest = condense(Spec(), references, Condense(count=4))
    assert fewest.references.counts == dict.fromkeys(references.labels, 1)
    built = fit(fewest.spec, fewest.references)
    votes = built.answers(built.search(fewest.references.vectors))
    assert votes.argmax(axis=1).tolist() == fewest.references.label_ids.tolist()


@pytest.mark.parametrize("metric", METRICS)
def test_prototypes_are_real_references_near_the_middle(metric):
    references = blobs(paths=[f"{i}.png" for i in range(120)], ids=[f"id{i}" for i in range(120)])
    found = condense(plain(metric=metric), references, Condense(count=4))
    assert found.references.counts == dict.fromkeys(references.labels, 1)
    for row, place in zip(found.rows, range(4), strict=True):
        assert found.references.ids[place] == f"id{row}"
        np.testing.assert_array_equal(found.references.vectors[place], references.vectors[row])
    rows = references.vectors.astype("f8")
    if metric == "cosine":
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for row in found.rows:
        members = np.flatnonzero(references.label_ids == references.label_ids[row])
        far = np.linalg.norm(rows[members] - rows[members].mean(axis=0), axis=1)
        assert row == members[np.argmin(far)]


def test_prototypes_beat_a_draw():
    references = blobs(n=300, spread=2.5, classes=6)
    chosen = condense(plain(k=1), references, Condense(count=30)).curve
    drawn = [
        size_curve.measure(fit(plain(k=1), references.subset(some)), references, some)
        for rng in map(np.random.default_rng, range(5))
        for some in [np.sort(rng.choice(300, 30, False))]
    ]
    accuracy = next(point.accuracy for point in chosen if point.kept == 30)
    assert accuracy > np.mean([point.accuracy for point in drawn])


@pytest.mark.parametrize(
    ("plan", "kept"),
    [
        (Condense(count=30), 30),
        (Condense(share=0.25), 30),
        (Condense(bytes=6 * 4 * 30 + 5), 30),
        (Condense(bytes=10**9), 120),
        (Condense(share=1.0), 120),
    ],
)
def test_as_many_as_asked_for(plan, kept):
    found = condense(plain(), blobs(), plan)
    assert len(found.references) == len(found.rows) == kept
    assert found.curve[-1].kept == 120
    assert kept in [point.kept for point in found.curve]
    assert found.curve == tuple(sorted(found.curve, key=lambda point: point.kept))


def test_bytes_are_those_of_what_is_stored():
    plan = Condense(bytes=1200)
    assert len(condense(plain(), blobs(), plan).rows) == 50
    assert len(condense(plain(pca=3), blobs(), plan).rows) == 100
    assert len(condense(plain(metric="euclidean"), blobs(), plan).rows) == 1200 // 28


def test_the_curve_is_scikit_learns():
    references = blobs(spread=2.5)
    found = condense(plain(k=3), references, Condense(count=20))
    said = answered(references, found.rows, 3)
    accuracy = next(point.accuracy for point in found.curve if point.kept == 20)
    assert accuracy == (said == references.label_ids).mean()
    assert [point.kept for point in found.curve] == [7, 15, 20, 30, 60, 120]


def test_the_curve_of_very_many_is_of_a_draw(monkeypatch):
    monkeypatch.setattr(size_curve, "_MOST", 40)
    found = condense(plain(), blobs(), Condense(count=60))
    assert all((point.accuracy * 40) % 1 == pytest.approx(0) for point in found.curve)


def test_the_same_seed_keeps_the_same():
    one, two, other = (
        condense(plain(seed=seed), blobs(spread=2.5), Condense(count=20)).rows.tolist()
        for seed in (1, 1, 2)
    )
    assert one == two != other


def test_copies_make_fewer_clusters_but_not_fewer_references():
    once = blobs(n=8)
    references = References.of(
        np.repeat(once.vectors, 6, axis=0), [f"c{i // 6 % 4}" for i in range(48)]
    )
    found = condense(plain(k=1), references, Condense(count=24))
    assert len(set(found.rows.tolist())) == 24
    assert len(np.unique(found.references.vectors, axis=0)) == 8


@pytest.mark.parametrize(
    ("sizes", "most", "expected"),
    [([10, 10], 4, [2, 2]), ([98, 1, 1], 10, [8, 1, 1]), ([5, 0, 5], 10, [5, 0, 5])],
)
def test_each_class_keeps_its_share(sizes, most, expected):
    assert shares(np.array(sizes), most).tolist() == expected


def test_image_search_and_regression_keep_prototypes():
    rng = np.random.default_rng(0)
    rows = rng.uniform(size=(80, 2))
    search = condense(plain(), References.of(rows), Condense(count=20))
    assert len(search.rows) == 20
    assert {(point.accuracy, point.rmse) for point in search.curve} == {(None, None)}
    priced = References.of(rows, targets=rows @ [[3.0], [1.0]], target_names=["price"])
    found = condense(plain(metric="euclidean"), priced, Condense(count=40))
    np.testing.assert_array_equal(found.references.targets, priced.targets[found.rows])
    errors = [point.rmse["price"] for point in found.curve]
    assert errors[0] > errors[-1], "the fewest answer worst"


def test_what_auto_stands_for_is_decided_by_all():
    references = blobs(spread=3.0)
    whole = fit(plain(k="auto"), references)
    found = condense(plain(k="auto"), references, Condense(count=100))
    assert found.spec.k == whole.k
    assert condense(plain(k="auto"), references, Condense(count=4)).spec.k <= 4


@pytest.mark.parametrize(
    ("plan", "spec", "message"),
    [
        (Condense(count=121), Spec(), "121 of 120 references; .* 4 to 120"),
        (Condense(count=3), Spec(), "3 references are too few: 4 classes need at least 4"),
        (Condense(share=0.01), Spec(), "1 reference is too few: 4 classes"),
        (Condense(bytes=50), plain(), r"2 references are too few: .*\(96 bytes, 24 each\)"),
        (Condense(count=10), Spec(k=20), "k = 20, but there are only 10 references"),
        (Condense(by="edited"), Spec(head="neighbors"), "'edited' needs labels"),
    ],
)
def test_plans_that_the_references_cannot_serve(plan, spec, message):
    with pytest.raises(InputError, match=message):
        condense(spec, blobs(), plan)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"by": "magic"}, "unknown method 'magic'; choose from prototypes, edited"),
        ({"by": "condensed"}, "condensed was removed: .* 300, 25%"),
        ({"by": "same", "count": 5}, "same was removed: .* 300, 25%"),
        ({"by": "edited", "count": 5}, "'edited' .* omit 5"),
        ({"count": 5, "share": 0.5}, "only one of these: the number, the share or the bytes"),
        ({}, "number, share or bytes of prototypes"),
        ({"count": 0}, "at least one reference must be kept, not 0"),
        ({"share": 1.5}, "between 0 and 100 %, not 150%"),
    ],
)
def test_plans_that_make_no_sense(plan, message):
    with pytest.raises(InputError, match=message):
        Condense(**plan)


def test_a_method_that_compares_labels_needs_them():
    with input_error("no-labels", "'edited'"):
        condense(
            Spec(),
            References.of(np.random.default_rng(0).standard_normal((20, 4))),
            Condense(by="edited"),
        )


def test_a_build_with_fewer_references(photos, pocketknn, tmp_path):
    out = tmp_path / "out"
    typed = ("build", photos, "-o", out, "--backbone", "pixels", "--size", 8, "--formats", "tflite")
    said = pocketknn(*typed, "--condense", "50%", "--k", 1)
    assert said.code == 0
    assert "condensed from 12 references to 6 (prototypes), 0.00 MB of vectors" in said.out
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    kept = References.load(out / "references.parquet")
    assert len(kept) == manifest["references"]["count"] == manifest["condensed"]["kept"] == 6
    assert kept.counts == {"apple": 2, "berries/red": 2, "cherry": 2}
    assert [point["kept"] for point in manifest["condensed"]["curve"]] == [3, 6, 12]
    assert all((photos / path).is_file() for path in kept.paths)
    assert "from 12 references, prototypes" in (out / "report.html").read_text("utf-8")
    whole = tmp_path / "whole.parquet"
    made = pocketknn("refs", "new", photos, "-o", whole, "--backbone", "pixels", "--size", 8)
    assert made.code == 0
    fewer = tmp_path / "fewer.parquet"
    said = pocketknn("refs", "condense", whole, 6, "-o", fewer, "--k", 1)
    assert said.code == 0
    assert "12 references in 3 classes → 6 in 3" in said.out
    assert "condensed from 12 references to 6 (prototypes)" in said.out
    assert References.load(fewer).ids == kept.ids
    again = pocketknn(
        "build", whole, "-o", tmp_path / "two", "--formats", "tflite", "--condense", 6, "--k", 1
    )
    assert again.code == 0
    assert References.load(tmp_path / "two" / "references.parquet").ids == kept.ids


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--condense", "13"], "[too-many-to-keep]"),
        (["--condense", "2"], "2 references are too few: 3 classes need at least 3 references"),
        (
            ["--condense", "1KB", *PLAIN],
            "1 reference is too few: 3 classes need at least 3 references",
        ),
        (["--condense", "half"], "[bad-amount]"),
        (["--condense", "0.5"], "[bad-amount]"),
        (["--condense", "prototypes"], "[size-missing]"),
        (["--condense-by", "prototypes"], "[bad-amount]"),
        (["--condense", "6", "--condense-by", "edited"], "[size-not-applicable]|omit 6"),
        (["--condense", "6", "--condense-by", "condensed"], "--condense condensed was removed"),
        (["--condense", "same"], "--condense same was removed"),
        (["--condense", "edited", "--condense-by", "prototypes"], "[two-methods]"),
        (["--condense", "6", "--condense-by", "magic"], "unknown method 'magic'"),
    ],
)
def test_mistakes_are_one_line(more, words, photos, pocketknn, tmp_path):
    said = pocketknn(
        *("build", photos, "-o", tmp_path / "out", "--backbone", "pixels", "--size", 8), *more
    )
    assert said.code == 2
    assert all(one in said.err for one in words.split("|"))
    assert len(said.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
