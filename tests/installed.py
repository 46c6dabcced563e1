"""Environments with some of the packages installed here, for tests of what these suffice for."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(wanted):
    """The distributions that pip installs for these requirements: with what they need in turn.

    All of them are installed here, so that pip, asked for these versions, has no other choice.
    """
    waiting = [Requirement(line) for line in wanted]
    found, seen = {}, set()
    while waiting:
        one = waiting.pop()
        own = distribution(one.name)
        assert one.specifier.contains(own.version, prereleases=True), one
        found[canonicalize_name(one.name)] = own
        extras = {"", *one.extras}
        for further in map(Requirement, own.requires or ()):
            applies = further.marker is None or any(
                further.marker.evaluate({"extra": extra}) for extra in extras
            )
            if applies and str(further) not in seen:
                seen.add(str(further))
                waiting.append(further)
    return found.values()


def environment(folder, wanted):
    """Make a virtual environment with these requirements and nothing else; returns its Python.

    Files are linked from where they are installed, which takes a second where pip takes up to a
    minute, and asks no index.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for one in needed(wanted):
        for name in one.files:
            source, target = Path(one.locate_file(name)), packages / name
            if ".." not in name.parts and source.exists():  # else a script, or compiled code
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(source, target)
                except OSError:  # it is on another disk
                    shutil.copy2(source, target)
    return folder / "bin" / "python"
