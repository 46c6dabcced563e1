"""Files that were changed and sealed again are not trusted, but refused in one line."""

import json
import random
import shutil

import numpy as np
import pytest
from support import drawing, photo_case

from pocketknn.builder import InputError
from pocketknn.export import export
from pocketknn.export.formats import tflite
from pocketknn.export.formats.storage.texts import append_files, payload, read
from pocketknn.export.manifest.metadata import Metadata, manifest_of
from pocketknn.export.output.checksums import hash_of
from pocketknn.export.output.names import LABELS, MANIFEST, SEAL, SLOTS, TABLE

VALUES = [None, -1, 0, 10**30, 1e308, "", [], {}, "x", True, [None], {"a": 1}, 10**9, [-1] * 3]


@pytest.fixture(scope="module")
def built(photos, tmp_path_factory):
    case = photo_case(photos, size=8, reject=0.5)
    out = tmp_path_factory.mktemp("resealed") / "out"
    export(case.spec, case.references, case.backbone, out, formats=["tflite"])
    drawing(7).save(out.parent / "new.png")
    return out


@pytest.fixture
def resealed(built, tmp_path):
    """The file with other texts in it, and a valid seal for them."""
    whole = built / "model.tflite"

    def make(texts):
        path = tmp_path / "model.tflite"
        path.write_bytes(whole.read_bytes()[: payload(whole)])
        said = read(whole) | texts
        runtime = said[SEAL].partition("\n")[2]
        append_files(path, said | {SEAL: f"{hash_of(said)}\n{runtime}"})
        return path

    return make


def changed(text, place, value):
    said = inside = json.loads(text)
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    return json.dumps(said)


DEEP = "[" * 200_000
MANIFESTS = {
    "a huge picture": (("input", "shape"), [10**6, 10**6, 3]),
    "no picture": (("input", "shape"), []),
    "an accuracy in words": (("references", "leave_one_out", "accuracy"), "high"),
    "no accuracy": (("references", "leave_one_out", "accuracy"), None),
    "an interval of three ends": (("references", "leave_one_out", "interval"), [0.1, 0.2, 0.3]),
    "an interval in words": (("references", "leave_one_out", "interval"), "wide"),
    "a threshold in words": (("reject", "known"), "%"),
    "a threshold without end": (("reject", "threshold"), float("nan")),
    "a number of 30 digits": (("k",), 10**30),
    "labels that are numbers": (("labels",), [1, 2, 3]),
    "fewer labels": (("labels",), ["one"]),
    "no precision": (("precision",), {"onnx": "float32"}),
    "another precision": (("precision", "tflite"), "float1"),
    "fewer references": (("references", "count"), 3),
    "a pair of one": (("references", "contradictions"), [["a"]]),
}
TABLES = {
    "no rows": "index,id,label,path\n",
    "nothing": "",
    "other columns": 'index,id\n0,"a"\n',
    "no header": '0,"a","b","c"\n1,"d","e","f"\n',
    "no number": 'index,id,label,path\nx,"a","b","c"\n',
    "a quote without end": 'index,id,label,path\n0,"a","b","c',
}
CASES = {f"manifest: {name}": (MANIFEST, *change) for name, change in MANIFESTS.items()}
CASES |= {f"table: {name}": (TABLE, None, text) for name, text in TABLES.items()}
CASES |= {f"{name}: nested": (name, None, DEEP) for name in (MANIFEST, SLOTS)}
CASES |= {
    f"slots: {value!r}"[:30]: (SLOTS, ("constants",), value) for value in ([], 1, {"references": 1})
}
CASES["slots: sizes"] = (SLOTS, ("sizes",), {"count": [[1.5, "axis", "x"]]})


@pytest.mark.parametrize("name", CASES)
def test_one_line_says_what_is_wrong(name, resealed, built, pocketknn):
    text, place, value = CASES[name]
    whole = read(built / "model.tflite")
    path = resealed({text: changed(whole[text], place, value) if place else value})
    some = next(iter(Metadata.parse(whole, "").rows()))["id"]
    codes = []
    for words in (
        ("inspect", path),
        ("predict", path, built.parent / "new.png"),
        ("diff", path, built / "model.tflite"),
        ("edit", path, "--remove", some),
    ):
        said = pocketknn(*words)
        codes.append(said.code)
        assert said.code in (0, 1, 2), said.err
        assert said.err.count("\n") == (said.code == 2), said.err
    assert 2 in codes


@pytest.mark.parametrize("what", ["scores", "probabilities"])
def test_answers_that_are_no_numbers(what, built, tmp_path, pocketknn, monkeypatch):
    """Whatever the changed graph outputs: no "nan %", no invalid JSON, no traceback."""
    opened = tflite.load

    def broken(path, threads=None):
        run = opened(path, threads)
        return lambda batch: run(batch) | {what: np.full_like(run(batch)[what], np.nan)}

    monkeypatch.setattr(tflite, "load", broken)
    picture = built.parent / "new.png"
    for words in (("predict",), ("predict", "--json"), ("explain", "-o", tmp_path / "e.png")):
        name, *rest = words
        said = pocketknn(name, built / "model.tflite", picture, *rest)
        assert said.code == 2
        assert (
            said.err
            == f"pocketknn: [file-damaged] model.tflite outputs {what} that are not finite\n"
        )
        assert "nan" not in said.out.lower()


def test_what_is_believed_of_a_manifest_can_be_said(built, pocketknn, monkeypatch):
    from pocketknn.export.cli.console import summary

    whole = read(built / "model.tflite")
    rng = random.Random(0)
    refused = 0
    for _ in range(400):
        said = json.loads(whole[MANIFEST])
        inside, key = said, rng.choice(list(said))
        while isinstance(inside[key], dict | list) and inside[key] and rng.random() < 0.8:
            inside = inside[key]
            key = rng.choice(list(inside) if isinstance(inside, dict) else range(len(inside)))
        inside[key] = rng.choice(VALUES)
        texts = whole | {MANIFEST: json.dumps(said)}
        runtime = texts[SEAL].partition("\n")[2]
        try:
            parsed = Metadata.parse(texts | {SEAL: f"{hash_of(texts)}\n{runtime}"}, "it")
            summary.facts(parsed.manifest, [])
            parsed.rows()
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017  # some are still right
            refused += 1
    assert refused > 200


@pytest.mark.parametrize("name", ["../elsewhere", "/etc/passwd", "a/b", "..", "a\\b", ""])
def test_a_manifest_that_names_what_is_not_in_its_folder(name, built, pocketknn, tmp_path):
    out = shutil.copytree(built, tmp_path / "out")
    manifest = json.loads((out / MANIFEST).read_text())
    manifest["files"][name] = {"bytes": 1, "sha256": "0"}
    (out / MANIFEST).write_text(json.dumps(manifest))
    said = pocketknn("verify", out)
    assert said.code == 2
    assert "not in its folder" in said.err


def test_a_file_that_is_a_link_out_of_the_folder(built, tmp_path):
    out = shutil.copytree(built, tmp_path / "out")
    (out / LABELS).unlink()
    (tmp_path / "secret").write_text("x")
    (out / LABELS).symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="leads out of the build"):
        manifest_of(out)
