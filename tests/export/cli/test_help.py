"""The help: headings, whole sentences, examples that work; and where an error's code stands."""

import shlex

import pytest
import typer

from pocketknn.builder.errors import InputError
from pocketknn.export.cli.app import app
from pocketknn.export.cli.help import COMMANDS, OPTIONS, examples


def leaves():
    """All commands that do something, with their words."""

    def walk(words, command):
        for name, one in getattr(command, "commands", {}).items():
            yield from walk([*words, name], one)
        if words and not getattr(command, "commands", None):
            yield " ".join(words), command

    return dict(walk([], typer.main.get_command(app)))


LEAVES = leaves()
EXAMPLES = {name: examples(one.help) for name, one in LEAVES.items()}


def headings(text):
    return [line[:-1] for line in text.splitlines() if line.endswith(":") and line[0] != " "]


def test_commands_stand_below_what_they_are_for(pocketknn):
    said = pocketknn("--help")
    assert headings(said.out) == ["Options", *COMMANDS, "Examples"]
    below = [name for names in COMMANDS.values() for name in names]
    assert sorted(below) == sorted(typer.main.get_command(app).commands)
    assert below[0] == "build"
    assert "..." not in said.out.split("Make:")[1]
    words = " ".join(said.out.split())
    for name in set(below) - {"refs"}:
        sentence = " ".join(LEAVES[name].help.partition("\n\n")[0].split()).partition(". ")[0]
        assert sentence in words


@pytest.mark.parametrize("name", ["", *LEAVES, "refs"])
def test_each_help_has_a_short_option_and_ends_in_examples(name, pocketknn):
    said = pocketknn(*name.split(), "-h")
    assert said.code == 0
    assert said.out == pocketknn(*name.split(), "--help").out
    shown = [line.strip() for line in said.out.partition("\nExamples:\n")[2].splitlines()]
    assert 2 <= len(shown) <= 3
    command = "pocketknn" if name in ("", "refs") else f"pocketknn {name} "
    assert all(f"{line} ".rpartition("| ")[2].startswith(command) for line in shown)


@pytest.mark.parametrize("name", LEAVES)
def test_an_example_can_be_typed_as_it_stands(name):
    for line in EXAMPLES[name]:
        words = shlex.split(line.rpartition("| ")[2], comments=True)[1 + len(name.split()) :]
        LEAVES[name].make_context(name, words)


@pytest.mark.parametrize("name", ["build", "tune"])
def test_what_most_people_need_comes_before_what_is_advanced(name, pocketknn):
    said = pocketknn(name, "--help").out
    first, *advanced = said.split("\nAdvanced: ")
    assert len(advanced) >= 4
    for option in ("--out", "--backbone", "--occasions"):
        assert option in first
    assert "--metric" not in first
    told = [one for one in LEAVES[name].params if not getattr(one, "hidden", False)]
    assert all(f"{one.opts[0]} " in said for one in told if one.opts[0].startswith("--"))


def test_each_option_of_build_has_a_heading():
    named = [name for names in OPTIONS.values() for name in names]
    assert len(named) == len(set(named))
    given = {one.name for command in ("build", "tune") for one in LEAVES[command].params}
    hidden = {"photos", "pca", "whiten"}
    assert given - hidden == set(named) - {"help"}


@pytest.mark.parametrize("name", LEAVES)
def test_arguments_have_names_in_capitals(name):
    arguments = [one for one in LEAVES[name].params if one.param_type_name == "argument"]
    assert all(one.metavar == one.metavar.upper() for one in arguments)


def test_the_code_of_an_error_is_no_part_of_a_command_that_ends_the_line(refused, monkeypatch):
    def lacking(path):
        raise InputError("it needs x: pip install x", "package-not-installed")

    refused("inspect", "model.tflite")  # loads what would otherwise keep `lacking` for good
    monkeypatch.setattr("pocketknn.export.formats.files.format_of", lacking)
    line = refused("inspect", "model.tflite")
    assert line == "pocketknn: [package-not-installed] it needs x: pip install x\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("build photos --nonsense", "build"),
        ("refs ad", "refs"),
        ("predict", "predict"),
        ("bild", ""),
    ],
)
def test_a_typing_mistake_names_the_help_that_tells_more(words, told, refused):
    assert f"(see {f'pocketknn {told}'.strip()} --help)" in refused(*words.split())
