"""Principal components: whitened as in scikit-learn, and with the number that answers best."""

import json

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from support import input_error, plain, vector_case

from pocketknn.builder import References, Spec
from pocketknn.builder.choices.neighbors import shared
from pocketknn.builder.knn.projection import pca_size as module
from pocketknn.builder.knn.projection.pca import pca
from pocketknn.builder.knn.projection.pca_size import POWERS, RECALL, best_components
from pocketknn.builder.knn.resolve import fit
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.metadata import spec_of

RNG = np.random.default_rng(3)
SKEWED = RNG.standard_normal((60, 12)) * np.geomspace(50, 0.05, 12) + 20


def classes(n=150, d=40, spread=1.0, noise=0.0, seed=0):
    """Four classes that differ in three dimensions, with noise in all."""
    rng = np.random.default_rng(seed)
    number = np.arange(n) % 4
    middles = np.zeros((4, d))
    middles[:, :3] = 4 * rng.standard_normal((4, 3))
    rows = middles[number] + spread * rng.standard_normal((n, d)) * (np.arange(d) < 3)
    return References.of(rows + noise * rng.standard_normal((n, d)) + 2, [f"c{i}" for i in number])


@pytest.mark.parametrize("size", [1, 5, 0.9999])
@pytest.mark.parametrize("n", [8, 60])
def test_full_whitening_is_scikit_learns_but_for_one_factor(size, n):
    size = min(size, 5)
    found = pca(SKEWED[:n], size, 1.0)
    judge = PCA(size, whiten=True).fit(SKEWED[:n])
    queries = SKEWED[30:] + RNG.standard_normal((30, 12))
    expected = judge.transform(queries)
    factor = np.sqrt(judge.explained_variance_[0])
    np.testing.assert_allclose(found(queries), expected * factor, rtol=1e-4, atol=1e-3)
    assert found.variance == pytest.approx(judge.explained_variance_ratio_.sum())


@pytest.mark.parametrize("power", [0, 0.25, 0.5, 1])
def test_the_power_says_how_much_of_the_variance_goes(power):
    """The variance v of a component becomes v^(1 - power), up to a factor."""
    projected = pca(SKEWED, 5, power)(SKEWED).var(axis=0, ddof=1)
    variances = PCA(5).fit(SKEWED).explained_variance_
    np.testing.assert_allclose(
        projected / projected[0], (variances / variances[0]) ** (1 - power), rtol=1e-4
    )
    assert projected[0] == pytest.approx(variances[0], rel=1e-5), "the first one keeps its scale"


def test_without_whitening_nothing_is_scaled():
    bare, zero = pca(SKEWED, 4), pca(SKEWED, 4, 0.0)
    np.testing.assert_array_equal(bare.kernel, zero.kernel)
    np.testing.assert_allclose(np.linalg.norm(bare.kernel, axis=0), 1, rtol=1e-6)


def test_what_has_no_variance_is_not_blown_up():
    flat = np.concatenate([RNG.standard_normal((30, 3)), np.full((30, 4), 7.0)], axis=1)
    flat[:, 4] += 1e-9 * RNG.standard_normal(30)
    whitened = pca(flat, 7, 1.0)(flat)
    assert np.isfinite(whitened).all()
    spreads = whitened.std(axis=0)
    np.testing.assert_allclose(spreads[:3], spreads[0], rtol=1e-3)
    assert (spreads[3:] < 1e-3 * spreads[0]).all()


def test_the_cosines_are_those_of_centred_whitened_vectors():
    references = References.of(SKEWED, ["a", "b"] * 30)
    found = fit(plain(pca=6, whiten=1.0), references)
    judge = PCA(6, whiten=True).fit(references.vectors.astype("f8"))
    rows, queries = judge.transform(references.vectors), judge.transform(SKEWED + 1)
    wanted = KNeighborsClassifier(5, metric="cosine").fit(rows, np.zeros(60))
    distances, _ = wanted.kneighbors(queries)
    np.testing.assert_allclose(1 - found.search(SKEWED + 1).scores, distances, atol=1e-5)


def judged(references, size, power, seed=0):
    """The slow way: scikit-learn alone, on the same parts."""
    parts = [part.test for part in module._begin(plain(pca="auto", seed=seed), references).parts]
    right = 0
    for test in parts:
        train = np.delete(np.arange(len(references)), test)
        rows = references.vectors.astype("f8")
        if size:
            found = PCA(size).fit(rows[train])
            scale = found.explained_variance_ ** (-power / 2)
            rows = found.transform(rows) * scale
        knn = KNeighborsClassifier(5, metric="cosine", algorithm="brute")
        knn.fit(rows[train], references.label_ids[train])
        right += (knn.predict(rows[test]) == references.label_ids[test]).sum()
    return right


def test_auto_takes_what_answers_best_by_scikit_learns_count():
    references = classes(noise=2.0)
    found = fit(plain(pca="auto"), references)
    bar = judged(references, None, 0)
    sizes = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]
    best = {size: max(judged(references, size, power) for power in POWERS) for size in sizes}
    size = max(sizes, key=lambda one: (best[one], -one))
    assert found.spec.pca == found.space.width == size
    assert judged(references, size, found.spec.whiten) == best[size] >= bar
    assert best[1] < bar, "the data must tell the sizes apart"


def test_the_parts_hold_each_class_alike_and_each_reference_once():
    references = classes(n=60, noise=1.0)  # without near-copies
    parts = module._begin(plain(pca="auto", seed=4, head="classify"), references).parts
    assert sorted(np.concatenate([part.test for part in parts])) == list(range(60))
    for part in parts:
        assert np.bincount(references.label_ids[part.test]).tolist() == [3, 3, 3, 3]
        assert part.train.labels == references.labels
        np.testing.assert_array_equal(
            part.train.vectors, np.delete(references.vectors, part.test, axis=0)
        )
    again = module._begin(plain(pca="auto", seed=4, head="classify"), references).parts
    other = module._begin(plain(pca="auto", seed=5, head="classify"), references).parts
    assert [list(p.test) for p in parts] == [list(p.test) for p in again]
    assert [list(p.test) for p in parts] != [list(p.test) for p in other]


def test_a_power_that_is_named_is_kept():
    found = fit(plain(pca="auto", whiten=0.25), classes(noise=2.0))
    assert found.spec.whiten == 0.25


def test_auto_of_a_regression_minds_the_error():
    rng = np.random.default_rng(2)
    hidden = rng.uniform(-1, 1, (120, 2))
    rows = np.concatenate([10 * hidden, 0.01 * rng.standard_normal((120, 20))], axis=1)
    references = References.of(rows, targets=hidden @ [[3.0], [1.0]])
    found = fit(plain(pca="auto", metric="euclidean"), references)
    assert 2 <= found.spec.pca <= 4, "one component is not enough, and the noise is of no use"


def test_auto_of_image_search_keeps_the_stated_share_of_the_neighbours():
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((200, 24)) * np.geomspace(1, 0.02, 24)
    found = fit(
        plain(pca="auto", head="neighbors", metric="euclidean", whiten=0), References.of(rows)
    )
    size = found.spec.pca
    assert 1 < size < 24
    for few, enough in ((size, True), (size // 2, False)):
        trial = module._begin(
            plain(pca="auto", whiten=0.0, metric="euclidean"), References.of(rows)
        )
        recall = []
        for part in trial.parts:
            train = np.delete(np.arange(200), part.test)
            judge = PCA(few).fit(rows[train])
            knn = KNeighborsClassifier(5, algorithm="brute")
            before = knn.fit(rows[train], train).kneighbors(rows[part.test])[1]
            after = knn.fit(judge.transform(rows[train]), train).kneighbors(
                judge.transform(rows[part.test])
            )[1]
            recall.append(shared(before, after).mean())
        assert (np.mean(recall) >= RECALL) == enough


def test_copies_of_a_picture_do_not_answer_for_each_other():
    once = classes(n=60, noise=3.0)
    rows = np.repeat(np.arange(60), 2)
    labels = [once.label_of(row) for row in rows]
    twice = References.of(once.vectors[rows], labels, sha256=[f"{row}" for row in rows])
    assert best_components(plain(pca="auto", head="classify"), twice) == best_components(
        plain(pca="auto", head="classify"), once
    )


def test_of_very_many_references_some_are_drawn(monkeypatch):
    monkeypatch.setattr(module, "_MOST", 50)
    trial = module._begin(plain(pca="auto", head="classify"), classes(noise=2.0))
    assert len(trial.references) == 50
    assert fit(plain(pca="auto"), classes(noise=2.0)).spec.pca >= 1


@pytest.mark.parametrize(
    ("choices", "fault"),
    [
        ({"whiten": 0.5}, ["whiten-without-pca"]),
        ({"pca": 3, "whiten": 1.5}, ["whiten-out-of-range", 1.5]),
        ({"pca": 3, "whiten": -0.1}, ["whiten-out-of-range", -0.1]),
        ({"pca": 3, "whiten": float("nan")}, ["whiten-out-of-range", "nan"]),
        ({"pca": "all"}, ["pca-not-a-number", "'all'"]),
        ({"projection": "pca"}, ["projection-pca-mismatch", "pca:64, pca:0.95 or pca:auto"]),
        ({"projection": "pca:all"}, ["pca-not-a-number", "'all'"]),
        ({"projection": "pca:3:1:1"}, ["two-projections", "'pca:3:1:1'"]),
        ({"projection": "pca:3", "pca": 3}, ["two-projections", "'pca:3'"]),
        ({"projection": "pca:3:1.5"}, ["whiten-out-of-range", 1.5]),
        ({"projection": "none", "pca": 3}, ["projection-pca-mismatch", "projection none"]),
        ({"projection": "classes", "pca": 3}, ["projection-pca-mismatch", "projection classes"]),
        ({"projection": "classes:3"}, ["unknown-choice", "'classes:3'", "auto, none, cl"]),
        ({"projection": "classes", "head": "regress"}, ["projection-needs-classes", "'classify'"]),
    ],
)
def test_choices_that_make_no_sense(choices, fault):
    with input_error(*fault):
        Spec(**choices)


@pytest.mark.parametrize(
    ("typed", "same"),
    [
        ("pca:6", {"pca": 6}),
        ("pca:0.9", {"pca": 0.9}),
        ("pca:auto", {"pca": "auto"}),
        ("pca:6:0.5", {"pca": 6, "whiten": 0.5}),
        ("pca:auto:1", {"pca": "auto", "whiten": 1.0}),
    ],
)
def test_components_are_spelled_in_one_word_or_two(typed, same):
    assert Spec(projection=typed) == Spec(**same)
    assert Spec(**same).compared == typed
    assert Spec(**same).projection == "pca"


def test_too_few_references_are_refused():
    with input_error("too-few-references", 10, 9):
        fit(Spec(pca="auto"), classes(n=9))


def test_where_every_size_loses_something_auto_says_so():
    apart = References.of(np.random.default_rng(0).standard_normal((30, 200)))
    with input_error("no-lossless-pca", "80.0% of the neighbours", "--projection pca:16:0,"):
        fit(Spec(pca="auto", metric="euclidean", whiten=0), apart)


@pytest.mark.parametrize("choices", [{}, {"metric": "euclidean", "reject": "auto"}])
def test_a_whitened_build_is_the_same_in_a_file(choices, tmp_path):
    """It is written, compared with the exact k-NN, read back, and described."""
    case = vector_case(n=60, pca=6, whiten=0.5, **choices)
    assert case.metadata.manifest["projection"]["whiten"] == 0.5
    assert (
        case.metadata.manifest["projection"]["by"] == case.metadata.manifest["scores_of"] == "pca"
    )
    again = spec_of(json.loads(json.dumps(case.metadata.manifest)))
    assert (again.pca, again.whiten) == (6, 0.5)
    bare = vector_case(n=60, pca=6, **choices)
    assert bare.metadata.manifest["projection"]["whiten"] == 0
    exact = case.fit.search(case.queries.embeddings)
    assert (exact.indices != bare.fit.search(bare.queries.embeddings).indices).any()
    for name in ("tflite", "onnx"):
        path = case.write(name, tmp_path / f"model.{name}")
        outputs = FORMATS[name].load(path)(case.queries.inputs)
        np.testing.assert_allclose(
            outputs["scores"], exact.scores, atol=1e-5 * np.abs(exact.scores).max()
        )
