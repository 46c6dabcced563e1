"""What a build wrote into its folder: nothing else is ever replaced."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pocketknn.builder.errors import InputError
from pocketknn.export.formats.table import FORMATS, SNIPPETS
from pocketknn.export.output.names import GOLDEN, GOLDEN_NAMES, MODEL, OWN, UNLISTED
from pocketknn.export.output.names import SNIPPETS as FOLDER

from .metadata import manifest_of

_FOLDERS: dict[str, Mapping[str, bool]] = {
    **{f"{MODEL}{one.SUFFIX}": one.PARTS for one in FORMATS.values() if one.PARTS},
    GOLDEN: dict.fromkeys(GOLDEN_NAMES, False),
    FOLDER: dict.fromkeys(SNIPPETS, False),
}
DEEPEST = Path(max((f"{one}/{name}" for one in _FOLDERS for name in _FOLDERS[one]), key=len))
_BY_SYSTEMS = (".DS_Store", "Thumbs.db", "desktop.ini")  # and nobody misses them


def foreign(out: Path) -> str:
    """The name of something in a folder that no build wrote, or what else is wrong with it."""
    try:
        listed = set(manifest_of(out)["files"])
    except InputError:
        artefacts = {MODEL + target.SUFFIX for target in FORMATS.values()}
        odd = sorted({path.name for path in out.iterdir()} - OWN - artefacts)
        return repr(odd[0]) if odd else "no manifest of a build"
    ours = {name: name in _FOLDERS for name in listed | UNLISTED}
    for folder, names in _FOLDERS.items():
        ours |= {f"{folder}/{name}": is_folder for name, is_folder in names.items()}
    name = _other_than(ours, out)
    return name and repr(name)


def foreign_in_package(path: Path) -> str:
    """The name of something in a package that none of ours has; "" where there is none."""
    parts = next(one.PARTS for one in FORMATS.values() if path.suffix == one.SUFFIX)
    return _other_than(parts, path)


def _other_than(ours: Mapping[str, bool], folder: Path) -> str:
    """The first name in a folder that is not among these, or a file where a folder should be."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if ours.get(name) is not path.is_dir() and not _is_by_a_system(path):
            return name
    return ""


def _is_by_a_system(path: Path) -> bool:
    """Whether a system or Python put a file there by itself, or a folder for such files."""
    if path.is_dir():
        return path.name == "__pycache__" and not path.is_symlink()
    return path.name in _BY_SYSTEMS or (path.suffix == ".pyc" and path.parent.name == "__pycache__")
