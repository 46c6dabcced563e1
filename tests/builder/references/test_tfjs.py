"""Data sets of ml5.js and TensorFlow.js, and the same votes as in the npm package."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from node import installed, run
from support import TESTS, input_error

from pocketknn.builder import InputError, References
from pocketknn.builder.knn import exact as neighbors
from pocketknn.builder.knn.classifier import KNNClassifier
from pocketknn.builder.references import ml5_json

SCRIPT = TESTS / "tfjs"
STORED = json.loads((SCRIPT / "answers.json").read_text("utf-8"))
NEAR_TIE = 1e-6  # of cosines: the npm package computes them in float32
REAL = (
    "chess_2_classes_256d",
    "objects_3x4_256d",
    "one_class_one_row_256d",
    "pose_51d",
    "succulents_3x10_1000d",
    "uneven_classes_256d",
)


def written(folder, content):
    """A file with that JSON, text or bytes."""
    path = folder / "set.json"
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def ml5(classes):
    """A data set as ml5 saves it: [(label, rows)] under the keys "0", "1" and so on."""
    dataset, tensors = {}, []
    for key, (label, rows) in enumerate(classes):
        shape = [len(rows), len(rows[0])]
        dataset[str(key)] = {"kept": True, "shape": shape, "dtype": "float32", "label": label}
        values = [value for row in rows for value in row]
        tensors.append({str(i): value for i, value in enumerate(values)})
    return {"dataset": dataset, "tensors": tensors}


def same(references, vectors, labels, classes):
    np.testing.assert_array_equal(references.vectors, np.array(vectors, np.float32))
    assert [references.label_of(row) for row in range(len(references))] == labels
    assert references.labels == tuple(classes)


# Reading: every form holds the same four examples of two classes, none of unit length.

CAT, DOG = [[0.5, 3, -4]], [[0.1, 2, 7], [1e-3, 0, 1], [9, 8, 7]]
FLAT = [value for row in DOG for value in row]
NUMBERED = {str(i): value for i, value in enumerate(FLAT)}
BYTES = base64.b64encode(np.array(FLAT, "<f4").tobytes()).decode()
SHAPES = {"cat": {"shape": [1, 3], "label": "cat"}, "dog": {"shape": [3, 3], "label": "dog"}}
FORMS = {
    "ml5": ml5([("cat", CAT), ("dog", DOG)]),
    "ml5 with lists": {"dataset": list(SHAPES.values()), "tensors": [CAT[0], FLAT]},
    "ml5 with objects": {"dataset": SHAPES, "tensors": {"dog": NUMBERED, "cat": CAT[0]}},
    "ml5 with gaps": {
        "dataset": {"12": SHAPES["dog"], "3": SHAPES["cat"]},
        "tensors": [CAT[0], dict(reversed(NUMBERED.items()))],
    },
    "ml5 with an empty number": {
        "dataset": [None, *SHAPES.values()],
        "tensors": [None, CAT[0], FLAT],
    },
    "ml5 without labels": {
        "dataset": {"cat": {"shape": [1, 3]}, "dog": {"shape": [3, 3], "label": None}},
        "tensors": [CAT[0], BYTES],
    },
    "entries": [["cat", CAT[0], [1, 3]], ["dog", FLAT, [3, 3]]],
    "entries of lists": [["cat", CAT], ["dog", DOG]],
    "objects": [
        {"classId": "cat", "data": CAT[0], "shape": [1, 3]},
        {"label": "dog", "values": NUMBERED, "shape": [3, 3]},
    ],
    "by label": {
        "cat": {"data": CAT[0], "shape": [1, 3]},
        "dog": {"values": BYTES, "shape": [3, 3]},
    },
    "lists by label": {"cat": CAT, "dog": DOG},
}


@pytest.mark.parametrize("form", FORMS)
def test_the_forms_say_the_same(form, tmp_path):
    read = ml5_json.read(written(tmp_path, FORMS[form]))
    same(read, CAT + DOG, ["cat", "dog", "dog", "dog"], ["cat", "dog"])


@pytest.mark.parametrize("values", [FLAT, NUMBERED], ids=["list", "object"])
def test_a_file_without_shapes_needs_the_width(values, tmp_path):
    path = written(tmp_path, {"cat": CAT[0], "dog": values})
    same(ml5_json.read(path, dim=3), CAT + DOG, ["cat", "dog", "dog", "dog"], ["cat", "dog"])
    for dim, code in [(None, "no-shape"), (2, "shape-mismatch"), (0, "count-too-small")]:
        with input_error(code):
            ml5_json.read(path, dim=dim)


def test_a_byte_order_mark_is_no_part_of_it(tmp_path):
    path = written(tmp_path, b"\xef\xbb\xbf" + json.dumps(FORMS["ml5"]).encode())
    assert ml5_json.read(path).labels == ("cat", "dog")


def test_classes_come_in_the_order_of_javascript(tmp_path):
    names = ["b", "10", "4294967295", "2", "a", "02", "4294967294", "0"]
    expected = ("0", "2", "10", "4294967294", "b", "4294967295", "a", "02")
    of_keys = {name: [[i, 1]] for i, name in enumerate(names)}
    assert ml5_json.read(written(tmp_path, of_keys)).labels == expected
    assert ml5_json.read(written(tmp_path, list(of_keys.items()))).labels == expected
    # ml5 numbers its classes: they keep that order, whatever their labels.
    read = ml5_json.read(written(tmp_path, ml5([(name, [[1, 2]]) for name in names])))
    assert read.labels == tuple(names)


ROW = [[1, 2]]
REFUSED = {
    "nothing": (b"", "not JSON"),
    "not JSON": ("{'a': 1}", "not JSON"),
    "cut off": (json.dumps(FORMS["ml5"])[:-20], "not JSON"),
    "not UTF-8": (b'{"caf\xe9": [[1, 2]]}', "not UTF-8"),
    "nested": ("[" * 100_000, "nested too deeply"),
    "nested objects": ('{"a":' * 100_000, "nested too deeply"),
    "digits": ('{"a": [[' + "9" * 10_000 + "]]}", "too many digits"),
    "null": (None, "it holds null"),
    "number": (7, "it holds a number"),
    "network": ({"modelTopology": {}, "weightsManifest": []}, "model.json"),
    "another shape": ({"name": {"a": 1}}, "'name' has no values"),
    "text": ({"name": "pocketknn"}, "base64"),
    "list of numbers": ([1, 2], "not a list \\[label, values, shape\\]"),
    "list too long": ([["a", [1], [1, 1], 0]], "not a list \\[label, values, shape\\]"),
    "no classes": ({"dataset": {}, "tensors": []}, "no examples"),
    "empty list": ([], "no examples"),
    "no rows": ([["a", [], [0, 2]]], "shape is not"),
    "no width": ([["a", [], [2, 0]]], "shape is not"),
    "dataset is null": ({"dataset": None, "tensors": []}, "null"),
    "class is null": ({"dataset": [None], "tensors": [[1]]}, "'0' has no shape"),
    "no shape": ({"dataset": [{"label": "a"}], "tensors": [[1]]}, "'0' has no shape"),
    "no tensor": ({"dataset": [{"shape": [1, 1]}], "tensors": []}, "1 class and 0 tensors"),
    "tensor is null": ({"dataset": [{"shape": [1, 1]}], "tensors": [None]}, "values are null"),
    "widths differ": ({"a": ROW, "b": [[1, 2, 3]]}, "'b' has examples of 3 values, not 2"),
    "rows differ": ({"a": [[1, 2], [1]]}, "differ in length"),
    "row is null": ({"a": [[1, 2], None]}, "differ in length"),
    "too few": ([["a", [1, 2, 3], [2, 2]]], "\\[2, 2\\] does not fit 3 values"),
    "rows too many": ([["a", [[1, 2]], [2, 2]]], "\\[2, 2\\] does not fit 2 values"),
    "huge": ([["a", [1], [2_000_000_000, 2_000_000_000]]], "does not fit 1 values"),
    "beyond": ([["a", [1], [10**100, 1]]], "shape is not"),
    "negative": ([["a", [1], [-1, -1]]], "shape is not"),
    "fraction": ([["a", [1], [1.0, 1]]], "shape is not"),
    "boolean side": ([["a", [1], [True, 1]]], "shape is not"),
    "three sides": ([["a", [1], [1, 1, 1]]], "shape is not"),
    "shape is text": ([["a", [1], "11"]], "shape is not"),
    "gap": ({"a": {"data": {"0": 1, "2": 2}, "shape": [1, 2]}}, "no key '1'"),
    "NaN": ('{"a": [[1, NaN]]}', "value 1 is NaN, infinite"),
    "Infinity": ('{"a": [[-Infinity, 1]]}', "value 0 is NaN, infinite"),
    "1e999": ('{"a": [[1, 2], [1, 1e999]]}', "value 3 is NaN, infinite"),
    "1e39": ({"a": [[1, 1e39]]}, "too large for float32"),
    "10**400": ({"a": [[1, 10**400]]}, "too large for float32"),
    "value is null": ({"a": [[1, None]]}, "value 1 is null, not a number"),
    "value is text": ({"a": [["1", 2]]}, "value 0 is a string, not a number"),
    "value is boolean": ({"a": [[True, 2]]}, "value 0 is a boolean, not a number"),
    "value is a list": ({"a": [[[1], [2]]]}, "value 0 is a list, not a number"),
    "base64 cut": ([["a", BYTES[:-4], [3, 3]]], "base64"),
    "base64 of NaN": ([["a", "AADAfw==", [1, 1]]], "value 0 is NaN"),
    "twice": ([["a", [1], [1, 1]], ["a", [2], [1, 1]]], "two classes have the label 'a'"),
    "twice in ml5": (ml5([("a", ROW), ("a", ROW)]), "two classes have the label 'a'"),
    "number and text": ([[1, [1], [1, 1]], ["1", [2], [1, 1]]], "two classes have the label '1'"),
    "key twice": ('{"a": [[1]], "a": [[2]]}', "the key 'a'"),
    "empty label": (ml5([("", ROW)]), "a label is empty"),
    "blank label": ({" ": ROW}, "a label is empty"),
    "null label": ([{"classId": None, "data": [1], "shape": [1, 1]}], "a label is null"),
    "boolean label": ([[True, [1], [1, 1]]], "a label is a boolean"),
    "fraction as label": ([[1.5, [1], [1, 1]]], "a label is a number, not a string"),
    "line break": ({"a\nb": ROW}, "control character"),
    "half a surrogate pair": ('{"\\ud800": [[1]]}', "control character"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_in_one_line(case, tmp_path):
    content, message = REFUSED[case]
    path = written(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        ml5_json.read(path)
    line = str(caught.value)
    assert caught.value.code
    assert line.startswith(f"{path} ")
    assert len(line.splitlines()) == 1
    assert len(line) < len(str(path)) + 200


def test_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            ml5_json.read(path)


def test_a_network_of_teachable_machine_is_refused(data):
    with pytest.raises(InputError, match=r"network's model\.json"):
        ml5_json.read(data / "ml5" / "not_a_knn_dataset.json")


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_read_and_written_bit_for_bit(name, data, tmp_path):
    content = json.loads((data / "ml5" / f"{name}.json").read_text("utf-8"))
    heads = list(content["dataset"].values())
    read = ml5_json.read(data / "ml5" / f"{name}.json")
    assert read.counts == {head["label"]: head["shape"][0] for head in heads}
    values = [value for tensor in content["tensors"] for value in tensor.values()]
    # ml5 writes float32 numbers with all their digits, so nothing is lost.
    np.testing.assert_array_equal(read.vectors.ravel().astype(np.float64), values)
    for unit_length in (False, True):  # the vectors already have that length
        ml5_json.write(read, tmp_path / "again.json", unit_length=unit_length)
        again = json.loads((tmp_path / "again.json").read_text("utf-8"))
        assert again["tensors"] == content["tensors"]
        assert [head["shape"] for head in again["dataset"].values()] == [
            head["shape"] for head in heads
        ]


# Writing

LABEL = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1).filter(
    str.strip
)
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.data(), labels=st.lists(LABEL, min_size=1, max_size=5, unique=True))
def test_what_is_written_is_read_back(drawn, labels, tmp_path):
    sizes = [drawn.draw(st.integers(1, 3)) for _ in labels]
    shape = (sum(sizes), drawn.draw(st.integers(1, 4)))
    vectors = drawn.draw(arrays(np.float32, shape, elements=FINITE))
    of_rows = [label for label, size in zip(labels, sizes, strict=True) for _ in range(size)]
    ml5_json.write(References.of(vectors, of_rows, classes=labels), tmp_path / "set.json")
    read = ml5_json.read(tmp_path / "set.json")
    assert read.vectors.tobytes() == vectors.tobytes(), "-0.0 too"
    assert [read.label_of(row) for row in range(len(read))] == of_rows
    assert read.labels == tuple(labels)


def test_the_file_is_what_ml5_loads(tmp_path):
    references = References.of(
        [[1, 0], [0, 2], [3, 0]], ["b", "10", "b"], classes=["b", "none", "10"]
    )
    ml5_json.write(references, tmp_path / "set.json")
    assert json.loads((tmp_path / "set.json").read_text("utf-8")) == {
        "dataset": {
            "0": {"shape": [2, 2], "dtype": "float32", "label": "b"},
            "1": {"shape": [1, 2], "dtype": "float32", "label": "10"},
        },
        "tensors": [{"0": 1, "1": 0, "2": 3, "3": 0}, {"0": 0, "1": 2}],
    }
    assert [path.name for path in tmp_path.iterdir()] == ["set.json"], "nothing is left behind"
    ml5_json.write(references, tmp_path / "set.json", unit_length=True)
    same(
        ml5_json.read(tmp_path / "set.json"),
        [[1, 0], [1, 0], [0, 1]],
        ["b", "b", "10"],
        ["b", "10"],
    )


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "needs labels"),
        (["a", ""], "the label of reference 1 is empty"),
        (["a", "b\x00"], "control character"),
        (["a", "\ud800"], "control character"),
    ],
)
def test_references_that_ml5_cannot_hold(labels, message, tmp_path):
    with pytest.raises(InputError, match=message):
        ml5_json.write(References.of(np.eye(2), labels), tmp_path / "set.json")
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        ml5_json.write(References.of(np.eye(2), ["a", "b"]), tmp_path / "none" / "set.json")


# The votes of the npm package


def grown(examples):
    knn = KNNClassifier()
    for label, example in examples:
        knn.add_example(example, label)
    return knn


def agree(knn, told, answers, *, exact=True):
    """Compare a classifier with the npm package's answers; returns how many were skipped."""
    references = knn.references()
    left_out = 0
    for query, row in zip(told["queries"], answers, strict=True):
        scores = np.sort(neighbors.scores(np.array([query]), references.vectors)[0])[::-1]
        for k, expected in zip(told["ks"], row, strict=True):
            if not exact and k < len(scores) and scores[k - 1] - scores[k] < NEAR_TIE:
                left_out += 1  # a near-tie: float32 may pick another neighbour
                continue
            found = knn.classify(query, k)
            assert found.label == expected["label"], (query, k)
            assert found.confidences == expected["confidences"], (query, k)
            assert list(found.confidences) == list(expected["confidences"]), "the order too"
            assert references.labels[found.index] == found.label
    return left_out


def test_the_votes_are_those_of_the_npm_package(tmp_path):
    knn = grown(STORED["examples"])
    agree(knn, STORED, STORED["answers"])
    # Its classIndex counts in the order of addition, whatever numbers such as "2" and "10" are.
    added = list(dict.fromkeys(label for label, _ in STORED["examples"]))
    assert knn.references().labels != tuple(added)
    for row in STORED["answers"]:
        assert all(added[one["index"]] == one["label"] for one in row)


def test_what_its_users_save_is_read_with_the_same_votes(tmp_path):
    read = ml5_json.read(written(tmp_path, STORED["saved"]))
    agree(KNNClassifier.of(read), STORED, STORED["loaded"])
    given = grown(STORED["examples"]).references()
    assert read.labels == given.labels
    np.testing.assert_allclose(read.vectors, neighbors.unit(given.vectors), atol=1e-7)


def test_the_stored_questions_hold_what_they_are_for():
    sizes = grown(STORED["examples"]).count_by_label()
    assert list(sizes) == ["2", "10", "pear", "apple", "one row", "ä"]
    assert len(set(sizes.values())) > 3
    assert sizes["one row"] == 1
    assert max(STORED["ks"]) > sum(sizes.values())
    references = grown(STORED["examples"]).references()
    scores = -np.sort(-neighbors.scores(np.array(STORED["queries"]), references.vectors), axis=1)
    gaps = scores[:, :-1] - scores[:, 1:]
    # Rounding has no effect: two cosines are either exactly equal or clearly different.
    assert ((gaps == 0) | (gaps > NEAR_TIE)).all()
    assert (gaps[0] == 0).sum() >= 5, "the nearest of the first query tie"
    votes = [sorted(one["confidences"].values()) for row in STORED["answers"] for one in row]
    assert sum(one[-1] == one[-2] for one in votes) > 20, "votes tie"


@pytest.fixture(scope="session")
def npm(tmp_path_factory):
    """Run the real packages, installed outside the repository."""
    with installed(SCRIPT, tmp_path_factory.mktemp("npm") / "tfjs") as folder:

        def ask(questions=None):
            extra = []
            if questions is not None:
                (folder / "questions.json").write_text(json.dumps(questions), "utf-8")
                extra = ["questions.json"]
            done = run(folder, "votes.mjs", *extra)
            assert done.returncode == 0, done.stderr.decode()
            return json.loads(done.stdout)

        yield ask


def test_the_stored_answers_are_what_the_package_says_today(npm):
    fresh = npm()
    for part in ("examples", "queries", "ks", "answers", "loaded"):
        assert fresh[part] == STORED[part], part
    for (label, values, shape), stored in zip(fresh["saved"], STORED["saved"], strict=True):
        assert [label, shape] == [stored[0], stored[2]]
        np.testing.assert_allclose(values, stored[1], atol=1e-6)


def test_the_package_votes_alike_on_what_we_write(npm, tmp_path):
    knn = grown(STORED["examples"])
    knn.save(tmp_path / "set.json")
    saved = json.loads((tmp_path / "set.json").read_text("utf-8"))
    told = {"ml5": saved, "queries": STORED["queries"], "ks": STORED["ks"]}
    fresh = npm(told)
    agree(knn, told, named(fresh["answers"], knn.references().labels))
    values = [value for _, values, _ in fresh["saved"] for value in values]
    same_values = ml5_json.read(tmp_path / "set.json").vectors.ravel()
    np.testing.assert_array_equal(np.array(values), same_values.astype(np.float64))


@pytest.mark.parametrize("name", REAL)
def test_the_package_votes_alike_on_real_files(name, npm, data):
    path = data / "ml5" / f"{name}.json"
    references = ml5_json.read(path)
    rng = np.random.default_rng(0)
    some = rng.choice(len(references), min(20, len(references)), replace=False)
    noise = rng.normal(0, 0.3 / np.sqrt(references.dim), (len(some), references.dim))
    queries = (references.vectors[some] + noise).astype(np.float32).astype(float).tolist()
    told = {"ml5": json.loads(path.read_text("utf-8")), "queries": queries, "ks": [1, 3, 5, 99]}
    answers = named(npm(told)["answers"], references.labels)
    left_out = agree(KNNClassifier.of(references), told, answers, exact=False)
    assert left_out <= 0.1 * len(queries) * len(told["ks"])


def named(answers, labels):
    """Answers for a data set of ml5, whose keys are the numbers of the classes."""
    return [
        [
            {
                "label": labels[int(one["label"])],
                "confidences": {labels[int(key)]: v for key, v in one["confidences"].items()},
            }
            for one in row
        ]
        for row in answers
    ]


# The classifier's methods


def test_examples_are_added_counted_and_cleared():
    knn = KNNClassifier()
    assert (knn.count(), knn.num_labels(), knn.count_by_label()) == (0, 0, {})
    for label in ("b", 10, "b", "2", "a"):
        knn.add_example([[1, 2, 3]], label)
    assert knn.count_by_label() == {"2": 1, "10": 1, "b": 2, "a": 1}
    assert list(knn.count_by_label()) == ["2", "10", "b", "a"]
    assert (knn.count(), knn.num_labels()) == (5, 4)
    knn.clear_label("b")
    knn.clear_label(10)
    assert knn.count_by_label() == {"2": 1, "a": 1}
    knn.add_example([1, 2, 3], "b")
    assert list(knn.count_by_label()) == ["2", "a", "b"]
    knn.clear_all_labels()
    assert (knn.count(), knn.num_labels(), knn.count_by_label()) == (0, 0, {})
    knn.add_example([1, 2], "another width")
    assert knn.count() == 1


def test_k_is_three_and_at_most_the_number_of_examples():
    knn = grown([("a", [1, 0]), ("b", [1, 0.1]), ("b", [1, 0.2]), ("c", [0, 1])])
    assert knn.classify([2, 0]).confidences == {"a": 1 / 3, "b": 2 / 3, "c": 0}
    assert knn.classify([2, 0], k=1).label == "a"
    assert knn.classify([[2, 0]], k=99).confidences == {"a": 0.25, "b": 0.5, "c": 0.25}
    answer = knn.classify([0, 1], 1)
    assert (answer.label, answer.index) == ("c", 2)


def test_references_go_in_and_out_as_they_are():
    given = References.of([[3, 4], [0, 2], [0, 0]], ["z", "10", "z"], classes=["z", "none", "10"])
    knn = KNNClassifier.of(given)
    same(knn.references(), [[3, 4], [0, 0], [0, 2]], ["z", "z", "10"], ["z", "10"])
    knn.add_example([5, 5], "z")
    assert len(given) == 3
    with pytest.raises(InputError, match="have none"):
        KNNClassifier.of(References.of(np.eye(2)))


def test_a_copy_of_the_example_is_kept():
    knn, example = KNNClassifier(), np.array([1, 2], np.float32)
    knn.add_example(example, "a")
    example[:] = 9
    assert knn.references().vectors.tolist() == [[1, 2]]


def test_labels_survive_saving_and_loading(tmp_path):
    path = tmp_path / "set.json"
    knn = grown([("b", [3, 4]), ("10", [0, 2]), ("2", [1, 0])])
    knn.save(path)
    loaded = grown([("gone", [1, 2, 3])])
    loaded.load(path)
    # As addExample stores them on a page, where a product with longer vectors is not a cosine.
    same(loaded.references(), [[1, 0], [0, 1], [0.6, 0.8]], ["2", "10", "b"], ["2", "10", "b"])
    assert loaded.classify([4, 5]) == knn.classify([4, 5])
    path.write_text("[]")
    with pytest.raises(InputError, match="no examples"):
        loaded.load(path)
    assert loaded.count() == 3, "a file that cannot be used changes nothing"


@pytest.mark.parametrize(
    ("verb", "message"),
    [
        (lambda knn: knn.add_example([1, 2, 3], "a"), "3 values; the others have 2"),
        (lambda knn: knn.add_example([1, np.nan], "a"), "NaN"),
        (lambda knn: knn.add_example([1, 1e39], "new"), "infinite"),
        (lambda knn: knn.add_example([], "new"), "at least one value"),
        (lambda knn: knn.add_example(["x", "y"], "new"), "numbers"),
        (lambda knn: knn.add_example([[1], [2, 3]], "new"), "numbers"),
        (lambda knn: knn.add_example([1, 2], ""), "label is empty"),
        (lambda knn: knn.add_example([1, 2], None), "label is null"),
        (lambda knn: knn.classify([1, 2, 3]), "3 values; the others have 2"),
        (lambda knn: knn.classify([np.inf, 1]), "infinite"),
        (lambda knn: knn.classify([1, 2], k=0), "k must be at least 1, not 0"),
        (lambda knn: knn.clear_label("x"), "no class 'x'; the classes are: a, b"),
        (lambda knn: knn.load(Path("nowhere.json")), "cannot be read"),
        (lambda knn: KNNClassifier().classify([1, 2]), "no examples"),
        (lambda knn: KNNClassifier().references(), "no examples"),
        (lambda knn: KNNClassifier().save(Path("never.json")), "no examples"),
        (lambda knn: KNNClassifier().clear_label("a"), "the classes are: none"),
    ],
)
def test_mistakes_are_one_line_and_change_nothing(verb, message):
    knn = grown([("a", [1, 2]), ("b", [2, 1])])
    with pytest.raises(InputError, match=message) as caught:
        verb(knn)
    assert "\n" not in str(caught.value)
    assert knn.count_by_label() == {"a": 1, "b": 1}


@pytest.mark.parametrize("k", [1, 3])
def test_all_four_formats_vote_as_the_npm_package(k, tmp_path):
    """A data set becomes a model of vectors; the npm package's answers are stored."""
    from pocketknn.builder import Spec
    from pocketknn.export import FORMATS, export, load

    classifier = KNNClassifier()
    for label, vector in STORED["examples"]:
        classifier.add_example(vector, label)
    classifier.save(tmp_path / "set.json")
    spec = Spec(backbone="vector", k=k, projection="none", vote="uniform")
    result = export(spec, ml5_json.read(tmp_path / "set.json"), None, tmp_path / "out")
    assert result.agrees
    queries = np.array(STORED["queries"], np.float32)
    place = STORED["ks"].index(k)
    for name, target in FORMATS.items():
        file = load(tmp_path / "out" / f"model{target.SUFFIX}")
        votes = file.run(queries)["probabilities"]
        for row, answers in enumerate(STORED["answers"]):
            expected = [answers[place]["confidences"][label] for label in file.metadata.labels]
            np.testing.assert_allclose(votes[row], expected, atol=1e-6, err_msg=f"{name} {row}")


@pytest.mark.parametrize("name", REAL)
def test_a_real_data_set_builds_in_all_four_formats(name, data, tmp_path):
    from pocketknn.builder import Spec
    from pocketknn.export import export

    references = ml5_json.read(data / "ml5" / f"{name}.json")
    assert export(Spec(backbone="vector"), references, None, tmp_path / "out").agrees
