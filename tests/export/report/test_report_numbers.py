"""The numbers of report.html, against scikit-learn, scipy and plain loops."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta, binomtest, norm
from sklearn.metrics import confusion_matrix, mean_absolute_error, r2_score, recall_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from support import plain, study_of, vector_case

from pocketknn.builder import References, Spec
from pocketknn.builder.choices.neighbors import Neighbors
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.knn.validation.leave_one_out import errors_by_k
from pocketknn.export.report.statistics import curves, label_noise
from pocketknn.export.report.statistics.answers import Answers, numbers_of, of_references
from pocketknn.export.report.statistics.curves import accuracy_by_k
from pocketknn.export.report.statistics.data_issues import asked, suspects, twins, twins_among
from pocketknn.export.report.statistics.embedding_map import embedding_map, roomy
from pocketknn.export.report.statistics.forecast import forecast, others_left
from pocketknn.export.report.statistics.scores import below, error_curves
from pocketknn.export.report.statistics.shares import Share, mistakes, recalls
from pocketknn.export.report.statistics.target_errors import rmse_interval, target_errors


def clustered(classes=4, each=12, spread=0.1, seed=0, **choices):
    """References around one direction per class."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((classes, 8))
    ids = np.repeat(np.arange(classes), each)
    rows = centres[ids] + spread * rng.standard_normal((len(ids), 8))
    return rows, ids, plain(backbone="vector", **choices)


def fitted(rows, ids, spec):
    return fit(spec, References.of(rows, [f"c{i}" for i in ids]))


def curve_of(fitted):
    return curves.learning_curve(fitted, of_references(fitted))


@pytest.mark.parametrize(("count", "of"), [(0, 7), (7, 7), (1, 3), (62, 100), (0, 1)])
def test_intervals_are_wilsons(count, of):
    truth = binomtest(count, of).proportion_ci(0.95, "wilson")
    assert Share(count=count, of=of).interval == pytest.approx(tuple(truth), abs=1e-12)


def test_the_bootstrap_holds_the_error_and_shrinks():
    errors = np.random.default_rng(0).standard_normal(400)
    low, high = rmse_interval(errors, seed=1)
    assert low < np.sqrt((errors**2).mean()) < high
    assert high - low < np.subtract(*rmse_interval(errors[:40], seed=1)[::-1])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_leave_one_out_is_that_of_scikit_learn_and_the_manifest(metric):
    case = vector_case(n=60, k=4, metric=metric)
    answers = of_references(case.fit)
    rows, ids = case.references.vectors.astype(float), case.references.label_ids
    expected = []
    for i in range(60):
        others = np.delete(np.arange(60), i)
        model = KNeighborsClassifier(4, metric=metric, algorithm="brute")
        expected.append(model.fit(rows[others], ids[others]).predict(rows[i : i + 1])[0])
    assert (answers.predicted == expected).all()
    assert (answers.confusion == confusion_matrix(ids, expected, labels=range(6))).all()
    loo = case.metadata.manifest["references"]["leave_one_out"]
    assert answers.right.value == pytest.approx(loo["accuracy"])


def test_errors_by_k_are_those_of_scikit_learn():
    case = vector_case(n=40, k=3, metric="euclidean")
    rows, ids = case.references.vectors.astype(float), case.references.label_ids
    wrong = errors_by_k(case.fit.spec, case.fit.space)
    assert wrong.shape == (39, 1)
    for k in (1, 5, 39):
        missed = 0
        for i in range(40):
            others = np.delete(np.arange(40), i)
            model = KNeighborsClassifier(k, algorithm="brute").fit(rows[others], ids[others])
            missed += model.predict(rows[i : i + 1])[0] != ids[i]
        assert wrong[k - 1, 0] == pytest.approx(missed / 40)


def wider(count, of):
    """The interval of held-out references: Wilson's, whose arms are 1.3 times as long."""
    ends = np.array(binomtest(count, of).proportion_ci(0.95, "wilson"))
    return pytest.approx(tuple(np.clip(count / of + 1.3 * (ends - count / of), 0, 1)), abs=1e-12)


def test_accuracy_by_k_has_the_intervals_of_the_accuracy_and_the_smallest_best():
    case = vector_case(n=40, k=3, metric="euclidean")
    found = accuracy_by_k(case.fit)
    wrong = errors_by_k(case.fit.spec, case.fit.space)[:, 0]
    np.testing.assert_allclose(found.values, 1 - wrong)
    assert found.best == np.argmin(wrong.round(12)) + 1
    for share, value in zip(found.shares, found.values, strict=True):
        assert share.interval == wider(round(value * 40), 40)
    overall = case.metadata.manifest["references"]["leave_one_out"]["interval"]
    assert found.shares[2].interval == pytest.approx(overall)  # of k = 3, with which it was built
    assert not accuracy_by_k(vector_case(n=30, head="regress").fit).shares
    assert accuracy_by_k(vector_case(n=20, classes=1).fit) is None


def test_recalls_of_references_have_the_intervals_of_the_accuracy():
    own = of_references(fitted(*clustered(spread=2.0)))
    assert [one.right.of for one in own.recalls] == [12] * 4
    assert len({one.right.count for one in own.recalls}) > 1
    for one in own.recalls:
        assert one.right.interval == wider(one.right.count, 12)
        right = own.predicted[own.actual == one.label] == one.label
        assert one.right.count == right.sum()
    others = replace(own, together=None)  # as photos that are no references
    for one in others.recalls:
        truth = binomtest(one.right.count, 12).proportion_ci(0.95, "wilson")
        assert one.right.interval == pytest.approx(tuple(truth), abs=1e-12)


def test_copies_of_one_picture_prove_as_much_as_one():
    rows, ids, spec = clustered(spread=1.0)
    pictures = [f"{i // 4}" for i in range(len(ids))]  # three pictures of a class, four times each
    refs = References.of(rows, [f"c{i}" for i in ids], sha256=pictures)
    found = [one.right for one in of_references(fit(spec, refs)).recalls]
    widths = [float(np.diff(one.interval)[0]) for one in found]
    independent = [float(np.diff(Share(count=one.count, of=12).interval)[0]) for one in found]
    assert max(np.divide(widths, independent)) > 2


def test_errors_of_targets_are_those_of_scikit_learn():
    case = vector_case(n=30, head="regress")
    answers = of_references(case.fit)
    found = target_errors(answers, case.references, seed=0)
    assert [one.name for one in found] == list(case.references.target_names)
    for column, one in enumerate(found):
        assert one.mae == pytest.approx(mean_absolute_error(one.actual, one.answered))
        assert one.r2 == pytest.approx(r2_score(one.actual, one.answered))
        assert one.rmse == rmse_interval(answers.errors[:, column], seed=0)


def test_recalls_and_mistakes_of_a_confusion():
    rng = np.random.default_rng(2)
    actual, said = rng.integers(0, 4, 60), rng.integers(0, 5, 60)
    counts = confusion_matrix(actual, said, labels=range(5))
    shares = recall_score(actual, said, labels=range(4), average=None)
    found = recalls(counts)
    assert [one.right.value for one in found] == pytest.approx(sorted(shares))
    assert all(one.right.value == pytest.approx(shares[one.label]) for one in found)
    for one in found:
        wrong = np.delete(counts[one.label], one.label)
        assert one.mistaken == wrong.max() == counts[one.label, one.other]
    assert recalls(np.diag([2, 0]))[0].other is None
    times = [times for *_, times in mistakes(counts, 3)]
    assert times == sorted((counts - np.diag(counts.diagonal())).ravel())[:-4:-1]
    assert all(counts[i, j] == times for i, j, times in mistakes(counts, 99))


def answered(votes, actual, scores=None):
    votes = np.array(votes, float)
    nearest = np.linspace(0.9, 0.5, len(votes)) if scores is None else np.array(scores)
    found = Neighbors(nearest[:, None], np.zeros((len(votes), 1), np.int64))
    return Answers(
        queries=np.arange(len(votes)),
        found=found,
        labels=tuple("abc"[: votes.shape[1]]),
        actual=np.array(actual),
        votes=votes,
        errors=np.empty((len(votes), 0)),
    )


def test_the_hardest_are_those_that_others_beat_by_most_and_from_nearest():
    answers = answered([[1, 0], [0, 1], [0.4, 0.6], [0, 1]], [0, 0, 0, 0], [0.9, 0.8, 0.9, 0.85])
    assert answers.hardest(3).tolist() == [3, 1, 2]
    assert answers.hardest(2, among=np.array([0, 2])).tolist() == [2, 0]


def test_a_class_that_the_model_does_not_know_is_in_no_row():
    answers = answered([[1, 0], [0, 1]], numbers_of(["elsewhere", "b"], "ab"))
    assert answers.right.count == 1
    assert answers.confusion.tolist() == [[0, 0], [0, 1]]
    assert answers.hardest(1).tolist() == [0]


def test_wrong_labels_are_those_of_bayes_under_the_likeliest_share():
    rng = np.random.default_rng(3)
    votes, actual = rng.dirichlet([0.1, 0.1, 0.1], 200), np.empty(200, int)
    actual[:] = [rng.choice(3, p=row) for row in votes]
    actual[:20] = (votes[:20].argmax(1) + 1) % 3
    best = None
    for power in label_noise._SHARPNESS:
        q = (votes + 1 / (3 * 51)) ** power
        own = (q / q.sum(axis=1, keepdims=True))[np.arange(200), actual]
        for share in label_noise._SHARES:
            said = (1 - share) * own + share * (1 - own) / 2
            prior = beta.logpdf(share, 1, 21) + norm.logpdf(np.log(power), 0, 0.4)
            if best is None or np.log(said).sum() + prior > best[0]:
                best = (np.log(said).sum() + prior, 1 - (1 - share) * own / said)
    found = label_noise.wrong_labels(votes, actual, 50)
    np.testing.assert_allclose(found, best[1], atol=1e-9)
    assert 10 <= (found > 0.5).sum() <= 25


def labelled(spread, seed, swapped, classes=5, each=20):
    """A build of classes that overlap by `spread`, and the rows with a wrong label."""
    rng = np.random.default_rng(seed)
    ids = np.repeat(np.arange(classes), each)
    rows = rng.standard_normal((classes, 24))[ids] + spread * rng.standard_normal((len(ids), 24))
    wrong = rng.choice(len(ids), swapped, replace=False)
    ids[wrong] = (ids[wrong] + rng.integers(1, classes, swapped)) % classes
    return fitted(rows, ids, Spec(backbone="vector", seed=seed)), set(wrong.tolist())


@pytest.mark.parametrize("spread", [0.7, 1.5, 3.0])
def test_swapped_labels_are_found_and_right_ones_are_left_alone(spread):
    """At most 3 % of correct labels are suspected, even if the model is poor (3.0)."""
    accused = caught = false = 0
    for seed in range(2):
        clean, _ = labelled(spread, seed, 0)
        accused += len(suspects(of_references(clean), clean.space))
        spoilt, wrong = labelled(spread, seed, 5)
        found = {one.place for one in suspects(of_references(spoilt), spoilt.space)}
        caught, false = caught + len(found & wrong), false + len(found - wrong)
    assert accused <= 0.03 * 200
    assert false <= 0.03 * 190
    assert caught >= (5 if spread < 1 else 0)


def test_a_copy_in_a_wrong_class_does_not_accuse_the_others():
    rows, ids, _ = clustered(classes=3, each=12, spread=0.3)
    rows[:12] = rows[0] + 1e-4 * np.random.default_rng(0).standard_normal((12, 8))
    ids[5] = 2
    one = fitted(rows, ids, Spec(backbone="vector"))
    assert {found.place for found in suspects(of_references(one), one.space)} <= {5}


def test_one_of_a_class_accuses_nobody():
    rows, ids, _ = clustered(classes=6, each=10, spread=0.2)
    keep = np.r_[0:51]  # the last class has one photo, mistaken for another class
    one = fitted(rows[keep], ids[keep], plain(backbone="vector", vote="soft"))
    assert suspects(of_references(one), one.space) == []


def test_references_in_a_wrong_class_are_found_and_no_others():
    rows, ids, spec = clustered(each=40, k=20)
    ids[[5, 50, 130]] = [2, 3, 0]
    one = fitted(rows, ids, spec)
    found = suspects(of_references(one), one.space)
    assert {one.place: one.label for one in found} == {5: "c0", 50: "c1", 130: "c3"}


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "manhattan"])
def test_pairs_far_nearer_than_usual_are_twins(metric):
    rows, ids, spec = clustered(classes=1, each=30, spread=1.0, metric=metric)
    rows[7] = rows[3]
    rows[20] = rows[11] * 1.001 + 0.001
    found = twins(fitted(rows, ids, spec).space)
    assert [(one.one, one.other) for one in found] == [(3, 7), (11, 20)]
    assert found[0].distance == pytest.approx(0, abs=1e-6)
    assert 0 < found[1].distance < 0.1


def test_of_very_many_references_the_pairs_of_a_class_and_those_of_the_queries_are_found(
    monkeypatch,
):
    rows, ids, spec = clustered(classes=2, each=1000, spread=1.0)
    copied = np.arange(0, 1000, 10)
    rows[copied + 1] = rows[copied]  # in the same class
    rows[copied + 1002] = rows[copied + 2]  # in the other one
    one = fitted(rows, ids, replace(spec, vote="soft"))
    every = {(pair.one, pair.other) for pair in twins(one.space)}
    assert every >= {(row, row + 1) for row in copied} | {(row + 2, row + 1002) for row in copied}
    monkeypatch.setattr("pocketknn.builder.knn.metric_space._MOST_OUT_OF_FOLD", 0)
    monkeypatch.setattr("pocketknn.builder.knn.metric_space._MOST_QUERIES", 200)
    space = fitted(rows, ids, replace(spec, vote="soft")).space
    (fold,) = space.folds
    assert asked(space) == len(fold.test) < len(rows) / 5
    found = {tuple(sorted(pair[:2])) for pair in twins(space)}
    assert found >= {pair for pair in every if {*pair} & {*fold.test}}
    assert found >= {(row, row + 1) for row in copied}
    across = {(row + 2, row + 1002) for row in copied}
    assert found & across == {pair for pair in across if {*pair} & {*fold.test}}


def test_copies_among_held_out_photos_are_found():
    rows, ids, spec = clustered(classes=1, each=30, spread=1.0)
    held = np.concatenate([rows[[4]] * 1.0005, -rows[:3]])
    fit_ = fitted(rows, ids, spec)
    found = fit_.search(held)
    answers = answered(np.ones((4, 1)), [0] * 4)
    single = Neighbors(found.scores.astype(np.float32), found.indices)
    answers = Answers(**{**vars(answers), "found": single})
    assert [(one.one, one.other) for one in twins_among(answers, fit_.space)] == [(0, 4)]


def test_all_copies_are_no_division_by_zero():
    rows, ids, spec = clustered(classes=1, each=6, spread=0.0)
    assert len(twins(fitted(rows, ids, spec).space)) == 15


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"metric": "euclidean", "vote": "distance"},
        {"k": 30},
        {"vote": "soft"},
        {"pca": 3, "vote": "soft"},
    ],
)
def test_the_learning_curve_ends_at_the_leave_one_out_accuracy(choices):
    rows, ids, spec = clustered(spread=1.2, **choices)
    keep = np.r_[0:40, 42:48]  # classes of unequal size
    one = fitted(rows[keep], ids[keep], spec)
    curve = curve_of(one)
    assert curve.sizes.tolist() == [1, 2, 3, 5, 7, 10, 12]
    # With a learned projection there are fewer draws, as it is learned again each time.
    draws = curves.DRAWS if one.space.refit is None else curves._RELEARNED
    assert curve.values.shape == (draws, 7)
    answers = of_references(one)
    assert curve.values[:, -1] == pytest.approx(answers.right.value)


@pytest.mark.parametrize("choices", [{}, {"vote": "uniform", "k": 3}])
def test_the_learning_curve_of_what_is_learned_ends_at_the_cross_validated_accuracy(choices):
    rows, ids, _ = clustered(spread=1.2)
    one = fitted(rows, ids, Spec(backbone="vector", projection="classes", **choices))
    curve = curve_of(one)
    assert curve.sizes.tolist() == [1, 2, 3, 5, 7, 10, 12]
    answers = of_references(one)
    assert curve.values[:, -1] == pytest.approx(answers.right.value)
    assert ((curve.values >= 0) & (curve.values <= 1)).all()


def test_a_point_of_the_learning_curve_by_scikit_learn():
    rows, ids, _ = clustered(each=8, spread=1.0)
    rng = np.random.default_rng(5)
    place = curves._places(ids, rng)
    for c in range(4):
        assert sorted(place[ids == c]) == list(range(8))
    asked = np.array([0, 9, 17, 31])
    scores = -np.linalg.norm(rows[asked][:, None] - rows[None], axis=2)
    scores[np.arange(4), asked] = -np.inf
    found = curves._search(scores, ids, place, asked, 3, 4)
    for q, query in enumerate(asked):
        stored = []
        for c in range(4):
            order = sorted(np.flatnonzero(ids == c), key=lambda i: place[i])
            stored += [i for i in order if i != query][:3]
        stored = np.array(stored)
        _, near = NearestNeighbors(n_neighbors=4).fit(rows[stored]).kneighbors(rows[[query]])
        assert found.indices[q].tolist() == stored[near[0]].tolist()


def a_curve(mistakes, sizes=(1, 2, 5, 10, 20), queries=400, regress=False):
    values = np.tile(1 - np.array(mistakes), (3, 1))
    return curves.LearningCurve(
        sizes=np.array(sizes),
        values=values,
        queries=queries,
        largest=sizes[-1],
        regress=regress,
    )


def test_the_forecast_continues_a_curve_that_many_queries_have_measured():
    sizes = np.array([1, 2, 5, 10, 20])
    mistakes = 0.5 * sizes**-0.5
    right = Share(count=round(4e6 * (1 - mistakes[-1])), of=4_000_000)
    found = forecast(a_curve(mistakes, queries=4_000_000), right, left=1.0)
    assert found.gain == pytest.approx(0.5 * (20**-0.5 - 40**-0.5), abs=1e-3)
    assert found.high - found.low < 0.002
    assert found.helps
    assert not found.little


def test_the_forecast_of_few_queries_is_wide_and_claims_nothing():
    curve = a_curve([0.3, 0.2, 0.14, 0.12, 0.1], queries=20)
    found = forecast(curve, Share(count=18, of=20), left=0.8)
    assert found.low < found.gain < found.high
    assert 0.2 < found.worth < 0.8
    assert not found.helps
    assert not found.little
    assert forecast(a_curve([0.1] * 5, regress=True), Share(count=29, of=40), 0.8) is None


@pytest.mark.parametrize(("mistakes", "right"), [(0.0, 2000), (0.5, 1000)])
def test_where_there_are_no_mistakes_or_always_as_many_more_photos_bring_little(mistakes, right):
    curve = a_curve([mistakes] * 5, queries=2000)
    found = forecast(curve, Share(count=right, of=2000), left=0.8)
    assert found.little
    assert 0 <= found.low <= found.high


def test_who_answers_what_is_left_out():
    rows, ids, _ = clustered(spread=1.2)
    one = fitted(rows, ids, Spec(backbone="vector", projection="classes"))
    there = [
        (ids[fold.train] == ids[row]).sum() / (ids == ids[row]).sum()
        for fold in one.space.folds
        for row in fold.test
    ]
    assert others_left(one.space) == pytest.approx(np.mean(there))
    alone = fitted(rows, ids, plain(backbone="vector"))
    assert others_left(alone.space) == pytest.approx(11 / 12)


def test_another_k_is_better_only_by_more_than_chance():
    rows, ids, _ = clustered(classes=2, each=60, spread=1.5)
    found = accuracy_by_k(fitted(rows, ids, plain(backbone="vector", k=5)))
    wrong = []
    for k in (found.best, 5):
        model = KNeighborsClassifier(k, metric="cosine", algorithm="brute")
        said = []
        for i in range(120):
            others = np.delete(np.arange(120), i)
            said.append(model.fit(rows[others], ids[others]).predict(rows[[i]])[0])
        wrong.append(np.array(said) != ids)
    gains = wrong[1].astype(float) - wrong[0]
    assert found.gain == pytest.approx(gains.mean())
    assert found.error == pytest.approx(gains.std() / np.sqrt(120))
    # A random fifth of the photos is in the other class: one neighbour is too few.
    rng = np.random.default_rng(0)
    far, other = clustered(classes=2, each=200, spread=0.3)[:2]
    other = np.where(rng.random(400) < 0.2, 1 - other, other)
    assert accuracy_by_k(fitted(far, other, plain(backbone="vector", k=1))).clear
    assert not accuracy_by_k(fitted(far, other, plain(backbone="vector", k=15))).clear


def test_a_learning_curve_of_numbers_and_of_too_little():
    curve = curve_of(vector_case(n=30, head="regress").fit)
    assert curve.regress
    assert curve.sizes[-1] == 30
    assert curve_of(vector_case(n=2, k=1).fit) is None
    assert curve_of(vector_case(n=20, classes=1).fit) is None


def test_very_many_references_are_drawn_from(monkeypatch):
    monkeypatch.setattr(curves, "_MOST_STORED", 100)
    rows, ids, spec = clustered(classes=5, each=60)
    curve = curve_of(fitted(rows, ids, spec))
    assert curve.sizes[-1] == 20
    assert curve.largest == 60


def test_the_error_curves_by_loops():
    case = vector_case(n=50, k=3, reject="auto")
    curves = error_curves(case.fit, strangers=case.queries.embeddings)
    rejection = case.metadata.manifest["reject"]
    at = np.array([rejection["threshold"]])
    assert curves.rejected(at)[0] == pytest.approx(rejection["known"])
    scores = case.fit.space.scores(case.references.vectors)
    ids = case.references.label_ids
    nearest = sorted(max(scores[i][ids != ids[i]]) for i in range(50))
    assert curves.left_out == pytest.approx(np.array(nearest))
    strangers = case.fit.space.scores(case.queries.embeddings).max(axis=1)
    assert below(curves.strangers, at)[0] == (strangers < at[0]).mean()


def test_where_there_is_nothing_to_tell_apart():
    assert error_curves(vector_case(head="regress").fit) is None
    assert error_curves(vector_case(n=1, k=1).fit) is None
    assert not len(error_curves(vector_case(classes=1).fit).left_out)


@pytest.mark.parametrize("n", [2, 3, 12, 60])
def test_the_map_lies_in_its_frame(n):
    drawn = embedding_map(vector_case(n=n, k=1).fit)
    if n < 3:
        assert drawn is None
        return
    assert drawn.places.min() >= 0
    assert drawn.places.max() <= 1
    assert drawn.rows.tolist() == list(range(n))
    assert drawn.method == ("t-SNE" if n == 60 else "principal components")


def test_the_map_keeps_what_is_near_together():
    rows, ids, spec = clustered(classes=3, each=20, spread=0.05)
    places = embedding_map(fitted(rows, ids, spec)).places
    model = KNeighborsClassifier(5).fit(places, ids)
    assert model.score(places, ids) == 1


def test_a_map_of_very_many_draws_from_all_classes():
    drawn = embedding_map(vector_case(n=700, classes=50).fit)
    assert len(drawn.rows) == len(set(drawn.rows)) == 500


def test_each_cell_has_room_for_one():
    places = np.random.default_rng(0).random((200, 2))
    kept = roomy(places, 5)
    assert len(kept) == 25
    assert len({tuple((places[i] * 5).astype(int)) for i in kept}) == 25


def test_a_study_keeps_what_it_worked_out_once_the_files_are_known():
    begun = study_of(vector_case(n=40, k=3).fit)
    begun.work_out()
    whole = begun.completed(begun.manifest | {"files": {"a": 1}}, [("a", "float32")])
    assert whole.manifest["files"] == {"a": 1}
    assert whole.timings == [("a", "float32")]
    assert begun.manifest["files"] == {}
    for name in ("own", "forecast", "by_k", "map", "thumbnails"):
        assert getattr(whole, name) is getattr(begun, name), name
