"""The class projection equals scikit-learn's discriminant, whatever the rows' order and length."""

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from support import scattered

from pocketknn.builder import InputError
from pocketknn.builder.choices.metrics.cosine import unit
from pocketknn.builder.knn.exact import scores
from pocketknn.builder.knn.projection.class_sums import Sums
from pocketknn.builder.knn.projection.classes import (
    LEAST_WIDTH,
    STRENGTH,
    discriminant,
    from_sums,
)


def compared(projection, rows):
    return scores(projection(rows), projection(rows))


def without_common(rows, ids):
    """Unit rows without the direction of the mean of the class means."""
    units = unit(rows)
    middle = np.mean([units[ids == one].mean(axis=0) for one in np.unique(ids)], axis=0)
    common = middle / np.linalg.norm(middle)
    return units - np.outer(units @ common, common), common


@pytest.mark.parametrize("counts", [(5,) * 6, (2, 3, 9, 4, 2, 6), (40,) * 6, (2, 40)])
def test_the_first_directions_are_scikit_learns(counts):
    """With more references than values, with fewer, and with very uneven classes."""
    rows, ids = scattered(counts)
    rest, _ = without_common(rows, ids)
    even = np.full(len(counts), 1 / len(counts))
    judge = LinearDiscriminantAnalysis("lsqr", shrinkage=STRENGTH, priors=even).fit(rest, ids)
    weights = judge.coef_ if len(counts) > 2 else np.concatenate([judge.coef_, -judge.coef_])
    size = len(counts) - 1
    wanted = np.linalg.svd((weights - weights.mean(axis=0)).T)[0][:, :size]
    kernel = discriminant(rows, ids).kernel[:, :size].astype(np.float64)
    assert np.max(subspace_angles(kernel, wanted)) < 1e-4
    covariance = sum(
        share * ((1 - STRENGTH) * one + STRENGTH * np.trace(one) / 60 * np.eye(60))
        for share, one in zip(
            even, (np.cov(rest[ids == c].T, bias=True) for c in range(len(counts))), strict=True
        )
    )
    white = kernel.T @ covariance @ kernel
    np.testing.assert_allclose(white / white[0, 0], np.eye(size), atol=1e-4)


def test_the_directions_beyond_are_white_too_and_the_last_is_what_all_share():
    rows, ids = scattered((9,) * 5)
    rest, common = without_common(rows, ids)
    found = discriminant(rows, ids)
    assert found.kernel.shape == (60, min(LEAST_WIDTH, 45 * 60 // 105))
    kernel = found.kernel[:, :-1].astype(np.float64)
    within = np.mean([np.cov(rest[ids == c].T, bias=True) for c in range(5)], axis=0)
    within = (1 - STRENGTH) * within + STRENGTH * np.trace(within) / 60 * np.eye(60)
    white = kernel.T @ within @ kernel
    np.testing.assert_allclose(white / white[0, 0], np.eye(len(white)), atol=1e-4)
    last = found.kernel[:, -1].astype(np.float64)
    np.testing.assert_allclose(
        last / np.linalg.norm(last), common * np.sign(last @ common), atol=1e-6
    )
    assert not found.bias.any()
    assert 0 < found.variance <= 1


@pytest.mark.parametrize("counts", [(5,) * 6, (40,) * 6])
def test_the_order_of_the_photos_and_their_length_make_no_difference(counts):
    rows, ids = scattered(counts)
    order = np.random.default_rng(1).permutation(len(ids))
    stretched = rows * np.random.default_rng(2).uniform(0.5, 2, (len(ids), 1)).astype(np.float32)
    wanted = compared(discriminant(rows, ids), rows)
    for other in (discriminant(rows[order], 7 - ids[order]), discriminant(stretched, ids)):
        np.testing.assert_allclose(compared(other, rows), wanted, atol=2e-5)
        np.testing.assert_allclose(compared(other, stretched), wanted, atol=2e-5)


def test_references_have_a_length_of_about_one_whatever_the_embeddings_scale():
    for scale in (1e-3, 1, 1e4):
        rows, ids = scattered((6,) * 4)
        lengths = np.linalg.norm(discriminant(rows * np.float32(scale), ids)(rows * scale), axis=1)
        assert np.sqrt((lengths**2).mean()) == pytest.approx(1, rel=0.1)


def test_what_photos_of_a_class_differ_in_counts_for_less():
    rng = np.random.default_rng(0)
    ids = np.arange(60) % 3
    light = np.eye(30)[0] * 3
    rows = 5 + np.eye(30)[ids + 1] + 0.2 * rng.standard_normal((60, 30))
    rows += rng.standard_normal((60, 1)) * light
    found = discriminant(rows.astype(np.float32), ids)
    raw, learned = (scores(one, one) for one in (rows, found(rows)))
    same = ids[:, None] == ids
    assert learned[same].mean() - learned[~same].mean() > 5 * (raw[same].mean() - raw[~same].mean())


@pytest.mark.parametrize("counts", [(1,) * 9, (2, 40), (1, 1, 2), (1,) * 30 + (12,)])
def test_few_photos_of_some_classes(counts):
    rows, ids = scattered(counts)
    found = discriminant(rows, ids)
    assert np.isfinite(found.kernel).all()
    scores = compared(found, rows)
    np.fill_diagonal(scores, -1)
    assert scores.max() < 1 - 1e-4, "different photos stay apart"
    n = len(ids)
    assert found.kernel.size + n * found.kernel.shape[1] <= n * 60, "no larger than the embeddings"


def test_copies_constant_columns_and_zeros_are_no_trouble():
    rows, ids = scattered((4,) * 5)
    rows[1] = rows[0]
    rows[ids == 2] = rows[ids == 2][0]
    rows[:, 7], rows[:, 8] = 3, 0
    found = discriminant(rows, ids)
    assert np.isfinite(found.kernel).all()
    assert np.isfinite(found(np.zeros((1, 60)))).all()
    only_copies = np.repeat(rows[::4], 3, axis=0)
    found = discriminant(only_copies, np.repeat(np.arange(5), 3))
    assert np.isfinite(found.kernel).all()


def test_embeddings_around_zero_keep_all_they_differ_in():
    """Four classes around zero: their mean has no meaningful direction."""
    ids = np.arange(40) % 4
    rows = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])[ids] + 0.05 * np.random.default_rng(
        0
    ).standard_normal((40, 2))
    scores = compared(discriminant(rows.astype(np.float32), ids), rows)
    np.fill_diagonal(scores, -1)
    assert (ids[scores.argmax(axis=1)] == ids).all()


def test_the_sketch_turns_away_what_differs_in_directions_that_are_not_kept():
    """Strangers match the photos in the directions that are kept, and differ only in the others."""
    rng = np.random.default_rng(0)
    ids = np.arange(80) % 2
    rows = 4 + np.eye(300)[ids] + 0.2 * rng.standard_normal((80, 300))
    plain, sketched = (
        discriminant(rows[:60].astype(np.float32), ids[:60], strangers=strangers)
        for strangers in (False, True)
    )
    size = plain.kernel.shape[1]
    assert sketched.kernel.shape == (300, size + 64)
    ratio = sketched.kernel[:, :size] / plain.kernel
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-3)
    elsewhere = rng.standard_normal((20, 300))
    kernel = plain.kernel.astype(np.float64)
    elsewhere -= elsewhere @ np.linalg.pinv(kernel).T @ kernel.T
    strange = rows[60:] + elsewhere
    for found, told in ((plain, False), (sketched, True)):
        units = [unit(found(one)) for one in (rows[:60], rows[60:], strange)]
        new, other = (np.max(one @ units[0].T, axis=1) for one in units[1:])
        assert (other.max() < new.min()) == told
    many = np.repeat(np.eye(40), 3, axis=0) + 0.1 * rng.standard_normal((120, 40))
    found = [discriminant(many, np.arange(120) // 3, strangers=one) for one in (True, False)]
    np.testing.assert_array_equal(*(one.kernel for one in found))


def test_what_cannot_be_projected_is_refused():
    rows, _ = scattered((3, 3))
    with pytest.raises(InputError, match=r"two .* 1$"):
        discriminant(rows, np.zeros(6, int))
    with pytest.raises(InputError, match="equal"):
        discriminant(np.repeat(rows[:1], 6, axis=0), np.arange(6) % 2)
    with pytest.raises(InputError, match="equal"):
        discriminant(np.zeros((6, 5), np.float32), np.arange(6) % 2)


PROGRAM = """
import hashlib, numpy as np
from pocketknn.builder.knn.projection.classes import discriminant
from pocketknn.builder import References, Spec
from pocketknn.builder.knn.resolve import fit
rng = np.random.default_rng(0)
ids = np.arange(300) % 40
rows = (3 + rng.standard_normal((40, 400))[ids] + rng.standard_normal((300, 400))).astype("f4")
for some in (rows, rows[:, :120]):
    print(hashlib.sha256(discriminant(some, ids % 5).kernel.tobytes()).hexdigest())
    found = fit(Spec(backbone="vector"), References.of(some, list(map(str, ids))))
    print(found.temperature.hex(), found.space.folds[0].project(some)[0].tolist())
"""


def test_the_same_bytes_in_other_processes_and_with_other_numbers_of_threads(tmp_path):
    said = set()
    for threads in ("1", "2", "4"):
        names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, threads) | {"PYTHONHASHSEED": threads}
        command = [sys.executable, "-c", PROGRAM]
        ran = subprocess.run(
            command, env=environment, capture_output=True, check=True, cwd=tmp_path
        )
        said.add(ran.stdout)
    assert len(said) == 1


@pytest.mark.parametrize("dim", [3, 24, 300])
def test_what_copies_leave_of_a_class_is_rounding_and_no_direction(dim):
    """A division by zero used to give a direction, and a warning."""
    for seed in range(20):
        x, y, z = np.abs(np.random.default_rng(seed).standard_normal((3, dim)))
        for vectors, classes in (
            ([x, x, y, y, z, z], "aaaabb"),
            ([x, x, y, y, y, y, z, z], "aaaabbbb"),  # one picture in both
            ([x, y, y], "aab"),
        ):
            ids = np.array([ord(one) - ord("a") for one in classes])
            found = discriminant(np.array(vectors, "f4"), ids, most=24)
            assert np.isfinite(found.kernel).all()


@pytest.mark.parametrize("counts", [(5,) * 6, (2, 3, 9, 4, 2, 6), (40,) * 6, (9, 40, 12)])
def test_classes_are_left_out_as_if_they_had_never_been_there(counts):
    """The sums of all photos minus those of a part, and each rest summed anew."""
    rows, ids = scattered(counts)
    parts = np.array_split(np.random.default_rng(0).permutation(len(counts)), 3)
    sums = Sums.of(rows, ids, np.arange(len(rows)), parts)
    for part, out in enumerate(parts):
        kept = np.flatnonzero(~np.isin(ids, out))
        most = len(kept) * rows.shape[1] // (len(kept) + rows.shape[1])
        projection = from_sums(sums, part, most=most, strangers=True)
        wanted = discriminant(rows[kept], ids[kept], strangers=True)
        np.testing.assert_array_equal(
            discriminant(rows, ids, kept, strangers=True).kernel, wanted.kernel
        )
        size = np.abs(wanted.kernel).max()  # both round sums, in another order, to float32
        np.testing.assert_allclose(projection.kernel, wanted.kernel, atol=1e-5 * size)
        assert projection.variance == pytest.approx(wanted.variance)


def test_of_a_class_that_would_be_alone_nothing_is_learned():
    rows, ids = scattered((5, 5, 5))
    sums = Sums.of(rows, ids, np.arange(15), [np.array([0, 2]), np.array([1])])
    with pytest.raises(InputError, match="at least two classes, not 1"):
        from_sums(sums, 0, most=16)
    assert from_sums(sums, 1, most=16)
    same = np.repeat(rows[ids == 1][:1], 10, axis=0)
    every, numbers = np.concatenate([rows[ids == 0], same]), np.repeat([0, 1, 2], 5)
    sums = Sums.of(every, numbers, np.arange(15), [np.array([0]), np.array([1, 2])])
    with pytest.raises(InputError, match="all embeddings are equal"):
        from_sums(sums, 0, most=16)
