"""Cross-validation over a grid, against scikit-learn's, and the command line."""

import csv
import shlex
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.model_selection import KFold, StratifiedGroupKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from support import drawing, input_error, plain

from pocketknn.builder import InputError, References, Spec, embed, find, load_backbone
from pocketknn.builder.embedding import local
from pocketknn.builder.knn.projection.classes import discriminant
from pocketknn.builder.knn.validation.folds import groups
from pocketknn.builder.references import ml5_json
from pocketknn.builder.selection.cross_validation import tune
from pocketknn.builder.selection.grid import Grid
from pocketknn.builder.selection.results import Trial, Tuning
from pocketknn.export.cli.make.tune import command
from pocketknn.export.pipeline.request import Selection

METRICS = ("cosine", "euclidean", "manhattan", "minkowski")
RNG = np.random.default_rng(7)
LABEL_IDS = RNG.integers(0, 3, 90)
VECTORS = (RNG.standard_normal((3, 9))[LABEL_IDS] + 2 * RNG.standard_normal((90, 9))).astype("f4")
GROUPS = groups(VECTORS, (), LABEL_IDS)  # some of so few values look like views of one picture
TARGETS = (VECTORS[:, :2] * [1, 50] + RNG.standard_normal((90, 2))).astype("f4")
CLASSES = References.of(VECTORS, [f"class {i}" for i in LABEL_IDS])
GRID = Grid(
    ks=(1, 3, 4, 9),
    metrics=METRICS,
    projections=("none", "pca:4", "pca:0.8"),
    votes=("uniform", "distance"),
)
LEARNED = Grid(
    ks=(1, 4, 9),
    metrics=METRICS,
    projections=("classes", "none", "pca:4"),
    votes=("soft", "uniform"),
)
TEMPERATURE = 0.3


def tuned(references, grid=GRID, spec=None, **options):
    crops = grid.crops or ("center",)
    grid = Grid(**(vars(grid) | {"crops": crops}))
    return tune(spec or Spec(seed=3), grid, lambda crop: references, **options)


class Directions(TransformerMixin, BaseEstimator):
    """The projection onto classes as a step of a scikit-learn pipeline."""

    def fit(self, vectors, label_ids):
        self.found_ = discriminant(vectors.astype("f4"), label_ids)
        return self

    def transform(self, vectors):
        return self.found_(vectors)


def softly(distances):
    """The weights of a soft vote: a distance is one minus a cosine, or minus another score."""
    return np.exp(-(distances - distances.min(axis=1, keepdims=True)) / TEMPERATURE)


def witness(kind, spec):
    """A scikit-learn pipeline with the same choices."""
    metric = {"p": 3} if spec.metric == "minkowski" else {"metric": spec.metric}
    weights = softly if spec.vote == "soft" else spec.vote
    knn = kind(spec.k, weights=weights, algorithm="brute", **metric)
    steps = {
        "none": FunctionTransformer(),
        "pca": PCA(spec.pca, svd_solver="full"),
        "classes": Directions(),
    }
    return make_pipeline(steps[spec.projection], knn)


@pytest.mark.parametrize(("grid", "count"), [(GRID, 4 * 4 * 3 * 2), (LEARNED, 3 * 4 * 3 * 2)])
def test_every_trial_equals_scikit_learns_cross_validation(grid, count, monkeypatch):
    monkeypatch.setattr(
        "pocketknn.builder.selection.cross_validation.temperature",
        lambda space, k, **how: TEMPERATURE,
    )
    # scikit-learn's votes are not balanced by class size.
    found = tuned(CLASSES, grid, Spec(seed=3, balanced=False))
    assert len(found.trials) == count
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=3)  # GROUPS stay together
    for trial in found.trials:
        judge = witness(KNeighborsClassifier, trial.spec)
        expected = cross_val_score(
            judge, VECTORS.astype(float), LABEL_IDS, groups=GROUPS, cv=splitter
        )
        np.testing.assert_allclose(trial.by_fold, expected, atol=1e-12, err_msg=str(trial.spec))
        assert trial.mean == pytest.approx(expected.mean())
        assert trial.error == pytest.approx(expected.std(ddof=1) / 5**0.5)
    means = [round(trial.mean, 12) for trial in found.trials]
    assert means == sorted(means, reverse=True)
    assert len({trial.by_fold for trial in found.trials}) > 50, (
        "the data must tell the trials apart"
    )


@pytest.mark.parametrize("projection", ["classes", "none"])
def test_the_temperature_of_a_fold_is_found_without_the_fold(projection, monkeypatch):
    from pocketknn.builder.selection import cross_validation as module

    seen, real = [], module.temperature

    def spy(space, k, **how):
        seen.append((space, k))
        return real(space, k, **how)

    monkeypatch.setattr(module, "temperature", spy)
    grid = Grid(ks=(3, 9), metrics=("cosine",), votes=("soft",), projections=(projection,))
    assert len(tuned(CLASSES, grid).trials) == 2
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=3)  # GROUPS stay together
    for (space, k), (train, _) in zip(
        seen, splitter.split(VECTORS, LABEL_IDS, GROUPS), strict=True
    ):
        np.testing.assert_array_equal(space.references.vectors, VECTORS[train])
        assert k == 9


@pytest.mark.parametrize("columns", [[1], [0, 1]])
def test_every_trial_equals_scikit_learns_for_targets(columns):
    targets = TARGETS[:, columns].astype(float)
    references = References.of(VECTORS, targets=targets, target_names=[f"t{i}" for i in columns])
    found = tuned(references, Grid(**(vars(GRID) | {"ks": (1, 4)})), folds=4)
    assert found.regress
    # errors of several targets are in their standard deviations
    scaled = targets / targets.std(axis=0) if len(columns) > 1 else targets
    splitter = KFold(4, shuffle=True, random_state=3)
    for trial in found.trials:
        judge = witness(KNeighborsRegressor, trial.spec)
        scores = cross_val_score(
            judge, VECTORS.astype(float), scaled, cv=splitter, scoring="neg_root_mean_squared_error"
        )
        np.testing.assert_allclose(trial.by_fold, -scores, rtol=1e-5, err_msg=str(trial.spec))
    assert found.best.mean == min(trial.mean for trial in found.trials)


@pytest.mark.parametrize(
    ("projection", "name", "leaky"),
    [("pca:2", "pca", PCA(2)), ("classes", "discriminant", Directions())],
)
def test_a_projection_sees_the_training_part_alone(projection, name, leaky, monkeypatch):
    """If learned from all references, it gives other numbers, so the test above would fail."""
    seen = []

    def spy(vectors, *more, **how):
        seen.append(vectors)
        return real(vectors, *more, **how)

    from pocketknn.builder.knn import projected as module

    real = getattr(module, name)
    monkeypatch.setattr(module, name, spy)
    grid = Grid(ks=(3,), metrics=("cosine",), votes=("uniform",), projections=(projection,))
    (trial,) = tuned(CLASSES, grid).trials
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=3)  # GROUPS stay together
    for vectors, (train, _) in zip(seen, splitter.split(VECTORS, LABEL_IDS, GROUPS), strict=True):
        np.testing.assert_array_equal(vectors, VECTORS[train])
    leaked = leaky.fit_transform(VECTORS.astype(float), LABEL_IDS)
    judge = KNeighborsClassifier(3, metric="cosine", algorithm="brute")
    assert not np.allclose(
        trial.by_fold, cross_val_score(judge, leaked, LABEL_IDS, groups=GROUPS, cv=splitter)
    )


def test_one_search_answers_for_all_ks_and_votes(monkeypatch):
    from pocketknn.builder.knn.metric_space import Space

    asked, reported = [], []
    real = Space.search
    monkeypatch.setattr(Space, "search", lambda *given: asked.append(given[2]) or real(*given))
    tuned(CLASSES, folds=3, progress=reported.append)
    assert asked == [9] * (3 * 4 * 3)
    assert sum(reported) == Grid(**(vars(GRID) | {"crops": ("fit",)})).searches(3)


def test_by_default_the_ks_are_those_that_there_are():
    few = CLASSES.select([*np.flatnonzero(LABEL_IDS == 0)[:4], *np.flatnonzero(LABEL_IDS == 1)[:4]])
    found = tuned(few, Grid(), folds=2)
    assert {trial.spec.k for trial in found.trials} == {1, 3}
    assert {trial.spec.k for trial in tuned(CLASSES, Grid()).trials} == {1, 3, 5, 10, 20, 50}


def test_copies_of_a_picture_do_not_answer_for_each_other():
    noise = np.random.default_rng(1).standard_normal((20, 6))
    hashes = [f"{i % 20:064x}" for i in range(40)]
    labels = ["even", "odd"] * 10
    twice = References.of(np.tile(noise, (2, 1)), labels * 2, sha256=hashes)
    found = tuned(twice, Grid(ks=(1,)))
    assert (found.examples, found.copies) == (20, 20)
    assert found.trials == tuned(References.of(noise, labels), Grid(ks=(1,))).trials
    unknown = References.of(np.tile(noise, (2, 1)), labels * 2)
    assert tuned(unknown, Grid(ks=(1,))).copies == 0, "vectors without a picture are all kept"


def test_classes_without_references_do_not_matter():
    more = CLASSES.in_order(["none", "class 2", "class 0", "class 1"])
    grid = Grid(ks=(1,))
    assert tuned(more, grid).best.mean == tuned(CLASSES, grid).best.mean


def trial(by_fold, by_example=(), **choices):
    folds = tuple(np.array(fold, bool) for fold in by_example)
    return Trial(spec=plain(**choices), width=8, by_fold=by_fold, by_example=folds)


def decided(*trials, targets=0):
    ordered = tuple(sorted(trials, key=lambda one: one.mean, reverse=not targets))
    return Tuning(trials=ordered, targets=targets, examples=9, copies=0, notes=())


def test_the_winner_is_the_simplest_within_one_standard_error():
    best = trial((0.80, 0.90), k=7, metric="manhattan", vote="distance")  # 0.85 ± 0.05
    near = trial((0.80, 0.82), k=3, metric="euclidean")
    far = trial((0.79, 0.79), k=3)
    assert decided(best, near, far).winner is near
    assert decided(best, near, far).bound == pytest.approx(0.80)
    within = trial((0.80, 0.80), k=20)
    better = trial((0.81, 0.83), k=10)
    assert decided(best, near, far, within, better).winner is better, "k by its mean"


@pytest.mark.parametrize(
    ("simple", "other"),
    [
        ({}, {"metric": "euclidean"}),
        ({"metric": "euclidean"}, {"metric": "minkowski"}),
        ({}, {"pca": 4}),
        ({"vote": "distance"}, {"pca": 0.5}),
        ({}, {"vote": "distance"}),
        ({"vote": "soft"}, {}),
        ({"projection": "classes"}, {}),
        ({"projection": "classes", "vote": "distance"}, {"pca": 0.5}),
        ({}, {"projection": "classes", "metric": "euclidean"}),
        ({}, {"crop": "stretch"}),
    ],
)
def test_what_is_simpler(simple, other):
    first, second = trial((0.7, 0.8), k=3, **other), trial((0.7, 0.78), k=3, **simple)
    assert decided(first, second).winner is second


def test_what_wins_on_the_other_folds_judges_a_fold():
    lucky = trial((0.9, 0.9, 0.0), k=7, metric="manhattan")
    steady = trial((0.7, 0.7, 0.7), k=3)
    found = decided(steady, lucky)
    assert found.winner is steady
    # Without the first or the second fold steady wins, without the third lucky: 0.7, 0.7, 0.0.
    assert found.unflattered == pytest.approx((0.7 + 0.7 + 0.0) / 3)
    two = decided(trial((0.8, 0.9), k=1), trial((0.1, 0.2), k=3))
    assert two.unflattered == two.winner.mean, "one fold has no standard error"


def test_labels_that_say_nothing_flatter_the_best_and_not_its_corrected_figure():
    rng, best, fair = np.random.default_rng(0), [], []
    for _ in range(40):  # 60 equally good trials: coin tosses on 5 folds of 20
        trials = [trial(tuple(rng.binomial(20, 0.5, 5) / 20), k=k) for k in range(1, 61)]
        found = decided(*trials)
        best.append(found.best.mean)
        fair.append(found.unflattered)
    error = np.sqrt(0.25 / 100 / 40)
    assert np.mean(best) > 0.5 + 10 * error
    assert np.mean(fair) == pytest.approx(0.5, abs=4 * error)


def test_a_gain_is_that_of_choosing_by_the_other_folds_paired_by_example():
    one = trial((1, 1, 0), [[1, 1], [1, 1], [0, 0]], k=1)
    other = trial((0.5, 0.5, 0.5), [[1, 0], [0, 1], [1, 0]], k=3, metric="euclidean")
    found = decided(one, other)
    chosen = found.chosen_by_others
    pairs = [(chosen[i].by_example[i] * 1.0 - other.by_example[i]).tolist() for i in range(3)]
    assert chosen[2] is one
    assert found.gain(other) == pytest.approx((np.mean(pairs), np.std(pairs, ddof=1) / np.sqrt(6)))


@pytest.mark.parametrize("better", [False, True])
def test_the_default_is_kept_unless_another_is_clearly_better(better):
    shared = {"vote": "soft", "projection": "classes", "balanced": True}
    default = trial((0.5, 0.5, 0.5), [[1, 0] * 10] * 3, k=7, **shared)
    # Of equal cost, so that the better mean wins: by one photo in 60, or by half of them.
    folds = [[1] * 20] * 3 if better else [[1, 1] + [1, 0] * 9] * 3
    other = trial(tuple(np.mean(fold) for fold in folds), folds, k=3, **shared)
    found = decided(other, default)
    assert (found.winner, found.default) == (other, default)
    assert found.clearly_better is better
    assert found.chosen is (other if better else default)


def test_uneven_classes_are_weighed_both_ways():
    few = np.r_[np.flatnonzero(LABEL_IDS)[:40], np.flatnonzero(LABEL_IDS == 0)[:10]]
    grid = Grid(ks=(5,), metrics=("cosine",), projections=("none",))
    tried = {(one.spec.vote, one.spec.balanced) for one in tuned(CLASSES.select(few), grid).trials}
    assert tried == {(vote, both) for vote in ("soft", "uniform", "distance") for both in (0, 1)}
    other = plain(backbone="vector", k=5, vote="uniform", balanced=True)
    selection = Selection(photos=Path("photos"))
    assert command(selection, other).endswith(" --balanced")
    assert "balanced" not in command(selection, plain(backbone="vector", k=5, vote="uniform"))
    assert command(selection, Spec(backbone="vector", k=5, vote="soft", balanced=False)).endswith(
        " --no-balanced"
    )


def test_of_errors_the_least_is_the_best():
    worse, best = trial((3.0, 4.0), k=1), trial((1.0, 2.0), k=3, metric="euclidean")
    near = trial((1.5, 2.3), k=5)
    found = decided(worse, best, near, targets=1)
    assert (found.best, found.bound, found.winner) == (best, pytest.approx(2.0), near)


def test_a_metric_that_takes_too_much_memory_is_left_out(monkeypatch):
    monkeypatch.setattr("pocketknn.builder.knn.memory._BROADCAST_LIMIT", 90 * 5 * 4)
    found = tuned(
        CLASSES, Grid(ks=(1,), metrics=("cosine", "manhattan"), projections=("none", "pca:4"))
    )
    combinations = {(one.spec.metric, one.spec.pca) for one in found.trials}
    assert combinations == {("cosine", None), ("cosine", 4), ("manhattan", 4)}
    assert len(found.notes) == 1
    assert "skipped: manhattan distances to 90 references of 9 values" in found.notes[0]
    with input_error("empty-grid", "minkowski"):
        tuned(CLASSES, Grid(ks=(1,), metrics=("minkowski",), projections=("none",)))


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"ks": ()}, "no k,"),
        ({"crops": ()}, "no crop,"),
        ({"ks": (1, 1)}, "a k twice"),
        ({"ks": (0,)}, "k must be at least 1"),
        ({"metrics": ("hamming",)}, "unknown metric 'hamming'"),
        ({"votes": ("loud",)}, "unknown vote 'loud'"),
        ({"projections": ()}, "no projection,"),
        ({"projections": ("auto",)}, "specific projections, not auto"),
        ({"projections": ("pca:auto",)}, "specific projections, not pca:auto"),
        ({"projections": ("pca:1.5",)}, "not 1.5"),
        ({"projections": ("none", "none")}, "a projection twice"),
    ],
)
def test_a_grid_of_nonsense(grid, words):
    with pytest.raises(InputError, match=words):
        Grid(**grid)


def test_too_few_examples():
    with input_error("no-labels"):
        tuned(References.of(VECTORS))
    with pytest.raises(InputError, match="4 folds need at least 8 different examples, not 7"):
        tuned(References.of(VECTORS[:7], targets=TARGETS[:7]), folds=4)
    with pytest.raises(InputError, match="training part has 72 examples of 9 values"):
        tuned(CLASSES, Grid(projections=("pca:10",)))
    assert tuned(CLASSES, spec=Spec(seed=1 << 40), grid=Grid(ks=(1,))).examples == 90


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"votes": ("uniform", "soft")}, "the vote 'soft' needs class labels"),
        ({"projections": ("classes",)}, "the projection 'classes' needs class labels"),
    ],
)
def test_what_takes_classes_is_not_tried_for_targets(grid, words):
    references = References.of(VECTORS, targets=TARGETS)
    with pytest.raises(InputError, match=words):
        tuned(references, Grid(ks=(1,), **grid))
    tried = tuned(references, Grid(ks=(1,), metrics=("cosine",))).trials
    assert {one.spec.vote for one in tried} == {"uniform", "distance"}
    assert {one.spec.compared for one in tried} == {"none", "pca:0.95"}


def test_by_default_a_grid_has_what_builds_take_by_default():
    tried = tuned(CLASSES, Grid(ks=(1, 20), metrics=("cosine",))).trials
    assert {(one.spec.vote, one.spec.compared) for one in tried} == {
        (vote, projection)
        for vote in ("soft", "uniform", "distance")
        for projection in ("classes", "none", "pca:0.95")
    }
    assert {one.spec.k for one in tried} == {1, 20}


def pixels(photos, *more):
    return "tune", photos, "--backbone", "pixels", "--size", "8", "--folds", "2", *more


def test_a_table_and_a_command_that_builds(photos, pocketknn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = pocketknn(*pixels(photos, "--exclude", "*/3.png", "--projection", "none,pca:2"))
    assert said.code == 0, said.err
    assert "9 examples in 2 folds, 72 combinations" in said.out
    assert "chosen" in said.out
    assert said.command[:5] == ["pocketknn", "build", str(photos), "-o", "out"]
    built = pocketknn(*said.command[1:], "--formats", "keras")
    assert built.code == 0, built.err
    assert "9 references in 3 classes" in built.out
    assert f"k = {said.command[said.command.index('--k') + 1]}, metric" in built.out
    assert "-o out-2 " in pocketknn(*pixels(photos)).out, "out is taken now"


def test_the_command_says_all_that_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    selection = Selection(
        photos=Path("my photos.csv"),
        path_column="file",
        label_column="kind",
        target_columns=("weight", "the age"),
        exclude=("raw/*",),
        limit=9,
    )
    spec = Spec(
        backbone="mobilenet_v2",
        weights=Path("w.h5"),
        alpha=0.5,
        size=96,
        k=7,
        metric="manhattan",
        vote="distance",
        pca=0.9,
        crop="fit",
    )
    assert command(selection, spec) == (
        "pocketknn build 'my photos.csv' -o out --backbone mobilenet_v2 --weights w.h5 --alpha 0.5"
        " --size 96 --path-column file --label-column kind --target-column weight"
        " --target-column 'the age' --exclude 'raw/*' --limit 9"
        " --k 7 --metric manhattan --vote distance --projection pca:0.9 --crop fit"
    )
    own = plain(backbone="my.keras", input_range="-1..1", k=1)
    said = command(Selection(photos=Path("photos")), own)
    assert "--backbone my.keras --input-range -1..1 --k 1" in said


def test_what_does_not_vary_has_no_column(photos, pocketknn):
    said = pocketknn(*pixels(photos, "--k", "1,3", "--metric", "cosine", "--pca", "none"))
    assert "all with metric cosine, projection none" in said.out
    (heading,) = [
        line for line in map(str.rstrip, said.out.splitlines()) if line.endswith("accuracy")
    ]
    assert heading.split() == ["k", "vote", "crop", "accuracy"]


def test_the_files(photos, pocketknn, tmp_path):
    out = tmp_path / "deep/tuned"
    assert pocketknn(*pixels(photos, "-o", out)).code == 0
    assert sorted(path.name for path in out.iterdir()) == ["tune.csv", "tune.png"]
    assert [path.name for path in out.parent.iterdir()] == ["tuned"]
    with (out / "tune.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 2 * 3 * 3 * 3
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, 1 + len(rows))]
    assert sum(row["chosen"] == "yes" for row in rows) == 1
    for row in rows:
        folds = [float(row["fold_1"]), float(row["fold_2"])]
        assert float(row["accuracy"]) == pytest.approx(np.mean(folds))
    picture = Image.open(out / "tune.png")
    assert picture.size == (1200, 840)
    assert len(picture.convert("RGB").getcolors(1 << 20)) > 50, "something is drawn"


def test_pictures_are_embedded_once_for_each_crop(photos, pocketknn, tmp_path, monkeypatch):
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))
    seen = []
    real = local.picture
    monkeypatch.setattr(
        "pocketknn.builder.embedding.local.picture",
        lambda content, size, crop: seen.append(crop) or real(content, size, crop),
    )
    first = pocketknn(*pixels(photos))
    counts = {"center": 12, "stretch": 12, "fit": 12}
    assert Counter(seen) == counts
    second = pocketknn(*pixels(photos))
    assert Counter(seen) == counts, "the cache serves a second one"
    assert first.out == second.out
    pocketknn(*pixels(photos, "--no-cache", "--crop", "fit"))
    assert Counter(seen) == counts | {"fit": 24}


def test_broken_pictures_and_copies_are_told(photos, pocketknn, tmp_path):
    folder = tmp_path / "some photos"
    shutil.copytree(photos, folder)
    (folder / "apple/broken.png").write_text("no picture")
    shutil.copy(folder / "apple/0.png", folder / "apple/again.png")
    said = pocketknn(*pixels(folder))
    assert said.code == 0, said.err
    assert "1 skipped:\n  apple/broken.png: not a picture" in said.out
    assert "12 examples in 2 folds" in said.out
    assert "1 copy of another picture is left out" in said.out
    assert shlex.quote(str(folder)) in said.out
    assert said.command[2] == str(folder)


def test_numbers_are_predicted_from_a_table(pocketknn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = []
    for i in range(12):
        Image.new("RGB", (9, 9), (20 * i, 128, 255 - 20 * i)).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{i / 2},{100 - i}")
    (tmp_path / "table.csv").write_text("\n".join(["file,weight,the age", *rows]))
    columns = ("--path-column", "file", "--target-column", "weight", "--target-column", "the age")
    said = pocketknn(*pixels("table.csv", *columns, "-o", "tuned"))
    assert said.code == 0, said.err
    assert "root mean squared error, in standard deviations of each target" in said.out
    assert (
        (tmp_path / "tuned/tune.csv")
        .read_text()
        .startswith("rank,k,metric,vote,balanced,projection,crop,values,rmse")
    )
    built = pocketknn(*said.command[1:], "--formats", "keras")
    assert built.code == 0, built.err
    assert "head regress" in built.out


def test_a_data_set_of_ml5s(pocketknn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ml5_json.write(CLASSES, tmp_path / "knn.json")
    said = pocketknn("tune", "knn.json", "--metric", "cosine,manhattan", "--k", "5,11")
    assert said.code == 0, said.err
    assert "90 examples in 5 folds, 36 combinations\n" in said.out
    assert "crop" not in said.out
    assert "--backbone" not in said.command
    built = pocketknn(*said.command[1:], "--formats", "keras")
    assert built.code == 0, built.err


def test_references_of_an_earlier_build_keep_their_crop(photos, pocketknn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = load_backbone(Spec(backbone="pixels", size=8))
    embed(find(photos), net, "stretch").references().save(tmp_path / "refs.parquet")
    said = pocketknn("tune", "refs.parquet", "--folds", "2")
    assert said.code == 0, said.err
    assert said.command[-2:] == ["--crop", "stretch"]
    built = pocketknn(*said.command[1:], "--formats", "keras")
    assert built.code == 0, built.err
    refused = pocketknn("tune", "refs.parquet", "--folds", "2", "--crop", "fit")
    assert refused.code == 2
    assert "[option-not-applicable]" in refused.err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--folds", "5"], "the class 'apple' has 4 different examples, too few for 5 folds"),
        (["--folds", "1"], "at least 2 folds, not 1"),
        (["--k", "1,7"], "k = 7, but the smallest training part has 6 examples"),
        (["--k", "three"], "[not-a-number]"),
        (["--k", "auto"], "[not-a-number]"),
        (["--k", ","], "[empty-grid]"),
        (["--k", "3,3"], "[grid-repeats-value]"),
        (["--pca", "none,7"], "pca = 7, but the smallest training part has 6 examples"),
        (["--projection", "pca:7"], "pca = 7, but the smallest training part has 6 examples"),
        (["--projection", "auto"], "[auto-in-grid]|not auto"),
        (["--projection", "some"], "unknown projection 'some'; choose from"),
        (["--projection", "none", "--pca", "2"], "[two-projections]"),
        (["--pca", "some"], "[pca-not-a-number]|'some'"),
        (["--metric", "cosine,hamming"], "unknown metric 'hamming'; choose from cosine"),
        (["--vote", "loud"], "unknown vote 'loud'"),
        (["--crop", "oval"], "unknown crop 'oval'"),
        (["--seed", "-1"], "[seed-out-of-range]"),
        (["--backbone", "resnet"], "unknown backbone 'resnet'"),
        (["--target-column", "weight"], "[targets-need-table]"),
    ],
)
def test_mistakes_are_one_line(photos, pocketknn, tmp_path, monkeypatch, more, words):
    monkeypatch.setattr(
        "pocketknn.builder.embedding.local.picture", None
    )  # nothing is embedded for them
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))
    said = pocketknn(*pixels(photos, "-o", tmp_path / "tuned", *more))
    assert said.code == 2, said.out + said.err
    assert said.err.count("\n") == 1, said.err
    assert all(one in said.err for one in words.split("|"))
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_tuned_or_written(photos, pocketknn, tmp_path):
    one_class = tmp_path / "photos"
    one_class.mkdir()
    (one_class / "apple").symlink_to(photos / "apple")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    for arguments, words in (
        (pixels(photos / "apple"), "put the photos of each class in a folder of its own"),
        (pixels(one_class), "[too-few-classes]|'apple'"),
        (pixels(photos, "-o", tmp_path / "full"), "[folder-exists]"),
        (pixels(photos, "-o", photos / "tuned"), "[out-among-photos]"),
        (pixels(tmp_path / "none"), "does not exist"),
    ):
        said = pocketknn(*arguments)
        assert said.code == 2, said.out + said.err
        assert said.err.count("\n") == 1, said.err
        assert all(one in said.err for one in words.split("|"))
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]


def test_a_broken_picture_may_cost_a_class_its_folds(pocketknn, tmp_path):
    for c, label in enumerate("ab"):
        (tmp_path / label).mkdir()
        for i in range(3):
            drawing(10 * c + i).save(tmp_path / label / f"{i}.png")
    (tmp_path / "b/2.png").write_text("no picture")
    said = pocketknn(*pixels(tmp_path, "--folds", "3"))
    assert said.code == 2
    assert "the class 'b' has 2 different examples, too few for 3 folds; use --folds 2" in said.err
