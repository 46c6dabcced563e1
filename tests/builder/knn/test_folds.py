"""Folds, what is learned from them, and that no photo influences its own answer."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from support import scattered

from pocketknn.builder import References, Spec
from pocketknn.builder.choices.searches import find
from pocketknn.builder.knn import exact as neighbors
from pocketknn.builder.knn.exact import search
from pocketknn.builder.knn.projection.class_sums import Sums
from pocketknn.builder.knn.projection.classes import discriminant
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.knn.temperature import HeldOut, most_likely, usual
from pocketknn.builder.knn.validation import rejection
from pocketknn.builder.knn.validation.folds import PARTS, Fold, folds, groups
from pocketknn.builder.knn.validation.leave_one_out import leave_one_out
from pocketknn.export.report.statistics.answers import of_references
from pocketknn.export.report.statistics.curves import learning_curve

COUNTS = [(2, 2), (2,) * 9, (1, 2, 40), (3,) * 7, (1,) * 5 + (2,), (4, 5, 6), (20,) * 5, (2, 40)]


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("seed", range(3))
def test_each_photo_is_a_query_once_and_its_class_is_never_gone(counts, seed):
    ids = np.repeat(np.arange(len(counts)), counts)
    ids = np.random.default_rng(seed).permutation(ids)
    parts = folds(ids, np.arange(len(ids)), seed)
    asked = np.concatenate(parts)
    sizes = np.bincount(ids)
    assert sorted(asked) == np.flatnonzero(sizes[ids] > 1).tolist()
    for test in parts:
        left = np.bincount(np.delete(ids, test), minlength=len(counts))
        assert (left >= 1).all()
        taken = sizes - left
        assert (taken <= np.ceil(sizes / PARTS)).all()
    again, other = (folds(ids, np.arange(len(ids)), one) for one in (seed, seed + 1))
    assert all(np.array_equal(one, two) for one, two in zip(parts, again, strict=True))
    if len(ids) > 9:
        assert [list(one) for one in parts] != [list(one) for one in other]


def test_of_two_photos_per_class_most_classes_keep_both():
    ids = np.repeat(np.arange(20), 2)
    for test in folds(ids, np.arange(40)):
        assert len(test) == 8
        assert len(np.unique(ids[test])) == 8


@pytest.mark.parametrize("counts", [(4, 4, 4), (2, 3, 9)])
@pytest.mark.parametrize("seed", range(5))
def test_pictures_stay_together_even_across_classes(counts, seed):
    ids = np.repeat(np.arange(3), counts)
    pictures = np.arange(len(ids)) // 2  # some of them in two classes
    of_class = [set(pictures[ids == one]) for one in range(3)]
    for test in folds(ids, pictures, seed):
        train = np.delete(np.arange(len(ids)), test)
        assert not set(pictures[test]) & set(pictures[train])
        assert set(ids[train]) == {0, 1, 2}
    asked = np.concatenate(folds(ids, pictures, seed))
    assert not [one for one in range(3) if len(of_class[one]) < 2 and (ids[asked] == one).any()]


def test_of_very_many_one_part_is_left_out():
    ids = np.arange(3000) % 100
    (test,) = folds(ids, np.arange(3000), most=500)
    assert len(test) <= 600
    assert np.bincount(ids[test], minlength=100).max() <= 6


def test_without_classes_or_without_two_photos():
    assert len(folds(np.zeros(0, int), np.arange(12))) == PARTS
    assert folds(np.arange(6), np.arange(6)) == ()
    assert folds(np.array([0, 0, 1]), np.array([0, 0, 2])) == ()


def test_copies_and_near_copies_of_a_class_are_one_picture():
    rows, ids = scattered((10,) * 4)
    rng = np.random.default_rng(0)
    near = rows + 0.05 * rng.standard_normal(rows.shape)  # like those of a mirrored photo
    both, labels = np.concatenate([rows, near]).astype(np.float32), np.tile(ids, 2)
    np.testing.assert_array_equal(groups(both, (), labels), np.tile(np.arange(40), 2))
    apart = np.concatenate([ids, (ids + 1) % 4])
    np.testing.assert_array_equal(groups(both, (), apart), np.arange(80))
    hashes = ["", "b", "b", "", *"cdefgh"]
    assert groups(rows[:10], hashes, ids[:10]).tolist() == [0, 1, 1, *range(3, 10)]
    np.testing.assert_array_equal(groups(both * 100, (), labels), groups(both, (), labels))


def test_near_copies_are_found_whichever_block_of_their_class_they_are_in(monkeypatch):
    rows, _ = scattered((1,) * 50)
    both = np.concatenate([rows, rows * 1.01])
    wanted = np.tile(np.arange(50), 2)
    for block in (7, 50, 1000):
        monkeypatch.setattr("pocketknn.builder.knn.validation.folds._AT_ONCE", block)
        np.testing.assert_array_equal(groups(both), wanted)


def learned(rows, ids):
    """The space that a build of these references learns."""
    return fit(Spec(backbone="vector"), References.of(rows, [f"class {i:03}" for i in ids])).space


def temperature_of(space, k=50):
    return most_likely(HeldOut.of(space, k), usual(space))


def accuracy_of(parts, rows, ids, k=50, t=0.1):
    """Out-of-fold accuracy."""
    right = []
    for fold in parts:
        found = fold.search(rows, min(k, len(fold.train)))
        weights = np.exp(found.scores / t)
        said = np.stack(
            [(weights * (ids[found.indices] == c)).sum(axis=1) for c in range(ids.max() + 1)], 1
        )
        right.append(said.argmax(axis=1) == ids[fold.test])
    return float(np.concatenate(right).mean())


@pytest.fixture(scope="module")
def shuffled():
    """Embeddings unrelated to their classes: ten classes of ten photos, and 200 new ones."""
    rows = 2 + np.random.default_rng(5).standard_normal((300, 400))
    return rows[:100].astype(np.float32), np.arange(100) % 10, rows[100:]


def test_labels_that_mean_nothing_are_answered_by_chance(shuffled):
    rows, ids, new = shuffled
    found = learned(rows, ids)
    assert accuracy_of(found.folds, rows, ids) < 0.25
    projection = discriminant(rows, ids)
    near = search(projection(new), projection(rows), 100)
    weights = np.exp((near.scores - near.scores[:, :1]) / temperature_of(found))
    votes = np.stack([(weights * (ids[near.indices] == c)).sum(axis=1) for c in range(10)], axis=1)
    assert np.median(votes.max(axis=1) / votes.sum(axis=1)) < 0.3, (
        "and new photos get no sure answer"
    )


def test_a_leak_would_be_seen(shuffled):
    """The test above is effective: a projection learned from the queries gets them right."""
    rows, ids, _ = shuffled
    space, projection = learned(rows, ids), discriminant(rows, ids)
    space = replace(
        space, projection=projection, refit=lambda train: discriminant(rows, ids, train)
    )
    leaking = replace(space, refit=lambda train: projection)
    assert accuracy_of(leaking.folds, rows, ids) > 0.8
    assert temperature_of(leaking) < temperature_of(space) / 2


def test_a_fold_is_refitted_from_its_own_references():
    rows, ids = scattered((8,) * 6)
    found = learned(rows, ids)
    for fold in found.folds:
        np.testing.assert_array_equal(
            np.sort(np.concatenate([fold.test, fold.train])), np.arange(48)
        )
        moved = rows.copy()
        moved[fold.test] = 1e3 * np.random.default_rng(0).standard_normal(moved[fold.test].shape)
        wanted = discriminant(moved[fold.train], ids[fold.train])
        np.testing.assert_array_equal(fold.projection.kernel, wanted.kernel)


def test_a_search_in_a_fold_finds_rows_of_all():
    rows, _ = scattered((8,) * 6)
    fold = Fold(np.array([0, 9]), np.delete(np.arange(48), [0, 9]), None)
    found = fold.search(rows, 5)
    wanted = search(rows[[0, 9]], rows, 6)
    np.testing.assert_array_equal(found.indices, wanted.indices[:, 1:])
    np.testing.assert_allclose(found.scores, wanted.scores[:, 1:])


def answered(scores, own, left=1.0):
    """Queries, with neighbours of equal weight."""
    q = len(scores)
    ones = np.ones(scores.shape)
    return HeldOut(scores=scores, own=own, left=np.full(q, left), votes=ones, counts=np.ones(q))


def made(confidence, q=4000, seed=0):
    """Queries with two neighbours, correct as often as a temperature of 0.1 predicts."""
    rng = np.random.default_rng(seed)
    gap = rng.uniform(0, confidence, q)
    scores = np.stack([0.9 + 0 * gap, 0.9 - gap], axis=1)
    first = rng.random(q) < 1 / (1 + np.exp(-gap / 0.1))
    return answered(scores, np.stack([first, ~first], axis=1))


def test_the_temperature_is_that_of_a_logistic_regression():
    asked = made(0.5)
    gap = asked.scores[:, :1] - asked.scores[:, 1:]
    judge = LogisticRegression(C=np.inf, fit_intercept=False)
    judge.fit(np.concatenate([gap, -gap]), np.concatenate([asked.own[:, 0], ~asked.own[:, 0]]))
    assert most_likely(asked, 0.1) == pytest.approx(1 / judge.coef_[0, 0], rel=0.01)
    assert most_likely(asked, 0.1) == pytest.approx(0.1, rel=0.1)


def test_few_queries_that_are_all_right_do_not_make_the_vote_certain():
    right = answered(np.array([[0.9, 0.1]] * 4), np.array([[True, False]] * 4))
    assert 0.05 < most_likely(right, 0.1) < 0.1
    wrong = answered(right.scores, ~right.own)
    assert 0.1 < most_likely(wrong, 0.1) < 1


def test_a_class_that_is_not_among_the_neighbours_is_no_trouble():
    asked = made(0.5, q=200)
    none = np.zeros_like(asked.own)
    assert np.isfinite(most_likely(answered(asked.scores, none), 0.1))


def test_what_was_left_out_is_allowed_for():
    asked = made(0.5)
    half = answered(asked.scores, asked.own, left=0.5)
    assert most_likely(half, 0.1) == pytest.approx(most_likely(asked, 0.1) / np.sqrt(2), rel=0.02)


def test_raw_cosine_stays_where_whitening_loses():
    """Each class is many clusters: photos vary along the directions that separate classes."""
    rng = np.random.default_rng(0)
    number = rng.integers(0, 24, 480)
    rows = 1 + 3 * rng.standard_normal((24, 6))[number] + 0.5 * rng.standard_normal((480, 6))
    noise = 0.01 * rng.standard_normal((480, 40))
    found = learned(np.concatenate([rows, noise], axis=1).astype(np.float32), number % 3)
    assert found.projection is None
    assert all(fold.projection is None for fold in found.folds)


def test_whitening_is_learned_where_it_helps():
    rows, ids = scattered((8,) * 6, spread=1.5)
    found = learned(rows, ids)
    assert found.scores_of == "classes"
    plain = found.unprojected.folds
    assert accuracy_of(found.folds, rows, ids) > accuracy_of(plain, rows, ids)


@pytest.mark.parametrize("counts", [(1, 1, 5), (2, 40), (1, 2), (2, 2), (1,) * 9 + (2,)])
def test_any_numbers_of_photos_are_learned_from(counts):
    found = learned(*scattered(counts))
    assert found.projection is None or np.isfinite(found.projection.kernel).all()
    assert 0.005 < temperature_of(found) < 1 if found.folds else 0.005 < usual(found) < 1


def test_a_small_class_beside_a_large_one_is_answered():
    rows, ids = scattered((2, 40), spread=0.7)
    new, wanted = scattered((20, 20), spread=0.7)
    found = learned(rows, ids)
    near = search(found.project(new), found.rows, 42)
    weights = np.exp(near.scores / temperature_of(found))
    weights /= np.bincount(ids)[ids[near.indices]]  # for a balanced vote
    small = (weights * (ids[near.indices] == 0)).sum(axis=1) / weights.sum(axis=1)
    assert ((small > 0.5) == (wanted == 0)).mean() > 0.9


def test_a_picture_that_is_in_two_classes_takes_none_of_them_away():
    ids, pictures = np.array([0, 0, 0, 0, 1, 2, 2, 2]), np.array([0, 1, 2, 3, 0, 5, 6, 7])
    for seed in range(5):
        for test in folds(ids, pictures, seed):
            assert len(np.bincount(np.delete(ids, test), minlength=3).nonzero()[0]) == 3
    rows, _ = scattered((3,))
    built = learned(rows[[0, 1, 0]], np.array([0, 0, 1]))  # which leaves nothing to learn from
    assert built.projection is None


def test_views_of_the_only_picture_of_a_class_do_not_answer_for_it():
    rows, ids = scattered((1,) * 30)
    views = (rows + 0.02 * np.random.default_rng(0).standard_normal(rows.shape)).astype(np.float32)
    space = learned(np.concatenate([rows, views]), np.tile(ids, 2))
    assert space.folds == ()
    queries, found = space.others
    assert (space.references.label_ids[found.indices] != np.tile(ids, 2)[queries][:, None]).all()
    fitted = fit(Spec(backbone="vector"), space.references)
    assert leave_one_out(fitted) is None


@pytest.fixture(scope="module")
def unknowing():
    """References with random labels, in twice as many dimensions as there are rows."""
    rows = 2 + np.random.default_rng(1).standard_normal((120, 240))
    return References.of(rows, [f"class {i % 4}" for i in range(120)])


def test_what_is_compared_without_the_projection_is_searched_once_and_for_these_references():
    """A build compares with plain cosine to choose, and again to say what was gained."""
    rows, ids = scattered((9,) * 5)
    refs = References.of(rows, [f"class {one}" for one in ids])
    space = fit(Spec(backbone="vector"), refs).space
    assert space.projection is not None
    again = replace(space, known_unprojected=None)
    assert space.unprojected is space.known_unprojected
    for given, wanted in zip(
        space.unprojected.others.found, again.unprojected.others.found, strict=True
    ):
        np.testing.assert_array_equal(given, wanted)
    fewer = replace(space, references=refs.select(np.arange(20)), known_pictures=None)
    assert len(fewer.unprojected.references) == 20


def test_a_threshold_is_chosen_by_scores_of_photos_that_the_space_never_saw(unknowing):
    """A space learned from them would give another threshold."""
    fitted = fit(Spec(backbone="vector", projection="classes", reject="auto"), unknowing)
    new = 2 + np.random.default_rng(2).standard_normal((400, 240))
    rejected = (fitted.search(new).scores[:, 0] < fitted.threshold).mean()
    assert rejected < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)
    scores = np.concatenate(
        [fold.search(unknowing.vectors, 1).scores[:, 0] for fold in fitted.space.folds]
    )
    assert 0.03 < (scores < fitted.threshold).mean() <= 0.05
    leaking = rejection.threshold(replace(fitted.space, refit=None), 0.05)
    assert abs(fitted.threshold - leaking) > 0.01


def test_a_class_that_is_left_out_is_left_out_of_the_projection_too(unknowing):
    """Otherwise even random classes would appear to be separated."""
    fitted = fit(Spec(backbone="vector", projection="classes", reject="auto"), unknowing)
    known = float((fitted.space.others.found.scores[:, 0] < fitted.threshold).mean())
    assert rejection.measure(fitted).left_out_classes < known + 0.15
    leaking = replace(fitted.space, refit=None)
    assert (rejection.without_class(leaking) < fitted.threshold).mean() > known + 0.3


def test_with_many_references_the_same_is_learned_from_sums_that_are_kept(monkeypatch):
    rows, ids = scattered((40, 25, 40, 33, 40))
    refs = References.of(rows, [f"class {i}" for i in ids])
    spec = Spec(backbone="vector", projection="classes", reject="auto")
    alone = fit(spec, refs).space
    scores = rejection.without_class(alone)
    monkeypatch.setattr("pocketknn.builder.knn.projected._KEPT_FROM", 100)
    summed, of = [], Sums.of
    monkeypatch.setattr(Sums, "of", lambda *given: summed.append(given[2]) or of(*given))
    kept = fit(spec, refs).space
    size = np.abs(alone.projection.kernel).max()  # both round sums, in another order, to float32
    np.testing.assert_allclose(kept.projection.kernel, alone.projection.kernel, atol=1e-6 * size)
    np.testing.assert_allclose(rejection.without_class(kept), scores, atol=1e-5)
    assert sum(len(used) == len(rows) for used in summed) == 1, "once for both"


def test_a_learning_curve_learns_each_point_anew(unknowing):
    one = fit(Spec(backbone="vector", projection="classes"), unknowing)
    curve = learning_curve(one, of_references(one))
    assert (curve.mean < 0.25 + 0.12).all()


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_the_recall_of_small_references_is_measured_in_the_space_of_the_file(precision):
    rows, ids = scattered((30,) * 6)
    refs = References.of(rows, [f"class {i}" for i in ids])
    spec = Spec(backbone="vector", projection="classes", k=3, references_precision=precision)
    fitted = fit(replace(spec, recall=0.8), refs)
    units = fitted.space.rows / np.linalg.norm(fitted.space.rows, axis=1, keepdims=True)
    exact = neighbors.leave_one_out(fitted.space.rows, 3).indices
    found = find(fitted.index, units, 3, np.arange(len(rows))).indices
    counted = (exact[:, :, None] == found[:, None, :]).any(axis=2).mean()
    assert fitted.index.recall == pytest.approx(counted, abs=0.01)
    assert counted > 0.9
