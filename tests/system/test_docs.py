"""The documentation builds in strict mode and without network access, and its examples work."""

import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from support import ROOT, drawing

PAGES = ROOT / "docs" / "pages"
TEXTS = {
    path.relative_to(PAGES).as_posix(): path.read_text("utf-8") for path in PAGES.rglob("*.md")
}


def blocks(text, language):
    """The code of one language on a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text):
    """The commands on a page, in shell blocks and in sentences."""
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    lines += re.findall(r"`(pocketknn [^`]+)`", prose)
    return [line for line in lines if line.startswith("pocketknn ")]


COMMANDS = sorted({line for text in TEXTS.values() for line in commands(text)})
PYTHON = [
    (name, number) for name, text in TEXTS.items() for number in range(len(blocks(text, "python")))
]


class Loads(HTMLParser):
    """Collects the resources that a page makes a browser load."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "link" or "src" in given:
            self.found.append(given.get("src") or given.get("href"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built pages; any warning of mkdocs or mkdocstrings is an error."""
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT / "docs",
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return out


def test_every_page_is_there_and_loads_nothing_from_elsewhere(site):
    built = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    assert {name.replace(".md", ".html") for name in TEXTS} <= built
    for name in built:
        loads = Loads()
        loads.feed((site / name).read_text("utf-8"))
        assert len(loads.found) > 2
        elsewhere = [one for one in loads.found if re.match(r"(https?:)?//", one)]
        assert not elsewhere, f"{name} loads {elsewhere}"
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", style.read_text("utf-8"))


def test_the_commands_are_described_from_the_code(site):
    from pocketknn.export.cli.app import app

    page = (site / "reference" / "commands.html").read_text("utf-8")
    for words, command in leaves(app):
        assert f"pocketknn {words}" in page
        # Older spellings are accepted, but not documented.
        told = [one for one in command.params if not getattr(one, "hidden", False)]
        options = {name for one in told for name in one.opts if name.startswith("--")}
        assert not {name for name in options if name not in page}
        hidden = {name for one in command.params if one not in told for name in one.opts}
        assert hidden <= {"--pca", "--whiten"}


def test_the_docstrings_are_there(site):
    page = (site / "reference" / "python.html").read_text("utf-8")
    asked = re.findall(r"^::: (.+)$", TEXTS["reference/python.md"], re.MULTILINE)
    assert len(asked) > 15
    for name in asked:
        assert f'id="{name}"' in page
    assert "Never changed in place" in page


def leaves(app):
    """All commands without subcommands, with their words."""
    import typer

    def walk(words, command):
        for name, one in getattr(command, "commands", {}).items():
            yield from walk([*words, name], one)
        if words and not getattr(command, "commands", None):
            yield " ".join(words), command

    return walk([], typer.main.get_command(app))


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_can_be_typed_as_it_stands(line):
    import typer

    from pocketknn.export.cli.app import app

    command, (_, *words) = typer.main.get_command(app), shlex.split(line, comments=True)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context(line, words)


def test_a_wrong_command_would_be_noticed():
    import typer

    with pytest.raises(typer.TyperException):
        test_a_command_can_be_typed_as_it_stands("pocketknn build photos -o out --no-such-option")


@pytest.fixture(scope="module")
def built(photos, tmp_path_factory):
    """A folder with `photos`, a picture, and the result of `pocketknn build photos -o out`."""
    from pocketknn.builder import Spec, embed, find, load_backbone
    from pocketknn.export import export

    place = tmp_path_factory.mktemp("docs")
    (place / "photos").symlink_to(photos)
    drawing(7).save(place / "picture.jpg")
    spec = Spec(backbone="pixels", size=24)
    net = load_backbone(spec)
    references = embed(find(photos), net, spec.crop).references()
    export(spec, references, net, place / "out", formats=["tflite", "onnx"])
    return place


@pytest.mark.parametrize(("name", "number"), PYTHON)
def test_the_python_runs(name, number, built, monkeypatch, capsys):
    monkeypatch.chdir(built)
    monkeypatch.syspath_prepend(built / "out" / "snippets")
    exec(compile(blocks(TEXTS[name], "python")[number], name, "exec"), {})
    assert capsys.readouterr().out.strip()


def test_the_files_it_speaks_of_exist():
    named = set(re.findall(r"`((?:builder|export|tests)/[a-z_/]+\.py)`", TEXTS["contributing.md"]))
    assert len(named) > 15
    assert not [name for name in named if not (ROOT / name).is_file()]


def test_what_it_says_of_the_snippets_is_what_they_say():
    from pocketknn.export.formats.table import SNIPPETS

    folders = ROOT / "export" / "formats"
    said = "".join(path.read_text("utf-8") for path in folders.glob("*/snippets/*.j2"))
    platforms = "".join(text for name, text in TEXTS.items() if name.startswith("platforms/"))
    names = set(re.findall(r"\b\w+\.(?:swift|kt|mjs)\b|\bclassify\.py\b", platforms))
    assert names <= set(SNIPPETS)
    assert len(names) >= 7
    packages = re.findall(
        r"com\.google\.[\w.]+:[\w:.-]+\w|(?:pip|npm) install .+|minSdk \d+", platforms
    )
    assert len(packages) == 5
    assert not [one for one in packages if one not in said]
