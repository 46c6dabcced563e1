"""What a fit derives from the references: k, principal components, the threshold of unknown."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from support import blobs, input_error, plain

from pocketknn.builder import InputError, References, Spec
from pocketknn.builder.knn import exact
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.knn.validation.leave_one_out import leave_one_out, unprojected
from pocketknn.builder.knn.validation.rejection import measure


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_k_auto_is_the_best_by_scikit_learns_leave_one_out(metric):
    references = blobs(n=40, spread=4.0)
    rows, labels = references.vectors.astype("f8"), references.label_ids
    # predict(None) is leave-one-out: no row is its own neighbour
    scores = [
        np.mean(judge.fit(rows, labels).predict(None) == labels)
        for judge in (
            KNeighborsClassifier(k, metric=metric, algorithm="brute") for k in range(1, 40)
        )
    ]
    found = fit(plain(k="auto", metric=metric), references)
    assert found.k == int(np.argmax(np.round(scores, 9))) + 1
    assert leave_one_out(found).accuracy == pytest.approx(max(scores))


def test_k_auto_of_a_regression_has_the_least_error():
    rng = np.random.default_rng(0)
    rows = rng.uniform(size=(80, 2))
    targets = rows @ [[3.0], [1.0]] + 0.3 * rng.standard_normal((80, 1))
    references = References.of(rows, targets=targets, target_names=["price"])
    found = fit(Spec(k="auto", metric="euclidean"), references)
    errors = [
        np.sqrt(np.mean((judge.fit(rows, targets).predict(None) - targets) ** 2))
        for judge in (KNeighborsRegressor(k) for k in range(1, 51))
    ]
    assert found.k == int(np.argmin(errors)) + 1
    assert leave_one_out(found).rmse["price"] == pytest.approx(min(errors), rel=1e-6)


@pytest.mark.parametrize("size", [3, 0.9])
@pytest.mark.parametrize("n", [20, 200])
def test_a_projection_is_scikit_learns(size, n):
    references = blobs(n=n, d=40)
    found = fit(plain(pca=size, metric="euclidean"), references)
    judge = PCA(size).fit(references.vectors.astype("f8"))
    queries = np.random.default_rng(1).standard_normal((30, 40))
    expected = judge.transform(queries)
    assert found.space.project(queries).shape == expected.shape
    distances = KNeighborsClassifier(5).fit(judge.transform(references.vectors), np.zeros(n))
    np.testing.assert_allclose(
        -found.search(queries).scores, distances.kneighbors(expected)[0], rtol=1e-5
    )
    kept = judge.explained_variance_ratio_.sum()
    assert found.space.projection.variance == pytest.approx(kept)


def asked_in_folds(space, k, size=None):
    """The slow way: scikit-learn asked for each fold, of all others; the share of right answers.

    Its components are learned without the fold, too.
    """
    rows, labels = space.references.vectors.astype("f8"), space.references.label_ids
    right, asked = 0, []
    for fold in space.folds:
        train = np.setdiff1d(np.arange(len(rows)), fold.test)
        asked += fold.test.tolist()
        knn = KNeighborsClassifier(k, algorithm="brute")
        judge = knn if size is None else make_pipeline(PCA(size, svd_solver="full"), knn)
        judge.fit(rows[train], labels[train])
        right += (judge.predict(rows[fold.test]) == labels[fold.test]).sum()
    assert sorted(asked) == list(range(len(rows))), "each is asked for once"
    return right / len(rows)


def test_what_a_projection_costs_is_measured():
    references = blobs(n=90, d=30)
    all_of_it = unprojected(fit(plain(pca=30, metric="euclidean"), references))
    assert all_of_it.recall == all_of_it.first_equal == 1
    found = fit(plain(pca=1, metric="euclidean"), references)
    little = unprojected(found)
    assert little.recall < 0.5
    assert little.accuracy == pytest.approx(asked_in_folds(found.space, 5))
    assert unprojected(fit(plain(), references)) is None


@pytest.mark.parametrize("size", [1, 3])
def test_behind_a_projection_references_are_left_out_in_folds(size):
    """Components learned from a photo put it too near to its class."""
    references = blobs(n=90, d=30, spread=6.0)
    found = fit(plain(pca=size, metric="euclidean"), references)
    measured = leave_one_out(found)
    assert (measured.folds, measured.queries) == (len(found.space.folds), 90)
    assert measured.accuracy == pytest.approx(asked_in_folds(found.space, 5, size))
    assert 0.3 < measured.accuracy < 1, "the data must leave something to get wrong"
    each = leave_one_out(fit(plain(metric="euclidean"), references))
    assert each.folds == 0, "without a projection each is left out alone"


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "manhattan"])
@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_the_threshold_rejects_the_stated_share_and_not_more(metric, rate):
    references = blobs(n=100)
    found = fit(plain(reject="auto", false_rejection=rate, metric=metric), references)
    scores = exact.leave_one_out(references.vectors, 1, metric=metric).scores[:, 0]
    rejected = (scores < found.threshold).mean()
    assert rate - 0.02 <= rejected <= rate, "one less where a pair of neighbours share a score"
    assert measure(found).known == rejected
    assert np.abs(scores - found.threshold).min() > 1e-6, "rounding must not decide"


def test_left_out_classes_are_what_a_build_without_them_rejects():
    """The slow way: remove each class, choose the threshold again, and query with its pictures."""
    references = blobs(n=90, classes=3, spread=2.0)
    found = fit(plain(reject="auto", false_rejection=0.1), references)
    rejected = 0
    for label in references.labels:
        rest = references.remove(classes=[label])
        without = fit(plain(reject="auto", false_rejection=0.1), rest)
        own = references.vectors[[references.label_of(i) == label for i in range(90)]]
        rejected += (without.search(own).scores[:, 0] < without.threshold).sum()
    assert measure(found).left_out_classes == pytest.approx(rejected / 90)
    strangers = np.random.default_rng(5).standard_normal((40, 6))
    of_them = (found.search(strangers).scores[:, 0] < found.threshold).mean()
    measured = measure(found, strangers)
    assert (measured.strangers, measured.strangers_asked) == (of_them, 40)


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_right_answers_that_are_rejected_by_loops(rate):
    """The slow way: build without each reference, and ask for it with and without a threshold."""
    references = blobs(n=60, classes=3, spread=5.0)
    choices = {"metric": "euclidean", "k": 5}
    found = fit(plain(reject="auto", false_rejection=rate, **choices), references)
    right, kept = 0, 0
    for row in range(60):
        rest = references.select(np.delete(np.arange(60), row))
        query, label = references.vectors[[row]], references.label_of(row)
        for threshold in (None, found.threshold):
            without = fit(plain(reject=threshold, **choices), rest)
            won = without.labels[without.answers(without.search(query)).argmax()]
            right += won == label and threshold is None
            kept += won == label and threshold is not None
    measured = measure(found)
    assert 0 < kept < right < 60, "the data must leave something wrong, and something rejected"
    assert measured.right_kept == pytest.approx(kept / right)
    assert (measured.known_asked, measured.left_out_asked) == (60, 60)


def test_a_threshold_that_rejects_everything_can_be_measured():
    found = fit(Spec(reject=1.5), blobs())
    measured = measure(found)
    assert (measured.known, measured.right_kept) == (1, 0)
    assert 0 < measured.left_out_classes <= 1


def test_the_unknown_take_all_of_the_vote():
    found = fit(Spec(reject=-1.0, metric="euclidean", k=3), blobs())
    near, far = found.references.vectors[:1], found.references.vectors[:1] + 100
    votes = found.answers(found.search(np.concatenate([near, far])))
    assert found.labels == ("c0", "c1", "c2", "unknown")
    assert votes[0, 3] == 0
    assert votes[1].tolist() == [0, 0, 0, 1]


def test_manhattan_has_a_limit_that_is_named():
    many = References.of(np.zeros((70_000, 1000), np.float32))
    with input_error("too-many-differences", "267 MiB", "256 MiB"):
        fit(Spec(metric="manhattan"), many)


@pytest.mark.parametrize(
    ("choices", "fault"),
    [
        ({"k": 61}, ["k-too-large", 61, 60]),
        ({"pca": 7}, ["pca-too-large", "60 references", 7]),
        ({"head": "regress"}, ["no-targets"]),
    ],
)
def test_what_the_references_cannot_serve(choices, fault):
    with input_error(*fault):
        fit(Spec(**choices), blobs())


def test_a_class_may_not_be_called_unknown_where_that_is_reserved():
    references = References.of(np.eye(3), ["a", "b", "unknown"])
    assert fit(Spec(), references).labels == ("a", "b", "unknown")
    with pytest.raises(InputError, match="'unknown' is reserved"):
        fit(Spec(reject="auto"), references)


@pytest.mark.parametrize("choices", [{"k": "auto"}, {"reject": "auto"}, {"pca": 1}])
def test_a_single_reference_says_nothing_about_itself(choices):
    with pytest.raises(InputError, match=r"at least two references|are the same"):
        fit(Spec(**choices), References.of([[1.0, 2.0]], ["a"]))


def test_scores_that_are_all_the_same_reject_nothing():
    references = References.of(np.tile([[1.0, 2.0]], (30, 1)), ["a", "b"] * 15)
    found = fit(Spec(reject="auto", false_rejection=0.5), references)
    assert measure(found).known == 0
    assert found.search(np.array([[1.0, 2.0]])).scores[0, 0] >= found.threshold
