"""The accuracy of a build: its interval, chance level and verdict; and few photos per class."""

import numpy as np
import pytest
from scipy.stats import binomtest
from support import plain

from pocketknn.builder import References, Spec
from pocketknn.builder.knn.fit import answers_of_others
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.knn.validation import promise
from pocketknn.builder.knn.validation.leave_one_out import leave_one_out
from pocketknn.export.cli.console.summary import facts
from pocketknn.export.manifest.describe import describe
from pocketknn.export.manifest.figures import measure


def photos(sizes, d=12, spread=0.5):
    rng = np.random.default_rng(4)
    ids = np.repeat(np.arange(len(sizes)), sizes)
    rows = rng.standard_normal((len(sizes), d))[ids] + spread * rng.standard_normal((len(ids), d))
    return References.of(rows, [f"class {i:02}" for i in ids])


@pytest.mark.parametrize(("count", "of"), [(0, 7), (7, 7), (1, 3), (62, 100), (4990, 5000)])
def test_an_interval_is_at_most_a_third_wider_than_wilsons(count, of):
    truth = binomtest(count, of).proportion_ci(0.95, "wilson")
    assert promise.wilson(count / of, of) == pytest.approx(tuple(truth), abs=1e-12)
    low, high = promise.interval(count / of, of)
    assert 0 <= low <= truth.low + 1e-12
    assert truth.high - 1e-12 <= high <= 1
    assert high - low <= 1.3 * (truth.high - truth.low) + 1e-12


def test_where_all_are_right_each_group_counts_once():
    """Sixty frames of six things prove what six photos prove."""
    groups = np.repeat(np.arange(6), 10)
    for share in (0.0, 1.0):
        ends = promise.interval(share, 60)
        found = promise.of_groups(ends, share, np.full(60, share), groups)
        assert found == promise.interval(share, 6)
    few = promise.of_groups(promise.interval(1.0, 60), 1.0, np.ones(60), groups)
    assert promise.verdict(1.0, few, 1 / 3) == promise.TOO_FEW
    alone = promise.of_groups(promise.interval(1.0, 60), 1.0, np.ones(60), np.arange(60))
    assert alone == promise.interval(1.0, 60)


def test_near_copies_are_counted_and_the_console_says_that_few_photos_differ():
    rng = np.random.default_rng(0)
    things = rng.standard_normal((12, 16)).repeat(5, axis=0)
    rows = things + 0.01 * rng.standard_normal((60, 16))
    references = References.of(rows, [f"class {i}" for i in np.repeat(np.arange(3), 20)])
    fitted = fit(Spec(backbone="vector", projection="classes", k=3), references)
    told, loo = said_of(fitted)
    assert (loo["queries"], loo["groups"]) == (60, 12)
    assert "only 12 of the 60 photos differ" in told
    other = fit(Spec(backbone="vector", projection="classes", k=3), photos([20] * 3))
    assert "photos differ" not in said_of(other)[0]


@pytest.mark.parametrize(
    ("accuracy", "of", "chance", "word"),
    [
        (0.97, 300, 0.2, "good"),
        (0.83, 300, 0.2, "fair"),
        (0.55, 300, 0.2, "poor"),
        (0.97, 300, 0.95, "poor"),  # no better than always predicting the largest class
        (0.95, 300, 0.5, "good"),
        (0.80, 300, 0.5, "fair"),
        (0.80, 8, 0.25, "too few photos to tell"),
        (1.0, 300, 1.0, None),
    ],
)
def test_words(accuracy, of, chance, word):
    assert promise.verdict(accuracy, promise.interval(accuracy, of), chance) == word


@pytest.mark.parametrize("each", [2, 3])
def test_of_few_photos_one_of_each_class_is_left_out_at_a_time(each):
    references = photos([each] * 20, d=30, spread=1.0)
    fitted = fit(Spec(backbone="vector", projection="none"), references)
    queries, found, votes, folds, fewer = fitted.out_of_fold
    assert (queries == np.arange(20 * each)).all()
    assert folds == each
    ids = references.label_ids
    for row, others in zip(queries, found.indices, strict=True):
        assert row not in others
        if each == 2:  # one neighbour of each class; of its own, the other photo
            assert sorted(ids[others]) == list(range(20))
    units = references.vectors / np.linalg.norm(references.vectors, axis=1, keepdims=True)
    if each == 2:  # if each class has one photo, the nearest wins
        scores = [units[others] @ units[row] for row, others in enumerate(found.indices)]
        nearest = found.indices[np.arange(len(ids)), np.argmax(scores, axis=1)]
        assert (votes.argmax(axis=1) == ids[nearest]).all()
    measured = leave_one_out(fitted)
    wrong = (votes.argmax(axis=1) != ids).mean()
    assert 0 < wrong < 0.9
    assert fewer == pytest.approx((1 - 1 / each) ** (1 / 3))
    assert measured.accuracy == pytest.approx(1 - fewer * wrong)


def test_copies_are_left_out_together_and_a_last_photo_stays():
    references = photos([2] * 8 + [1])
    twice = References.of(
        np.concatenate([references.vectors] * 2), [references.label_of(i) for i in range(17)] * 2
    )
    queries, found, *_ = fit(Spec(backbone="vector"), twice).out_of_fold
    assert 16 not in queries % 17, "the only photo of its class"
    for row, others in zip(queries, found.indices, strict=True):
        assert row % 17 not in others % 17


def test_labels_that_say_nothing_stay_at_chance():
    rng = np.random.default_rng(0)
    labels = [f"c{i % 100:02}" for i in range(200)]
    references = References.of(rng.standard_normal((200, 40)), labels)
    measured = leave_one_out(fit(Spec(backbone="vector"), references))
    assert measured.accuracy < 0.25, "of which the allowance for fewer mistakes is a fifth"
    assert measured.verdict == "poor"


def test_a_class_weighs_by_the_photos_that_were_there():
    fitted = fit(Spec(backbone="vector", projection="none"), photos([4, 9, 14], spread=1.5))
    space, ids = fitted.space, fitted.references.label_ids
    k = min(fitted.k, space.most)
    votes = answers_of_others(fitted.spec, space, k)
    queries, found = space.others
    for fold in space.folds:
        there = np.bincount(ids[fold.train], minlength=3)
        for row in fold.test:
            place = int(np.flatnonzero(queries == row)[0])
            weights = np.exp(found.scores[place, :k] / fitted.temperature)
            expected = np.bincount(ids[found.indices[place, :k]], weights, 3) / there
            np.testing.assert_allclose(votes[place], expected / expected.sum(), atol=1e-9)


def test_chance_is_the_largest_class_and_classes_have_a_mean():
    references = photos([40, 10], spread=3.0)
    fitted = fit(Spec(backbone="vector"), references)
    measured = leave_one_out(fitted)
    assert measured.chance == pytest.approx(0.8)
    queries, _, votes, *_ = fitted.out_of_fold
    ids = references.label_ids[queries]
    right = votes.argmax(axis=1) == ids
    assert measured.accuracy == pytest.approx(right.mean())
    assert measured.by_class == pytest.approx(np.mean([right[ids == c].mean() for c in (0, 1)]))


def said_of(fitted):
    manifest = describe(fitted, None, {}, measure(fitted)).manifest
    return "\n".join(facts(manifest, ())), manifest["references"]["leave_one_out"]


def test_the_console_says_accuracy_interval_chance_and_a_word():
    said, loo = said_of(fit(Spec(backbone="vector"), photos([20] * 5)))
    low, high = loo["interval"]
    assert f"accuracy {loo['accuracy']:.1%} ({100 * low:.0f} to {high:.0%}; chance 20%)" in said
    assert f": {loo['verdict']}\n" in said
    assert f"{loo['folds']}-fold cross-validation" in said


def test_one_photo_per_class_has_no_figure():
    said, loo = said_of(fit(Spec(backbone="vector"), photos([1] * 9)))
    assert loo is None
    assert "too few photos to tell" in said


def test_an_error_stands_beside_that_of_the_mean():
    rng = np.random.default_rng(2)
    rows, targets = rng.standard_normal((60, 5)), rng.standard_normal((60, 1))
    references = References.of(rows, targets=targets, target_names=["price"])
    said, loo = said_of(fit(plain(head="regress", k=5), references))
    off = [targets[i, 0] - np.delete(targets[:, 0], i).mean() for i in range(60)]
    assert loo["rmse_of_mean"]["price"] == pytest.approx(np.sqrt(np.mean(np.square(off))), rel=1e-5)
    low, high = loo["rmse_interval"]["price"]
    assert low < loo["rmse"]["price"] < high
    assert f"always predicting the mean: {loo['rmse_of_mean']['price']:.4g}" in said
