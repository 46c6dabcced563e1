"""The README is short and true: its Python runs, its options exist, its pictures are small."""

import re
from pathlib import Path

from PIL import Image
from support import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def test_it_is_short():
    assert len(README.splitlines()) <= 150


def test_the_ten_lines_build_four_models_that_agree(photos, tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("photos").symlink_to(photos)
    exec(compile(code, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert said.count("True") == 4
    assert "['apple', 'berries/red', 'cherry']" in said


def test_the_options_it_and_the_pages_name_exist():
    import typer

    from pocketknn.export.cli.app import app

    def options(command):
        found = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        return found.union(*map(options, getattr(command, "commands", {}).values()))

    there = options(typer.main.get_command(app))
    assert len(there) > 20
    pages = (ROOT / "docs" / "pages").rglob("*.md")
    texts = README + "".join(page.read_text("utf-8") for page in pages)
    # Those of other programs are not ours.
    ours = re.sub(
        r"(pip|ray|npm|curl|rpicam-still|venv|camera.py) .*|python benchmarks/[^`]*|\"--\w+\"",
        "",
        texts,
    )
    ours = re.sub("--no-warn-conflicts|--help", "", ours)
    assert set(re.findall(r"(?<![|-])--[a-z][a-z-]+", ours)) <= there


def test_it_says_what_was_not_tried_and_what_leaves_the_machine():
    bold = re.findall(r"\*\*(.+?)\*\*", README, re.DOTALL)
    assert "No phone, Raspberry Pi or Mac has run a file yet." in bold
    assert "Nothing leaves your machine." in bold
    for system in ("Linux on x86", "Linux on Arm", "Windows on x86", "macOS 14+"):
        assert f"| {system}" in README
    assert "Python 3.11, 3.12 or 3.13" in README


def test_its_formats_are_those_there_are():
    from pocketknn.export import FORMATS

    rows = re.findall(r"^\| `(\.\w+)` \|", README, re.MULTILINE)
    assert sorted(rows) == sorted(package.SUFFIX for package in FORMATS.values())


def test_its_accuracies_are_those_of_the_page_of_all_measurements():
    """A figure that is written twice is the same twice."""
    measured = (ROOT / "docs" / "pages" / "reference" / "measured.md").read_text("utf-8")
    figures = re.findall(r"\d+\.\d / \.\d\d", README)
    assert len(figures) == 16
    assert not [one for one in figures if one not in measured]
    for share in re.findall(r"Caltech 101: (\S+) % against (\S+) %", README)[0]:
        assert f"{share} %" in measured


def test_its_pictures_are_there_and_small():
    for place, text in (
        (ROOT, README),
        (ROOT / "docs" / "pages", (ROOT / "docs/pages/index.md").read_text("utf-8")),
    ):
        pictures = set(re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text))
        assert len(pictures) >= 3
        for name in pictures:
            assert (place / name).stat().st_size <= 120_000
            with Image.open(place / name) as picture:
                assert picture.width >= 600
