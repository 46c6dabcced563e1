"""Reports of builds too small for an accuracy claim none, and no two lines contradict."""

import re

import numpy as np
import pytest
from support import study_of

from pocketknn.builder import References, Spec
from pocketknn.builder.knn.resolve import fit
from pocketknn.export.cli.console import summary
from pocketknn.export.report.html import charts
from pocketknn.export.report.sections import (
    accuracy,
    advice,
    calibration,
    classes,
    curves,
    embedding_map,
    pictures,
    scores,
)
from pocketknn.export.report.statistics.curves import LearningCurve
from pocketknn.export.report.statistics.forecast import Forecast, forecast

SECTIONS = (
    *(accuracy.overview, advice.following, accuracy.accuracy, calibration.calibration),
    *(classes.classes, pictures.hardest, pictures.mislabelled, curves.examples),
    *(curves.neighbours, scores.scores, scores.unknown, embedding_map.nearby),
)


def study(counts, spread=1.0, seed=0, **choices):
    """A study of classes with so many photos, in two dozen dimensions."""
    rng = np.random.default_rng(seed)
    ids = np.repeat(np.arange(len(counts)), counts)
    rows = rng.standard_normal((len(counts), 24))[ids]
    rows += spread * rng.standard_normal(rows.shape)
    return study_of(
        fit(Spec(backbone="vector", **choices), References.of(rows, [f"c{i}" for i in ids]))
    )


def told(given):
    """The sections by anchor, as text."""
    found = [section(given) for section in SECTIONS]
    return {one.anchor: repr(one.blocks) for one in found if one}


def a_curve(means):
    """A learning curve of 30 queries, whose sizes double up to 15 or less."""
    sizes = np.array([15, 7, 3, 1])[: len(means)][::-1]
    values = np.array([means] * 3)
    return LearningCurve(sizes=sizes, values=values, queries=30, largest=15, regress=False)


@pytest.fixture(scope="module")
def copies():
    """Four classes, each with seven near-copies of one photo."""
    return study([7] * 4, spread=1e-3)


@pytest.fixture(scope="module")
def singles():
    """Four classes with one photo each."""
    return study([1] * 4)


def test_no_calibration_where_there_is_no_accuracy(copies):
    references = copies.manifest["references"]
    assert references["leave_one_out"] is None
    assert references["calibration"] is None
    lines = "\n".join(summary.facts(copies.manifest, []))
    assert "confident" not in lines


@pytest.mark.parametrize(
    ("counts", "projection", "reasons"),
    [
        ([20, 20], "none", ["t-SNE"]),
        ([20, 20], "classes", ["these very photos", "t-SNE"]),
        ([8, 8], "none", []),  # too few for t-SNE
    ],
)
def test_the_map_is_said_to_look_surer_than_the_accuracy(counts, projection, reasons):
    found = embedding_map.nearby(study(counts, projection=projection))
    said = " ".join(block for block in found.blocks if isinstance(block, str))
    assert all(one in said for one in reasons)
    assert ("than the model sees" in said and "the table below" in said) == bool(reasons)


def test_near_copies_are_named_as_the_reason(copies, singles):
    for given, named in ((copies, True), (singles, False)):
        lines = "\n".join(summary.facts(given.manifest, []))
        assert ("near-copies" in lines) == named
        assert ("needs two photos" in lines) != named
        page = told(given)
        assert ("near-copies" in page["overview"]) == named
        assert ("near-copies" in page["next"]) == named
        assert ("with one of each" in page["next"]) != named


@pytest.mark.parametrize("which", ["copies", "singles"])
def test_without_an_accuracy_nothing_is_called_wrong(which, request):
    page = told(request.getfixturevalue(which))
    absent = {"accuracy", "calibration", "classes", "mislabelled", "examples", "k"}
    assert not absent & {*page}
    assert "0.0%" not in " ".join(page.values())
    assert "right=False" not in page["hardest"]
    assert "mistaken" not in page["hardest"]
    assert "Table" not in page["map"]
    assert "Chart" not in page["unknown"]
    assert "the curves" not in page["unknown"]


def test_one_class_has_no_accuracy_and_no_verdicts():
    page = told(study([12]))
    assert "means nothing" in page["overview"]
    assert "cross-validation" not in page["overview"]
    assert not {"accuracy", "classes", "k"} & {*page}
    assert "correct" not in page["hardest"]
    assert "right=None" in page["hardest"]
    assert "right=True" not in page["hardest"]
    assert "strange ones are accepted." not in page["unknown"]


def test_the_hardest_of_one_class_are_the_farthest():
    given = study([12])
    (_, _, gallery) = pictures.hardest(given).blocks
    first = int(re.sub("r", "", gallery.cases[0].picture.key))
    nearest = given.own.found.scores[:, 0]
    assert first == given.own.queries[nearest.argmin()]


def test_labels_are_not_doubted_where_the_accuracy_is_hardly_known():
    given = study([8] * 3)
    given.manifest["references"]["leave_one_out"]["verdict"] = "too few photos to tell"
    assert given.suspects == []
    assert "Too few photos" in told(given)["mislabelled"]


def test_no_gain_is_promised_where_no_mistake_was_made():
    given = study([15] * 2, spread=0.4)
    assert given.own.right.value == 1
    given.__dict__["curve"] = a_curve([0.6, 0.75, 0.9, 1.0])
    assert not given.forecast.helps
    assert not given.forecast.little
    page = told(given)
    assert "cannot show whether more" in page["next"]
    assert "would likely raise" not in page["next"]
    assert "cannot show whether more" in page["examples"]


def test_a_gain_is_at_most_the_mistakes():
    given = study([12] * 4, spread=1.2)
    accuracy = given.manifest["references"]["leave_one_out"]["accuracy"]
    assert 0 < 1 - accuracy < 0.5
    assert forecast(given.curve, given.own.right, 1.0).high > 0.01
    assert forecast(given.curve, given.own.right, 1.0, 0.01).high == 0.01
    assert given.forecast.high <= 1 - accuracy


@pytest.mark.parametrize(("end", "named"), [(0.6, True), (0.9, False)])
def test_a_curve_that_does_not_rise_is_explained(end, named):
    given = study([12] * 3)
    given.__dict__["curve"] = a_curve([0.5, 0.7, end])
    given.__dict__["forecast"] = Forecast(gain=0.05, low=0.0, high=0.1, worth=0.9)
    assert ("does not show this gain" in told(given)["examples"]) == named


def test_a_k_beyond_the_chart_is_marked_as_such():
    given = study([30] * 3, k=70)
    assert given.fit.k > given.by_k.ks[-1]
    page = told(given)["k"]
    assert "The chart ends at 50" in page
    assert f"built: k = {given.fit.k} →" in page
    small = study([8] * 2, k=3)
    assert "The chart ends" not in told(small)["k"]


@pytest.mark.parametrize("k", [3, None])
def test_a_k_beyond_the_references_of_a_file_that_grows_is_explained(k):
    given = study([4] * 3, grow=16, **({"k": k} if k else {}))
    explained = "all, until more are taught" in repr(accuracy.overview(given).blocks)
    assert explained == (given.manifest["k"] > 12) == (k is None)


@pytest.mark.parametrize(
    "sizes", [[1, 2, 3, 5, 7, 10, 15, 20], [1, 2, 3, 5, 7, 10, 15, 16], [1, 2]]
)
def test_the_last_size_of_a_curve_has_a_tick(sizes):
    ticks = charts._spread(np.array(sizes, float))
    assert ticks[-1] == sizes[-1]
    assert ticks[0] == sizes[0]
    assert sorted(set(ticks)) == ticks
