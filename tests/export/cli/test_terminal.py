"""Names and foreign tables reach the terminal as text, never as control codes."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from pocketknn.builder import References, Spec
from pocketknn.export import export
from pocketknn.export.cli.console import quiet
from pocketknn.export.cli.console.text import shown

EVIL = "\x1b]0;owned\x07\x9b31m\u202e\n"  # a title, a colour, a direction, a line
ORDERS = set("\x1b\x07\x9b\u202e")


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    """A build whose labels and paths contain control codes."""
    vectors = np.random.default_rng(0).standard_normal((12, 4))
    labels, paths = [f"a{EVIL}", f"b{EVIL}"] * 6, [f"{i}{EVIL}" for i in range(12)]
    references = References.of(vectors, labels, paths=paths)
    out = tmp_path_factory.mktemp("evil") / "out"
    export(Spec(backbone="vector", k=2), references, None, out, formats=["onnx"])
    return out


@pytest.mark.parametrize(
    "words",
    [
        "inspect FILE",
        "inspect FILE --json",
        "refs list OUT",
        "refs list OUT --rows",
        "refs list OUT --json",
        "refs remove OUT --id 3 -o NEW.parquet",
        "diff FILE OTHER",
        "diff FILE OTHER --json",
        "edit FILE --remove-class EVIL",
        "edit FILE --remove 3 -o NEW.onnx",
        "predict EVIL EVIL",
        "eval EVIL EVIL",
        "build EVIL -o NEW",
        "build PARQUET -o NEW --formats onnx --no-report",
        "EVIL",
    ],
)
def test_no_name_gives_the_terminal_orders(words, evil, pocketknn, tmp_path):
    given = {
        "FILE": evil / "model.onnx",
        "OUT": evil,
        "EVIL": EVIL,
        "PARQUET": evil / "references.parquet",
        "OTHER": tmp_path / "other.onnx",
        "NEW": tmp_path / f"new{EVIL}",
        "NEW.onnx": tmp_path / f"[red]{EVIL}.onnx",
        "NEW.parquet": tmp_path / f"{EVIL}.parquet",
    }
    if "OTHER" in words:
        less = References.load(evil / "references.parquet").remove(["3"])
        export(Spec(backbone="vector", k=2), less, None, tmp_path / "less", formats=["onnx"])
        given["OTHER"] = tmp_path / "less" / "model.onnx"
    said = pocketknn(*(given.get(word, word) for word in words.split()))
    assert not set(said.out + said.err) & ORDERS
    assert said.code in (0, 1, 2), said.err
    assert said.err.count("\n") <= 1
    if "--json" in words:
        assert "\\x1b" in repr(json.loads(said.out)), "and JSON keeps what it is"


def test_what_people_write_stays_as_it_is():
    for text in ("Käse 日本語 été", "می‌خواهم", "👩‍🔬", "a\u00a0b", "[red]"):
        assert shown(text) == text
    assert shown("a\x1b\r\n\udcff\u2066") == "a\\x1b\\r\\n\\udcff\\u2066"


def test_what_is_said_beside_the_answer_gives_no_orders_either(capsys):
    quiet.note("warning: the folder '\x1b]0;title\x07' is empty")
    assert capsys.readouterr().err == "warning: the folder '\\x1b]0;title\\x07' is empty\n"


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_a_closed_stream_ends_no_command(stream, evil, pocketknn, monkeypatch):
    monkeypatch.setattr(sys, stream, None)  # as in Python after `>&-`
    for words in (("refs", "list", evil, "--rows"), ("cache", "show"), ("--version",)):
        said = pocketknn(*words)
        assert said.code == 0, said.err
        assert not said.err
    assert pocketknn("inspect", "nothere").code == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
@pytest.mark.parametrize("words", ["refs list OUT --rows", "inspect FILE", "--help"])
def test_a_stdout_that_takes_nothing_is_named(words, evil, refused, monkeypatch):
    given = {"FILE": evil / "model.onnx", "OUT": evil}
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        line = refused(*(given.get(word, word) for word in words.split()))
        assert "stdout cannot be written: No space left on device" in line
