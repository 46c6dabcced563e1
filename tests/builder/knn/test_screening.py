"""Large searches, selected in float32, against scikit-learn and numpy in higher precision."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from pocketknn.builder.knn import exact, screening

K = 20


@pytest.fixture(params=[64, 1 << 14], ids=["many blocks", "one block"], autouse=True)
def every_search_is_large(request, monkeypatch):
    monkeypatch.setattr(screening, "FROM", 0)
    monkeypatch.setattr(screening, "_ROWS_AT_ONCE", request.param)
    monkeypatch.setattr(screening, "_QUERIES_AT_ONCE", 37)


@pytest.fixture
def rows():
    """Clusters, copies, zeros, and rows whose cosines differ by less than float32 can tell."""
    rng = np.random.default_rng(0)
    rows = rng.gamma(0.5, 1, (9, 300))[rng.integers(0, 9, 700)] + rng.gamma(0.5, 0.3, (700, 300))
    rows = (rows * rng.uniform(0.1, 10, (700, 1))).astype(np.float32)
    rows[100:130] = rows[5]
    rows[200:260] = rows[6] + 1e-6 * rng.standard_normal((60, 300))
    rows[300:310] = 0
    return rows


def expected(queries, rows, k, own=None):
    """From cosines in extended precision; rows that are equal tie."""
    kinds, which = np.unique(rows, axis=0, return_inverse=True)
    given, kinds = queries.astype(np.longdouble), kinds.astype(np.longdouble)
    lengths = np.sqrt((given**2).sum(axis=1))[:, None] * np.sqrt((kinds**2).sum(axis=1))
    scores = (given @ kinds.T / np.where(lengths > 0, lengths, 1))[:, which.ravel()]
    if own is not None:
        scores[np.arange(len(own)), own] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, axis=1), order


def test_lists_are_those_of_extended_precision(rows):
    rng = np.random.default_rng(1)
    queries = rng.gamma(0.5, 1, (90, 300)) + rows[rng.integers(0, 300, 90)]
    found = exact.search(queries, rows, K)
    scores, indices = expected(queries, rows, K)
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.scores, scores.astype(float), atol=1e-14)
    gaps = -np.diff(expected(queries, rows, K + 1)[0].astype(float), axis=1)
    assert ((gaps > 0) & (gaps < 1e-8)).any(), "nothing that float32 cannot tell apart"
    assert (gaps == 0).any(), "no ties"


def test_lists_are_scikit_learns():
    rng = np.random.default_rng(2)
    rows, queries = rng.standard_normal((600, 48)), rng.standard_normal((80, 48))
    judge = NearestNeighbors(n_neighbors=K, metric="cosine", algorithm="brute").fit(rows)
    distances, indices = judge.kneighbors(queries)
    found = exact.search(queries, rows, K)
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.scores, 1 - distances, atol=1e-14)


def test_no_row_is_its_own_neighbour_and_copies_are(rows):
    own = np.r_[5, 100, 129, 6, 230, 400:450]
    found = exact.leave_one_out(rows, K, own)
    np.testing.assert_array_equal(
        found.indices[[0, 1, 2, 5]], expected(rows[own], rows, K, own)[1][[0, 1, 2, 5]]
    )
    assert not (found.indices == own[:, None]).any()
    assert found.indices[0].tolist() == list(range(100, 100 + K)), "ties go to the lowest"
    every = exact.leave_one_out(rows[:21], K)
    assert (np.sort(every.indices) == [np.delete(np.arange(21), one) for one in range(21)]).all()


def test_queries_with_many_rows_within_rounding_are_named(rows):
    """Each is then computed in float64: here those of copies and of zeros."""
    units = exact.unit(np.concatenate([rows[[6, 300, 50]], np.zeros((1, 300), np.float32)]))
    found, unsettled = screening.search(units, rows, K)
    assert unsettled.tolist() == [0, 1, 3]
    np.testing.assert_array_equal(found.indices[2], expected(units[2:3], rows, K)[1][0])
    both = exact.search(units, rows, K)
    assert both.indices[1].tolist() == both.indices[3].tolist() == list(range(K))


@pytest.mark.parametrize("scale", [2.0**-60, 2.0**60])
def test_lengths_beyond_float32_are_computed_in_float64(rows, scale):
    own = np.arange(400, 430)
    with np.errstate(over="raise", invalid="raise"):
        found = exact.leave_one_out(rows * np.float32(scale), K, own)
    np.testing.assert_array_equal(found.indices, exact.leave_one_out(rows, K, own).indices)
