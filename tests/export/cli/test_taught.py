"""What a growing model was taught comes home: import, merge, and nothing counts twice.

The memories are made here by hand, as an app saves them.
"""

import base64
import json
import shlex

import numpy as np
import pytest
from support import input_error

from pocketknn.builder import References
from pocketknn.builder.references import memory_json, ml5_json

EMBED = ("--backbone", "pixels", "--size", "8")


@pytest.fixture
def home(pixels_build, tmp_path, pocketknn):
    """Run a command of `refs` that must succeed and write a file; returns what was printed."""

    def run(*words, to):
        said = pocketknn("refs", *words, "-o", tmp_path / to)
        assert (said.code, said.err) == (0, "")
        return said.out

    return run


def memory(path, pixels_build, rows, forgotten=(), **note):
    """A memory of examples by class, taught on the build."""
    made = json.loads((pixels_build / "manifest.json").read_text("utf-8"))
    noted = {
        "backbone": made["backbone"]["sha256"],
        "crop": "center",
        "names": list(rows),
        "origins": {name: ["hall 2026-11-29"] * len(table) for name, table in rows.items()},
        "forgotten": list(forgotten),
    }
    classes = {
        name: {
            "shape": list(table.shape),
            "data": base64.b64encode(table.astype("<f4").tobytes()).decode(),
        }
        for name, table in rows.items()
    }
    path.write_text(json.dumps({"pocketknn": noted | note} | classes), "utf-8")
    return path


@pytest.fixture
def taught():
    rng = np.random.default_rng(0)
    return {name: rng.uniform(0, 255, (3, 192)).astype("f4") for name in ("mug", "apple")}


def test_what_was_taught_is_built_in(pixels_build, taught, home, pocketknn, tmp_path):
    path = memory(tmp_path / "memory.json", pixels_build, taught)
    said = home("import", path, "--like", pixels_build, to="taught.parquet")
    assert said.startswith("6 references in 2 classes, 192 values each")
    assert "forgotten" not in said
    home("merge", pixels_build, tmp_path / "taught.parquet", to="grown.parquet")
    grown = References.load(tmp_path / "grown.parquet")
    assert grown.counts == {"apple": 7, "berries/red": 4, "cherry": 4, "mug": 3}
    before = References.load(pixels_build / "references.parquet")
    assert grown.provenance == before.provenance
    np.testing.assert_array_equal(grown.vectors[:12], before.vectors)
    new = [row for row, path in enumerate(grown.paths) if path.startswith("memory.json#")]
    assert {grown.occasions[row] for row in new} == {"hall 2026-11-29"}
    assert sorted(grown.paths[row] for row in new) == sorted(
        f"memory.json#{name}/{i}" for name in taught for i in range(3)
    )
    for row in new:
        name, number = grown.paths[row].removeprefix("memory.json#").split("/")
        np.testing.assert_array_equal(grown.vectors[row], taught[name][int(number)])
    words = ("build", tmp_path / "grown.parquet", "-o", tmp_path / "out2", *EMBED)
    said = pocketknn(*words, "--formats", "keras", "--no-report")
    assert said.code == 0, said.err
    labels = (tmp_path / "out2/labels.txt").read_text("utf-8").split()
    assert labels == ["apple", "berries/red", "cherry", "mug"]


def test_the_same_memory_twice_adds_nothing(pixels_build, taught, home, tmp_path):
    path = memory(tmp_path / "memory.json", pixels_build, taught)
    home("import", path, "--like", pixels_build, to="taught.parquet")
    home("merge", pixels_build, tmp_path / "taught.parquet", to="grown.parquet")
    # Later on the device has learnt one more, and its file has another name.
    more = taught | {"mug": np.concatenate([taught["mug"], taught["mug"][:1] + 1])}
    later = memory(tmp_path / "later.json", pixels_build, more)
    home("import", later, "--like", tmp_path / "grown.parquet", to="later.parquet")
    said = home("merge", tmp_path / "grown.parquet", tmp_path / "later.parquet", to="both.parquet")
    assert "6 of" in said
    assert len(References.load(tmp_path / "both.parquet")) == 12 + 7


def test_forgotten_classes_are_named_with_the_command(
    pixels_build, taught, home, pocketknn, tmp_path
):
    gone = ["cherry", "berries/red", "a class of another build"]
    path = memory(tmp_path / "memory.json", pixels_build, taught, gone)
    said = home("import", path, "--like", pixels_build, to="taught.parquet")
    assert "cherry, berries/red;" in said
    (line,) = [line for line in said.splitlines() if "refs remove" in line]
    _, *words = shlex.split(line)
    kept = tmp_path / words.pop()
    assert pocketknn(*words, kept).code == 0
    assert References.load(kept).labels == ("apple",)
    home("merge", kept, tmp_path / "taught.parquet", to="grown.parquet")
    assert References.load(tmp_path / "grown.parquet").counts == {"apple": 7, "mug": 3}


def test_for_ml5_it_becomes_a_file_that_ml5_loads(pixels_build, taught, home, tmp_path):
    path = memory(tmp_path / "memory.json", pixels_build, taught)
    home("import", path, "--like", pixels_build, to="taught.parquet")
    home("export", tmp_path / "taught.parquet", to="ml5.json")
    found = ml5_json.read(tmp_path / "ml5.json")
    rows = np.concatenate(list(taught.values())).astype(np.float64)
    np.testing.assert_allclose(
        found.vectors, rows / np.linalg.norm(rows, axis=1, keepdims=True), rtol=1e-6
    )


def test_references_become_a_memory_and_back(pixels_build, home, tmp_path):
    home("export", pixels_build, "--memory", to="memory.json")
    home("export", pixels_build, "--memory", "--force", to="memory.json")  # one of ours is replaced
    before = References.load(pixels_build / "references.parquet")
    found = memory_json.read(tmp_path / "memory.json").like(before)
    assert found.counts == before.counts
    np.testing.assert_array_equal(found.vectors, before.vectors)


REFUSED = {
    "another backbone": ({"backbone": "ab" * 32}, "other-backbone"),
    "another crop": ({"crop": "fit"}, "other-crop"),
    "a broken note": ({"origins": 3}, "bad-note"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case, pixels_build, taught, tmp_path, refused):
    note, code = REFUSED[case]
    path = memory(tmp_path / "memory.json", pixels_build, taught, **note)
    said = refused(
        "refs", "import", path, "--like", pixels_build, "-o", tmp_path / "taught.parquet"
    )
    assert f"[{code}]" in said
    assert not (tmp_path / "taught.parquet").exists()


def test_another_width_and_nan_are_refused(pixels_build, taught, tmp_path, refused):
    nan = taught["mug"].copy()
    nan[1, 7] = np.nan
    for rows, code in (({"mug": taught["mug"][:, :5]}, "width-mismatch"), ({"mug": nan}, "value-")):
        path = memory(tmp_path / "memory.json", pixels_build, rows)
        said = refused(
            "refs", "import", path, "--like", pixels_build, "-o", tmp_path / "taught.parquet"
        )
        assert f"[{code}" in said


def test_options_that_do_not_go_together(pixels_build, taught, tmp_path, refused):
    path, new = memory(tmp_path / "memory.json", pixels_build, taught), tmp_path / "new.parquet"
    assert "[either-or]" in refused(
        "refs", "import", path, "--like", pixels_build, "--dim", "3", "-o", new
    )
    assert "[is-memory]" in refused("refs", "import", path, "-o", new)
    assert "[is-memory]" in refused("build", path, "-o", tmp_path / "out2")
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps({"cat": [[1.0] * 192]}))
    assert "[unknown-backbone]" in refused(
        "refs", "import", plain, "--like", pixels_build, "-o", new
    )
    table = tmp_path / "memory.csv"
    assert "[wrong-suffix]" in refused("refs", "export", pixels_build, "--memory", "-o", table)
    with input_error("is-memory"):
        ml5_json.read(path)
