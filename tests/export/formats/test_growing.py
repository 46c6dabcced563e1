"""Files that grow, in their own runtimes, against exact k-NN over all that they know."""

from dataclasses import replace

import numpy as np
import pytest
from support import Case, blobs, photo_case, plain

from pocketknn.builder import References
from pocketknn.builder.choices import growth
from pocketknn.builder.choices.heads import HEADS
from pocketknn.builder.knn import exact
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.parity.check import TOLERANCES
from pocketknn.export.parity.compare import check_growth
from pocketknn.export.parity.test_inputs import Queries

D, SLOTS, SPARE, CLASSES = 12, 30, 3, 5
# Twelve float32 products or differences of numbers up to 10, against float64.
ALLOWED = {"cosine": 2e-6, "euclidean": 2e-5, "manhattan": 5e-5, "minkowski": 5e-5}
VOTE = 1e-4  # temperatures near 0.1 enlarge the error of a score

CHOICES = {
    "soft": {"vote": "soft"},
    "uniform, unknown": {"reject": 0.8, "k": 4},
    "distance, pca, balanced, unknown": {
        **{"vote": "distance", "pca": 6, "balanced": True, "reject": 0.5}
    },
    "classes": {"vote": "soft", "projection": "classes"},
    "nearest": {"k": 1},
    "as many neighbours as references": {"k": 48},
    "more neighbours than references": {"vote": "soft", "balanced": True, "k": 60},
    "euclidean, more neighbours": {"metric": "euclidean", "vote": "distance", "k": 50},
    "euclidean": {"metric": "euclidean", "vote": "soft", "reject": -9.0},
    "euclidean, pca": {"metric": "euclidean", "pca": 6, "vote": "distance", "balanced": True},
    "manhattan": {"metric": "manhattan", "vote": "distance", "balanced": True, "reject": -20.0},
    "minkowski, pca": {"metric": "minkowski", "pca": 5, "vote": "soft"},
    "image search": {"head": "neighbors", "k": 6},
}
STATES = {
    "nothing": {},
    "taught": {"taught": 24},
    "a class forgotten": {"gone": [1]},
    "forgotten and taught again": {"taught": 24, "gone": [3]},
    "all forgotten, two taught": {"taught": 2, "gone": range(CLASSES)},
    "all forgotten": {"taught": 24, "gone": range(CLASSES)},
}


def case_of(**choices):
    grow = {"grow": SLOTS} if choices.pop("grow", True) else {}
    if grow and choices.get("head") != "neighbors":
        grow["spare"] = SPARE
    references = blobs(48, D, CLASSES, seed=3)
    queries = blobs(16, D, CLASSES + 2, seed=3).vectors.copy()
    queries[0] = 0
    spec = plain(backbone="vector", **({"k": 7} | grow | choices))
    return Case(spec, references, None, Queries(queries, queries))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of each format and choices, converted when first asked for: its case and itself."""
    folder, made = tmp_path_factory.mktemp("files"), {}

    def open_(name, choices):
        if (name, choices) not in made:
            case = case_of(**CHOICES[choices])
            path = case.write(name, folder / f"{len(made)}{FORMATS[name].SUFFIX}")
            made[name, choices] = case, FORMATS[name].load(path), path
        return made[name, choices]

    return open_


def examples(case, count=24):
    """Vectors, some of them near the queries, of two known classes and two new ones."""
    vectors = np.concatenate([case.queries.embeddings[1::2] * 1.01, blobs(16, D, seed=8).vectors])
    numbers = np.resize([0, 3, CLASSES, CLASSES + 2], len(vectors))
    if not case.fit.head.CLASSES:
        numbers[:] = 0
    order = np.random.default_rng(0).permutation(len(vectors))[:count]
    return vectors[order].astype("f4"), numbers[order]


def memory_of(vectors=(), numbers=(), gone=(), at=None, slots=SLOTS):
    """A memory with these rows at the top, or at these places."""
    vectors = np.reshape(vectors, (-1, D))
    rows = np.concatenate([growth.examples(vectors, numbers), growth.forgotten([*gone], D)])
    memory = growth.nothing(slots, D + 1)
    memory[np.arange(len(rows)) if at is None else at] = rows
    return memory


def truth(case, vectors=(), numbers=(), gone=(), at=None):
    """Indices, scores and votes of exact k-NN, and how many neighbours there are."""
    fitted, references = case.fit, case.references
    live = np.flatnonzero(~np.isin(references.label_ids, [*gone]))
    taught = np.reshape(vectors, (-1, D)).astype("f4")
    rows = np.concatenate([references.vectors[live], taught])
    ids = np.r_[live, len(references) + (np.arange(len(taught)) if at is None else at)].astype(int)
    project, k = fitted.space.project, min(fitted.listed, len(rows))
    found = exact.search(project(case.queries.embeddings), project(rows), k, fitted.spec.metric)
    votes = None
    if fitted.head.CLASSES:
        labels = [fitted.classes[one] for one in (*references.label_ids[live], *numbers)]
        known = References.of(rows, labels, classes=fitted.classes)
        votes = HEADS["classify"].answers(found, replace(fitted.voting(), examples=known))
    return ids[found.indices], found.scores, votes, k


def check(case, outputs, wanted):
    indices, scores, votes, k = wanted
    np.testing.assert_array_equal(outputs["indices"][:, :k], indices)
    allowed = ALLOWED[case.spec.metric]
    np.testing.assert_allclose(outputs["scores"][:, :k], scores, rtol=0, atol=allowed)
    assert (outputs["scores"][:, k:] < -1e29).all()
    if votes is not None:
        np.testing.assert_allclose(outputs["probabilities"], votes, rtol=0, atol=VOTE)
    np.testing.assert_array_equal(outputs["embedding"], case.queries.inputs)


@pytest.mark.parametrize("choices", CHOICES)
@pytest.mark.parametrize("name", FORMATS)
def test_a_file_answers_with_exact_neighbours_among_all_it_knows(name, choices, files):
    case, run, _ = files(name, choices)
    for state in STATES.values():
        vectors, numbers = examples(case, state.get("taught", 0))
        gone = state.get("gone", ()) if case.fit.head.CLASSES else ()
        outputs = run(case.queries.inputs, memory_of(vectors, numbers, gone))
        check(case, outputs, truth(case, vectors, numbers, gone))


@pytest.mark.parametrize("choices", ["distance, pca, balanced, unknown", "euclidean"])
@pytest.mark.parametrize("name", FORMATS)
def test_with_nothing_taught_it_answers_as_a_plain_file(name, choices, files, tmp_path):
    case, run, _ = files(name, choices)
    other = case_of(**CHOICES[choices], grow=False)
    usual = FORMATS[name].load(other.write(name, tmp_path / f"m{FORMATS[name].SUFFIX}"))
    wanted, found = usual(case.queries.inputs), run(case.queries.inputs)
    np.testing.assert_array_equal(found["indices"], wanted["indices"])
    np.testing.assert_array_equal(found["scores"], wanted["scores"])
    votes = np.delete(found["probabilities"], np.arange(CLASSES, CLASSES + SPARE), axis=1)
    np.testing.assert_allclose(votes, wanted["probabilities"], rtol=0, atol=1e-6)
    assert not found["probabilities"][:, CLASSES : CLASSES + SPARE].any()


@pytest.mark.parametrize("name", FORMATS)
def test_rows_may_lie_anywhere_in_any_order(name, files):
    case, run, _ = files(name, "euclidean, pca")
    vectors, numbers = examples(case, 20)
    at = np.random.default_rng(1).permutation(SLOTS)[:22]
    outputs = run(case.queries.inputs, memory_of(vectors, numbers, [1, 4], at))
    check(case, outputs, truth(case, vectors, numbers, [1, 4], at[:20]))


@pytest.mark.parametrize("name", FORMATS)
def test_values_of_a_row_that_is_no_example_do_not_count(name, files):
    case, run, _ = files(name, "soft")
    memory = memory_of((), (), [2])
    memory[:, :D] = case.queries.inputs[1]  # as near as can be
    check(case, run(case.queries.inputs, memory), truth(case, gone=[2]))


@pytest.mark.parametrize("choices", ["euclidean, pca", "uniform, unknown"])
@pytest.mark.parametrize("name", FORMATS)
def test_forgetting_a_class_is_building_without_it(name, choices, files, tmp_path):
    case, run, _ = files(name, choices)
    left = case.references.remove(classes=["c4"])
    fewer = Case(replace(case.spec, grow=None, spare=None), left, None, case.queries)
    space = replace(fewer.fit.space, projection=case.fit.space.projection)
    fewer.fit = replace(fewer.fit, space=space)
    usual = FORMATS[name].load(fewer.write(name, tmp_path / f"m{FORMATS[name].SUFFIX}"))
    wanted = usual(case.queries.inputs)
    found = run(case.queries.inputs, memory_of(gone=[4]))
    rows = np.flatnonzero(case.references.label_ids != 4)
    np.testing.assert_array_equal(found["indices"], rows[wanted["indices"]])
    allowed = 2 * ALLOWED[case.spec.metric]
    np.testing.assert_allclose(found["scores"], wanted["scores"], rtol=0, atol=allowed)
    votes = np.delete(found["probabilities"], np.arange(4, CLASSES + SPARE), axis=1)
    np.testing.assert_allclose(votes, wanted["probabilities"], rtol=0, atol=VOTE)


def test_a_file_that_forgot_everything_answers_with_nothing(files):
    """Not with the last class of all, nor with NaN."""
    for name in FORMATS:
        case, run, _ = files(name, "uniform, unknown")
        votes = run(case.queries.inputs, memory_of(gone=range(CLASSES)))["probabilities"]
        np.testing.assert_array_equal(votes[:, -1], 1)
        assert not votes[:, :-1].any()


@pytest.mark.parametrize("name", ["keras", "onnx"])
def test_any_number_of_rows_where_shapes_are_free(name, files):
    case, run, _ = files(name, "soft")
    for count in (0, 1, 24, 200):
        vectors, numbers = (np.resize(part, (count, *part.shape[1:])) for part in examples(case))
        vectors = vectors + np.arange(count)[:, None].astype("f4") / 64  # no two are the same
        memory = memory_of(vectors, numbers, slots=count)
        check(case, run(case.queries.inputs, memory), truth(case, vectors, numbers))


def test_the_inputs_are_named_and_the_picture_comes_first(files):
    """LiteRT's converter would put the memory first; apps that feed by position would swap them."""
    import onnxruntime as ort
    from ai_edge_litert.interpreter import Interpreter

    _, _, path = files("tflite", "soft")
    details = Interpreter(str(path)).get_input_details()
    assert [one["shape"].tolist() for one in details] == [[1, D], [SLOTS, D + 1]]
    _, _, path = files("onnx", "soft")
    feeds = ort.InferenceSession(path).get_inputs()
    assert [one.name for one in feeds] == ["features", "memory"]
    assert feeds[1].shape == ["slots", D + 1]


def test_core_ml_takes_no_memory_as_nothing_taught(files):
    """By Apple's own description of the file, and without it."""
    from coremltools.proto import Model_pb2

    from pocketknn.export.formats.coreml import evaluator

    case, run, path = files("coreml", "soft")
    content = (path / "Data/com.apple.CoreML/model.mlmodel").read_bytes()
    asked, memory = Model_pb2.Model.FromString(content).description.input
    assert (asked.name, memory.name) == ("features", "memory")
    assert (asked.type.isOptional, memory.type.isOptional) == (False, True)
    assert list(memory.type.multiArrayType.shape) == [SLOTS, D + 1]
    assert memory.type.multiArrayType.WhichOneof("defaultOptionalValue") == "floatDefaultValue"
    assert memory.type.multiArrayType.floatDefaultValue == 0
    query = case.queries.inputs[5:6]
    alone = evaluator.load(path)({"features": query})
    np.testing.assert_array_equal(alone["scores"], run(query, memory_of())["scores"])


@pytest.fixture(scope="module")
def photos_case(photos):
    return photo_case(photos, vote="soft", grow=16, spare=2)


def test_what_one_format_was_taught_another_knows(photos_case, tmp_path):
    """Rows of embeddings as one file gave them."""
    case, inputs = photos_case, photos_case.queries.inputs
    runs = {
        name: FORMATS[name].load(case.write(name, tmp_path / f"m{FORMATS[name].SUFFIX}"))
        for name in FORMATS
    }
    wanted = None
    for teacher in runs:
        memory = growth.nothing(16, case.references.dim + 1)
        given = runs[teacher](inputs[1:7])["embedding"]
        memory[3:9] = growth.examples(given, [3, 3, 4, 4, 0, 1])
        for run in runs.values():
            found = run(inputs, memory)
            wanted = wanted or found
            np.testing.assert_array_equal(found["indices"], wanted["indices"])
            np.testing.assert_allclose(found["scores"], wanted["scores"], atol=1e-5)
            taught = found["indices"][1:7, 0]
            np.testing.assert_array_equal(taught, len(case.references) + np.arange(3, 9))
            won = found["probabilities"][1:7].argmax(axis=1)
            np.testing.assert_array_equal(won, [3, 3, 4, 4, 0, 1])


def broken(run, change):
    return lambda batch, memory: change(dict(run(batch, memory)), memory)


def shifted(outputs, memory):
    """Rows of the memory counted from another number."""
    outputs["indices"] = outputs["indices"] + (outputs["indices"] >= 48)
    return outputs


def renamed(outputs, memory):
    outputs["probabilities"] = np.roll(outputs["probabilities"], 1, axis=1)
    return outputs


def projected(outputs, memory):
    outputs["embedding"] = outputs["embedding"] / 2
    return outputs


@pytest.mark.parametrize("change", [shifted, renamed, projected])
def test_the_handover_refuses_a_file_that_does_not_learn(change, files):
    case, run, _ = files("onnx", "uniform, unknown")
    given = case.queries.inputs, case.queries.embeddings, case.fit
    assert check_growth(run, *given, precision="float32") == ()
    assert check_growth(broken(run, change), *given, precision="float32")


def test_the_handover_refuses_a_file_that_does_not_forget(files):
    case, run, _ = files("onnx", "uniform, unknown")
    given = case.queries.inputs, case.queries.embeddings, case.fit

    def stubborn(batch, memory):
        return run(batch, np.where(memory[:, -1:] < 0, 0, memory))

    assert check_growth(stubborn, *given, precision="float32")
    assert TOLERANCES["float32"].score < 1e-4  # a forgotten neighbour is farther off than rounding


SMALLER = {
    "float16": {"references_precision": "float16"},
    "int8": {"references_precision": "int8"},
    "rerank": {"search": "rerank"},
    "rerank, int8": {"search": "rerank", "references_precision": "int8"},
}


@pytest.mark.parametrize("kind", SMALLER)
@pytest.mark.parametrize("name", FORMATS)
def test_smaller_references_and_other_searches_learn_and_forget(name, kind, tmp_path):
    """A search may miss a reference, but never an example, and finds none that is forgotten."""
    references = blobs(640, 16, 8, seed=1)
    queries = blobs(30, 16, 8, seed=2).vectors
    spec = plain(backbone="vector", k=5, recall=0.9, grow=40, spare=2, **SMALLER[kind])
    case = Case(spec, references, None, Queries(queries, queries))
    run = FORMATS[name].load(case.write(name, tmp_path / f"m{FORMATS[name].SUFFIX}"))
    assert check_growth(run, queries, queries, case.fit, precision="float32") == ()
    memory = growth.nothing(40, 17)
    memory[5:35] = growth.examples(queries, np.full(30, 9))
    memory[36:] = growth.forgotten([0, 1, 2, 3], 16)
    found = run(queries, memory)
    np.testing.assert_array_equal(found["indices"][:, 0], 640 + 5 + np.arange(30))
    np.testing.assert_allclose(found["scores"][:, 0], 1, rtol=0, atol=1e-6)
    built_in = found["indices"][found["indices"] < 640]
    assert not np.isin(references.label_ids[built_in], range(4)).any()
    assert len(built_in)


@pytest.mark.parametrize("precision", ["float16", "int8"])
@pytest.mark.parametrize("name", ["tflite", "onnx", "coreml"])
def test_smaller_backbones_learn(name, precision, photos, small_net, tmp_path):
    case = photo_case(photos, backbone=small_net, k=1, grow=8, spare=2)
    path = case.write(name, tmp_path / f"m{FORMATS[name].SUFFIX}", precision)
    given = case.queries.inputs, case.queries.embeddings, case.fit
    run = FORMATS[name].load(path)
    assert check_growth(run, *given, precision=precision) == ()
    memory = growth.nothing(8, case.references.dim + 1)
    memory[2:8] = growth.examples(run(case.queries.inputs[1:7])["embedding"], [3, 4] * 3)
    found = run(case.queries.inputs[1:7], memory)
    np.testing.assert_array_equal(found["indices"][:, 0], len(case.references) + np.arange(2, 8))
    np.testing.assert_array_equal(found["probabilities"].argmax(axis=1), [3, 4] * 3)


def test_nothing_of_what_grows_is_rounded_to_int8(photos, small_net, tmp_path):
    """LiteRT's quantiser takes additions and paddings for the backbone's."""
    from ai_edge_litert.interpreter import Interpreter

    counts = []
    for grow in ({}, {"grow": 8, "spare": 2}):
        case = photo_case(photos, backbone=small_net, vote="soft", balanced=True, **grow)
        path = case.write("tflite", tmp_path / f"{len(grow)}.tflite", "int8")
        kinds = [one["op_name"] for one in Interpreter(str(path))._get_ops_details()]
        counts.append([kinds.count("QUANTIZE"), kinds.count("DEQUANTIZE")])
    assert counts[0] == counts[1] != [0, 0]
