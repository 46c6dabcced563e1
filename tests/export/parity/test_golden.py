"""The golden examples of a build: exact answers, and the range allowed for a correct file."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.special import softmax
from support import Case, drawing, photo_case, plain, vector_case

from pocketknn.builder import References
from pocketknn.builder.choices.neighbors import Neighbors
from pocketknn.builder.knn import exact as neighbors
from pocketknn.builder.knn.resolve import fit
from pocketknn.export import export, load
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.parity.check import TOLERANCES
from pocketknn.export.parity.expected import Expected, search
from pocketknn.export.parity.golden import COUNT
from pocketknn.export.parity.test_inputs import Queries

CASES = {
    "vectors": lambda photos: vector_case(),
    "vectors, by distance": lambda photos: vector_case(vote="distance", balanced=True),
    "vectors, soft": lambda photos: vector_case(vote="soft", projection="classes", reject="auto"),
    "vectors, euclidean": lambda photos: vector_case(metric="euclidean", pca=5, reject="auto"),
    "vectors, mean": lambda photos: vector_case(head="regress", vote="distance"),
    "pixels, neighbours": lambda photos: photo_case(photos, head="neighbors", size=16),
    "pixels, soft": lambda photos: photo_case(photos, size=16, vote="soft", balanced=True),
    "bundled": lambda photos: photo_case(photos, "bundled", vote="distance", reject="auto"),
}


def built(case, out, formats=tuple(FORMATS), **options):
    export(
        case.spec,
        case.references,
        case.backbone,
        out,
        against=case.queries,
        options=Options(**options),
        formats=formats,
    )
    return json.loads((out / "golden/golden.json").read_text("utf-8"))


@pytest.fixture(scope="module", params=list(CASES))
def golden(request, photos, tmp_path_factory):
    """A case, its build's folder, and the golden examples in it."""
    case = CASES[request.param](photos)
    out = tmp_path_factory.mktemp("golden") / "out"
    return case, out, built(case, out)


def inputs_of(out, said):
    """The golden inputs as a device reads them."""
    if "features" in said["examples"][0]:
        return np.array([one["features"] for one in said["examples"]], np.float32)
    pictures = [Image.open(out / "golden" / one["picture"]) for one in said["examples"]]
    assert {(one.format, one.mode) for one in pictures} == {("PNG", "RGB")}
    return np.stack([np.asarray(one) for one in pictures])


def passes(outputs, row, expected, labels):
    """The rule of golden.json, applied literally; returns what is not as expected."""
    scores, indices = outputs["scores"][row], outputs["indices"][row].tolist()
    wrong = []
    if not (np.abs(scores - expected["scores"]) <= expected["score_error"]).all():
        wrong.append("scores")
    allowed = zip(indices, expected["allowed"], strict=True)
    if len(set(indices)) < len(indices) or not all(not may or i in may for i, may in allowed):
        wrong.append("indices")
    if "probabilities" in outputs:
        votes = outputs["probabilities"][row]
        error = np.abs(votes - expected["probabilities"])
        if not (error <= expected["probability_error"]).all():
            wrong.append("probabilities")
        if labels[int(votes.round(6).argmax())] not in expected["labels"]:
            wrong.append("label")
    if "value" in outputs:
        error = np.abs(outputs["value"][row] - expected["value"])
        if not (error <= expected["value_error"]).all():
            wrong.append("value")
    return wrong


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_file_passes_its_own_examples(name, golden):
    _, out, said = golden
    file = said["formats"][name]["file"]
    outputs = load(out / file).run(inputs_of(out, said))
    for row, example in enumerate(said["examples"]):
        assert passes(outputs, row, example["expected"][name], said["labels"]) == []


def test_the_answers_are_exact(golden):
    """Recomputed by the oracle from the build's references."""
    case, _, said = golden
    rows = [
        int(np.flatnonzero(same(case, example, said, golden[1]))[0]) for example in said["examples"]
    ]
    best = case.fit.search(case.queries.embeddings[rows])
    for row, example in enumerate(said["examples"]):
        for name, expected in example["expected"].items():
            kind = said["formats"][name]["precision"]
            np.testing.assert_allclose(expected["scores"], best.scores[row], rtol=1e-9, atol=1e-12)
            assert expected["indices"] == best.indices[row].tolist()
            assert [
                may[0] is not None and i in may
                for i, may in zip(expected["indices"], expected["allowed"], strict=True)
            ] == [True] * case.fit.k
            if case.fit.labels:
                votes = case.fit.answers(best, kind)[row]
                np.testing.assert_allclose(expected["probabilities"], votes, atol=1e-9)
                assert case.fit.labels[int(neighbors.winners(votes[None])[0])] in expected["labels"]
            if case.spec.head == "regress":
                values = case.fit.answers(best, kind)[row]
                np.testing.assert_allclose(expected["value"], values, rtol=1e-9)


def same(case, example, said, out):
    """Which of the queries equal an example (q,)."""
    if "features" in example:
        given = np.array(example["features"], np.float32)
    else:
        given = np.asarray(Image.open(out / "golden" / example["picture"]))
    flat = case.queries.inputs.reshape(len(case.queries.inputs), -1)
    return (flat == given.reshape(1, -1)).all(axis=1)


def test_there_are_a_few(golden):
    case, out, said = golden
    inputs = inputs_of(out, said)
    assert len(inputs) == COUNT
    assert len({row.tobytes() for row in inputs}) == COUNT
    assert said["labels"] == list(case.fit.labels)
    assert said["tolerances"] == {k: TOLERANCES[k]._asdict() for k in ("float16", "float32")}
    assert {one["precision"] for one in said["formats"].values()} == {"float16", "float32"}


def test_their_answers_leave_no_doubt(golden):
    """Rounding cannot give another label, and one label is expected; otherwise a note says so."""
    _, _, said = golden
    clear = [
        all(len(one.get("labels", "1")) == 1 for one in example["expected"].values())
        for example in said["examples"]
    ]
    assert all(clear) or "note" in said
    assert any(clear), "or they show little"


def test_it_says_that_a_file_is_wrong(golden):
    """The examples are useless if every file passes."""
    _, out, said = golden
    outputs = load(out / "model.onnx").run(inputs_of(out, said))
    first = said["examples"][0]["expected"]["onnx"]
    changes = {
        "scores": lambda values: values + 4 * first["score_error"],
        "indices": lambda values: np.where(values == values[0, 0], values.max() + 1, values),
        "probabilities": lambda values: np.roll(values, 1, axis=1),
        "value": lambda values: values + 2 * np.abs(values).max() + 1,
    }
    for name in outputs:
        broken = outputs | {name: changes[name](outputs[name])}
        assert name in passes(broken, 0, first, said["labels"])
    broken = outputs | {"scores": outputs["scores"] * np.nan}
    assert "scores" in passes(broken, 0, first, said["labels"])


def test_the_same_build_draws_the_same_examples(photos, tmp_path):
    case = photo_case(photos, size=8)
    for name in ("one", "two"):
        export(case.spec, case.references, case.backbone, tmp_path / name, formats=["onnx"])
    for path in (tmp_path / "one/golden").iterdir():
        assert path.read_bytes() == (tmp_path / "two/golden" / path.name).read_bytes()


def test_the_manifest_lists_them(golden):
    _, out, _ = golden
    files = json.loads((out / "manifest.json").read_text("utf-8"))["files"]
    assert {"golden", "snippets"} <= files.keys()


def test_photos_come_first_and_ties_last(tmp_path):
    """Eight unit vectors; the first query is equally near to all, the next five near one each."""
    references = References.of(np.eye(8), list("abababab"))
    queries = np.concatenate([np.ones((1, 8)), np.eye(8)[[3, 1, 2, 0, 5]], np.zeros((1, 8))])
    queries[1:-1] += np.arange(8) / 100  # no ties there
    queries = queries.astype(np.float32)
    case = Case(plain(backbone="vector", k=3), references, None, Queries(queries, queries))
    said = built(case, tmp_path / "out")
    found = [one["features"] for one in said["examples"]]
    np.testing.assert_array_equal(np.array(found, np.float32), queries[[1, 2, 3, 4, 5, 0]])
    assert said["note"].startswith("1 of 6 examples")


def test_a_black_picture_without_an_embedding_is_as_near_to_all(photos):
    case = photo_case(photos, size=8)
    (exact,) = search(case.fit, np.zeros((1, case.references.dim)))
    answer = Expected(exact=exact, precision="float16")
    assert not answer.clear
    said = answer.as_json()
    assert said["allowed"] == [list(range(len(case.references)))] * case.fit.k
    assert said["labels"] == list(case.fit.labels)


@pytest.mark.parametrize("choices", [{}, {"vote": "soft"}])
def test_int8_promises_no_neighbour(choices, photos, small_net, tmp_path):
    formats = ("keras", "tflite")
    said = built(
        photo_case(photos, small_net, **choices), tmp_path / "out", formats, precision="int8"
    )
    kinds = {name: one["precision"] for name, one in said["formats"].items()}
    assert kinds["tflite"] == "int8"
    for name, expected in said["examples"][0]["expected"].items():
        free = kinds[name] == "int8"
        assert all(not may for may in expected["allowed"]) is free
        assert (expected["labels"] == said["labels"]) is free or not free
        assert expected["score_error"] == TOLERANCES[kinds[name]].score
    if "tflite" in said["formats"]:
        outputs = load(tmp_path / "out/model.tflite").run(inputs_of(tmp_path / "out", said))
        for row, example in enumerate(said["examples"]):
            assert passes(outputs, row, example["expected"]["tflite"], said["labels"]) == []


def test_no_file_no_examples(tmp_path, monkeypatch):
    monkeypatch.setattr("pocketknn.export.parity.compare.holds", lambda *arguments: False)
    case = vector_case()
    export(case.spec, case.references, None, tmp_path / "out", formats=["keras"])
    assert not (tmp_path / "out/golden").exists()


# Rounding: scores are moved at random, as far as a tie allows, and no answer that results
# may be out of range.

CHOICES = st.fixed_dictionaries(
    {
        "metric": st.sampled_from(["cosine", "euclidean", "manhattan"]),
        "vote": st.sampled_from(["uniform", "distance", "soft"]),
        "temperature": st.sampled_from([0.003, 0.05, 1.0]),
        "balanced": st.booleans(),
        "reject": st.sampled_from([None, 0.3]),
    }
)


def crowded(seed, head, choices):
    """Many references in few places, so that there are many ties at half precision."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((4, 3))
    rows = centers[rng.integers(0, 4, 30)] + rng.standard_normal((30, 3)) * rng.choice(
        [0, 1e-3, 0.05]
    )
    labels = [f"c{i}" for i in rng.integers(0, 4, 30)]
    targets = rng.standard_normal((30, 2)) * [1, 50] if head == "regress" else None
    references = References.of(rows, labels, targets=targets)
    metric, reject = choices["metric"], choices["reject"]
    if reject is not None and metric != "cosine":
        reject = -0.05
    soft = choices["vote"] == "soft" and head == "classify"
    vote = "distance" if choices["vote"] == "soft" and not soft else choices["vote"]
    spec = plain(
        backbone="vector",
        k=int(rng.integers(1, 8)),
        head=head,
        metric=metric,
        vote=vote,
        temperature=choices["temperature"] if soft else None,
        balanced=choices["balanced"],
        reject=reject if head == "classify" else None,
    )
    queries = centers[rng.integers(0, 4, 3)] + rng.standard_normal((3, 3)) * rng.choice(
        [0, 1e-3, 1]
    )
    return fit(spec, references), queries.astype(np.float32), rng


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), choices=CHOICES, kind=st.sampled_from(["float32", "float16"]))
@pytest.mark.parametrize("head", ["classify", "regress"])
def test_no_right_answer_is_outside(head, seed, choices, kind):
    found, queries, rng = crowded(seed, head, choices)
    for exact, scores in zip(search(found, queries), found.space.scores(queries), strict=True):
        answer = Expected(exact=exact, precision=kind)
        expected = answer.as_json()
        step = min(answer.tie / 2, answer.error)
        for _ in range(4):
            noise = rng.uniform(-step, step, scores.shape) * rng.choice([0, 0.5, 0.99])
            own = neighbors.rank((scores + noise)[None], found.k)
            if found.spec.metric != "cosine":
                own = Neighbors(np.minimum(own.scores, 0), own.indices)
            outputs = {"scores": own.scores, "indices": own.indices}
            if head == "classify":
                outputs["probabilities"] = found.answers(own, kind)
            else:
                outputs["value"] = found.answers(own, kind)
            assert passes(outputs, 0, expected, found.labels) == []


def test_a_tie_of_two_classes_decides_nothing_that_is_promised():
    """Two classes tie for the last place: either may be there."""
    references = References.of([[1, 0], [0.8, 0.6], [0.8, -0.6]], list("aab"))
    found = fit(plain(backbone="vector", k=2), references)
    (exact,) = search(found, np.array([[1, 0]], np.float32))
    answer = Expected(exact=exact, precision="float32")
    said = answer.as_json()
    assert not answer.clear
    assert said["allowed"] == [[0], [1, 2]]
    assert said["probabilities"] == [1, 0]
    assert said["labels"] == ["a", "b"], "at half and half the first wins, by rounding either"


def test_a_tie_of_one_class_leaves_the_vote_clear():
    references = References.of([[1, 0], [0.8, 0.6], [0.8, -0.6], [-1, 0]], list("aaab"))
    found = fit(plain(backbone="vector", k=2), references)
    (exact,) = search(found, np.array([[1, 0]], np.float32))
    answer = Expected(exact=exact, precision="float32")
    assert answer.clear
    assert answer.as_json()["allowed"] == [[0], [1, 2]]
    assert answer.as_json()["probability_error"] == pytest.approx(1e-5)


def test_pictures_of_photos_are_those_of_the_build(photos, tmp_path):
    """Half of the drawn photos are mirrored; the files show the actual queries."""
    from pocketknn.builder import find, load_backbone
    from pocketknn.builder.embedding.local import embed
    from pocketknn.builder.photos.pixels.decode import Squares
    from pocketknn.export.parity import test_inputs as queries

    spec = plain(backbone="pixels", size=20)
    net = load_backbone(spec)
    embedded = embed(find(photos), net, spec.crop)
    against = queries.from_photos(embedded.photos, net, Squares(net.size, spec.crop).of)
    refs = embedded.references()
    export(spec, refs, net, tmp_path / "out", against=against, formats=["keras"])
    written = [np.asarray(Image.open(tmp_path / f"out/golden/{i}.png")) for i in range(COUNT)]
    drawn = [one.tobytes() for one in against.inputs]
    places = [drawn.index(one.tobytes()) for one in written]
    assert "note" not in json.loads((tmp_path / "out/golden/golden.json").read_text("utf-8"))
    assert places == sorted(places), "the first that are clear: noise stands behind the photos"
    assert places[0] < len(embedded.photos)
    assert drawing(0).size != (20, 20)


@pytest.mark.parametrize("temperature", [0.01, 0.3])
def test_the_bounds_are_reached_by_rounding_of_a_soft_vote(temperature):
    """A share moves most when the errors of scores are opposite."""
    references = References.of([[1, 0.1], [0.8, 0.6], [0, 1]], list("aba"))
    spec = plain(backbone="vector", k=2, vote="soft", balanced=False, temperature=temperature)
    found = fit(spec, references)
    (exact,) = search(found, np.array([[1, 0]], np.float32))
    answer = Expected(exact=exact, precision="float32")
    assert answer.clear
    reach = 1e-5
    scores = np.array([1 / np.hypot(1, 0.1), 0.8])
    share, moved = (
        softmax((scores + move * np.array([1, -1])) / temperature)[0] for move in (0, -reach)
    )
    expected = pytest.approx(share - moved + 1e-5, rel=1e-3)
    assert answer.as_json()["probability_error"] == expected
    assert answer.as_json()["labels"] == ["a"]


@pytest.mark.parametrize(
    ("limit", "labels", "error"),
    [
        (0.8 - 1e-3, ["a"], 0),
        (0.8 - 4e-6, ["a", "unknown"], 1),
        (0.8 + 4e-6, ["a", "unknown"], 1),
        (0.8 + 1e-3, ["unknown"], 0),
    ],
)
def test_near_the_threshold_a_picture_may_be_known_or_not(limit, labels, error):
    references = References.of([[1, 0], [-1, 0]], list("ab"))
    found = fit(plain(backbone="vector", k=1, reject=limit), references)
    (exact,) = search(found, np.array([[0.8, 0.6]], np.float32))
    answer = Expected(exact=exact, precision="float32")
    assert answer.as_json()["labels"] == labels
    assert answer.as_json()["probability_error"] == pytest.approx(error + 1e-5)
    assert answer.clear is not bool(error)


@pytest.mark.parametrize(("vote", "formats"), [("distance", tuple(FORMATS)), ("soft", ("onnx",))])
def test_a_search_that_misses_some_passes_its_own_examples(vote, formats, tmp_path):
    """Scores may be lower only by as much as missed neighbours explain."""
    case = vector_case(n=900, d=400, search="rerank", candidates=5, vote=vote)
    assert case.fit.index.recall < 0.95
    said = built(case, out := tmp_path / "out", formats)
    assert tuple(said["formats"]) == formats
    for name, one in said["formats"].items():
        outputs = load(out / one["file"]).run(inputs_of(out, said))
        for row, example in enumerate(said["examples"]):
            expected = example["expected"][name]
            assert passes(outputs, row, expected, said["labels"]) == []
            # The last is a vector of zeros, which is equally near to all.
            assert expected["score_error"] < 0.2
            lower = outputs | {"scores": outputs["scores"] - 2 * expected["score_error"]}
            assert "scores" in passes(lower, row, expected, said["labels"])
