"""The model is the first argument; if it is typed later, it is still recognised."""

from __future__ import annotations

from pathlib import Path

from pocketknn.export.cli.console.quiet import note
from pocketknn.export.output.names import MANIFEST
from pocketknn.export.report.wording import command_line


def model_first(command: str, *words: str) -> list[str]:
    """The arguments of a command with the model first, and a message if they were reordered.

    They are reordered only if exactly one of them is a model file or a build's folder.
    """
    models = [word for word in words if _is_model(Path(word))]
    if len(models) != 1 or models[0] == words[0]:
        return [*words]
    right = [models[0], *(word for word in words if word != models[0])]
    note(f"the model comes first: {command_line('pocketknn', command, *right)}")
    return right


def _is_model(path: Path) -> bool:
    from pocketknn.export.formats.files import is_artefact

    return (is_artefact(path) and path.exists()) or (path / MANIFEST).is_file()
