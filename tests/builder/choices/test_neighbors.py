"""Our exact k-NN against scikit-learn's brute-force k-NN."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import softmax
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestNeighbors
from sklearn.preprocessing import normalize
from support import plain, vote, voting

from pocketknn.builder import References, Spec
from pocketknn.builder.choices.heads import regress
from pocketknn.builder.choices.heads.classify import class_weights
from pocketknn.builder.choices.metrics import METRICS, cosine
from pocketknn.builder.knn import exact
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.knn.validation.leave_one_out import leave_one_out


@pytest.mark.parametrize(("n", "d", "k"), [(1, 3, 1), (7, 2, 7), (300, 16, 5), (1500, 64, 10)])
def test_scores_and_indices_equal_scikit_learns(n, d, k):
    rng = np.random.default_rng(n)
    references, queries = rng.standard_normal((n, d)), rng.standard_normal((700, d))
    distances, expected = (
        NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute")
        .fit(references)
        .kneighbors(queries)
    )
    found = exact.search(queries, references, k)
    np.testing.assert_array_equal(found.indices, expected)
    np.testing.assert_allclose(found.scores, 1 - distances, atol=1e-14)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "minkowski"])
@pytest.mark.parametrize("offset", [0, 1e6])
def test_distances_equal_scikit_learns(metric, offset):
    """Also if the vectors are far from zero and close together."""
    rng = np.random.default_rng(7)
    references, queries = rng.standard_normal((900, 12)), rng.standard_normal((600, 12))
    references, queries = references + offset, queries + offset
    queries[:9] = references[40:49]
    judge = NearestNeighbors(n_neighbors=6, metric=metric, algorithm="kd_tree", p=3)
    if metric != "minkowski":
        judge.p = 2
    distances, expected = judge.fit(references).kneighbors(queries)
    found = exact.search(queries, references, 6, metric)
    np.testing.assert_array_equal(found.indices, expected)
    np.testing.assert_allclose(found.scores, -distances, atol=1e-8)
    assert (found.scores[:9, 0] == 0).all(), "an exact hit has no distance"
    every = exact.rank(exact.scores(queries, references, metric), 6)
    np.testing.assert_array_equal(every.indices, expected)


def test_a_search_gives_the_scores_of_the_metric_itself(monkeypatch):
    """Also for squared distance, which ranks like Euclidean distance but is another number."""
    names = ("ANGULAR", "BY_PRODUCT", "SPARE", "ranking")
    squared = SimpleNamespace(
        **{name: getattr(METRICS["euclidean"], name) for name in names},
        scores=lambda queries, rows: -((queries[:, None] - rows) ** 2).sum(axis=2),
    )
    monkeypatch.setitem(METRICS, "squared", squared)
    rng = np.random.default_rng(3)
    references, queries = rng.standard_normal((50, 6)), rng.standard_normal((20, 6))
    judge = NearestNeighbors(n_neighbors=4, metric="sqeuclidean", algorithm="brute").fit(references)
    distances, expected = judge.kneighbors(queries)
    found = exact.search(queries, references, 4, "squared")
    np.testing.assert_array_equal(found.indices, expected)
    np.testing.assert_allclose(found.scores, -distances, atol=1e-12)


@pytest.mark.parametrize("metric", list(METRICS))
def test_ties_of_distances_go_to_the_lower_index(metric):
    rows = np.array([[5.0, 0], [1, 0], [1, 0], [0, 1], [1, 0]])
    found = exact.search(np.array([[1.0, 0], [1, 0]]), rows[1:], 3, metric)
    assert found.indices.tolist() == [[0, 1, 3], [0, 1, 3]]
    others = exact.leave_one_out(rows[1:], 2, np.array([1]), metric)
    assert others.indices.tolist() == [[0, 3]]


@pytest.mark.parametrize("by", ["uniform", "distance"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "manhattan"])
def test_means_equal_scikit_learns(by, metric):
    rng = np.random.default_rng(3)
    references, queries = rng.standard_normal((200, 8)), rng.standard_normal((300, 8))
    queries[:5] = references[:5]
    targets = rng.standard_normal((200, 2)) * [1, 1e6]
    judge = KNeighborsRegressor(5, metric=metric, weights=by, algorithm="brute")
    found = exact.search(queries, references, 5, metric)
    means = regress.answers(found, voting(SimpleNamespace(targets=targets), by, metric))
    np.testing.assert_allclose(
        means, judge.fit(references, targets).predict(queries), rtol=1e-6, atol=1e-9
    )


def test_votes_equal_scikit_learns():
    rng = np.random.default_rng(0)
    references, queries = rng.standard_normal((200, 8)), rng.standard_normal((500, 8))
    label_ids = rng.integers(0, 7, 200)
    judge = KNeighborsClassifier(5, metric="cosine", algorithm="brute").fit(references, label_ids)
    found = exact.search(queries, references, 5)
    votes = vote(found, label_ids, 7)
    np.testing.assert_allclose(votes, judge.predict_proba(queries), atol=1e-15)
    # scikit-learn, too, gives a tied vote to the lower class
    np.testing.assert_array_equal(exact.winners(votes), judge.predict(queries))
    tied = (votes == votes.max(axis=1, keepdims=True)).sum(axis=1) > 1
    assert tied.sum() > 50, "the data must hold ties, or the line above shows nothing"


def test_votes_by_distance_equal_scikit_learns():
    rng = np.random.default_rng(3)
    references, label_ids = rng.standard_normal((200, 8)), rng.integers(0, 7, 200)
    queries = np.concatenate([rng.standard_normal((300, 8)), references[:50] * 3])
    judge = KNeighborsClassifier(5, metric="cosine", algorithm="brute", weights="distance")
    expected = judge.fit(references, label_ids).predict_proba(queries)
    votes = vote(exact.search(queries, references, 5), label_ids, 7, by="distance")
    # scikit-learn's own distance of a vector to itself is 1e-16, not 0: its vote is 1 to 1e-15
    np.testing.assert_allclose(votes, expected, atol=1e-12)
    assert (votes[300:].max(axis=1) == 1).all()


@pytest.mark.parametrize("metric", list(METRICS))
@pytest.mark.parametrize("temperature", [1e-4, 0.07, 1.0, 1e6])
def test_soft_votes_equal_scipys_softmax(metric, temperature):
    """A softmax of score / temperature, 1 / temperature in float32, added up for each class."""
    rng = np.random.default_rng(3)
    references, label_ids = rng.standard_normal((200, 8)), rng.integers(0, 7, 200)
    queries = np.concatenate([rng.standard_normal((300, 8)), references[:50]])
    found = exact.search(queries, references, 20, metric)
    weights = softmax(found.scores * float(np.float32(1 / temperature)), axis=1)
    weights[300:] = np.eye(20)[0]  # an exact hit outvotes all
    expected = (weights[:, :, None] * np.eye(7)[label_ids[found.indices]]).sum(axis=1)
    votes = vote(found, label_ids, 7, by="soft", metric=metric, temperature=temperature)
    np.testing.assert_allclose(votes, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(votes.sum(axis=1), 1)


def test_soft_votes_go_from_the_nearest_ones_to_uniform_ones():
    rng = np.random.default_rng(8)
    references, label_ids = rng.standard_normal((100, 8)), rng.integers(0, 5, 100)
    found = exact.search(rng.standard_normal((60, 8)), references, 10)
    cold = vote(found, label_ids, 5, by="soft", temperature=1e-7)
    np.testing.assert_allclose(cold, np.eye(5)[label_ids[found.indices[:, 0]]], atol=1e-9)
    hot = vote(found, label_ids, 5, by="soft", temperature=1e9)
    np.testing.assert_allclose(hot, vote(found, label_ids, 5), atol=1e-7)


@pytest.mark.parametrize("by", ["distance", "soft"])
def test_exact_hits_share_the_vote_by_distance(by):
    references = np.array([[1.0, 0], [2, 0], [3, 0], [1, 1]])
    found = exact.search(np.array([[1.0, 0]]), references, 4)
    votes = vote(found, np.array([0, 0, 1, 2]), 3, by=by)
    np.testing.assert_allclose(votes, [[2 / 3, 1 / 3, 0]])


def test_balanced_votes_use_scikit_learns_class_weights():
    from sklearn.utils.class_weight import compute_class_weight

    rng = np.random.default_rng(4)
    label_ids = np.repeat([0, 1, 2], [100, 10, 3])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=label_ids)
    np.testing.assert_allclose(class_weights(label_ids, 3), expected)
    references = rng.standard_normal((113, 4))
    found = exact.search(rng.standard_normal((50, 4)), references, 9)
    counts = np.eye(3)[label_ids[found.indices]].sum(axis=1) * expected
    votes = vote(found, label_ids, 3, balanced=True)
    np.testing.assert_allclose(votes, counts / counts.sum(axis=1, keepdims=True))
    assert class_weights(np.array([0, 2]), 3).tolist() == [1 / 3 * 2, 0, 1 / 3 * 2]


def test_ties_of_duplicates_go_to_the_lowest_index():
    references = np.array([[0, 1], [1, 0], [2, 0], [1, 0], [0, 3]], float)
    found = exact.search(np.array([[1.0, 0]]), references, 4)
    assert found.indices.tolist() == [[1, 2, 3, 0]]


def test_many_ties_beyond_k():
    found = exact.search(np.ones((3, 4)), np.ones((2000, 4)), 6)
    assert found.indices.tolist() == [[0, 1, 2, 3, 4, 5]] * 3


def test_exact_hit_scores_one():
    references = np.random.default_rng(1).standard_normal((50, 1280))
    found = exact.search(references * 7, references, 1)
    assert found.indices[:, 0].tolist() == list(range(50))
    np.testing.assert_allclose(found.scores, 1, atol=1e-15)


@pytest.mark.parametrize("scale", [0, 1e-300, 1e-30, 1e30, 1e300])
def test_unit_length_at_any_scale(scale):
    rows = exact.unit(np.array([[3.0, 4.0]]) * scale)
    np.testing.assert_allclose(rows, [[0, 0]] if scale == 0 else [[0.6, 0.8]], atol=1e-15)


@pytest.mark.parametrize("width", [0.003, 0.4, 1.5])
def test_unit_length_of_many_rows_is_that_of_each(width):
    """Rows are converted a few at a time, at least one; the last block is the shortest."""
    d = int(cosine._VALUES_AT_ONCE * width)
    rows = np.random.default_rng(d).standard_normal((int(2.5 / width) + 3, d))
    found = exact.unit(rows.astype(np.float32))
    lengths = np.sqrt(np.einsum("nd,nd->n", found, found))
    np.testing.assert_allclose(lengths, 1, rtol=1e-12)
    np.testing.assert_allclose(found, normalize(rows), atol=1e-7)
    some = np.where(np.arange(len(rows)) % 3 == 0, 1.0, 1.001)
    given = (normalize(rows) * some[:, None]).astype(np.float32)
    assert cosine.has_length(given).tolist() == (some == 1).tolist()


def test_scores_that_are_kept_are_those_of_the_same_embeddings():
    rng = np.random.default_rng(3)
    rows, queries = rng.standard_normal((30, 8)), rng.standard_normal((4, 8))
    space = fit(plain(k=5), References.of(rows)).space
    for given in (queries, queries[::-1], queries, queries + 1):
        expected = 1 - cdist(given, rows.astype("f4"), "cosine")
        np.testing.assert_allclose(space.scores(given), expected, atol=1e-12)
    changed = queries.copy()
    before = space.scores(changed)
    changed[0] = -changed[0]
    np.testing.assert_allclose(space.scores(changed)[0], -before[0], atol=1e-12)


def test_leave_one_out_equals_scikit_learn_without_each_row():
    rng = np.random.default_rng(2)
    vectors, label_ids = rng.standard_normal((60, 4)), rng.integers(0, 3, 60)
    right = []
    for row in range(60):
        rest = np.arange(60) != row
        judge = KNeighborsClassifier(5, metric="cosine", algorithm="brute")
        judge.fit(vectors[rest], label_ids[rest])
        right.append(judge.predict(vectors[row : row + 1])[0] == label_ids[row])
    found = leave_one_out(fit(plain(k=5), References.of(vectors, [f"c{i}" for i in label_ids])))
    assert found is not None
    assert found.accuracy == pytest.approx(np.mean(right), abs=1e-12)
    assert (found.k, found.queries) == (5, 60)


def test_leave_one_out_of_two_uses_the_one_neighbour_there_is():
    found = leave_one_out(fit(Spec(), References.of([[1.0, 0], [0, 1]], ["a", "a"])))
    assert found is not None
    assert (found.k, found.accuracy) == (1, 1.0)
    # With one picture per class, no other picture of the query's class is left to vote.
    assert leave_one_out(fit(Spec(), References.of([[1.0, 0], [0, 1]], ["a", "b"]))) is None
    assert leave_one_out(fit(Spec(), References.of([[1.0, 0]], ["a"]))) is None
    assert leave_one_out(fit(Spec(), References.of([[1.0, 0], [0, 1]]))) is None
