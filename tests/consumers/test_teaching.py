"""The snippets that teach a growing model: Python and JavaScript do the same, and it is right.

Every list of neighbours and every vote is compared with a k-NN in float64 that is written here. It
knows what was taught from the verbs alone; the embeddings of pictures come from the backbone.
"""

import base64
import json
import shutil
import subprocess
import sys
from itertools import count

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from support import PLAIN, tinted

from pocketknn.builder import Spec, load_backbone
from pocketknn.builder.embedding.local import run as embed
from pocketknn.builder.photos.pixels.crop import square

K, SLOTS, SPARE = 5, 40, 8
BAKED = {"ant": "red", "bee": "yellow", "cat": "green", "dog": "blue"}
# JavaScript puts keys such as "7" before all others; taught last, it must stay last.
NEW = {
    **{"mug": "orange", "zebra": "white", "Käse": "brown", "雪": "cyan"},
    **{"a b": "black", "x=y": "pink", "constructor": "purple", "7": "olive"},
}
COLOURS = BAKED | NEW
NET = load_backbone(Spec(backbone="pixels", size=8))
PYTHON = """
import json, sys
sys.path.insert(0, sys.argv[1])
from grow import GrowingClassifier
model, said = GrowingClassifier(sys.argv[2]), []
for verb, *words in json.load(sys.stdin):
    try:
        said.append(getattr(model, verb)(*words))
    except ValueError as error:
        said.append({"error": str(error)})
print(json.dumps([said, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def picture(folder, name, number):
    """A picture of a class: a drawing in its colour."""
    path = folder / f"{name}-{number}.png"
    if not path.exists():
        seed = 1000 * list(COLOURS).index(name) + number
        tinted(seed, COLOURS[name], (37, 30), 0.45).save(path)
    return path


def embedding(path):
    """The embedding (d,) of a picture."""
    with Image.open(path) as image:
        return embed(NET, square(image, NET.size, "center")[None])[0]


class Known:
    """What a model knows, by verbs: references that are not forgotten, and examples."""

    def __init__(self, out):
        table = pq.read_table(out / "references.parquet").to_pydict()
        rows = zip(table["label"], table["embedding"], strict=True)
        self.baked = [(i, label, np.array(row)) for i, (label, row) in enumerate(rows)]
        classes = json.loads((out / "manifest.json").read_text("utf-8"))["memory"]["classes"]
        self.labels = (out / "labels.txt").read_text("utf-8").split("\n")[:classes]
        assert {*self.labels} == {*table["label"]}
        self.taught, self.gone = {}, set()

    def add(self, path, name):
        self.taught.setdefault(name, []).append(embedding(path))

    def forget(self, name):
        self.taught.pop(name, None)
        self.gone |= {name} & {*self.labels}

    @property
    def names(self):
        return [*self.labels, *(name for name in self.taught if name not in self.labels)]

    def rows(self):
        """(index or path, label, vector) of each that counts, those of the build first."""
        found = [row for row in self.baked if row[1] not in self.gone]
        for name in self.names:
            for number, row in enumerate(self.taught.get(name, ())):
                found.append((f"{name}/{number}", name, row))
        return found

    def classify(self, path, k=K):
        """Cosine in float64, uniform votes, ties to the first."""
        rows, query = self.rows(), embedding(path).astype(np.float64)
        table = np.stack([row for _, _, row in rows]).astype(np.float64)
        cosines = table @ query / np.linalg.norm(table, axis=1) / np.linalg.norm(query)
        best = np.argsort(-cosines, kind="stable")[:k]
        votes = [sum(rows[i][1] == name for i in best) for name in self.names]
        winner = int(np.argmax(votes))
        return {
            "label": self.names[winner],
            "probability": votes[winner] / len(best),
            "near": [(rows[i][0], rows[i][1]) for i in best],
            "scores": [cosines[i] for i in best],
        }

    def counts(self):
        return {name: sum(label == name for _, label, _ in self.rows()) for name in self.names}


def agrees(said, known, path):
    """Whether an answer is that of exact k-NN."""
    wanted, references = known.classify(path), len(known.baked)
    assert said["label"] == wanted["label"]
    assert said["probability"] == pytest.approx(wanted["probability"], abs=1e-6)
    near = [
        (one["index"] if one["index"] < references else one["path"], one["label"])
        for one in said["neighbors"]
    ]
    assert near == wanted["near"]
    scores = [one["score"] for one in said["neighbors"]]
    np.testing.assert_allclose(scores, wanted["scores"], rtol=0, atol=2e-6)


@pytest.fixture(scope="module")
def pocket(tmp_path_factory):
    """A folder of pictures: of each class two to be asked, and the others to be taught."""
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A build of four classes, by the command."""
    folder = tmp_path_factory.mktemp("growing")
    for name in BAKED:
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(5):
            picture(folder / "photos" / name, name, i)
    return build(folder / "photos", folder / "out", "--grow", SLOTS, "--spare", SPARE)


def build(source, out, *more, plain=PLAIN):
    from pocketknn.export.cli.app import main

    words = ["build", source, "-o", out, *more, *plain, "--k", K, "--no-report"]
    words += ["--backbone", "pixels", "--size", NET.size, "--formats", "tflite,onnx"]
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    assert end.value.code == 0
    return out


def python(out, verbs, device="kitchen"):
    """What the verbs return in Python, with only LiteRT, numpy and Pillow."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", PYTHON, out / "snippets", device],
        input=json.dumps(verbs, default=str),
        capture_output=True,
        check=False,
        encoding="utf-8",
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    said, modules = json.loads(done.stdout)
    assert not {*modules} & {"pocketknn", "tensorflow", "keras", "scipy", "pyarrow"}
    return said


@pytest.fixture(scope="module")
def javascript(ortweb, node):
    """What the verbs return under Node, with onnxruntime-web and sharp."""
    numbers = count()

    def run(out, verbs, device="page"):
        place = shutil.copytree(out, ortweb / f"teaching{next(numbers)}")
        (place / "verbs.json").write_text(json.dumps(verbs, default=str), "utf-8")
        done = node(ortweb, "teach.mjs", place / "snippets", device, place / "verbs.json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(params=["python", "javascript"])
def run(request):
    """What verbs return in one of the languages."""
    return python if request.param == "python" else request.getfixturevalue("javascript")


def lessons(pocket, names, numbers):
    return [["add", picture(pocket, name, i), name] for i in numbers for name in names]


def questions(pocket):
    return [["classify", picture(pocket, name, 100 + i)] for name in COLOURS for i in range(3)]


def follow(known, verbs, said):
    """Do the same verbs, and compare every answer."""
    asked = 0
    for (verb, *words), answer in zip(verbs, said, strict=True):
        if verb == "classify":
            agrees(answer, known, *words)
            asked += 1
        elif verb == "counts":
            assert answer == known.counts()
            assert list(answer) == known.names or "7" in answer  # JSON of JavaScript sorts it
        else:
            assert answer is None
            if verb in ("add", "forget"):
                getattr(known, verb)(*words)
    return asked


def commands(pocketknn, *lines):
    """Run commands that must succeed."""
    for words in lines:
        said = pocketknn(*words)
        assert said.code == 0, said.out + said.err


def test_what_is_taught_is_known_in_the_next_answer(out, pocket, run, tmp_path):
    """Eight new classes, one known class; one of each forgotten, and one taught again."""
    verbs = [
        *questions(pocket),
        *lessons(pocket, NEW, range(3)),
        *lessons(pocket, ["bee"], range(20, 22)),
        *[*questions(pocket), ["counts"]],
        *[["forget", "Käse"], ["forget", "cat"], ["forget", "bee"]],
        *[*questions(pocket), ["counts"]],
        *lessons(pocket, ["bee", "Käse"], range(22, 24)),
        *[*questions(pocket), ["counts"], ["save", tmp_path / "memory.json"]],
    ]
    assert follow(Known(out), verbs, run(out, verbs)) == 4 * 36


def test_from_language_to_language_and_home(out, pocket, javascript, pocketknn, tmp_path):
    """Taught in TFLite, taken on in onnxruntime-web, and back; imported at home, and rebuilt."""
    one, two = tmp_path / "memory.json", tmp_path / "later.json"
    first = [*lessons(pocket, NEW, range(3)), ["forget", "cat"], *questions(pocket), ["save", one]]
    known = Known(out)
    follow(known, first, python(out, first))
    second = [
        *[["load", one], *questions(pocket), ["counts"], ["forget", "mug"]],
        *lessons(pocket, ["bee", "zebra"], range(20, 23)),
        *[*questions(pocket), ["counts"], ["save", two]],
    ]
    follow(known, second, javascript(out, second))
    third = [["load", two], *questions(pocket), ["counts"]]
    assert follow(known, third, python(out, third)) == 36
    notes = json.loads(two.read_text("utf-8"))["pocketknn"]
    devices = [origin.split()[0] for origin in notes["origins"]["zebra"]]
    assert devices == ["kitchen"] * 3 + ["page"] * 3
    assert notes["names"] == ["bee", *(name for name in NEW if name != "mug")]

    taught, grown = tmp_path / "taught.parquet", tmp_path / "grown.parquet"
    kept, again = tmp_path / "kept.parquet", tmp_path / "again.parquet"
    commands(
        pocketknn,
        ("refs", "import", two, "--like", out, "-o", taught),
        ("refs", "remove", out, "--class", "cat", "-o", kept),
        ("refs", "merge", kept, taught, "-o", grown),
        ("refs", "merge", grown, taught, "-o", again),
    )
    assert pq.read_table(again).num_rows == pq.read_table(grown).num_rows == 15 + 21 + 6
    rebuilt = build(grown, tmp_path / "out2", "--grow", SLOTS, "--spare", SPARE)
    home = Known(rebuilt)
    assert {(label, row.tobytes()) for _, label, row in home.baked} == {
        (label, np.asarray(row, np.float64).tobytes()) for _, label, row in known.rows()
    }
    # Its app still has the memory, whose examples are references now: none counts twice.
    fourth = [*questions(pocket), ["load", two], ["counts"], *questions(pocket)]
    for run in (python, javascript):
        assert follow(home, fourth, run(rebuilt, fourth)) == 72


# What cannot be taught or loaded: one clear error, and nothing is lost.


@pytest.fixture(scope="module")
def taught(out, pocket, tmp_path_factory):
    """A saved memory of two classes."""
    path = tmp_path_factory.mktemp("taught") / "memory.json"
    verbs = [*lessons(pocket, ["mug", "cat"], range(20, 22)), ["forget", "dog"], ["save", path]]
    assert not any(python(out, verbs))
    return path


def refused(said, words):
    assert said is not None
    assert said.keys() == {"error"}
    assert words in said["error"]
    assert "\n" not in said["error"]


def test_more_classes_than_spares(out, pocket, run):
    names = [f"new {i}" for i in range(SPARE + 1)]
    path = picture(pocket, "mug", 0)
    verbs = [*(["add", path, name] for name in names), ["counts"]]
    *_, last, counts = run(out, verbs)
    refused(last, str(SPARE))
    assert counts == dict.fromkeys(BAKED, 5) | dict.fromkeys(names[:-1], 1)
    again = [*verbs[:-2], ["forget", names[3]], verbs[-2], ["counts"]]
    *_, none, counts = run(out, again)
    assert none is None
    assert counts == dict.fromkeys(BAKED, 5) | {name: 1 for name in names if name != names[3]}


def test_a_full_memory_keeps_what_is_there(out, pocket, run, tmp_path):
    full = lessons(pocket, ["mug", "ant"], range(20, 20 + SLOTS // 2))
    verbs = [*full, ["add", picture(pocket, "zebra", 0), "zebra"], ["forget", "cat"], ["counts"]]
    verbs += [["save", tmp_path / "memory.json"], *questions(pocket)]
    said = run(out, verbs)
    assert not any(said[:SLOTS])
    for answer in said[SLOTS : SLOTS + 2]:
        refused(answer, "full")
    known = Known(out)
    follow(known, full, said[:SLOTS])
    assert follow(known, verbs[SLOTS + 2 :], said[SLOTS + 2 :]) == 36
    # Forgetting a class of the build takes a row, but also frees those of its examples.
    more = [["load", tmp_path / "memory.json"], ["forget", "ant"], ["counts"]]
    assert run(out, more)[-1] == {"ant": 0, "bee": 5, "cat": 5, "dog": 5, "mug": SLOTS // 2}


def test_names_that_no_class_can_have(out, pocket, run):
    path, names = picture(pocket, "mug", 0), ["", " ", "a\nb", "pocketknn", "taught 1", "\u2028"]
    *said, counts = run(out, [*(["add", path, name] for name in names), ["counts"]])
    for answer in said:
        refused(answer, "name")
    assert counts == dict.fromkeys(BAKED, 5)


def test_the_same_picture_counts_once_and_what_is_not_there_cannot_go(out, pocket, run):
    lesson = ["add", picture(pocket, "mug", 0), "mug"]
    unknown, *_, counts = run(out, [["forget", "mug"], lesson, lesson, ["counts"]])
    refused(unknown, "mug")
    assert counts["mug"] == 1


def test_when_all_is_forgotten_nobody_votes(out, pocket, run):
    gone, ask = [["forget", name] for name in BAKED], ["classify", picture(pocket, "ant", 100)]
    verbs = [*lessons(pocket, ["mug", "bee"], [20]), *questions(pocket)]
    said = run(out, [*gone, ask, *verbs])
    assert said[len(gone)] == {"label": None, "probability": 0, "neighbors": []}
    known = Known(out)
    follow(known, gone, said[: len(gone)])
    assert follow(known, verbs, said[len(gone) + 1 :]) == 36


def values(change):
    """Change the values of a class."""

    def edit(content):
        rows = np.frombuffer(base64.b64decode(content["mug"]["data"]), "<f4").reshape(2, -1)
        rows = change(rows.copy())
        content["mug"]["data"] = base64.b64encode(rows.tobytes()).decode()
        content["mug"]["shape"] = list(rows.shape)

    return edit


def with_nan(rows):
    rows[1, 3] = np.nan
    return rows


WRONG = {
    "NaN": (values(with_nan), "NaN"),
    "another width": (values(lambda rows: rows[:, :50].copy()), "shape"),
    "another backbone": (lambda content: content["pocketknn"].update(backbone="ab"), "backbone"),
    "another crop": (lambda content: content["pocketknn"].update(crop="fit"), "crop"),
    "no note": (lambda content: content.pop("pocketknn"), "it"),
    "no backbone": (lambda content: content["pocketknn"].pop("backbone"), "it"),
    "an origin too few": (
        lambda content: content["pocketknn"]["origins"]["mug"].pop(),
        "not every example has an origin",
    ),
    "no list of the forgotten": (
        lambda content: content["pocketknn"].pop("forgotten"),
        "not a saved memory, or damaged",
    ),
    "bytes of no number": (
        lambda content: content["mug"].update(data=base64.b64encode(b"abc").decode()),
        "shape",
    ),
    "no base64": (lambda content: content["mug"].update(data="*"), "damaged"),
    "half a class": (lambda content: content["mug"].update(shape=[3, 192]), "shape"),
    "no values": (lambda content: content["mug"].pop("data"), "it"),
    "a class named as the note": (
        lambda content: content["pocketknn"].update(data="", shape=[1, 2], backbone="x"),
        "backbone",
    ),
    "a list": (lambda content: content.update(mug=[1.0]), "it"),
}


def test_memories_that_cannot_be_loaded(out, pocket, run, taught, tmp_path):
    loads = []
    for number, (change, _) in enumerate(WRONG.values()):
        content = json.loads(taught.read_text("utf-8"))
        change(content)
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(content), "utf-8")
        loads.append(["load", path])
    verbs = [["load", taught], *loads, ["counts"], *questions(pocket)]
    none, *said = run(out, verbs)
    assert none is None
    for case, answer in zip(WRONG, said, strict=False):
        refused(answer, WRONG[case][1])
    counts, *answers = said[len(WRONG) :]
    assert counts == {"ant": 5, "bee": 5, "cat": 7, "dog": 0, "mug": 2}
    known = Known(out)
    for lesson in lessons(pocket, ["mug", "cat"], range(20, 22)):
        known.add(*lesson[1:])
    known.forget("dog")
    assert follow(known, questions(pocket), answers) == 36


def test_a_memory_with_too_much_in_it(out, pocket, run, taught, tmp_path):
    content = json.loads(taught.read_text("utf-8"))
    path, note = tmp_path / "memory.json", content["pocketknn"]
    for i in range(SPARE):
        content[f"new {i}"] = content["mug"]
        note["origins"][f"new {i}"] = note["origins"]["mug"]
    path.write_text(json.dumps(content), "utf-8")
    said, counts = run(out, [["load", path], ["counts"]])
    refused(said, str(SPARE))
    assert counts == dict.fromkeys(BAKED, 5)


def test_python_does_not_lose_the_file_before(out, pocket, taught, tmp_path):
    """A folder in place of the new file stands for a disk that is full."""
    path = tmp_path / "memory.json"
    shutil.copy(taught, path)
    (tmp_path / "memory.json.part").mkdir()
    code = PYTHON.replace("except ValueError", "except (ValueError, OSError)")
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, out / "snippets", ""],
        input=json.dumps([*lessons(pocket, ["zebra"], [0]), ["save", path]], default=str),
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert "error" in json.loads(done.stdout)[0][-1]
    assert path.read_bytes() == taught.read_bytes()


# Other kinds of models


@pytest.fixture(scope="module")
def strict(out, tmp_path_factory):
    """The same photos with a threshold that no other picture passes."""
    made = tmp_path_factory.mktemp("strict") / "out"
    return build(out.parent / "photos", made, "--grow", SLOTS, "--reject", 0.99999)


@pytest.fixture(scope="module")
def search(out, tmp_path_factory):
    """An image search of the same photos."""
    made = tmp_path_factory.mktemp("search") / "out"
    more = ("--head", "neighbors", "--grow", SLOTS)
    return build(out.parent / "photos", made, *more, plain=())


def test_a_model_with_a_threshold(strict, pocket, run):
    """What nothing resembles is unknown, until it is taught."""
    ask, lesson = ["classify", picture(pocket, "mug", 100)], picture(pocket, "mug", 100)
    verbs = [ask, ["add", lesson, "unknown"], ["add", lesson, "mug"], ask]
    before, error, none, after = run(strict, verbs)
    assert (before["label"], before["probability"]) == ("unknown", 1)
    refused(error, "unknown")
    assert none is None
    assert after["label"] != "unknown"
    assert after["neighbors"][0]["path"] == "mug/0"


def test_an_image_search(search, pocket, run, pocketknn, tmp_path):
    """Pictures are found by the names that they were given; those of the build cannot go."""
    memory = tmp_path / "memory.json"
    names = [f"picture {i}" for i in range(SPARE + 2)]
    lessons = [["add", picture(pocket, "mug", 20 + i), name] for i, name in enumerate(names)]
    ask = ["classify", picture(pocket, "mug", 24)]
    verbs = [*lessons, ask, ["forget", "picture 4"], ask, ["forget", "ant"], ["counts"]]
    *nothing, found, none, later, error, counts, _ = run(search, [*verbs, ["save", memory]])
    assert not any(nothing)
    assert none is None
    first = found["neighbors"][0]
    assert (first["label"], first["path"]) == ("picture 4", "picture 4/0")
    assert first["score"] == pytest.approx(1, abs=1e-6)
    table = pq.read_table(search / "references.parquet").to_pydict()
    rows = [(i, np.array(row)) for i, row in enumerate(table["embedding"])]
    rows += [
        (f"{name}/0", embedding(picture(pocket, "mug", 20 + i)))
        for i, name in enumerate(names)
        if name != "picture 4"
    ]
    places, vectors = zip(*rows, strict=True)
    vectors, query = np.stack(vectors).astype(np.float64), embedding(ask[1]).astype(np.float64)
    cosines = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    wanted = [places[i] for i in np.argsort(-cosines, kind="stable")[:K]]
    assert [
        one["index"] if one["index"] < len(table["id"]) else one["path"]
        for one in later["neighbors"]
    ] == wanted
    refused(error, "ant")
    assert counts == {name: 1 for name in names if name != "picture 4"}
    taught, grown = tmp_path / "taught.parquet", tmp_path / "grown.parquet"
    commands(
        pocketknn,
        ("refs", "import", memory, "--like", search, "-o", taught),
        ("refs", "merge", search, taught, "-o", grown),
    )
    assert pq.read_table(grown).num_rows == 20 + len(names) - 1
