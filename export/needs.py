"""What must be installed for what; where it is not, one line says how to get it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec

from pocketknn.builder.errors import InputError

# By the module that is imported, where the package has another name.
_PACKAGES = {
    "PIL": "pillow",
    "ai_edge_litert": "ai-edge-litert",
    "google": "protobuf",
    "keras": "tensorflow",
    "sklearn": "scikit-learn",
}
_CORE_ML = "coremltools"


def is_there(module: str) -> bool:
    """Whether a module could be imported; it is not."""
    return find_spec(module) is not None


def check(what: str, modules: Iterable[str]) -> None:
    """Refuse work that would end for want of a module.

    Args:
        what: the work, as the begin of a sentence.
        modules: what it imports.

    Raises:
        InputError: one is not there.
    """
    if why := reason(modules):
        raise InputError(f"{what} needs {why}")


def reason(modules: Iterable[str]) -> str:
    """Which of some modules are not there, and how to get them; "" where all are."""
    gone = [module for module in modules if not is_there(module)]
    if _CORE_ML in gone and not core_ml_is_possible():
        system = f"{platform.system()} on {platform.machine()}"
        return f"{_CORE_ML}, which has no release for {system}"
    packages = list(dict.fromkeys(_PACKAGES.get(module, module) for module in gone))
    if not packages:
        return ""
    are = "is" if len(packages) == 1 else "are"
    command = f"pip install {' '.join(packages)}"
    return f"{' and '.join(packages)}, which {are} not installed: {command}"


def missing(error: Exception) -> str:
    """A line on a module of ours that is not installed; "" for all other errors."""
    if not isinstance(error, ModuleNotFoundError):
        return ""
    module = (error.name or "").partition(".")[0]
    package = _PACKAGES.get(module, module)
    try:
        depends_on = requires("pocketknn") or []
    except PackageNotFoundError:
        return ""
    if not any(line.startswith(package) for line in depends_on):
        return ""
    return f"this needs {reason([module])}"


def core_ml_is_possible() -> bool:
    """Whether there is a release of coremltools for this system."""
    return sys.platform == "darwin" or (sys.platform, platform.machine()) == ("linux", "x86_64")
