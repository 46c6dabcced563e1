"""The snippets of a build: Python and JavaScript run as an app maker runs them, Swift and Kotlin
parsed. test_compiled.py compiles those two where there is a compiler, and test_camera.py runs the
cameras of Python; no test runs anything on a device.
"""

import fnmatch
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event

import numpy as np
import pytest
import tree_sitter
import tree_sitter_kotlin
import tree_sitter_swift
from node import run
from PIL import Image, ImageOps
from profiles import P3, of_colours
from support import ROOT, drawing
from support import plain as spec_of

from pocketknn.builder import References, load_backbone
from pocketknn.builder.embedding.local import run as embed
from pocketknn.builder.photos.pixels.crop import square
from pocketknn.export import export
from pocketknn.export.apps import snippets
from pocketknn.export.cli.ask.pictures import Picture
from pocketknn.export.cli.ask.predict import answered, pixels_of
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.table import SNIPPETS
from pocketknn.export.manifest.artefact import load
from pocketknn.export.parity.test_inputs import Queries

SIZE = 24
LABELS = ["apple", "berry", "cherry"]
HOSTILE = ['"""', "\\n\\", "$x ${y} @@k", "%% if z", "'); DROP", "雪 🙂 é", "</script>", "a,b"]
HOSTILE += ["=1+1", "'=1+1", "'tis"]
TIMED = re.compile(r"\d+\.\d ms( a picture|$)", re.MULTILINE)


def built(out, labels=LABELS, head=None, crop="center", formats=None, options=None, **choices):
    """A build of small drawings with the backbone `pixels` and the given labels."""
    spec = spec_of(backbone="pixels", size=SIZE, head=head, crop=crop, **choices)
    net = load_backbone(spec)
    n = max(12, len(labels))
    pictures = np.stack([square(drawing(i), SIZE, crop) for i in range(n)])
    names = [labels[i % len(labels)] for i in range(n)]
    references = References.of(
        embed(net, pictures),
        names,
        classes=labels,
        paths=[f"{name}/{i}.png" for i, name in enumerate(names)],
        targets=np.arange(2.0 * n).reshape(n, 2) if head == "regress" else None,
    )
    inputs = np.stack(
        [np.zeros_like(pictures[0])] + [square(drawing(700 + i), SIZE, crop) for i in range(9)]
    )
    export(
        spec,
        references,
        net,
        out,
        against=Queries(inputs, embed(net, inputs)),
        formats=formats or ["tflite", "onnx"],
        options=options,
    )
    return out


BUILDS = {
    "classify": {},
    "defaults": {"projection": "auto", "vote": None},
    "soft": {"vote": "soft", "balanced": True, "k": 7, "temperature": 0.02},
    "reject": {"reject": "auto", "false_rejection": 0.3, "vote": "distance"},
    "neighbors": {"head": "neighbors", "crop": "stretch", "metric": "euclidean", "pca": 6},
    "regress": {"head": "regress", "crop": "fit"},
    "hostile": {"labels": HOSTILE, "crop": "fit"},
    "bytes": {"options": Options(pixels="uint8"), "crop": "stretch"},
    "grows, search": {"grow": 20, "head": "neighbors", "crop": "fit"},
    "grows": {"grow": 12, "spare": 2, "reject": "auto"},
}
OF_GROWING = {name for name in SNIPPETS if name.lower().startswith(("grow", "memory"))}


@pytest.fixture(scope="module", params=list(BUILDS))
def out(request, tmp_path_factory):
    return built(tmp_path_factory.mktemp("snippets") / "out", **BUILDS[request.param])


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """A wide photo that is not a reference, as a phone stores it: on its side, with EXIF."""
    path = tmp_path_factory.mktemp("picture") / "new.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    drawing(900, (311, 200)).save(path, exif=exif, quality=90)
    return path


def expected_of(out, name, path):
    """The answer of `pocketknn predict`."""
    artefact = load(out / name)
    image = Picture(name=path.name, content=path.read_bytes)
    square = pixels_of(image, artefact.metadata.manifest["input"])
    return answered(artefact, artefact.metadata.rows(), square)


def agrees(said, expected, tolerance):
    assert said.keys() == expected.keys() - {"image"}
    assert len(said["neighbors"]) == min(5, len(expected["neighbors"])), "five are shown"
    for one, other in zip(said["neighbors"], expected["neighbors"][:5], strict=True):
        assert one["score"] == pytest.approx(other["score"], rel=tolerance, abs=tolerance)
        assert {k: one[k] for k in ("index", "id", "label", "path")} == {
            k: other[k] for k in ("index", "id", "label", "path")
        }
    if "label" in expected:
        assert said["label"] == expected["label"]
        assert said["probability"] == pytest.approx(expected["probability"], abs=1e-3)
    if "value" in expected:
        assert said["value"] == pytest.approx(list(expected["value"].values()), abs=1e-3)


# The templates


def test_the_wheel_holds_every_template():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    there = list((ROOT / "export/formats").glob("*/snippets/*.j2"))
    assert sorted(path.name for path in there) == sorted(f"{name}.j2" for name in SNIPPETS)
    for path in there:
        patterns = told["package-data"][f"pocketknn.export.formats.{path.parts[-3]}"]
        name = f"snippets/{path.name}"
        assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name


def test_classify_py_lets_in_one_thread_at_a_time(out):
    spec = importlib.util.spec_from_file_location("classify", out / "snippets/classify.py")
    snippet = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(snippet)
    model, busy = snippet.Model(), Event()
    run = model.run

    def slow(**given):
        assert not busy.is_set(), "a second caller would take away what the first asked for"
        busy.set()
        time.sleep(0.001)
        found = run(**given)
        busy.clear()
        return found

    model.run = slow
    pixels = [np.full((SIZE, SIZE, 3), i, np.uint8) for i in range(32)]
    with ThreadPoolExecutor(8) as threads:
        assert len(list(threads.map(model.outputs, pixels))) == len(pixels)


def test_what_is_written_is_short_and_whole(out):
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    there = sorted(path.name for path in (out / "snippets").iterdir() if path.is_file())
    without = {name for name in SNIPPETS if name.endswith(".swift")}  # there is no Core ML file
    grows = "memory" in manifest
    mediapipe = {"ClassifyMediaPipe.kt"}  # takes one input, and classes
    empty = mediapipe if grows else OF_GROWING if manifest["labels"] else OF_GROWING | mediapipe
    assert there == sorted(SNIPPETS.keys() - without - empty)
    for name in SNIPPETS:
        if name in empty:
            assert snippets.render(name, manifest) == ""
            continue
        lines = snippets.render(name, manifest).splitlines()
        assert len(lines) <= 150, name
        assert max(map(len, lines)) <= 100, name
        assert not any("{%" in line or "{{" in line or line != line.rstrip() for line in lines), (
            name
        )


def test_no_name_that_a_person_chose_is_in_the_code(tmp_path):
    """Otherwise a quotation mark in a label would end a string, and the rest would run as code."""
    out = built(tmp_path / "out", labels=[f"secret{i}" for i in range(3)], formats=["tflite"])
    for path in (out / "snippets").iterdir():
        assert "secret" not in path.read_text("utf-8")


@pytest.fixture(scope="module", params=["classify", "neighbors", "regress", "classify, grows"])
def of_vectors(request, tmp_path_factory):
    """A build of feature vectors with each head, and a few vectors to ask it."""
    rng, out = np.random.default_rng(0), tmp_path_factory.mktemp("vectors") / "out"
    targets = rng.standard_normal((12, 2)) if request.param == "regress" else None
    references = References.of(rng.standard_normal((12, 5)), list("abc") * 4, targets=targets)
    head, _, grows = request.param.partition(", ")
    spec = spec_of(backbone="vector", head=head, k=3, grow=9 if grows else None)
    export(spec, references, None, out, formats=["tflite", "onnx"])
    return out, rng.standard_normal((4, 5)).astype(np.float32)


def test_vectors_have_the_snippets_that_need_no_picture(of_vectors):
    out, _ = of_vectors
    names = sorted(path.name for path in (out / "snippets").iterdir())
    assert names == ["classify.mjs", "classify.py"]
    for name in names:
        lines = (out / "snippets" / name).read_text("utf-8").splitlines()
        assert max(map(len, lines)) <= 100
        code = "\n".join(lines)
        assert not any(one in code.lower() for one in ("{%", "{{", "square", "picture", "pixels"))


def vectors_agree(out, file, said, rows):
    artefact = load(out / file)
    table = artefact.metadata.rows()
    answers = json.loads(said)
    assert len(answers) == len(rows)
    for answer, row in zip(answers, rows, strict=True):
        agrees(answer, answered(artefact, table, row), 1e-5)


def test_python_answers_vectors_as_predict_does(of_vectors, tmp_path):
    out, rows = of_vectors
    np.save(tmp_path / "rows.npy", rows)
    code, said, modules, errors = python(out, tmp_path / "rows.npy")
    assert code == 0, errors
    vectors_agree(out, "model.tflite", said, rows)
    assert not modules & {"pocketknn", "tensorflow", "keras", "PIL"}
    code, said, _, errors = python(out)
    assert code == 0, said + errors
    assert f" of {said.count(' ok')} differ" in said


# Python: only LiteRT, numpy and Pillow.


def python(out, *arguments, build=None):
    """Run classify.py in a bare process; returns exit code, answer and loaded modules."""
    code = """
import json, runpy, sys
script, sys.argv = sys.argv[1], sys.argv[1:]
try:
    runpy.run_path(script, run_name="__main__")
finally:
    print("MODULES", json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, out / "snippets/classify.py", *arguments],
        capture_output=True,
        check=False,
        encoding="utf-8",
        cwd="/",
    )
    said, _, modules = done.stdout.rpartition("MODULES ")
    return done.returncode, said, set(json.loads(modules)), done.stderr


def test_python_agrees_with_predict(out, picture):
    code, said, modules, errors = python(out, picture)
    assert code == 0, errors
    (answer,) = json.loads(said)
    agrees(answer, expected_of(out, "model.tflite", picture), 1e-6)
    assert {"ai_edge_litert", "numpy", "PIL"} <= modules
    assert not modules & {"pocketknn", "tensorflow", "keras", "scipy", "pyarrow", "typer", "rich"}


def test_python_passes_its_self_test(out):
    code, said, _, errors = python(out)
    assert code == 0, said + errors
    assert said.count(" ok") == 6
    assert "0 of 6 differ" in said
    assert TIMED.search(said)


def of_other_kinds(folder):
    """Pictures in grey, with transparency, and in the colours of another profile."""
    grey, clear, tagged = (folder / f"{name}.png" for name in ("grey", "clear", "tagged"))
    ImageOps.grayscale(drawing(901)).save(grey)
    image = drawing(902).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(clear)
    drawing(903).save(tagged, icc_profile=of_colours(*P3))
    return grey, clear, tagged


def test_python_on_pictures_of_other_kinds(out, tmp_path):
    pictures = of_other_kinds(tmp_path)
    code, said, _, errors = python(out, *pictures)
    assert code == 0, errors
    for answer, path in zip(json.loads(said), pictures, strict=True):
        agrees(answer, expected_of(out, "model.tflite", path), 1e-6)


def edited(path, change):
    golden = json.loads(path.read_text("utf-8"))
    change(golden)
    path.write_text(json.dumps(golden), "utf-8")


def of_example(key, change):
    def edit(golden):
        for expected in golden["examples"][2]["expected"].values():
            expected[key] = change(expected[key])

    return edit


CHANGES = {
    "a score": of_example("scores", lambda values: [values[0] + 1e-3, *values[1:]]),
    "a neighbour": of_example("allowed", lambda lists: [[99], *lists[1:]]),
    "a vote": of_example("probabilities", lambda values: [v + 0.1 for v in values]),
    "the label": of_example("labels", lambda labels: ["none of them"]),
    "no example": lambda golden: golden["examples"].clear(),
    "another picture": lambda golden: golden["examples"][0].update(picture="1.png"),
    "not a number": of_example("scores", lambda values: [float("nan"), *values[1:]]),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return built(tmp_path_factory.mktemp("plain") / "out")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A build with other references and another order of classes."""
    folder = tmp_path_factory.mktemp("other") / "out"
    return built(folder, labels=LABELS[::-1], vote="distance")


@pytest.fixture
def copy(plain, tmp_path):
    return shutil.copytree(plain, tmp_path / "out")


@pytest.mark.parametrize("change", CHANGES)
def test_python_says_that_golden_was_changed(change, copy):
    edited(copy / "golden/golden.json", CHANGES[change])
    code, said, _, _ = python(copy)
    assert code == 1, said
    assert " ok" in said or change == "no example"


@pytest.mark.parametrize("file", ["model.tflite", "labels.txt"])
def test_python_says_that_a_file_is_another(file, copy, other):
    shutil.copy(other / file, copy)
    code, said, _, _ = python(copy)
    assert code == 1
    assert "differs: " in said


def test_python_says_that_a_reference_was_lost(copy):
    """A row of the file is overwritten with zeros; it still opens."""
    path = copy / "model.tflite"
    content = bytearray(path.read_bytes())
    golden = json.loads((copy / "golden/golden.json").read_text("utf-8"))
    first = golden["examples"][0]["expected"]["tflite"]["indices"][0]
    from pocketknn.export.output.names import REFERENCES

    rows = References.load(copy / REFERENCES).vectors
    unit = (rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)).astype("f4")
    place = content.find(unit[first, :4].tobytes())
    assert place > 0
    content[place : place + unit[first].nbytes] = bytes(unit[first].nbytes)
    path.write_bytes(content)
    code, said, _, _ = python(copy)
    assert code == 1
    assert "indices" in said


def test_python_says_in_a_line_what_it_cannot_read(plain, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    for name, why in (("none.jpg", "No such file"), ("text.jpg", "cannot identify")):
        code, said, _, errors = python(plain, tmp_path / name)
        assert (code, said) == (1, "")
        assert len(errors.splitlines()) == 1
        assert why in errors
        assert name in errors
    code, said, _, errors = python(plain, "--help")
    assert (code, errors) == (0, "")
    assert "prints the answer for a picture" in said


def test_python_reads_vectors_of_each_kind(of_vectors, tmp_path):
    out, rows = of_vectors
    np.save(tmp_path / "rows.npy", rows)
    expected = json.loads(python(out, tmp_path / "rows.npy")[1])
    (tmp_path / "rows.json").write_text(json.dumps(rows.tolist()))
    plain = "".join(",".join(map(repr, row)) + "\n" for row in rows.tolist())
    (tmp_path / "rows.csv").write_text(plain)
    (tmp_path / "named.csv").write_text("a,b,c,d,e\n" + plain)
    for name in ("rows.json", "rows.csv", "named.csv"):
        code, said, _, errors = python(out, tmp_path / name)
        assert code == 0, errors
        assert json.loads(said) == expected, name
    (tmp_path / "rows.txt").write_text(plain)
    (tmp_path / "narrow.csv").write_text("1,2\n")
    (tmp_path / "bad.json").write_text("[[1, 2")
    (tmp_path / "dict.json").write_text('{"a": [1]}')
    for name in ("rows.txt", "narrow.csv", "bad.json", "dict.json", "none.csv"):
        code, said, _, errors = python(out, tmp_path / name)
        assert (code, said) == (1, ""), name
        assert len(errors.splitlines()) == 1
        assert f"{name}: " in errors


# JavaScript: onnxruntime-web under Node, sharp to read pictures


@pytest.fixture(scope="module")
def web(ortweb, node):
    """Run classify.mjs of a build from a folder where Node finds the packages."""
    numbers = count()

    def script(out, *arguments):
        place = shutil.copytree(out, ortweb / f"snippets{next(numbers)}")
        done = node(place / "snippets", "classify.mjs", *arguments)
        return done.returncode, done.stdout, done.stderr

    return script


def test_javascript_in_a_process_of_its_own(copy, picture, ortweb):
    """As users run it: the other tests here share one process."""
    edited(copy / "golden/golden.json", CHANGES["a score"])
    place = shutil.copytree(copy, ortweb / "alone") / "snippets"
    answer, checked = (run(place, "classify.mjs", *words) for words in ([picture], []))
    assert [answer.returncode, checked.returncode] == [0, 1]
    agrees(json.loads(answer.stdout)[0], expected_of(copy, "model.onnx", picture), 2e-3)
    assert checked.stdout.endswith(b"1 of 6 differ\n")


def test_javascript_agrees_with_predict(out, picture, web):
    code, said, errors = web(out, picture)
    assert code == 0, errors
    (answer,) = json.loads(said)
    # JPEG decoders may differ by 1 of 255.
    agrees(answer, expected_of(out, "model.onnx", picture), 2e-3)


def test_javascript_says_in_a_line_what_it_cannot_read(plain, web):
    code, said, errors = web(plain, "none.jpg")
    assert (code, said) == (1, "")
    assert len(errors.splitlines()) == 1
    assert "none.jpg" in errors


def test_javascript_answers_vectors_as_predict_does(of_vectors, tmp_path, web):
    out, rows = of_vectors
    (tmp_path / "rows.json").write_text(json.dumps(rows.tolist()))
    code, said, errors = web(out, tmp_path / "rows.json")
    assert code == 0, errors
    vectors_agree(out, "model.onnx", said, rows)
    code, said, errors = web(out)
    assert code == 0, said + errors
    assert "0 of " in said


def test_javascript_passes_its_self_test(out, web):
    code, said, errors = web(out)
    assert code == 0, said + errors
    assert said.count(" ok") == 6
    assert TIMED.search(said)


def test_javascript_on_pictures_of_other_kinds(plain, tmp_path, web):
    pictures = of_other_kinds(tmp_path)
    code, said, errors = web(plain, *pictures)
    assert code == 0, errors
    for answer, path in zip(json.loads(said), pictures, strict=True):
        agrees(answer, expected_of(plain, "model.onnx", path), 2e-3)


@pytest.mark.parametrize("change", CHANGES)
def test_javascript_says_that_golden_was_changed(change, copy, web):
    edited(copy / "golden/golden.json", CHANGES[change])
    code, said, _ = web(copy)
    assert code == 1, said
    # To JavaScript, NaN is not JSON.
    assert " ok" in said or change in ("no example", "not a number")


def test_javascript_says_that_the_model_is_another(copy, other, web):
    shutil.copy(other / "model.onnx", copy)
    code, said, _ = web(copy)
    assert code == 1
    assert "differs: " in said


@pytest.mark.parametrize("crop", ["center", "stretch", "fit"])
def test_javascript_shrinks_as_pillow_does(crop, plain, web, tmp_path):
    """Bit for bit: the filter, its fixed point, and the axis that Pillow takes first."""
    manifest = json.loads((plain / "manifest.json").read_text("utf-8"))
    manifest["input"]["crop"] = crop
    (tmp_path / "square.mjs").write_text(snippets.render("square.mjs", manifest))
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (1, 300), (300, 1), (24, 24), (129, 192), (640, 480), (480, 640), (7, 11)]
    shapes += [tuple(map(int, rng.integers(1, 300, 2))) for _ in range(12)]
    cases = []
    for number, (width, height) in enumerate(shapes):
        size = int(rng.choice([SIZE, 96, 7]))
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        (tmp_path / f"{number}.bin").write_bytes(pixels.tobytes())
        wanted = square(Image.fromarray(pixels), size, crop)
        cases.append((number, width, height, size, wanted))
    (tmp_path / "main.mjs").write_text("""
import { readFileSync, writeFileSync } from "node:fs";
import { square } from "./square.mjs";
for (const [number, width, height, size] of JSON.parse(process.argv[2])) {
  const data = new Uint8Array(readFileSync(`${number}.bin`));
  writeFileSync(`${number}.out`, square({ width, height, data }, size));
}
""")
    done = run(tmp_path, "main.mjs", json.dumps([case[:4] for case in cases]))
    assert done.returncode == 0, done.stderr.decode()
    for number, width, height, size, wanted in cases:
        found = np.fromfile(tmp_path / f"{number}.out", np.uint8).reshape(size, size, 3)
        np.testing.assert_array_equal(found, wanted, err_msg=f"{width}×{height} to {size}")


# Swift and Kotlin: parsed


LANGUAGES = {"swift": tree_sitter_swift, "kt": tree_sitter_kotlin}


def faults(name, code):
    """The lines that a parser of the language rejects."""
    language = tree_sitter.Language(LANGUAGES[name.rpartition(".")[2]].language())
    nodes = [tree_sitter.Parser(language).parse(code.encode()).root_node]
    lines = [*code.splitlines(), "the end"]
    found = []
    while nodes:
        node = nodes.pop()
        nodes += node.children
        if node.type == "ERROR" or node.is_missing:
            found.append(lines[node.start_point[0]])
    return found


NATIVE = [name for name in SNIPPETS if name.endswith((".swift", ".kt"))]


@pytest.mark.parametrize("name", NATIVE)
def test_swift_and_kotlin_parse(name, out):
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert faults(name, snippets.render(name, manifest)) == []


@pytest.mark.parametrize("name", NATIVE)
def test_the_parser_sees_a_fault(name, plain):
    manifest = json.loads((plain / "manifest.json").read_text("utf-8"))
    if name in OF_GROWING:
        manifest["memory"] = {"slots": 20, "width": 7, "classes": 2, "spare": 1}
    code = snippets.render(name, manifest)
    brace = code.rindex("{")
    verb = "func " if name.endswith(".swift") else "fun "
    unopened, named = code[:brace] + code[brace + 1 :], code.replace(verb, f"{verb}( ", 1)
    for broken in (unopened, named, code + ")"):
        assert faults(name, broken), name


@pytest.mark.parametrize(
    "name",
    ["Classify.swift", "References.swift", "Golden.swift", "Classify.kt", "ClassifyMediaPipe.kt"],
)
def test_they_ask_for_what_the_files_have(name, plain, tmp_path):
    """Names of inputs, outputs and files in strings, which a parser does not check."""
    manifest = json.loads((plain / "manifest.json").read_text("utf-8"))
    known = {"image", "scores", "indices", "probabilities", "value", "serving_default"}
    known |= {"classLabel", "classLabelProbs", "model", "mlmodelc", "references", "csv", "golden"}
    known |= {"model.tflite", "golden.json", "coreml", "golden.json has no examples", ""}
    known |= {"label", "thumbnails", "jpg"}
    code = re.sub(r"//.*|/\*\*.*", "", snippets.render(name, manifest))
    texts = {text for text in re.findall(r'"((?:[^"\\]|\\.)*)"', code) if "\\" not in text}
    assert texts <= known, texts - known
