"""Promise and outcome side by side, and the quality of an image search."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from support import drawing

from pocketknn.builder import References, Spec
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.knn.validation.image_search import Copies, measure, same_class
from pocketknn.builder.knn.validation.promise import interval
from pocketknn.export.cli.judge.outcome import outcome_json
from pocketknn.export.report import outcome_words as words
from pocketknn.export.report.statistics.answers import NO_CLASS
from pocketknn.export.report.statistics.outcome import Promise, outcome

LABELS = ("ant", "bee", "cat")


def manifest(accuracy=0.9, queries=200, **references):
    measured = {"accuracy": accuracy, "queries": queries}
    references = {"leave_one_out": measured, "count": queries} | references
    return {"head": "classify", "reject": None, "references": references}


def asked(right, of=60, weak=1):
    """Classes of `of` photos, with `right` correct answers; class `weak` gets mistakes first."""
    actual = np.arange(of) % 3
    answered = actual.copy()
    order = np.argsort(actual != weak, kind="stable")
    answered[order[: of - right]] = (actual[order[: of - right]] + 1) % 3
    return actual, answered


@pytest.mark.parametrize(
    ("right", "kept"), [(54, True), (50, True), (44, False), (30, False), (60, False)]
)
def test_an_outcome_beyond_chance_breaks_the_promise(right, kept):
    found = outcome(manifest(), LABELS, *asked(right), np.zeros(60, bool))
    assert found.right.count == right
    assert found.kept == kept
    # Oracle: Newcombe's interval of the difference, from scipy's Wilson intervals.
    one, other = (
        binomtest(*pair).proportion_ci(method="wilson") for pair in ((right, 60), (180, 200))
    )
    gap = right / 60 - 0.9
    low = gap - np.hypot(right / 60 - one.low, other.high - 0.9)
    high = gap + np.hypot(one.high - right / 60, 0.9 - other.low)
    assert kept == (low <= 0 <= high)
    said = words.verdict(found)
    assert ("agree" in said and "disagree" not in said) == kept
    assert bool([*words.reasons(found, manifest())]) != kept


def test_references_and_photos_of_other_classes_do_not_count():
    actual, answered = asked(60)
    actual[:10], references = NO_CLASS, np.arange(60) >= 55
    found = outcome(manifest(), LABELS, actual, answered, references)
    assert found.right.of == 45
    assert found.left_out == (10, 5)
    assert "10 of unknown classes and 5 that are references" in words.verdict(found)
    assert outcome(manifest(), LABELS, actual, answered, np.ones(60, bool)) is None


def test_the_weakest_classes_are_named_and_none_where_all_are_alike():
    found = outcome(manifest(), LABELS, *asked(45), np.zeros(60, bool))
    assert [LABELS[one.label] for one in found.weakest] == ["bee"]
    assert "bee (5 of 20 correct, 15 as cat)" in words.weakest(found)
    assert "bee" in words.advice(found, manifest())
    actual = np.repeat(np.arange(3), 20)
    alike = np.where(np.arange(60) % 5 == 0, (actual + 1) % 3, actual)
    even = outcome(manifest(), LABELS, actual, alike, np.zeros(60, bool))
    assert not even.weakest
    assert words.weakest(even) == ""


def test_what_was_seen_comes_before_what_is_likely():
    told = manifest(apart={"photos": 50, "gain": 0.1})
    told["reject"] = {"known": 0.05}
    actual, answered = asked(30)
    mistaken = np.flatnonzero(answered != actual)
    answered[mistaken[::2]] = 3
    found = outcome(told, (*LABELS, "unknown"), actual, answered, np.zeros(60, bool))
    assert found.stranger
    first, second, third, last = words.reasons(found, told)
    assert "15 of 60 were called" in first
    assert "near-duplicates" in second
    assert "given no occasions" in third
    assert "--shift" in last
    with_occasions = manifest(occasions={"count": 3})
    assert not [one for one in words.reasons(found, with_occasions) if "given no occasions" in one]


def rejecting(**more):
    """A build that promises 100 % of 200 references, and rejects 10 of them."""
    told = manifest(1.0)
    told["reject"] = {"known": 0.05, "known_asked": 200, "right_kept": 0.95} | more
    return told


def eighty_six(strangers=0):
    """100 known photos, 14 of them called unknown, the others right; then strangers: 8 pass."""
    actual = np.r_[np.arange(100) % 3, np.full(strangers, 3)]
    answered = actual.copy()
    answered[:14] = 3
    answered[100:108] = 0
    return actual, answered


def test_known_photos_and_strangers_are_told_apart():
    build = rejecting()
    labels = (*LABELS, "unknown")
    found = outcome(build, labels, *eighty_six(40), np.zeros(140, bool))
    known = outcome(build, labels, *eighty_six(), np.zeros(100, bool))
    assert (found.right, found.unknown, found.alike) == (known.right, known.unknown, known.alike)
    assert (found.right.count, found.right.of, found.unknown.count) == (86, 100, 14)
    assert (found.strangers.count, found.strangers.of) == (8, 40)
    first, second = words.told_apart(found)
    low, high = binomtest(8, 40).proportion_ci(method="wilson")
    assert "86 of 100 right, 14 called unknown" in first
    assert f"8 of 40 pass (95%: {100 * low:.0f} to {100 * high:.0f}%)" in second
    assert known.strangers is None
    references = np.arange(140) >= 120  # strangers that were learned
    assert outcome(build, labels, *eighty_six(40), references).strangers.of == 20
    assert outcome(build, labels, *(one[100:] for one in eighty_six(40)), references[100:]) is None


def test_learned_strangers_are_told_apart_too():
    build = manifest() | {"strangers": {"known": 0.02}}
    found = outcome(build, (*LABELS, "unknown"), *eighty_six(40), np.zeros(140, bool))
    assert (found.right.of, found.strangers.of, found.expected_unknown) == (100, 40, 0.02)
    assert found.alike == found.mixed, "the promise counts references called unknown as wrong"


def test_the_outcome_is_compared_with_the_promise_after_rejection():
    build = rejecting()
    found = outcome(build, (*LABELS, "unknown"), *eighty_six(), np.zeros(100, bool))
    assert (found.promise.accuracy, found.alike.accuracy) == (1.0, 0.95)
    low, high = interval(0.95, 200)
    assert found.alike.interval == pytest.approx((low, high))
    assert [row[0] for row in words.rows(found)] == [
        *("promised by the build", "after rejection", "on these photos")
    ]
    # As many rejected as were rejected among the references: nothing to explain.
    actual, answered = eighty_six()
    answered[:9] = actual[:9]
    assert outcome(build, (*LABELS, "unknown"), actual, answered, np.zeros(100, bool)).kept
    older = rejecting()
    del older["reject"]["right_kept"]
    again = outcome(older, (*LABELS, "unknown"), *eighty_six(), np.zeros(100, bool))
    assert again.alike.accuracy == 0.95


def test_rejections_that_explain_the_difference_are_named_and_nothing_else():
    build = rejecting()
    found = outcome(build, (*LABELS, "unknown"), *eighty_six(), np.zeros(100, bool))
    assert not found.kept
    assert found.only_rejected
    said = " ".join(words.reasons(found, build))
    assert "14 of 100 were called" in said
    assert "100% of the 86 others are right" in said
    assert "days" not in said
    assert "--false-rejection 0.02" in words.advice(found, build)
    strict = rejecting(known=0.02)
    rare = outcome(strict, (*LABELS, "unknown"), *eighty_six(), np.zeros(100, bool))
    assert "--false-rejection" not in words.advice(rare, strict), "it was built so"
    actual, answered = eighty_six()
    answered[14:60] = (actual[14:60] + 1) % 3
    worse = outcome(build, (*LABELS, "unknown"), actual, answered, np.zeros(100, bool))
    assert not worse.only_rejected
    assert "days" in " ".join(words.reasons(worse, build))
    assert "--false-rejection" not in words.advice(worse, build)


def test_an_interval_in_the_manifest_is_taken():
    told = manifest()
    told["references"]["leave_one_out"]["interval"] = [0.5, 0.95]
    found = outcome(told, LABELS, *asked(44), np.zeros(60, bool))
    assert found.kept
    assert "50.0 to 95.0%" in words.rows(found)[0]
    told["references"]["leave_one_out"] = None
    bare = outcome(told, LABELS, *asked(44), np.zeros(60, bool))
    assert bare.promise is None
    assert len(words.rows(bare)) == 1
    assert "made no promise" in words.verdict(bare)


@pytest.fixture(scope="module")
def searched():
    rng = np.random.default_rng(0)
    kinds = rng.standard_normal((4, 12))
    rows = np.concatenate([one + rng.standard_normal((12, 12)) for one in kinds])
    labels = [f"class {i // 12}" for i in range(48)]
    return rows.astype(np.float32), labels


def test_a_search_is_right_as_often_as_the_nearest_neighbour(searched):
    rows, labels = searched
    refs = References.of(rows, labels)
    found = measure(fit(Spec(backbone="vector", head="neighbors", k=5), refs)).same_class
    witness = KNeighborsClassifier(1, metric="cosine")
    alone = accuracy_score(labels, cross_val_predict(witness, rows, labels, cv=LeaveOneOut()))
    assert abs(found.first - alone) < 0.15  # in five folds, not one by one
    assert found.first < 1
    assert found.first < found.among
    assert found.chance == 0.25
    assert found.chance_among == pytest.approx(1 - 0.75**5)
    twice = References.of(np.concatenate([rows, rows]), labels * 2)
    again = measure(fit(Spec(backbone="vector", head="neighbors", k=5), twice)).same_class
    assert again.first < 0.95, "copies do not answer for each other"


def test_same_class_by_hand():
    found = same_class(
        np.array([[0, 1], [2, 3], [1, 3]]), np.array([0, 0, 1]), np.array([0, 0, 1, 0])
    )
    assert (found.first, found.among) == (1 / 3, 2 / 3)
    assert found.chance == pytest.approx((0.75 + 0.75 + 0.25) / 3)


def test_copies_find_their_originals_or_do_not(searched):
    rows, _ = searched
    some = np.arange(0, 48, 6)
    copies = {"same": Copies(some, rows[some]), "other": Copies(some, -rows[some])}
    fitted = fit(Spec(backbone="vector", k=3), References.of(rows))
    found = measure(fitted, copies).copies
    assert (found["same"].first, found["same"].queries) == (1, 8)
    assert found["other"].among == 0
    assert measure(fitted) is None


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """A build for image search, with classes, and photos for it."""
    from pocketknn.export.cli.app import main

    folder = tmp_path_factory.mktemp("search")
    for part, seeds in (("own", range(6)), ("other", range(6, 9))):
        for label in ("a", "b"):
            (folder / part / label / "walk").mkdir(parents=True)
            for seed in seeds:
                drawing(seed + 50 * ord(label)).save(folder / part / label / "walk" / f"{seed}.png")
    arguments = ["build", str(folder / "own"), "-o", str(folder / "out"), "--head", "neighbors"]
    arguments += ["--backbone", "pixels", "--size", "12", "--formats", "onnx"]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
    return folder


def test_copies_find_their_originals_also_where_all_photos_have_one_name(pocketknn, tmp_path):
    (tmp_path / "table").mkdir()
    rows = ["path"]
    for number in range(12):
        (tmp_path / f"camera {number}").mkdir()
        drawing(number).save(tmp_path / f"camera {number}" / "IMG.png")
        rows.append(f"../camera {number}/IMG.png")
    (tmp_path / "table/t.csv").write_text("\n".join(rows))
    choices = ("--backbone", "pixels", "--size", 12, "--formats", "onnx", "--no-report")
    said = pocketknn("build", tmp_path / "table/t.csv", "-o", tmp_path / "out", *choices)
    assert said.code == 0, said.err
    told = json.loads((tmp_path / "out/manifest.json").read_text())["references"]["image_search"]
    assert told["copies"]["encoded again"]["first"] > 0.9


def test_a_build_and_eval_of_a_search_say_how_good_it_is(pocketknn, search):
    told = json.loads((search / "out/manifest.json").read_text())["references"]["image_search"]
    assert {*told["copies"]} == {*("mirrored", "cropped", "encoded again", "all three")}
    assert told["copies"]["encoded again"]["first"] > 0.9
    assert told["same_class"]["queries"] == 12
    assert "How good is the search?" in (search / "out/report.html").read_text()
    said = pocketknn("eval", search / "out", search / "other")
    assert said.code == 0, said.err
    assert "promised by the build" in said.out
    assert "one of the 5 nearest" in said.out
    (row,) = json.loads(pocketknn("eval", search / "out", search / "other", "--json").out)
    assert row["promise"]["photos"] == 6
    assert row["promise"]["promised"] == told["same_class"]["first"]


def test_a_search_among_flat_photos_says_that_nothing_tells(pocketknn, search):
    said = pocketknn("eval", search / "out/model.onnx", search / "other/a/walk")
    assert "accuracy cannot be measured" in said.out


def test_the_promise_is_for_the_classes_that_were_asked_for():
    per_class = {"ant": [95, 100], "bee": [5, 10], "cat": [0, 0]}
    per_class.pop("cat")  # which had one photo
    build = manifest(100 / 110, 110)
    build["references"]["leave_one_out"] |= {"interval": [0.85, 0.95], "per_class": per_class}
    actual = np.r_[np.zeros(10, int), np.ones(90, int)]
    answered = np.where(np.arange(100) % 2, 2, actual)  # every other one wrong
    found = outcome(build, LABELS, actual, answered, np.zeros(100, bool))
    assert found.promise.accuracy == pytest.approx(100 / 110)
    assert found.alike.accuracy == pytest.approx(0.1 * 0.95 + 0.9 * 0.5)
    weights = np.array([0.1, 0.9])
    effective = round(1 / (weights**2 / [100, 10]).sum())
    low, high = interval(found.alike.accuracy, effective)
    assert found.alike.interval[0] <= low
    assert found.alike.interval[1] >= high
    assert found.kept, "half of the bees were right in the build as well"
    assert json.loads(json.dumps(outcome_json(found)))["kept"] is True
    assert [row[0] for row in words.rows(found)][1] == "for these classes"
    same = outcome(build, LABELS, np.arange(110) // 100, np.arange(110) // 100, np.zeros(110, bool))
    assert same.alike.accuracy == pytest.approx(same.promise.accuracy)
    assert len(words.rows(same)) == 2


def test_mistakes_that_are_fewer_with_all_photos_are_so_for_other_numbers_too():
    # 60 of 100 are correct, and 1 - 0.8 * 0.4 is promised.
    found = Promise(accuracy=0.68, interval=(0.5, 0.8), of=100)
    other = found.for_mix({"ant": (50, 50), "bee": (10, 50)}, {"bee": 7})
    assert other.accuracy == pytest.approx(1 - 0.8 * 0.8)
