"""Calibration against models whose calibration is known, and against folds by loops."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from support import scattered

from pocketknn.builder import References, Spec
from pocketknn.builder.knn.fit import answers
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.knn.validation.calibration import FEWEST, calibrated, calibration
from pocketknn.export.report.calibration_words import calibration_words, worst_bin


def drawn(queries, off, seed):
    """Confidences like those of a good model, which are too high by `off`."""
    rng = np.random.default_rng(seed)
    sure = np.clip(1 / (1 + np.exp(-rng.normal(2, 1.5, queries))), 0.25, 0.999)
    return sure, rng.random(queries) < sure - off


@pytest.mark.parametrize(("queries", "slack"), [(120, 0.03), (1600, 0.015)])
@pytest.mark.parametrize("off", [0, 0.1, 0.2])
def test_the_error_is_what_it_is_in_truth(queries, slack, off):
    """Without correction, 120 answers of a calibrated model would give 0.05, with 15 bins 0.09."""
    errors = [calibration(*drawn(queries, off, seed)).error for seed in range(100)]
    assert np.mean(errors) == pytest.approx(off, abs=slack)


def test_a_calibrated_model_is_not_warned_of_and_a_bad_one_is():
    def told(off):
        found = [asdict(calibration(*drawn(200, off, seed))) for seed in range(100)]
        return sum(worst_bin(one) is not None for one in found)

    assert told(0) <= 2
    assert told(0.2) >= 98


def test_chance_holds_the_points_of_a_calibrated_model():
    bins = [one for seed in range(60) for one in calibration(*drawn(400, 0, seed)).bins]
    inside = np.mean([one.low <= one.right <= one.high for one in bins])
    assert 0.92 < inside < 0.98
    assert {one.answers for one in bins} == {40}


def test_few_answers_say_nothing_and_the_words_have_both_shares():
    sure = np.full(FEWEST, 0.9)
    assert calibration(sure[1:], sure[1:] < 1) is None
    right = np.arange(FEWEST) < 5
    worst = worst_bin(asdict(calibration(sure, right)))
    assert calibration_words(worst) == (
        "when it is 90% confident, it is right 25% of the time (20 answers)"
    )


def test_each_fold_takes_its_temperature_from_the_others():
    rows, ids = scattered((12,) * 5, spread=2.0)
    found = fit(Spec(backbone="vector"), References.of(rows, [f"c{i}" for i in ids]))
    votes = answers(found.spec, found.space, found.space.others.found.first(found.k))
    measured = calibrated(found)
    same = calibration(votes.max(axis=1), votes.argmax(axis=1) == ids)
    surer = replace(found.spec, temperature=found.temperature * 0.3)
    assert calibrated(replace(found, spec=surer)) == measured
    assert measured.bins[0].right == pytest.approx(same.bins[0].right, abs=0.05)
    # Fewer photos vote here than for new queries, but the temperature is for all of them.
    assert measured.bins[0].confidence < same.bins[0].confidence


def test_where_there_is_nothing_to_be_sure_of():
    rows, ids = scattered((12,) * 2)
    labels = [f"c{i}" for i in ids]
    assert calibrated(fit(Spec(backbone="vector"), References.of(rows))) is None
    assert calibrated(fit(Spec(backbone="vector"), References.of(rows, ["one"] * 24))) is None
    assert calibrated(fit(Spec(backbone="vector"), References.of(rows[:6], labels[:6]))) is None
    assert calibrated(fit(Spec(backbone="vector", vote="uniform"), References.of(rows, labels)))
