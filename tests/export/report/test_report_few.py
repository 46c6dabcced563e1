"""Reports of builds too small for an accuracy claim none, and no two lines contradict."""

import re

import numpy as np
import pytest
from support import study_of

from pocketknn.builder import References, Spec
from pocketknn.builder.knn.resolve import fit
from pocketknn.export.cli.console import summary
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

SECTIONS = (
    *(accuracy.overview, advice.following, accuracy.accuracy, calibration.calibration),
    *(classes.classes, pictures.hardest, pictures.mislabelled, curves.examples),
    *(curves.neighbours, scores.scores, scores.unknown, embedding_map.nearby),
)


def study(counts, spread=1.0, seed=0):
    """A study of classes with so many photos, in two dozen dimensions."""
    rng = np.random.default_rng(seed)
    ids = np.repeat(np.arange(len(counts)), counts)
    rows = rng.standard_normal((len(counts), 24))[ids]
    rows += spread * rng.standard_normal(rows.shape)
    return study_of(fit(Spec(backbone="vector"), References.of(rows, [f"c{i}" for i in ids])))


def told(given):
    """The sections by anchor, as text."""
    found = [section(given) for section in SECTIONS]
    return {one.anchor: repr(one.blocks) for one in found if one}


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
