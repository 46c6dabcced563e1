"""Which packages are installed, which are needed, and how to install them."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib.util import find_spec

from pocketknn.builder.errors import InputError

# Package names by imported module, if they differ.
_PACKAGES = {
    "PIL": "pillow",
    "ai_edge_litert": "ai-edge-litert",
    "google": "protobuf",
    "keras": "tensorflow",
    "sklearn": "scikit-learn",
}
# Packages whose versions affect a build.
PACKAGES = (
    "tensorflow",
    "keras",
    "coremltools",
    "onnx",
    "tf2onnx",
    "numpy",
    "pillow",
    "ai-edge-litert",
    "onnxruntime",
)
_CORE_ML = "coremltools"
_LIBRARY = re.compile(r"\.(so|dylib|pyd|dll)\b|DLL", re.IGNORECASE)
_SHARED = "google"  # a namespace shared by several packages, so it may exist without ours


def is_there(module: str) -> bool:
    """Whether a module could be imported, without importing it."""
    return find_spec(module) is not None


def installed(*packages: str) -> dict[str, str]:
    """The versions of packages; those not installed are left out."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def check(what: str, modules: Iterable[str]) -> None:
    """Check that the modules for some work are installed.

    Args:
        what: the work, as the beginning of a sentence.
        modules: the modules it imports.

    Raises:
        InputError: one is not installed.
    """
    if why := reason(modules):
        raise InputError(f"{what} needs {why}", "package-not-installed")


def reason(modules: Iterable[str]) -> str:
    """Which of these modules are not installed, and how to install them; "" if all are."""
    gone = [module for module in modules if not is_there(module)]
    return _reason(list(dict.fromkeys(_PACKAGES.get(module, module) for module in gone)))


def missing(error: Exception) -> str:
    """A line about a dependency that is not installed or cannot be loaded; "" for other errors."""
    from importlib.metadata import PackageNotFoundError, requires

    if isinstance(error, ImportError) and _LIBRARY.search(str(error)):
        return f"a library cannot be loaded, for lack of memory or of another library: {error}"
    if not isinstance(error, ImportError):
        return ""
    module = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or (module != _SHARED and is_there(module)):
        return _broken(error)
    package = _PACKAGES.get(module, module)
    try:
        lines = requires("pocketknn") or []
    except PackageNotFoundError:
        return ""
    ours = {found[0] for line in lines if (found := re.match(r"[\w.-]+", line))}
    return f"this needs {_reason([package])}" if package in ours else ""


def _broken(error: ImportError) -> str:
    """A line about a package that is installed but cannot be imported; "" if the fault is ours."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    module = place.tb_frame.f_globals["__name__"].partition(".")[0] if place else "pocketknn"
    if module == "pocketknn":
        return ""
    package = _PACKAGES.get(module, module)
    return (
        f"{package} cannot be imported: {error};"
        f" install it again: pip install --force-reinstall {package}"
    )


def _reason(packages: list[str]) -> str:
    if not packages:
        return ""
    if _CORE_ML in packages and not core_ml_is_possible():
        system = f"{platform.system()} on {platform.machine()}"
        return f"{_CORE_ML}, which has no release for {system}"
    are = "is" if len(packages) == 1 else "are"
    command = f"pip install {' '.join(packages)}"
    return f"{' and '.join(packages)}, which {are} not installed: {command}"


def core_ml_is_possible() -> bool:
    """Whether there is a release of coremltools for this system."""
    return sys.platform == "darwin" or (sys.platform, platform.machine()) == ("linux", "x86_64")
