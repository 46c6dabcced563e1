"""Memories of growing models: read, written, refused. Files are made here by hand."""

import base64
import hashlib
import json

import numpy as np
import pytest
from support import input_error

from pocketknn.builder import InputError, References
from pocketknn.builder.backbones.provenance import Provenance
from pocketknn.builder.references import memory_json, ml5_json
from pocketknn.builder.references.same_picture import joined

MADE = Provenance(
    backbone="bundled", alpha=0.35, size=96, input_range="[-1, 1]", sha256="ab" * 32, crop="center"
)
MUG = np.array([[0.5, 3, -4], [1e-3, 0, 1]], "<f4")
SEVEN = np.array([[9, 8, 7]], "<f4")
BASE = References.of(np.eye(3), ["mug", "bird", "bird"], sha256=["x", "y", "z"], provenance=MADE)


def of_class(rows):
    return {"shape": list(rows.shape), "data": base64.b64encode(rows.tobytes()).decode()}


def memory(note=None, **classes):
    """A memory as an app writes it; a part of the note that is None is left out."""
    noted = {
        "backbone": MADE.sha256,
        "crop": "center",
        "names": ["mug", "7"],
        "origins": {"mug": ["hall 2026-11-28", "hall 2026-11-29"], "7": [""]},
        "forgotten": ["bird"],
    } | (note or {})
    noted = {key: value for key, value in noted.items() if value is not None}
    known = {"7": of_class(SEVEN), "mug": of_class(MUG)}
    return {"pocketknn": noted} | known | classes


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "memory.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return path

    return write


def test_it_is_read_whole(written):
    found = memory_json.read(written(memory()))
    assert (found.backbone, found.crop, found.forgotten) == (MADE.sha256, "center", ("bird",))
    refs = found.references
    assert refs.labels == ("mug", "7"), "the order of the note, not JavaScript's"
    rows = {path: row for row, path in enumerate(refs.paths)}
    assert rows.keys() == {"memory.json#mug/0", "memory.json#mug/1", "memory.json#7/0"}
    for path, values, origin in (
        ("memory.json#mug/0", MUG[0], "hall 2026-11-28"),
        ("memory.json#mug/1", MUG[1], "hall 2026-11-29"),
        ("memory.json#7/0", SEVEN[0], ""),
    ):
        row = rows[path]
        np.testing.assert_array_equal(refs.vectors[row], values)
        assert refs.label_of(row) == path.split("#")[1].split("/")[0]
        assert refs.occasions[row] == origin
        assert refs.sha256[row] == hashlib.sha256(values.tobytes()).hexdigest()
        assert refs.sha256[row].startswith(refs.ids[row])


@pytest.mark.parametrize("missing", ["names", "origins", "forgotten"])
def test_what_may_be_missing(missing, written):
    found = memory_json.read(written(memory({missing: None})))
    assert found.references.counts == {"mug": 2, "7": 1}
    assert found.forgotten == (() if missing == "forgotten" else ("bird",))
    assert any(found.references.occasions) == (missing != "origins")


def test_the_form_of_ml5_may_have_a_note_too(written):
    content = memory({"names": ["mug"], "origins": None})
    of_ml5 = {"dataset": [{"shape": [2, 3], "label": "mug"}], "tensors": [MUG.ravel().tolist()]}
    found = memory_json.read(written({"pocketknn": content["pocketknn"]} | of_ml5))
    np.testing.assert_array_equal(found.references.vectors, MUG)


def test_as_references_it_merges_and_never_twice(written):
    taught = memory_json.read(written(memory())).like(BASE)
    assert taught.provenance == MADE
    once, known = joined(BASE, taught)
    assert (len(once), known) == (6, 0)
    assert once.counts == {"bird": 2, "mug": 3, "7": 1}
    again, known = joined(once, taught)
    assert (len(again), known) == (6, 3)


def test_for_image_search_it_loses_its_labels(written):
    plain = References.of(np.eye(3), provenance=MADE)
    taught = memory_json.read(written(memory())).like(plain)
    assert taught.labels == ()
    assert len(joined(plain, taught)[0]) == 6


def test_what_is_written_is_read_back(written, tmp_path):
    taught = memory_json.read(written(memory())).like(BASE)
    memory_json.write(taught, tmp_path / "memory.json", forgotten=["bird"])
    again = memory_json.read(tmp_path / "memory.json")
    assert again.forgotten == ("bird",)
    assert joined(taught, again.like(BASE))[1] == 3
    assert again.references.occasions == taught.occasions
    assert again.references.paths == taught.paths
    content = json.loads((tmp_path / "memory.json").read_text("utf-8"))
    assert content["pocketknn"]["names"] == ["mug", "7"]
    assert base64.b64decode(content["mug"]["data"]) == MUG.tobytes()


def test_tensorflow_js_may_have_a_class_of_that_name(written):
    path = written({"pocketknn": of_class(MUG), "b": of_class(SEVEN)})
    assert ml5_json.read(path).labels == ("pocketknn", "b")
    with input_error("unknown-backbone", path):
        memory_json.read(path)


def test_as_a_plain_data_set_it_is_refused(written):
    with input_error("is-memory", "--like"):
        ml5_json.read(written(memory()))


NAN = MUG.copy()
NAN[1, 2] = np.nan
REFUSED = {
    "no note": ({"mug": of_class(MUG)}, "unknown-backbone"),
    "no backbone": (memory({"backbone": None}), "bad-note"),
    "a backbone that is no text": (memory({"backbone": 7}), "bad-note"),
    "no crop": (memory({"crop": None}), "bad-note"),
    "NaN": (memory(mug=of_class(NAN)), "value-not-finite"),
    "another width in one class": (memory(mug=of_class(MUG[:, :2].copy())), "width-mismatch"),
    "cut off": (memory(mug={"shape": [3, 3], "data": of_class(MUG)["data"]}), "shape-mismatch"),
    "no examples": ({"pocketknn": memory()["pocketknn"]}, "no-examples"),
    "names that are none": (memory({"names": "mug"}), "bad-note"),
    "a forgotten class that is none": (memory({"forgotten": [3]}), "bad-note"),
    "a control character": (memory({"forgotten": ["a\nb"]}), "bad-class-name"),
    "origins that are none": (memory({"origins": ["hall"]}), "bad-note"),
    "too few origins": (memory({"origins": {"mug": ["hall"]}}), "length-mismatch"),
    "not JSON": ("{", "not-json"),
    "a list": ("[]", "unknown-backbone"),
    "the note twice": ('{"pocketknn": {}, "pocketknn": {}}', "duplicate-key"),
    "a class named as the note": (
        {
            "pocketknn": memory()["pocketknn"],
            "dataset": [{"shape": [2, 3], "label": "pocketknn"}],
            "tensors": [MUG.ravel().tolist()],
        },
        "reserved-class",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_in_one_line(case, written):
    content, code = REFUSED[case]
    path = written(content)
    with pytest.raises(InputError) as caught:
        memory_json.read(path)
    assert caught.value.code == code
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_no_examples_but_forgotten_classes_are_named(written):
    with input_error("no-examples", "'bird'"):
        memory_json.read(written({"pocketknn": memory()["pocketknn"]}))


@pytest.mark.parametrize(
    ("note", "code"),
    [({"backbone": "cd" * 32}, "other-backbone"), ({"crop": "fit"}, "other-crop")],
)
def test_one_of_another_backbone_or_crop_is_refused(note, code, written):
    with input_error(code):
        memory_json.read(written(memory(note))).like(BASE)


def test_one_of_another_width_or_for_unknown_vectors_is_refused(written):
    found = memory_json.read(written(memory()))
    with input_error("width-mismatch", 3, 2):
        found.like(References.of(np.eye(2), provenance=MADE))
    with input_error("unknown-backbone"):
        found.like(References.of(np.eye(3)))


@pytest.mark.parametrize(
    ("references", "code"),
    [
        (References.of(np.eye(3), provenance=MADE), "no-labels"),
        (References.of(np.eye(3), list("abc")), "unknown-backbone"),
        (References.of(np.eye(2), ["a", "pocketknn"], provenance=MADE), "reserved-class"),
        (References.of(np.eye(2), ["a", "b\n"], provenance=MADE), "bad-class-name"),
    ],
)
def test_references_that_are_no_memory(references, code, tmp_path):
    with input_error(code):
        memory_json.write(references, tmp_path / "memory.json")
    assert not list(tmp_path.iterdir())
