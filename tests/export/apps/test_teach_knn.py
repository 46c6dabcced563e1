"""The k-NN of the page of `teach`, in Node: its modules without a page.

What they compute is compared with numpy in float64, which is written here, and with the product's
own functions, so that a build of what was taught answers as the page did.
"""

import io
import json
import re
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from node import run
from support import ROOT, vote

from pocketknn.builder import References, Spec
from pocketknn.builder.backbones.provenance import Provenance
from pocketknn.builder.choices.neighbors import Neighbors
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.knn.validation import rejection
from pocketknn.builder.knn.validation.leave_one_out import leave_one_out
from pocketknn.builder.references import memory_json, ml5_json

STATIC = ROOT / "export/apps/teach/static"
BACKBONE = "ab" * 32
ROUNDING = 1e-6  # cosines of vectors that were scaled to length 1 in float32
# Both look for the same minimum, and both stop within 1e-4 of its logarithm; the rest is for
# cosines, which the page keeps in float32.
OF_A_SEARCH = 1e-3
STUDY = """
import { unit } from "./knn.js";
import { Similarities } from "./similarities.js";
import { study } from "./study.js";
const { rows, labels, recordings, classes } = data;
const known = new Similarities();
rows.forEach((row, i) => known.add(i, unit(row)));
const examples = labels.map((label, i) => ({ label, recording: recordings[i] }));
done(study(examples, classes, known.of(rows.map((_, i) => i))));
"""


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    if not shutil.which("node"):
        pytest.skip("node is not on this machine")
    folder = tmp_path_factory.mktemp("teach") / "static"
    shutil.copytree(STATIC, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


@pytest.fixture
def js(modules):
    """Run code over `data`; it ends with done(what it found), or fails with an error's message."""

    def ask(code, fails=False, **data):
        (modules / "data.json").write_text(json.dumps(data), "utf-8")
        (modules / "code.js").write_text(
            "import { readFileSync, writeFileSync } from 'node:fs';\n"
            "const data = JSON.parse(readFileSync('data.json', 'utf-8'));\n"
            "const done = (found) => console.log(JSON.stringify(found));\n" + code,
            "utf-8",
        )
        found = run(modules, "code.js")
        if fails:
            assert found.returncode, found.stdout
            return found.stderr.decode()
        assert not found.returncode, found.stderr.decode()
        return json.loads(found.stdout) if found.stdout else None

    return ask


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def taught(classes=3, recordings=4, each=6, d=24, shared=False, seed=0):
    """Examples whose recordings differ more than their frames: rows, labels and recordings."""
    rng = np.random.default_rng(seed)
    kinds = rng.standard_normal((classes, d))
    rows, labels, names = [], [], []
    for c in range(classes):
        for r in range(recordings):
            place = kinds[c] + 1.4 * rng.standard_normal(d)
            for _ in range(each - c % 2):  # of unequal sizes
                rows.append(place + 0.3 * rng.standard_normal(d))
                labels.append(c)
                names.append(f"r{r}" if shared else f"r{r} of {c}")
    return np.array(rows, np.float32), np.array(labels), names


def as_data(rows, labels, recordings):
    return {"rows": rows.tolist(), "labels": labels.tolist(), "recordings": list(recordings)}


@pytest.mark.parametrize("k", [1, 7, 100])
def test_the_nearest_are_those_of_numpy(js, k):
    rng = np.random.default_rng(k)
    rows, queries = (rng.standard_normal((n, 40)).astype(np.float32) for n in (130, 9))
    code = """
    import { nearest, unit } from "./knn.js";
    const rows = data.rows.map(unit);
    done(data.queries.map((one) => nearest(unit(one), rows, data.k)));
    """
    found = js(code, rows=rows.tolist(), queries=queries.tolist(), k=k)
    cosines = unit(queries.astype(float)) @ unit(rows.astype(float)).T
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    assert [[one["index"] for one in near] for near in found] == order.tolist()
    scores = [[one["score"] for one in near] for near in found]
    np.testing.assert_allclose(scores, np.take_along_axis(cosines, order, 1), atol=ROUNDING)


def test_of_equals_the_first_is_nearest(js):
    code = 'import { highest } from "./knn.js"; done(highest([1, 3, 2, 3, 3], 2));'
    assert [one["index"] for one in js(code)] == [1, 3]


@pytest.mark.parametrize("hit", [False, True])
def test_the_vote_is_that_of_a_build(js, hit):
    """Shares as from the product's balanced soft vote; an exact hit counts alone."""
    rng = np.random.default_rng(3)
    ids = np.repeat([0, 1, 2], [30, 10, 5])
    scores = np.sort(rng.uniform(0.3, 0.9, (8, 45)))[:, ::-1]
    if hit:
        scores[:, :2] = 1 - 1e-7
    order = np.array([rng.permutation(45) for _ in range(8)])
    expected = vote(Neighbors(scores, order), ids, 3, by="soft", balanced=True, temperature=0.07)
    code = """
    import { vote, winner } from "./knn.js";
    const shares = data.near.map((near) => vote(near, [30, 10, 5], 0.07));
    done({ shares, winners: shares.map(winner) });
    """
    near = [
        [{"label": int(ids[i]), "score": s} for s, i in zip(*pair, strict=True)]
        for pair in zip(scores.tolist(), order.tolist(), strict=True)
    ]
    found = js(code, near=near)
    np.testing.assert_allclose(found["shares"], expected, atol=1e-12)
    assert found["winners"] == expected.round(6).argmax(axis=1).tolist()


def folds_of(labels, recordings):
    """The fold of each example: recording r of class c in fold c + r; as shared, in fold r."""
    each = len({one[:2] for one in recordings})
    turned = " of " in recordings[0]
    return [f"{(int(r[1]) + c * turned) % each}" for c, r in zip(labels, recordings, strict=True)]


def answers_without_recordings(rows, labels, recordings, heat, keep=None):
    """The class for each example from all examples of other folds, by numpy."""
    recordings = folds_of(labels, recordings)
    cosines = unit(rows.astype(float)) @ unit(rows.astype(float)).T
    names, keep = np.array(recordings), np.ones(len(labels), bool) if keep is None else keep
    most = min(int((names != one).sum()) for one in names) if keep.all() else len(labels)
    found = []
    for i in range(len(labels)):
        there = np.flatnonzero((names != names[i]) & keep)
        near = there[np.argsort(-cosines[i, there], kind="stable")][: min(100, most)]
        weights = np.exp((cosines[i, near] - cosines[i, near[0]]) / heat)
        sizes = np.bincount(labels[there], minlength=labels.max() + 1)
        shares = np.bincount(labels[near], weights, minlength=len(sizes)) / np.maximum(sizes, 1)
        found.append(int((shares / shares.sum()).round(6).argmax()))
    return np.array(found)


def test_accuracy_and_confusion_leave_out_recordings(js):
    rows, labels, recordings = taught()
    found = js(STUDY, classes=3, **as_data(rows, labels, recordings))
    said = answers_without_recordings(rows, labels, recordings, found["temperature"])
    right = said == labels
    assert 0.3 < right.mean() < 0.95, "neither all right nor all wrong, or it would show nothing"
    assert (found["asked"], found["right"]) == (len(labels), int(right.sum()))
    for label, one in enumerate(found["classes"]):
        mine = labels == label
        assert one == {
            "asked": int(mine.sum()),
            "right": int(right[mine].sum()),
            "recordings": 4,
            "count": int(mine.sum()),
        }
    table = np.zeros((3, 3), int)
    np.add.at(table, (labels, said), 1)
    expected = {
        (one, other): (int(table[one, other] + table[other, one]), int((labels == one).sum()))
        for one in range(3)
        for other in range(one + 1, 3)
        if table[one, other] + table[other, one]
    }
    assert {(one["one"], one["other"]) for one in found["confused"]} == set(expected)
    for one in found["confused"]:
        assert one["times"] == expected[one["one"], one["other"]][0]
        assert one["of"] == int(np.isin(labels, [one["one"], one["other"]]).sum())
    # Frames of the same recording would have made it look much better.
    alone = [f"{i}" for i in range(len(labels))]
    assert js(STUDY, classes=3, **as_data(rows, labels, alone))["right"] > found["right"]


def test_a_class_with_one_recording_answers_and_is_not_asked(js):
    rows, labels, recordings = taught()
    recordings = ["once" if c == 2 else r for c, r in zip(labels, recordings, strict=True)]
    found = js(STUDY, classes=3, **as_data(rows, labels, recordings))
    assert found["asked"] == int((labels < 2).sum())
    assert found["classes"][2]["asked"] == 0
    assert any(one["other"] == 2 for one in found["confused"]), "it answers"
    lonely = [f"all of {c}" for c in labels]
    found = js(STUDY, classes=3, **as_data(rows, labels, lonely))
    assert (found["asked"], found["unknown"], found["half"]) == (0, None, None)


@pytest.mark.parametrize("shared", [False, True])
def test_half_of_the_recordings(js, shared):
    rows, labels, recordings = taught(recordings=4 if not shared else 3)
    found = js(STUDY, classes=3, **as_data(rows, labels, recordings))
    heat, right = found["temperature"], 0
    if shared:  # with three recordings, examples are halved
        first = np.searchsorted(labels, labels)
        part = (np.arange(len(labels)) - first) % 2
    else:
        part = np.array([int(name[1]) % 2 for name in recordings])
    for one in (0, 1):
        said = answers_without_recordings(rows, labels, recordings, heat, part == one)
        right += int((said == labels).sum())
    what = "examples" if shared else "recordings"
    assert found["half"] == {"what": what, "asked": 2 * len(labels), "right": right}


@pytest.mark.parametrize("seed", range(3))
def test_it_measures_as_the_product_does(js, seed):
    """Recordings that all classes share are the product's folds: the same questions and figures."""
    rows, labels, recordings = taught(classes=4, recordings=5, shared=True, seed=seed)
    names = [f"class {c}" for c in labels]
    references = References.of(rows, names, occasions=recordings)
    choices = {"projection": "none", "vote": "soft", "k": 100, "balanced": True}
    fitted = fit(Spec(backbone="vector", reject="auto", **choices), references)
    assert len(fitted.space.folds) == 5
    found = js(STUDY, classes=4, **as_data(rows, labels, recordings))
    assert found["temperature"] == pytest.approx(fitted.temperature, rel=OF_A_SEARCH)
    expected = leave_one_out(fitted)
    said = {f"class {c}": (one["right"], one["asked"]) for c, one in enumerate(found["classes"])}
    assert said == expected.per_class
    assert found["expected"] == pytest.approx(expected.accuracy, abs=1e-12)
    assert found["unknown"]["threshold"] == pytest.approx(fitted.threshold, abs=ROUNDING)
    rates = rejection.measure(fitted)
    assert found["unknown"]["known"]["rejected"] / len(rows) == rates.known
    strangers = found["unknown"]["strangers"]
    assert strangers["rejected"] / strangers["of"] == rates.left_out_classes
    assert 0 < rates.known < 0.2
    assert rates.left_out_classes > 0


@pytest.mark.parametrize("counts", [(2, 2), (3, 5, 2), (1, 4, 2), (12, 12)])
@pytest.mark.parametrize("shared", [False, True])
def test_folds_hold_out_about_one_recording_of_every_class(js, counts, shared):
    """As the product's folds do, which deal recordings at random."""
    rows, labels, names = [], [], []
    rng = np.random.default_rng(0)
    for c, count in enumerate(counts):
        for r in range(count):
            rows += [*rng.standard_normal((3, 8))]
            labels += [c] * 3
            names += [f"r{r}" if shared else f"r{r} of {c}"] * 3
    code = """
    import { folded } from "./folds.js";
    const { labels, recordings } = data;
    done(folded(labels.map((label, i) => ({ label, recording: recordings[i] }))));
    """
    found = js(code, **as_data(np.array(rows), np.array(labels), names))
    fold = np.array(found["fold"])
    references = References.of(np.array(rows), [f"class {c}" for c in labels], occasions=names)
    fitted = fit(Spec(backbone="vector", projection="none", k=5), references)
    theirs = np.full(len(labels), -1)
    for number, one in enumerate(fitted.space.folds):
        theirs[one.test] = number
    if len({*fold} - {-1}) == len(fitted.space.folds):  # chance may leave one empty
        assert found["fewer"] == pytest.approx(fitted.out_of_fold.fewer)
    pairs = np.array([labels, names]).T
    for mine in (fold, theirs):
        held = {(*pair, part) for pair, part in zip(pairs.tolist(), mine, strict=True)}
        assert len(held) == len({tuple(pair) for pair in pairs.tolist()}), "none is split"
        for label, count in enumerate(counts):
            parts = [part for own, _, part in held if own == str(label)]
            assert parts.count(-1) <= 1 + (count == 1)
            assert len({*parts}) > 1 or parts == [-1], "no class is left out as a whole"
    for label in range(len(counts)):
        there = [sorted(np.unique(mine[np.array(labels) == label])) for mine in (fold, theirs)]
        assert len(there[0]) == len(there[1])


def test_strangers_need_enough_to_measure_them(js):
    few = taught(classes=2, recordings=2, each=4)
    assert js(STUDY, classes=2, **as_data(*few))["unknown"] is None
    enough = taught(classes=2, recordings=2, each=9)
    assert js(STUDY, classes=2, **as_data(*enough))["unknown"]


def test_nothing_taught_measures_nothing(js):
    found = js(STUDY, classes=0, rows=[], labels=[], recordings=[])
    assert (found["asked"], found["unknown"], found["temperature"]) == (0, None, 1)


@pytest.mark.parametrize("seed", range(3))
def test_similarities_stay_right_while_examples_come_and_go(js, seed):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((30, 12)).astype(np.float32)
    gone = rng.permutation(25)[:11].tolist()
    code = """
    import { unit } from "./knn.js";
    import { Similarities } from "./similarities.js";
    const known = new Similarities();
    data.rows.slice(0, 25).forEach((row, i) => known.add(i, unit(row)));
    known.remove(data.gone);
    data.rows.slice(25).forEach((row, i) => known.add(25 + i, unit(row)));
    const row = known.of(data.ids);
    done(data.ids.map((_, i) => Array.from(row(i))));
    """
    ids = [i for i in range(30) if i not in gone]
    rng.shuffle(ids)
    found = js(code, rows=rows.tolist(), gone=gone, ids=ids)
    exact = unit(rows[ids].astype(float))
    np.testing.assert_allclose(found, exact @ exact.T, atol=ROUNDING)


def test_python_reads_the_zip(js, modules):
    photos = {"größe/camera 1/0001.jpg": b"\xff\xd8one", "a b/r/0001.png": bytes(range(256)) * 300}
    code = """
    import { album } from "./album.js";
    const classes = Object.entries(data.photos).map(([path, bytes]) => {
      const [name, recording] = path.split("/");
      const type = path.endsWith("png") ? "image/png" : "image/jpeg";
      const photo = new Blob([Uint8Array.from(bytes)], { type });
      const bare = { recording, photo: null };
      return { name, examples: [{ recording, photo }, bare] };
    });
    const more = [{ name: "memory.json", blob: new Blob(["{}"]) }];
    const file = await album(classes, more);
    writeFileSync("photos.zip", new Uint8Array(await file.arrayBuffer()));
    """
    js(code, photos={name: list(content) for name, content in photos.items()})
    with zipfile.ZipFile(io.BytesIO((modules / "photos.zip").read_bytes())) as found:
        assert found.testzip() is None, "a checksum is wrong"
        contents = {name: found.read(name) for name in found.namelist()}
    assert contents == photos | {"memory.json": b"{}"}


def test_no_two_classes_share_a_folder(js):
    code = 'import { folders } from "./names.js"; done([...folders(data.names).values()]);'
    names = ["a/b", "a-b", "A-B", "..", "plain", "x:y", "NUL", "nul.b", "nul-"]
    found = js(code, names=names)
    assert len({one.lower() for one in found}) == len(names)
    assert not {"nul"} & {one.lower().partition(".")[0] for one in found}, "a device on Windows"
    assert not any(set(one) & set('/\\:*?"<>|') or one.startswith(".") for one in found)
    assert found[4] == "plain"
    code = code.replace("folders }", "folders, nested }").replace("names)", "names, nested)")
    found = js(code, names=["a/b", "a-b", "../x", "a//b", "A/b"])
    assert found == ["a/b", "a-b", "--/x", "a/-/b", "A/b 2"], "as a build has them"


def model(**changes):
    return {"sha256": BACKBONE, "crop": "center", "dim": 5} | changes


READ = """
import { read } from "./dataset.js";
const found = read(readFileSync(data.path, "utf-8"), data.model);
const rows = (one) => one.rows.map((row) => Array.from(row));
done({ ...found, classes: found.classes.map((one) => ({ ...one, rows: rows(one) })) });
"""
ORDER = ["mug", "7", "constructor", "__proto__", "雪 🙂"]


def test_a_memory_goes_to_python_and_back(js, modules, tmp_path):
    """Bit by bit, with recordings and the order of classes; JavaScript puts "7" first."""
    rng = np.random.default_rng(8)
    rows = rng.standard_normal((8000, 5)).astype(np.float32)
    names = [ORDER[i % 5] for i in range(8000)]
    code = """
    import { memory } from "./dataset.js";
    import { SINGLE } from "./names.js";
    const classes = data.order.map((name) => ({ name, muted: name === "7", examples: [] }));
    data.rows.forEach((row, i) => {
      const recording = i % 3 ? `r${i % 3}` : `${SINGLE}${i}`;
      const values = Float32Array.from(row);
      classes[i % 5].examples.push({ values, recording });
    });
    classes.push({ name: "empty", muted: false, examples: [] });
    writeFileSync("memory.json", [...memory(classes, ["gone"], data.model)].join(""));
    """
    js(code, order=ORDER, rows=rows.tolist(), model=model())
    found = memory_json.read(modules / "memory.json")
    assert (found.backbone, found.crop, found.forgotten) == (BACKBONE, "center", ("gone",))
    assert found.references.labels == tuple(ORDER)
    refs = found.references
    for number, name in enumerate(ORDER):
        mine = np.flatnonzero(refs.label_ids == number)
        assert refs.vectors[mine].tobytes() == rows[number::5].tobytes(), name
        expected = [f"r{i % 3}" if i % 3 else "" for i in range(number, 8000, 5)]
        assert [refs.occasions[i] for i in mine] == expected

    facts = {"backbone": "pixels", "alpha": None, "size": 8, "input_range": "0..1"}
    made = Provenance(sha256=BACKBONE, crop="center", **facts)
    occasions = ["", "x", "y", "z"] * 2000
    saved = References.of(rows, names, classes=ORDER, occasions=occasions)
    memory_json.write(replace(saved, provenance=made), tmp_path / "saved.json", forgotten=["old"])
    back = js(READ, path=str(tmp_path / "saved.json"), model=model())
    assert back["sure"]
    assert back["gone"] == ["old"]
    assert [one["name"] for one in back["classes"]] == ORDER
    for number, one in enumerate(back["classes"]):
        assert np.array(one["rows"], np.float32).tobytes() == rows[number::5].tobytes()
        assert one["origins"] == occasions[number::5]
    assert js(READ, path="memory.json", model=model())["muted"] == ["7"]


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"sha256": "cd" * 32}, "network"), ({"crop": "fit"}, "cropped"), ({"dim": 6}, "5 values")],
)
def test_a_memory_of_another_network_is_refused(js, tmp_path, changes, word):
    path = tmp_path / "memory.json"
    note = {"backbone": BACKBONE, "crop": "center", "names": ["a"], "origins": {}}
    path.write_text(
        json.dumps({"pocketknn": note, "a": {"shape": [1, 5], "data": [1, 2, 3, 4, 5]}})
    )
    assert js(READ, path=str(path), model=model())["classes"][0]["rows"] == [[1, 2, 3, 4, 5]]
    assert word in js(READ, fails=True, path=str(path), model=model(**changes))


ROWS = [[0.5, 1, 2, 3, 4], [5, 6, 7, 8, -9.25]]
FLAT = [*ROWS[0], *ROWS[1]]
KEYED = {str(i): value for i, value in enumerate(FLAT)}
FORMS = {
    "lists": [["cat", FLAT, [2, 5]], ["dog", FLAT[:5], [1, 5]]],
    "objects": [{"classId": 3, "data": FLAT, "shape": [2, 5]}],
    "labels": [{"label": "cat", "values": KEYED, "shape": [2, 5]}],
    "by name": {"cat": {"data": FLAT, "shape": [2, 5]}, "10": {"values": ROWS[0], "shape": [1, 5]}},
    "rows": {"cat": ROWS},
    "flat": {"cat": FLAT},
    "a class like the note": {"pocketknn2": ROWS, "1": ROWS},
    "ml5": {"dataset": {"0": {"shape": [2, 5], "label": "cat"}}, "tensors": [KEYED]},
    "unused": {"dataset": [None, {"shape": [2, 5]}], "tensors": [None, KEYED]},
    "other keys": {"dataset": {"3": {"shape": [2, 5]}}, "tensors": [KEYED]},
}


@pytest.mark.parametrize("form", FORMS)
def test_data_sets_are_read_as_python_reads_them(js, tmp_path, form):
    path = tmp_path / "set.json"
    path.write_text(json.dumps(FORMS[form]))
    expected = ml5_json.read(path, 5)
    found = js(READ, path=str(path), model=model())
    assert not found["sure"]
    assert tuple(one["name"] for one in found["classes"]) == expected.labels
    rows = [row for one in found["classes"] for row in one["rows"]]
    assert np.array(rows, np.float32).tobytes() == expected.vectors.tobytes()
    assert all(one["origins"] is None for one in found["classes"])


def test_a_data_set_that_python_wrote_for_ml5(js, tmp_path):
    rows = np.random.default_rng(2).standard_normal((6, 5)).astype(np.float32)
    ml5_json.write(References.of(rows, list("aabbbb")), tmp_path / "ml5.json")
    found = js(READ, path=str(tmp_path / "ml5.json"), model=model())
    assert [len(one["rows"]) for one in found["classes"]] == [2, 4]
    again = np.array([row for one in found["classes"] for row in one["rows"]], np.float32)
    assert again.tobytes() == rows.tobytes()


WRONG = {
    "no JSON": "hello",
    "a number": "3",
    "nothing": "{}",
    "another width": '{"cat": {"data": [1, 2, 3], "shape": [1, 3]}}',
    "no shape that fits": '{"cat": {"data": [1, 2, 3, 4, 5], "shape": [2, 5]}}',
    "a text": '{"cat": [[1, 2, 3, 4, "x"]]}',
    "too large": '{"cat": [[1, 2, 3, 4, 1e39]]}',
    "rows differ": '{"cat": [[1, 2, 3, 4, 5], [1]]}',
    "a gap": '{"cat": {"0": 1, "1": 2, "2": 3, "3": 4, "9": 5}}',
    "a network": '{"modelTopology": {}}',
    "twice": '[["cat", [1, 2, 3, 4, 5]], ["cat", [1, 2, 3, 4, 5]]]',
    "no name": '{" ": [1, 2, 3, 4, 5]}',
    "bad base64": '{"cat": {"data": "%%%", "shape": [1, 5]}}',
    "an item of nothing": "[null]",
}


@pytest.mark.parametrize("what", WRONG)
def test_other_files_are_refused_in_one_line(js, tmp_path, what):
    path = tmp_path / "file.json"
    path.write_text(WRONG[what])
    code = READ.replace("const found =", "let found; try { found =").replace(
        "data.model);", "data.model); } catch (error) { done(error.message); process.exit(); }"
    )
    said = js(code, path=str(path), model=model())
    assert isinstance(said, str), f"it was read: {said}"
    assert "\n" not in said
    assert said.startswith(("This is not", "This file")), said


def test_what_is_measured_in_words(js):
    code = """
    import { advice, line } from "./words.js";
    const { found, names } = data;
    done([line(found, names), ...advice(found, names)].join("\\n"));
    """
    both = {"recordings": 4, "count": 20, "asked": 20, "right": 17}
    found = {
        "asked": 40,
        "right": 34,
        "expected": 0.87,
        "classes": [both, both],
        "confused": [{"one": 0, "other": 1, "times": 6, "of": 40}],
        "half": {"what": "recordings", "asked": 80, "right": 60},
        "unknown": None,
    }
    said = js(code, found=found, names=["mug", "cup"])
    assert "34 of 40 right" in said
    assert "87\u00a0%" in said
    assert "mug and cup look alike: 6 of 40" in said
    assert "More recordings helped: with half of the recordings, 75\u00a0%" in said
    assert "with all, 85\u00a0%" in said
    assert "cannot recognise strangers" in said
    found["confused"][0]["times"] = 1
    found["half"]["right"] = 68
    known = {"rejected": 2, "of": 40}
    found["unknown"] = {"threshold": 0.5, "known": known, "strangers": {"rejected": 31, "of": 40}}
    said = js(code, found=found, names=["mug", "cup"])
    assert "look alike" not in said
    assert "did not help" in said
    assert "2 of 40 pictures of your classes unknown" in said
    assert "31 of 40" in said
    found |= {"right": 40, "half": {"what": "recordings", "asked": 80, "right": 79}}
    assert "will hardly help" in js(code, found=found, names=["mug", "cup"])
    found |= {"asked": 0, "right": 0, "half": None, "unknown": None}
    assert "once more, from another angle" in js(code, found=found, names=["mug", "cup"])


def test_the_last_recording_can_be_taken_back(js):
    code = """
    import { Taught } from "./taught.js";
    const taught = new Taught(4);
    const [mug, cup] = ["mug", " cup "].map((name) => taught.add(name));
    const teach = (one, recording, value) =>
      taught.teach([taught.example(one.id, recording, Float32Array.of(value, 1), null)]);
    teach(mug, "r1", 3);
    teach(cup, "r2", 4);
    teach(cup, "r2", 5);
    teach(mug, "r3", 6);
    let full = "";
    try { teach(mug, "r4", 7); } catch (error) { full = error.message; }
    const known = [taught.has(cup.id, [5, 1]), taught.has(mug.id, [5, 1])];
    taught.remove(taught.last);
    taught.remove(taught.last);
    const left = taught.examples.map(({ recording }) => recording);
    const again = new Taught(4);
    again.resume({ classes: taught.classes, built: ["mug", "pan"], gone: ["pot"], examples: [] });
    const next = again.add("new").id;
    done({ names: taught.names, full, known, left, forgotten: again.forgotten, next });
    """
    found = js(code)
    assert found["names"] == ["mug", "cup"]
    assert "4 examples" in found["full"]
    assert found["known"] == [True, False]
    assert found["left"] == ["r1"]
    assert found["forgotten"] == ["pot", "pan"]
    assert found["next"] == 3, "no id is given twice"


@pytest.mark.parametrize(
    "name",
    [
        *("", "  ", "a/b", "a\\b", ".a", "a.", "unknown", "pocketknn", "mug", " mug", "x" * 61),
        *(
            "a\x00",
            "a\u202eb",
            "\u2066a",
            "a\u200b",
            "\u200f",
            "\u3164",
            "Unknown",
            "con",
            "CON",
            "aux.txt",
            "Com1",
            "lpt²",
        ),
    ],
)
def test_names_that_no_class_can_have(js, name):
    code = 'import { checked } from "./names.js"; done(checked(data.name, ["mug"]));'
    assert "Error: " in js(code, fails=True, name=name)
    assert js(code, name=" Käse 雪 ") == "Käse 雪"
    for name in ("contact", "سيب\u200f", "👩\u200d🔬"):
        assert js(code, name=name) == name


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["mug/1.jpg", "cup/2.png"], [("mug", None), ("cup", None)]),
        (["mug/1.jpg"], [("mug", None)]),
        (["all/mug/1.jpg", "all/cup/r/2.jpg"], [("mug", None), ("cup", "r")]),
        (["1.jpg"], [(None, None)]),
        (["all/mug/.DS_Store", "all/mug/1.JPG", "all/notes.txt"], [("mug", None)]),
        (["mug/r1/1.jpg", "cup/r1/1.jpg"], [("mug", "r1"), ("cup", "r1")]),
    ],
)
def test_folders_name_classes_and_recordings(js, paths, expected):
    code = """
    import { sorted } from "./drops.js";
    const found = data.paths.map((path) => {
      return { path, file: { name: path.split("/").at(-1), type: "" } };
    });
    done(sorted(found).map(({ name, recording }) => [name, recording]));
    """
    assert [tuple(one) for one in js(code, paths=paths)] == expected


SHARED = {  # of other folders
    *("camera.js", "elements.js", "picture.js", "votes.js"),
    *("style.css", "icon.svg", "runtime/ort.js"),
}


def test_the_page_has_what_its_modules_look_for():
    html = (STATIC / "index.html").read_text("utf-8")
    ids = set(re.findall(r'\bid="([\w-]+)"', html))
    named = set(re.findall(r'(?:href|src)="([^"#]+)"', html))
    for path in STATIC.glob("*.js"):
        code = path.read_text("utf-8")
        assert set(re.findall(r'\b(?:find|show)\("([\w-]+)"', code)) <= ids, path.name
        named |= set(re.findall(r'(?:from|import|URL\() ?"\.?/?([\w./-]+\.js)"', code))
    assert named <= SHARED | {path.name for path in STATIC.iterdir()}
    assert {"teach.js", "embed-worker.js", "study.js", "webgpu.js"} <= named
    # The content security policy allows neither.
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", html)


# A browser's database, which keeps nothing and can be made to fail.
DATABASE = """
let fails = false;
const soon = (request, result) => {
  setTimeout(() => request.onsuccess?.(Object.assign(request, { result })));
  return request;
};
const store = { put() {}, delete() {}, get: () => soon({}), getAll: () => soon({}, []) };
const transaction = () => {
  const made = { objectStore: () => store, error: { message: "no reason" } };
  setTimeout(() => (fails ? made.onabort?.() : made.oncomplete?.()));
  return made;
};
globalThis.indexedDB = { open: () => soon({}, { transaction }) };
globalThis.navigator ??= {}; // Node 20 has none
globalThis.Worker = class {
  postMessage() {}
};
const { Lesson } = await import("./lesson.js");
const lesson = new Lesson(10, () => {}, () => {});
await lesson.recall();
lesson.resume(null, { sha256: "x", crop: "center", dim: 2 });
const said = (promise) => promise.then(() => "", (error) => error.message);
const values = Float32Array.of(1, 2);
"""


def test_what_could_not_be_kept_is_not_shown_as_taught(js):
    code = f"""{DATABASE}
    const one = await lesson.addClass("mug");
    fails = true;
    const errors = [
      await said(lesson.addClass("late")), await said(lesson.rename(one, "cup")),
      await said(lesson.mute(one)), await said(lesson.teach(one, "r", values, null)),
      await said(lesson.drop(one)),
    ];
    const {{ taught }} = lesson;
    const found = {{ errors, classes: [{{ ...one }}], examples: taught.examples.length }};
    fails = false;
    await lesson.rename(one, "pot"); // the class is still the one that its card holds
    done({{ ...found, names: taught.names }});
    """
    found = js(code)
    assert all("could not store it" in error for error in found["errors"]), found["errors"]
    assert [(one["name"], one["muted"]) for one in found["classes"]] == [("mug", False)]
    assert found["names"] == ["pot"]
    assert found["examples"] == 0


def test_a_class_that_was_removed_takes_no_more_examples(js):
    """Its button may be held, or photos may be on their way."""
    code = f"""{DATABASE}
    const [one, two] = [await lesson.addClass("mug"), await lesson.addClass("cup")];
    const meanwhile = said(lesson.teach(one, "r", values, null));
    const dropped = said(lesson.drop(one));
    await dropped;
    const errors = [await meanwhile, await said(lesson.teach(one, "r", values, null))];
    await lesson.teach(two, "r", values, null);
    done({{ errors, owners: lesson.taught.examples.map(({{ owner }}) => owner === two.id) }});
    """
    found = js(code)
    assert found["errors"] == ["The class “mug” was removed."] * 2
    assert found["owners"] == [True]


def test_a_lesson_that_is_kept_has_one_id(js):
    """What is not kept is a lesson of its own: nobody can go on from it. Names alone go on."""
    code = f"""{DATABASE}
    const made = {{ sha256: "x", crop: "center", dim: 2 }};
    const none = {{ classes: [], built: [], gone: [], examples: [], model: made, lesson: "kept" }};
    const kept = {{ ...none, examples: [{{ id: 1, owner: 0 }}] }};
    const fresh = new Lesson(10, () => {{}}, () => {{}});
    await fresh.recall();
    await fresh.resume(none, {{ ...made, sha256: "y" }});
    const ids = [];
    for (const model of [made, {{ ...made, sha256: "y" }}]) {{
      const again = new Lesson(10, () => {{}}, () => {{}});
      await again.recall();
      await again.resume(kept, model);
      ids.push(again.id);
    }}
    const other = new Lesson(10, () => {{}}, () => {{}});
    await other.resume(kept, made); // without a database
    const facts = [];
    store.put = (value, name) => facts.push([name, value]);
    await lesson.addClass("mug");
    const written = Object.fromEntries(facts).lesson;
    done({{ ids, fresh: fresh.id, other: other.id, id: lesson.id, written }});
    """
    found = js(code)
    assert found["ids"][0] == found["fresh"] == "kept"
    assert len({*found["ids"], found["other"], found["id"]}) == 4
    assert found["written"] == found["id"]


def test_what_was_removed_last_can_be_put_back(js):
    """In its old place, as it was, and kept again; nothing is lost if that fails at first."""
    code = f"""{DATABASE}
    const kept = new Map();
    store.put = (value, name) => kept.set(name ?? value.id, value);
    store.delete = (id) => kept.delete(id);
    const {{ taught }} = lesson;
    const [mug, cup] = [await lesson.addClass("mug"), await lesson.addClass("cup")];
    await lesson.mute(mug);
    for (const one of [mug, cup, mug]) await lesson.teach(one, `of ${{one.name}}`, values, null);
    const all = [...taught.examples];
    const same = (one, i) => one === all[i];
    const whole = () => taught.classes[0] === mug && mug.muted && taught.classes.length === 2
      && taught.examples.length === 3 && taught.examples.every(same)
      && all.every(({{ id }}) => kept.has(id)) && kept.get("classes")[0].name === "mug";
    const steps = [];
    const ids = all.map(({{ id }}) => id);

    await Promise.all([lesson.remove([ids[0]]), lesson.remove([ids[0]])]); // clicked twice
    steps.push([!whole(), lesson.removed.examples.length, kept.has(ids[0])]);
    await Promise.all([lesson.undo(), lesson.undo()]);
    steps.push([whole(), lesson.removed]);

    await lesson.remove([ids[1]]);
    await lesson.drop(mug); // only the last removal can be undone
    steps.push([taught.classes.length, taught.examples.length]);
    const other = await lesson.addClass("mug");
    const errors = [await said(lesson.undo())];
    await lesson.rename(other, "jug");
    fails = true;
    errors.push(await said(lesson.undo()));
    fails = false;
    await lesson.undo();
    steps.push([taught.names, taught.of(mug.id).map(({{ id }}) => ids.indexOf(id)), mug.muted]);

    for (let i = 0; i < 8; i++) await lesson.teach(cup, "more", values, null);
    await lesson.remove([ids[0]]);
    await lesson.teach(cup, "more", values, null);
    errors.push(await said(lesson.undo()));
    steps.push([lesson.removed.examples.length, taught.examples.length]);
    done({{ steps, errors }});
    """
    found = js(code)
    assert found["steps"] == [
        [True, 1, False],
        [True, None],
        [1, 0],
        [["mug", "cup", "jug"], [0, 2], True],
        [1, 10],
    ]
    taken, failed, full = found["errors"]
    assert "already a class “mug”" in taken
    assert "could not store it" in failed
    assert "full" in full


def test_a_recording_has_the_time_of_the_clock_on_the_wall(js):
    """Also when that clock shows an hour twice, no two recordings have the same name."""
    code = f"""{DATABASE}
    process.env.TZ = "Pacific/Auckland"; // 13 hours ahead in January
    const Real = Date;
    globalThis.Date = class extends Real {{
      constructor() {{
        super(Real.UTC(2026, 0, 1, 20, 5, 9));
      }}
    }};
    const one = await lesson.addClass("mug");
    const first = lesson.recording();
    await lesson.teach(one, first, values, null);
    const again = new Lesson(10, () => {{}}, () => {{}});
    again.taught.teach(lesson.taught.examples); // as after the page was opened again
    done([first, lesson.recording("x "), again.recording()]);
    """
    first, second, later = js(code)
    assert first == "camera 2026-01-02 09.05.09 1"
    assert second == "x 2026-01-02 09.05.09 2"
    assert later == "camera 2026-01-02 09.05.09 2"


def test_a_graphics_card_must_answer_the_same(js):
    """A NaN, of a card that overflows, is no number below the tolerance."""
    code = """
    import { TOLERANCE, objection } from "./webgpu.js";
    const after = (ms, value) => () => new Promise((resolve) => setTimeout(resolve, ms, value));
    const wasm = after(20, [0.6, 0.8]);
    const cards = [[0.6, 0.8], [0.6 + 2 * TOLERANCE, 0.8], [NaN, 0.8], [0.6 + TOLERANCE / 2, 0.8]];
    const found = [];
    for (const one of cards) found.push(await objection(after(1, one), wasm, []));
    done([...found, await objection(after(60, [0.6, 0.8]), wasm, [])]);
    """
    same, other, nothing, near, slow = js(code)
    assert (same, near) == ("", "")
    assert "0.0020" in other
    assert "NaN" in nothing
    assert "pictures per second" in slow


def test_every_pixel_of_the_comparison_is_a_colour(js):
    found = js('import { noise } from "./webgpu.js"; done([...noise(300)]);')
    assert len(found) == 300
    assert all(0 <= one < 256 for one in found)
    assert len(set(found)) > 100
