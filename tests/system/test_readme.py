"""The README's Python runs as it stands."""

import re
from pathlib import Path

from support import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def test_the_ten_lines_build_four_models_that_agree(photos, tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("photos").symlink_to(photos)
    exec(compile(code, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert said.count("True") == 4
    assert "['apple', 'berries/red', 'cherry']" in said


def test_the_options_it_names_exist():
    import typer

    from pocketknn.export.cli.app import app

    def options(command):
        found = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        return found.union(*map(options, getattr(command, "commands", {}).values()))

    there = options(typer.main.get_command(app))
    assert len(there) > 20
    ours = re.sub(r"pip install.*", "", README)  # its options are not ours
    assert set(re.findall(r"(?<![|-])--[a-z][a-z-]+", ours)) <= there
