"""Structure: layers of packages, direction of imports, and fast start-up."""

import ast
import inspect
import subprocess
import sys
import tomllib

import pytest
from support import ROOT

from pocketknn.export import FORMATS
from pocketknn.export.formats.protocol import Format

HEAVY = {
    "ai_edge_litert",
    "coremltools",
    "fsspec",
    "jinja2",
    "keras",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "pyarrow",
    "ray",
    "sklearn",
    "tensorflow",
    "tf2onnx",
}
# From the bottom. A module imports only from its own layer and from those below, types too.
ROOMS = [
    "builder.wording",
    "builder.errors",
    "builder.system",
    "builder.choices",
    "builder.spec",
    "builder.photos",
    "builder.backbones",
    "builder.references",
    "builder.embedding",
    "builder.knn",
    "builder.graph",
    "builder.selection",
    "export.output",
    "export.formats",
    "export.manifest",
    "export.templates",
    "export.parity",
    "export.sizes",
    "export.apps",
    "export.pipeline",
    "export.editing",
    "export.analysis",
    "export.report",
    "export.cli",
]
MODULES = sorted(p for d in ("builder", "export") for p in (ROOT / d).rglob("*.py"))
OURS = [p for p in MODULES if "bundled" not in p.parts]  # the training recipe is a script


def imported(path, top_only):
    """Names of modules that a file imports; `top_only` skips functions and TYPE_CHECKING blocks."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module


NAMES = {
    ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in OURS
}


def ours(name, top_only):
    """Our own modules that a module imports, by dotted names."""
    path, package = NAMES[name], name.split(".")
    tree = ast.parse(path.read_text("utf-8"))
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            above = node.level - (path.name == "__init__.py")
            start = package[: len(package) - above] if node.level else []
            base = ".".join([*start, *(node.module or "").split(".")]).strip(".")
            base = base.removeprefix("pocketknn.")
            named = {f"{base}.{alias.name}" for alias in node.names} & NAMES.keys()
            yield from (named or {base} & NAMES.keys()) - {name}


def floor(name):
    return next((n for n, room in enumerate(ROOMS) if f"{name}.".startswith(f"{room}.")), None)


@pytest.mark.parametrize("top_only", [True, False], ids=["when it runs", "types too"])
def test_arrows_point_down_and_ways_are_short(top_only):
    ways = {}

    def way(name, above):
        assert name not in above, f"a circle: {' > '.join([*above, name])}"
        if name not in ways:
            found = set(ours(name, top_only))
            for one in found if floor(name) is not None else ():
                assert (floor(one) or 0) <= floor(name), f"{name} imports {one}"
            ways[name] = 1 + max((way(one, [*above, name]) for one in found), default=0)
        return ways[name]

    assert max(way(name, []) for name in NAMES) <= (11 if top_only else len(NAMES))
    assert len(ways) > 200


def test_files_are_short_and_folders_small():
    lines = sorted(len(path.read_text("utf-8").splitlines()) for path in OURS)
    assert lines[-1] <= 350
    assert lines[len(lines) // 2] <= 110
    for folder in {path.parent for path in OURS}:
        beside = [p for p in folder.iterdir() if not p.name.startswith(("_", ".", "py."))]
        assert len(beside) <= 13, folder


def test_the_packages_listed_are_the_packages_there_are():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {f"pocketknn.{p.parent.relative_to(ROOT).as_posix()}" for p in MODULES}
    there = {name.replace("/", ".") for name in there if "bundled" not in name}
    assert set(listed) == there | {"pocketknn"}


@pytest.mark.parametrize("path", OURS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_point_one_way_and_heavy_ones_wait(path):
    if path.is_relative_to(ROOT / "builder"):
        assert not [m for m in imported(path, False) if m.startswith("pocketknn.export")]
    heavy = {m for m in imported(path, True) if m.partition(".")[0] in HEAVY}
    assert not heavy, "import it inside the function that needs it"


def python(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_help_imports_nothing_that_a_command_alone_needs():
    code = """
import sys
from pocketknn.export.cli.app import main
try:
    main(["--help"])
except SystemExit as end:
    assert end.code == 0
print("LOADED", *sys.modules)
"""
    words = python(code)
    loaded = {name.partition(".")[0] for name in words[words.index("LOADED") :]}
    assert not loaded & (HEAVY | {"numpy", "PIL", "rich"})
    assert not loaded & {"csv", "email", "gzip", "hashlib", "json", "sqlite3", "tarfile"}


def test_until_it_is_ready_for_an_interruption_the_command_imports_next_to_nothing():
    """Ctrl-C cannot be answered in one line while imports run before `main`."""
    code = """
import re, sys  # as the script of the console does
before = set(sys.modules)
import pocketknn.export.cli.entry
print(*(set(sys.modules) - before))
"""
    others = {name for name in python(code) if name.partition(".")[0] != "pocketknn"}
    light = {"__future__", "collections.abc", "warnings"}
    assert {name for name in others if not name.startswith("importlib")} <= light


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_offers_what_the_protocol_asks_for(name):
    """The table imports packages by name, which type checkers cannot follow."""
    package = FORMATS[name]
    assert not [one for one in Format.__annotations__ if not hasattr(package, one)]
    wanted = {one: made for one, made in vars(Format).items() if inspect.isfunction(made)}
    wanted = {one: made for one, made in wanted.items() if not one.startswith("_")}
    assert len(wanted) > 8
    for function, described in wanted.items():
        _, *parameters = inspect.signature(described).parameters.values()
        given = inspect.signature(getattr(package, function)).parameters.values()
        assert [(p.name, p.kind) for p in given] == [(p.name, p.kind) for p in parameters], function


@pytest.mark.parametrize("package", ["pocketknn.builder", "pocketknn.export"])
def test_public_names_are_there(package):
    code = f"""
import {package} as package
for name in package.__all__:
    getattr(package, name)
    print(name)
try:
    package.nonsense
except AttributeError as error:
    print("refused")
"""
    assert python(code)[-1] == "refused"


def test_the_tests_see_the_installed_package():
    import pocketknn.builder

    assert "site-packages" in pocketknn.builder.__file__


def test_modules_are_found_by_their_earlier_names():
    code = """
import importlib, sys, warnings
import pocketknn.builder
from pocketknn.builder.system.renamed import RENAMED
warnings.simplefilter("error")
try:
    import pocketknn.builder.neighbors
except DeprecationWarning as warning:
    assert "pocketknn.builder.knn.exact" in str(warning)
    print("warned")
warnings.simplefilter("ignore")
NAMES = "accuracy.leave_one_out backbone.load_backbone backbone.Backbone cluster.Cluster fit.fit"
NAMES += " folds.groups grid.Grid images.Photo images.pixels model.build neighbors.winners"
NAMES += " ray_engine.embed sources.find tune.tune classifier.KNNClassifier"
for name in NAMES.split():
    module, _, what = name.partition(".")
    assert getattr(importlib.import_module(f"pocketknn.builder.{module}"), what), name
NAMES = "artefact.load artefact.FORMATS handover.export handover.Written options.Options"
NAMES += " quiet.quiet"
for name in NAMES.split():
    module, _, what = name.partition(".")
    assert getattr(importlib.import_module(f"pocketknn.export.{module}"), what), name
for old in RENAMED:
    assert importlib.import_module(old)
"""
    assert python(code) == ["warned"]
