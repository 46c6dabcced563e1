"""The parity check itself: what it must refuse and what it must accept."""

import json

import numpy as np
import pytest
from support import vector_case, vote

from pocketknn.builder import References, Spec
from pocketknn.builder.knn import exact
from pocketknn.builder.knn.resolve import fit
from pocketknn.export import check


@pytest.fixture
def case():
    return vector_case()


def truth(case, k=5):
    """The outputs of a perfect artefact."""
    found = exact.search(case.queries.embeddings, case.references.vectors, k)
    votes = vote(found, case.references.label_ids, len(case.references.labels))
    return {
        "scores": found.scores.astype("f4"),
        "indices": found.indices.copy(),
        "probabilities": votes.astype("f4"),
    }


def judge(case, outputs, precision="float32", **changes):
    given = (outputs, case.queries.embeddings, case.fit)
    return check(*given, precision=precision, **changes)


def test_the_truth_agrees(case):
    parity = judge(case, truth(case))
    assert parity.agrees
    assert parity.failures == ()
    assert (parity.lists_equal, parity.recall, parity.labels_equal) == (1, 1, 1)


def spoil_score(outputs):
    outputs["scores"][3, 0] += 2e-5


def spoil_order(outputs):
    outputs["indices"][3, [0, 4]] = outputs["indices"][3, [4, 0]]
    outputs["scores"][3, [0, 4]] = outputs["scores"][3, [4, 0]]


def spoil_vote(outputs):
    outputs["probabilities"][3, 0] += 1e-4


def spoil_index(outputs):
    outputs["indices"][3, 0] = 40


def spoil_repeat(outputs):
    outputs["indices"][3, 1] = outputs["indices"][3, 0]
    outputs["scores"][3, 1] = outputs["scores"][3, 0]


def spoil_nan(outputs):
    outputs["scores"][0, 0] = np.nan


def spoil_shape(outputs):
    outputs["scores"] = outputs["scores"][:, :4]


def spoil_outputs(outputs):
    del outputs["indices"]


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_score,
        spoil_order,
        spoil_vote,
        spoil_index,
        spoil_repeat,
        spoil_nan,
        spoil_shape,
        spoil_outputs,
    ],
)
def test_a_single_mistake_is_refused(case, spoil):
    outputs = truth(case)
    spoil(outputs)
    parity = judge(case, outputs)
    assert not parity.agrees
    json.dumps(parity.as_json(), allow_nan=False)


def test_references_that_are_not_in_the_file_are_refused(case):
    assert not judge(case, truth(case), stored=False).agrees


def test_a_swap_counts_as_equal_only_where_the_exact_scores_are_closer_than_a_tie():
    spec = Spec(backbone="vector", k=2)
    for angle, passes in ((1e-6, True), (1e-2, False)):
        rows = [[1, 0, 0], [np.cos(angle), np.sin(angle), 0], [0, 0, 1]]
        references = References.of(rows, ["a", "a", "b"])
        query = np.array([[1.0, 0, 0]])
        cosines = exact.scores(query, references.vectors)[0]
        outputs = {
            "scores": cosines[[1, 0]][None],
            "indices": np.array([[1, 0]]),
            "probabilities": np.array([[1.0, 0.0]]),
        }
        parity = check(outputs, query, fit(spec, references), precision="float32")
        assert parity.lists_equal == 0
        assert (parity.lists_agree == 1) is passes


def test_int8_may_lose_neighbours_but_neither_scores_nor_votes_nor_references(case):
    given = (case.queries.embeddings, case.references.vectors)
    scores = exact.scores(*given)
    worst = np.argsort(scores, axis=1)[:, :5]  # the farthest references, with their own scores
    found = exact.Neighbors(np.take_along_axis(scores, worst, axis=1), worst)
    votes = vote(found, case.references.label_ids, len(case.references.labels))
    outputs = {"scores": found.scores, "indices": found.indices, "probabilities": votes}
    parity = judge(case, outputs, "int8")
    assert parity.agrees
    assert parity.lists_agree < 0.1  # one query is black: all its scores are 0
    assert not judge(case, outputs, "float16").agrees
    assert not judge(case, outputs, "int8", stored=False).agrees
    for name, error, agrees in (("scores", 0.2, True), ("scores", 0.3, False)):
        assert judge(case, outputs | {name: outputs[name] + error}, "int8").agrees is agrees
    spoil_vote(outputs)
    assert judge(case, outputs, "int8").agrees
    outputs["probabilities"][3, 0] += 2e-3
    assert not judge(case, outputs, "int8").agrees


def test_float16_is_judged_by_its_own_table(case):
    outputs = truth(case)
    outputs["scores"] += 5e-3
    assert judge(case, outputs, "float16").agrees
    assert not judge(case, outputs, "float32").agrees
    outputs["scores"] += 6e-3
    assert not judge(case, outputs, "float16").agrees
