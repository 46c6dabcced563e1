"""Well-known k-NN results, reproduced by the exported files and by scikit-learn."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from support import vote

from pocketknn.builder import References, Spec
from pocketknn.builder.knn import exact
from pocketknn.export import export, load
from pocketknn.export.manifest.figures import Figures
from pocketknn.export.pipeline import export as of_export

FILES = {"tflite": "model.tflite", "onnx": "model.onnx"}


def exported(spec, vectors, labels, out, formats):
    """The artefacts of a vector model, which passed the parity check."""
    labels = [f"{label:02}" for label in labels]
    result = export(spec, References.of(vectors, labels), None, out, formats=formats)
    assert result.agrees
    return {name: load(out / FILES[name]) for name in formats}


def near_ties(spec_k, metric, train, queries, label_ids):
    """Queries whose answer depends on a tie: for the k-th place, or in the vote."""
    found = exact.search(queries, train, spec_k + 1, metric)
    last = np.abs(found.scores[:, spec_k - 1] - found.scores[:, spec_k])
    place = last <= 1e-5 * np.abs(found.scores[:, spec_k])
    votes = np.sort(
        vote(
            exact.Neighbors(found.scores[:, :spec_k], found.indices[:, :spec_k]),
            label_ids,
            int(label_ids.max()) + 1,
        )
    )
    return place | (votes[:, -1] == votes[:, -2])


@pytest.fixture(scope="module")
def fashion(data):
    """All of Fashion-MNIST: 60,000 and 10,000 pictures as vectors of 784 values."""
    with np.load(data / "fashion_mnist.npz") as arrays:
        return {
            key: arrays[key].reshape(len(arrays[key]), -1) if key[0] == "x" else arrays[key]
            for key in ("x_train", "y_train", "x_test", "y_test")
        }


@pytest.fixture
def unmeasured(monkeypatch):
    """Leave-one-out figures, which no file holds, cost as much here as all the rest."""
    monkeypatch.setattr(of_export, "measure", lambda *given: Figures())


@pytest.mark.usefixtures("unmeasured")
def test_fashion_mnist_with_ten_principal_components(fashion, tmp_path):
    """81.53 % with k = 10 and Euclidean distance: the files answer as scikit-learn does.

    The figure is that of all test pictures. The files hold all 60,000, and are asked every fifth:
    their answers are compared one by one, and each takes milliseconds.
    """
    train, test = fashion["x_train"].astype("f4"), fashion["x_test"].astype("f4")
    judge = make_pipeline(PCA(10), KNeighborsClassifier(10)).fit(train, fashion["y_train"])
    expected = judge.predict(test)
    assert round(float((expected == fashion["y_test"]).mean()), 4) == 0.8153
    given = judge, "euclidean", train, fashion["y_train"]
    same_answers(*given, test[::5], expected[::5], tmp_path)


@pytest.mark.usefixtures("unmeasured")
def test_fashion_mnist_by_manhattan(fashion, tmp_path):
    """The same with Manhattan distances, from a tenth of the pictures to a tenth.

    They are no matrix product: those from 5,000 pictures to 60,000 take minutes.
    """
    train, label = fashion["x_train"][::10].astype("f4"), fashion["y_train"][::10]
    judge = make_pipeline(PCA(10), KNeighborsClassifier(10, p=1)).fit(train, label)
    test = fashion["x_test"][::10].astype("f4")
    same_answers(judge, "manhattan", train, label, test, judge.predict(test), tmp_path)


def same_answers(judge, metric, train, label, test, expected, folder):
    """Assert that files with ten principal components and k = 10 answer as the judge expects."""
    spec = Spec(backbone="vector", metric=metric, pca=10, k=10, vote="uniform")
    files = exported(spec, train, label, folder / "out", list(FILES))
    projected = judge[0].transform(train), judge[0].transform(test)
    tied = near_ties(10, metric, *projected, label)
    assert tied.mean() < 0.1, "ties are few, or the comparison would say little"
    for name, file in files.items():
        different = (exact.winners(file.run(test)["probabilities"]) != expected) & ~tied
        assert not different.any(), f"{name}: {np.flatnonzero(different)[:9]}"


def test_digits_by_grid_search(tmp_path):
    """Grid search over k and p on 80 % of the digits: the file equals the best estimator."""
    digits = load_digits()
    train, test, train_label, test_label = train_test_split(
        digits.data, digits.target, test_size=0.2, random_state=1337
    )
    grid = {"n_neighbors": [1, 3, 5], "p": [1, 2, 3]}
    # Which of them is best does not matter here, so two folds suffice.
    best = GridSearchCV(KNeighborsClassifier(), grid, cv=2).fit(train, train_label)
    metric = {1: "manhattan", 2: "euclidean", 3: "minkowski"}[best.best_params_["p"]]
    spec = Spec(
        backbone="vector", metric=metric, k=best.best_params_["n_neighbors"], vote="uniform"
    )
    files = exported(spec, train, train_label, tmp_path / "out", list(FILES))
    expected = best.predict(test)
    assert best.score(test, test_label) > 0.97
    # The values are whole numbers, so distances can tie exactly.
    tied = near_ties(spec.k, metric, train, test, train_label)
    for file in files.values():
        answers = exact.winners(file.run(test)["probabilities"])
        assert not ((answers != expected) & ~tied).any()
        assert abs((answers == test_label).mean() - best.score(test, test_label)) <= 1 / len(test)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_digits_by_every_order(p, tmp_path):
    digits = load_digits()
    train, test, train_label, _ = train_test_split(
        digits.data, digits.target, test_size=0.2, random_state=1337
    )
    metric = {1: "manhattan", 2: "euclidean", 3: "minkowski"}[p]
    spec = Spec(backbone="vector", metric=metric, k=5, vote="distance")
    (file,) = exported(spec, train, train_label, tmp_path / "out", ["tflite"]).values()
    judge = KNeighborsClassifier(5, p=p, weights="distance").fit(train, train_label)
    tied = near_ties(5, metric, train, test, train_label)
    found = file.run(test.astype("f4"))
    np.testing.assert_allclose(
        found["probabilities"][~tied], judge.predict_proba(test)[~tied], atol=1e-5
    )
    distances, _ = judge.kneighbors(test)
    np.testing.assert_allclose(-found["scores"], distances, rtol=1e-5)
