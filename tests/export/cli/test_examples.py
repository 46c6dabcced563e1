"""The examples in the help do what they show, on small pictures."""

import io
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from support import PLAIN, drawing
from test_help import EXAMPLES

from pocketknn.builder import References
from pocketknn.builder.references import memory_json, ml5_json
from pocketknn.export.cli.app import main

# A whole build or tuning takes long; a page needs npm; the cache is that of all tests.
NOT_RUN = ("build", "tune", "teach", "demo", "web", "cache")
LINES = [
    line for name, lines in EXAMPLES.items() if name.split()[0] not in NOT_RUN for line in lines
]


@pytest.fixture(scope="module")
def place(photos, tmp_path_factory):
    """A folder with all that the examples name, made from the small pictures."""
    made = tmp_path_factory.mktemp("examples")

    def run(*words):
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        assert end.value.code == 0

    shutil.copytree(photos, made / "photos")
    (made / "new-photos").mkdir()
    for c, label in enumerate(("apple", "cherry")):
        (made / "new-photos" / label).mkdir()
        for i in range(2):
            drawing(70 + 10 * c + i).save(made / "new-photos" / label / f"{i}.png")
    drawing(7).save(made / "picture.jpg")
    pixels = ("--backbone", "pixels", "--size", 8)
    formats = ("--formats", "tflite,onnx", *PLAIN)
    run("build", photos, "-o", made / "out", *pixels, *formats)
    for name in ("refs", "one", "two", "three", "more"):
        run("refs", "new", photos, "-o", made / f"{name}.parquet", *pixels)
    run("edit", made / "out/model.tflite", "--remove-class", "cherry", "-o", made / "edited.tflite")
    run("edit", made / "out", "--remove-class", "cherry", "-o", made / "new-out")
    rows = References.load(made / "refs.parquet")
    memory_json.write(rows, made / "memory.json")
    ml5_json.write(
        References.of(rows.vectors, list(map(rows.label_of, range(len(rows))))),
        made / "ml5.json",
        unit_length=True,
    )
    return made


@pytest.mark.parametrize("line", LINES)
def test_an_example_does_what_it_shows(line, place, pocketknn, tmp_path, monkeypatch):
    here = shutil.copytree(place, tmp_path / "here")
    monkeypatch.chdir(here)
    before, _, command = line.rpartition(" | ")
    if before:
        stream = io.TextIOWrapper(io.BytesIO(Path(before.split()[1]).read_bytes()))
        monkeypatch.setattr(sys, "stdin", stream)
    _, *words = shlex.split(command)
    if "-o" in words:  # another example's file, which this one is to write
        Path(words[words.index("-o") + 1]).unlink(missing_ok=True)
    if "--dim" in words:  # that of the pictures here
        words[words.index("--dim") + 1] = "192"
    said = pocketknn(*words)
    assert said.code == (words[0] == "diff"), said.err
    assert said.out
