"""The oracle against scikit-learn's brute-force cosine k-NN, written by others."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from pocketknn.builder import References, neighbors
from pocketknn.builder.accuracy import leave_one_out


@pytest.mark.parametrize(("n", "d", "k"), [(1, 3, 1), (7, 2, 7), (300, 16, 5), (1500, 64, 10)])
def test_scores_and_indices_equal_scikit_learns(n, d, k):
    rng = np.random.default_rng(n)
    references, queries = rng.standard_normal((n, d)), rng.standard_normal((700, d))
    distances, expected = (
        NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute")
        .fit(references)
        .kneighbors(queries)
    )
    found = neighbors.search(queries, references, k)
    np.testing.assert_array_equal(found.indices, expected)
    np.testing.assert_allclose(found.scores, 1 - distances, atol=1e-14)


def test_votes_equal_scikit_learns():
    rng = np.random.default_rng(0)
    references, queries = rng.standard_normal((200, 8)), rng.standard_normal((500, 8))
    label_ids = rng.integers(0, 7, 200)
    judge = KNeighborsClassifier(5, metric="cosine", algorithm="brute").fit(references, label_ids)
    found = neighbors.search(queries, references, 5)
    votes = neighbors.vote(found.indices, label_ids, 7)
    np.testing.assert_allclose(votes, judge.predict_proba(queries), atol=1e-15)
    # scikit-learn too gives a tied vote to the lower class
    np.testing.assert_array_equal(neighbors.winners(votes), judge.predict(queries))
    tied = (votes == votes.max(axis=1, keepdims=True)).sum(axis=1) > 1
    assert tied.sum() > 50, "the data must hold ties, or the line above shows nothing"


def test_ties_of_duplicates_go_to_the_lowest_index():
    references = np.array([[0, 1], [1, 0], [2, 0], [1, 0], [0, 3]], float)
    found = neighbors.search(np.array([[1.0, 0]]), references, 4)
    assert found.indices.tolist() == [[1, 2, 3, 0]]


def test_many_ties_beyond_k():
    found = neighbors.search(np.ones((3, 4)), np.ones((2000, 4)), 6)
    assert found.indices.tolist() == [[0, 1, 2, 3, 4, 5]] * 3


def test_exact_hit_scores_one():
    references = np.random.default_rng(1).standard_normal((50, 1280))
    found = neighbors.search(references * 7, references, 1)
    assert found.indices[:, 0].tolist() == list(range(50))
    np.testing.assert_allclose(found.scores, 1, atol=1e-15)


@pytest.mark.parametrize("scale", [0, 1e-300, 1e-30, 1e30, 1e300])
def test_unit_length_at_any_scale(scale):
    rows = neighbors.unit(np.array([[3.0, 4.0]]) * scale)
    np.testing.assert_allclose(rows, [[0, 0]] if scale == 0 else [[0.6, 0.8]], atol=1e-15)


def test_leave_one_out_equals_scikit_learn_without_each_row():
    rng = np.random.default_rng(2)
    vectors, label_ids = rng.standard_normal((60, 4)), rng.integers(0, 3, 60)
    right = []
    for row in range(60):
        rest = np.arange(60) != row
        judge = KNeighborsClassifier(5, metric="cosine", algorithm="brute")
        judge.fit(vectors[rest], label_ids[rest])
        right.append(judge.predict(vectors[row : row + 1])[0] == label_ids[row])
    found = leave_one_out(References.of(vectors, [f"c{i}" for i in label_ids]), 5)
    assert found is not None
    assert found.accuracy == np.mean(right)
    assert (found.k, found.queries) == (5, 60)


def test_leave_one_out_of_two_uses_the_one_neighbour_there_is():
    found = leave_one_out(References.of([[1.0, 0], [0, 1]], ["a", "b"]), 5)
    assert found is not None
    assert (found.k, found.accuracy) == (1, 0.0)
    assert leave_one_out(References.of([[1.0, 0]], ["a"]), 5) is None
    assert leave_one_out(References.of([[1.0, 0], [0, 1]]), 5) is None
