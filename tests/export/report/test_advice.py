"""A report's advice: it is decided in one place, and no section contradicts it."""

from itertools import product

import numpy as np
import pytest
from support import study_of

from pocketknn.builder import References, Spec
from pocketknn.builder.knn.resolve import fit
from pocketknn.export.cli.console.next_steps import _advised
from pocketknn.export.report.blocks import Command
from pocketknn.export.report.sections import advice, curves, pictures
from pocketknn.export.report.statistics.curves import AccuracyByK
from pocketknn.export.report.statistics.data_issues import Suspect
from pocketknn.export.report.statistics.forecast import Forecast
from pocketknn.export.report.statistics.outcome import outcome
from pocketknn.export.report.statistics.shares import Share

MORE, LITTLE, UNTOLD = "Take more photos", "would likely help little", "too few to tell"
FORECASTS = {
    "helps": Forecast(gain=0.05, low=0.03, high=0.08, worth=0.99),
    "little": Forecast(gain=0.01, low=0.0, high=0.015, worth=0.0),
    "silent": Forecast(gain=0.03, low=0.0, high=0.1, worth=0.6),
    "none": None,
}


def study_with(verdict="fair", backbone="bundled", **found):
    """A study of three classes with given findings."""
    rng = np.random.default_rng(0)
    ids = np.repeat(range(3), 8)
    rows = rng.standard_normal((3, 12))[ids] + 0.8 * rng.standard_normal((24, 12))
    study = study_of(fit(Spec(backbone="vector"), References.of(rows, [f"c{i}" for i in ids])))
    study.manifest["references"]["leave_one_out"]["verdict"] = verdict
    study.manifest["backbone"] = {"name": backbone}
    study.manifest["input"]["name"] = "image"
    study.__dict__.update(found)
    return study


def words(section):
    return " ".join(block for block in section.blocks if isinstance(block, str))


@pytest.mark.parametrize(("name", "expected"), [("helps", MORE), ("little", LITTLE)])
def test_the_learning_curve_decides_on_photos(name, expected):
    study = study_with(forecast=FORECASTS[name])
    assert expected in " ".join(advice.advice(study))
    shown = words(curves.examples(study))
    assert "about" in shown
    assert "too wide" not in shown


def test_nothing_is_claimed_where_the_curve_is_silent():
    study = study_with(forecast=FORECASTS["silent"])
    said = " ".join(advice.advice(study))
    assert UNTOLD in said
    assert MORE not in said
    assert LITTLE not in said
    assert "too wide" in words(curves.examples(study))
    good = study_with(verdict="good", forecast=FORECASTS["silent"])
    assert "photos would" not in " ".join(advice.advice(good))


def by_k(gain):
    """As if k = 1 made fewer mistakes by `gain`, with a standard error of one point."""
    shares = (Share(count=9, of=10),) * 3
    return AccuracyByK(np.arange(1, 4), np.full(3, 0.9), shares, 1, gain, 0.01)


def test_a_build_within_a_budget_is_told_of_no_larger_network():
    study = study_with(forecast=FORECASTS["helps"])
    assert "--backbone" in " ".join(advice.advice(study))
    study.manifest["budget"] = 1_500_000
    assert "--backbone" not in " ".join(advice.advice(study))


DOUBTED = [Suspect(3, "c1", 0.0, 0.9)]


def test_no_two_lines_contradict_each_other_whatever_was_found():
    study = study_with()
    backbones, verdicts = ("bundled", "own"), ("poor", "fair", "good", None)
    found = product(verdicts, FORECASTS, ([], DOUBTED), (0.0, 0.2), backbones)
    for verdict, name, doubted, gain, backbone in found:
        study.manifest["references"]["leave_one_out"]["verdict"] = verdict
        study.manifest["backbone"] = {"name": backbone}
        study.__dict__.update(forecast=FORECASTS[name], suspects=doubted, by_k=by_k(gain))
        said = " ".join(advice.advice(study))
        assert sum(one in said for one in (MORE, LITTLE, UNTOLD)) <= 1
        assert (MORE in said) == (name == "helps")
        assert ("--backbone" in said) == (verdict != "good" and backbone == "bundled")
        assert ("mislabelled" in said) == bool(doubted)
        assert ("--k 1" in said) == (gain > 0.1)
        assert "pocketknn eval" in said


def test_what_other_photos_showed_comes_first_and_the_curve_is_silent():
    study = study_with(forecast=FORECASTS["little"])
    ids = np.arange(60) % 3
    missed = np.where(np.arange(60) < 40, (ids + 1) % 3, ids)
    study.manifest["references"]["leave_one_out"] |= {"accuracy": 0.95, "interval": [0.9, 1.0]}
    labels = study.fit.references.labels
    seen = outcome(study.manifest, labels, ids, missed, np.zeros(60, bool))
    first, *others = advice.steps(study_with(forecast=FORECASTS["little"], outcome=seen))
    assert "like these to the references" in first.words
    assert first.command == "edit"
    assert LITTLE not in " ".join(step.words for step in others)


@pytest.mark.parametrize(
    ("asked", "command"), [(0, "--strangers STRANGE-PHOTOS"), (40, "--learn-strangers")]
)
def test_rejection_that_fails_is_advised_on(asked, command):
    study = study_with(forecast=FORECASTS["little"])
    shares = {"left_out_classes": 0.3, "strangers": 0.3 if asked else None}
    study.manifest["reject"] = {"known": 0.05, "strangers_asked": asked} | shares
    (step,) = [one for one in advice.steps(study) if "rely on" in one.words]
    assert advice.typed(step, "OUT") == f"pocketknn build PHOTOS -o NEW {command}"
    study.manifest["reject"] |= dict.fromkeys(shares, 0.9)
    assert not [one for one in advice.steps(study) if "nknown" in one.words]


@pytest.mark.parametrize("name", FORECASTS)
def test_sections_show_what_the_advice_rests_on_and_give_none(name):
    clear = name == "helps"
    study = study_with(
        forecast=FORECASTS[name], suspects=DOUBTED * clear, by_k=by_k(0.2 if clear else 0.0)
    )
    sections = (curves.examples(study), curves.neighbours(study), pictures.mislabelled(study))
    examples, neighbours, mislabelled = map(words, sections)
    assert ("chance alone does not explain" in neighbours) == clear
    assert ("None found" in mislabelled) != clear
    for section in (examples, neighbours):
        assert not any(one in section for one in (MORE, LITTLE, "Try", "--"))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["a"] * 6, ["second class"]),
        (["a", "b", "c"], ["with one of each"]),
        (["a"] * 4 + ["b"] * 4, ["pocketknn eval"]),
        (None, []),
    ],
)
def test_one_class_one_photo_each_two_classes_and_none(labels, said):
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((len(labels or "123456"), 8))
    study = study_of(fit(Spec(backbone="vector"), References.of(rows, labels)))
    study.manifest["input"]["name"] = "image"
    found = advice.advice(study)
    assert all(one in " ".join(found) for one in said)
    assert bool(found) == bool(said)
    section = advice.following(study)
    assert (section is None) == (not said)


def commands(section):
    return [block.text for block in section.blocks if isinstance(block, Command)]


def test_each_step_has_its_command_in_the_report():
    study = study_with(forecast=FORECASTS["helps"], suspects=DOUBTED, by_k=by_k(0.2))
    section = advice.following(study)
    assert commands(section) == [
        "pocketknn build PHOTOS -o OUT --force",
        "pocketknn build PHOTOS -o NEW --backbone efficientnet_lite0",
        "pocketknn edit OUT --add MORE-PHOTOS -o NEW",
        f"pocketknn tune PHOTOS --k 1,{study.fit.k}",
        "pocketknn eval OUT OTHER-PHOTOS",
    ]
    assert "options that this build was made with" in words(section)
    few = advice.following(study_with(verdict="good", forecast=FORECASTS["little"], by_k=by_k(0.0)))
    assert commands(few) == ["pocketknn eval OUT OTHER-PHOTOS"]
    assert "options" not in words(few)


@pytest.mark.parametrize(
    "changed",
    [
        {"condensed": {"by": "prototypes"}},
        {"strangers": {"known": None}},
        {"input": {"name": "features"}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_photos_are_added_to_a_build_only_where_that_is_the_same_build(changed):
    study = study_with(forecast=FORECASTS["helps"], suspects=[], by_k=by_k(0.0))
    assert "edit" in [step.command for step in advice.steps(study)]
    study.manifest.update(changed)
    found = advice.steps(study)
    assert "edit" not in [step.command for step in found]
    assert [step.options for step in found if MORE in step.words] == [{"force": True}]


def test_the_terminal_never_cuts_off_the_photos_from_elsewhere():
    study = study_with(forecast=FORECASTS["helps"], suspects=DOUBTED, by_k=by_k(0.2))
    lines = [*_advised("no such", advice.steps(study), lambda **options: f"again {options}")]
    assert lines[1::2] == [
        "    again {'force': True}",
        "    again {'backbone': 'efficientnet_lite0'}",
        "    pocketknn eval 'no such' OTHER-PHOTOS",
    ]
    study = study_with(verdict="good", forecast=FORECASTS["helps"], suspects=[], by_k=by_k(0.0))
    lines = [*_advised("no such", advice.steps(study), lambda **options: "")]
    assert lines[1] == "    pocketknn edit 'no such' --add MORE-PHOTOS -o 'no such-2'"


def test_weak_classes_are_named_only_beyond_chance():
    rng = np.random.default_rng(2)
    ids = np.repeat(range(4), 30)
    rows = 4 * np.eye(4, 12)[ids] + 0.8 * rng.standard_normal((120, 12))
    rows[:30] = 4 * np.eye(4, 12)[rng.integers(0, 4, 30)] + 0.8 * rng.standard_normal((30, 12))
    study = study_of(fit(Spec(backbone="vector"), References.of(rows, [f"c{i}" for i in ids])))
    assert advice.weak_classes(study) == ["c0"]
    study.__dict__["forecast"] = FORECASTS["helps"]
    assert any("c0 first" in line for line in advice.advice(study))
    assert advice.weak_classes(study_with()) == []
