"""What mkdocs asks while it builds: the page of all commands, which typer writes from the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

PAGE = "reference/commands.md"
# Lists of commands that typer cuts off after a few words; the headings name them in full.
_EXAMPLES = re.compile(r"^Examples:\n((?: {4}.+\n)+)", re.MULTILINE)
_SUMMARIES = re.compile(r"^\*\*Commands\*\*:\n\n(\* .*\n)+\n", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of commands to those that are kept in the folder."""
    files.append(File.generated(config, PAGE, content=commands()))
    return files


def commands() -> str:
    """Every command with its arguments and options, as Markdown.

    Raises:
        PluginError: typer could not write it; the message is typer's.
    """
    words = [
        "pocketknn.export.cli.app",
        "utils",
        "docs",
        "--name",
        "pocketknn",
        "--title",
        "Commands",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "typer", *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "100", "NO_COLOR": "1"},
    )
    if done.returncode:
        raise PluginError(f"typer could not describe the commands: {done.stderr.strip()}")
    return _EXAMPLES.sub(_fenced, _SUMMARIES.sub("", done.stdout))


def _fenced(found: re.Match[str]) -> str:
    """The examples that end a docstring, as a block of code."""
    return f"```sh\n{textwrap.dedent(found[1])}```\n"
