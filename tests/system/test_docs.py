"""The documentation builds in strict mode and without network access, and its examples work."""

import json
import os
import re
import shlex
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from chromium import browser, served
from support import ROOT, drawing

from pocketknn.builder.errors import InputError

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
    lines += [
        " ".join(found.split()) for found in re.findall(r"`(pocketknn [a-z]+\s[^`]+)`", prose)
    ]
    return [line for line in lines if line.startswith("pocketknn ")]


README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = sorted({line for text in (README, *TEXTS.values()) for line in commands(text)})
# What says "not run", with its reason, is only compiled; a server's code is run by its own test.
NOT_RUN = re.compile(r"^<!-- not run: .+ -->\n```python", re.MULTILINE)
PYTHON = [
    (name, code)
    for name, text in TEXTS.items()
    for code in blocks(NOT_RUN.sub("```", text), "python")
    if "serve_forever" not in code
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
    """A folder with `photos`, a picture, and two builds: `out`, and `grown`, which grows."""
    from pocketknn.builder import Spec, embed, find, load_backbone
    from pocketknn.export import export

    place = tmp_path_factory.mktemp("docs")
    (place / "photos").symlink_to(photos)
    drawing(7).save(place / "picture.jpg")
    spec = Spec(backbone="pixels", size=24)
    net = load_backbone(spec)
    references = embed(find(photos), net, spec.crop).references()
    export(spec, references, net, place / "out", formats=["tflite", "onnx"])
    grown = replace(spec, grow=32, spare=2)
    export(grown, references, net, place / "grown", formats=["tflite"])
    return place


@pytest.mark.parametrize(("name", "code"), PYTHON, ids=[name for name, _ in PYTHON])
def test_the_python_runs(name, code, built, monkeypatch, capsys):
    monkeypatch.chdir(built)
    monkeypatch.syspath_prepend(built / "out" / "snippets")
    for module in ("classify", "square", "grow", "memory"):  # of another build
        monkeypatch.delitem(sys.modules, module, raising=False)
    exec(compile(code, name, "exec"), {})
    assert capsys.readouterr().out.strip()


def test_python_that_is_not_run_compiles():
    for name, text in TEXTS.items():
        for code in blocks(text, "python"):
            compile(code, name, "exec")


def test_the_server_answers(built):
    (code,) = [one for one in blocks(TEXTS["platforms/server.md"], "python") if "serve_for" in one]
    code = code.replace("8080", "0")  # any free port
    place = built / "out" / "snippets"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=place, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            url = server.stdout.readline().split()[-1]
            with urllib.request.urlopen(url, (built / "picture.jpg").read_bytes()) as answer:
                found = json.load(answer)
            with pytest.raises(urllib.error.HTTPError, match="400"):
                urllib.request.urlopen(url, b"no picture")
        finally:
            server.kill()
    assert found["label"] in {"apple", "berries/red", "cherry"}
    assert len(found["neighbors"]) == 5


@pytest.mark.parametrize(("language", "page"), [("kotlin", "android"), ("swift", "ios")])
def test_code_for_phones_parses(language, page):
    from importlib import import_module

    import tree_sitter

    parser = tree_sitter.Parser(
        tree_sitter.Language(import_module(f"tree_sitter_{language}").language())
    )
    found = blocks(TEXTS[f"platforms/{page}.md"], language)
    assert found
    for code in found:
        assert not parser.parse(code.encode()).root_node.has_error


OF_ELEMENTS = """async () => {
  const { load } = await import("./out/snippets/classify.mjs");
  const model = await load();
  const picture = await createImageBitmap(document.getElementById("file").files[0]);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.width, picture.height];
  const context = canvas.getContext("2d");
  const video = document.createElement("video");
  video.muted = true;
  video.srcObject = canvas.captureStream(30);
  const drawing = setInterval(() => context.drawImage(picture, 0, 0), 20);
  await video.play();
  const answers = [await model.classify(canvas), await model.classify(video)];
  clearInterval(drawing);
  return answers.map(({ label }) => label);
}"""


def test_the_page_of_ones_own_answers_in_a_browser(built, tmp_path):
    from pocketknn.export.apps.web import runtime

    try:
        files = runtime.remembered().files.values()
    except InputError as error:
        pytest.skip(str(error))
    (page,) = blocks(TEXTS["platforms/web.md"], "html")
    (tmp_path / "index.html").write_text(page)
    (tmp_path / "out").symlink_to(built / "out")
    dist = tmp_path / "node_modules" / "onnxruntime-web" / "dist"
    dist.mkdir(parents=True)
    for one in files:
        (dist / one.name).symlink_to(one)
    with browser() as chromium, served(tmp_path) as url:
        tab = chromium.new_page()
        tab.goto(url, wait_until="networkidle")
        tab.set_input_files("#file", built / "picture.jpg")
        tab.wait_for_function("() => document.getElementById('answer').textContent", timeout=60_000)
        assert re.fullmatch(r"[a-z/]+, \d+ %, like .+", answer := tab.inner_text("#answer"))
        labels = tab.evaluate(OF_ELEMENTS)
    assert labels == [answer.partition(",")[0]] * 2


def test_the_search_works_from_a_disk(site):
    with browser() as chromium:
        tab = chromium.new_page()
        elsewhere = []
        tab.on("request", lambda one: elsewhere.append(one.url) if "http" in one.url[:4] else None)
        tab.goto((site / "concepts" / "answers.html").as_uri())
        tab.click(".md-search__input")
        tab.keyboard.type("temperature")  # it listens to keys
        tab.wait_for_selector(".md-search-result__link", timeout=60_000)
        links = [one.get_attribute("href") for one in tab.query_selector_all("a")]
    assert not elsewhere
    assert any("answers.html#how-much-a-neighbour-counts" in link for link in links if link)


def test_the_anchors_and_pictures_of_readme_are_there(site):
    """As on GitHub; mkdocs itself checks what the pages link to."""
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert len(links) > 20
    for link in links:
        path, _, anchor = link.partition("#")
        assert (ROOT / path).is_file(), link
        page = site / Path(path).relative_to("docs/pages").with_suffix(".html")
        assert not anchor or f'id="{anchor}"' in page.read_text("utf-8"), link


def test_the_files_it_speaks_of_exist():
    named = set(re.findall(r"`((?:builder|export|tests)/[a-z_/]+\.py)`", TEXTS["contributing.md"]))
    assert len(named) > 15
    assert not [name for name in named if not (ROOT / name).is_file()]


def test_what_it_says_of_the_snippets_is_what_they_say():
    from pocketknn.export.formats.table import SNIPPETS

    folders = ROOT / "export" / "formats"
    said = "".join(path.read_text("utf-8") for path in folders.glob("*/snippets/*.j2"))
    platforms = "".join(text for name, text in TEXTS.items() if name.startswith("platforms/"))
    names = set(re.findall(r"(?<![\w.])\w+\.(?:swift|kt|mjs)\b|\bclassify\.py\b", platforms))
    names -= {"ContentView.swift", "MainActivity.kt"}  # of the reader's app
    assert names <= set(SNIPPETS)
    assert len(names) >= 7
    pattern = r"com\.google\.[\w.]+:[\w:.-]+\w|(?:pip|npm) install [^`\n]+|minSdk\s+\d+"
    packages = {" ".join(one.split()) for one in re.findall(pattern, platforms)}
    assert len(packages) >= 6
    assert not [one for one in packages if one not in said]
