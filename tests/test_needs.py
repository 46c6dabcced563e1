"""What is missing is said in a line before work begins; all else goes on without it."""

import importlib
import re
import signal
import sys
from importlib.metadata import metadata
from pathlib import Path

import numpy as np
import pytest
from conftest import plain
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from pocketknn.builder import References
from pocketknn.builder.errors import InputError
from pocketknn.export import export, needs, swap, terminal
from pocketknn.export.artefact import FORMATS, writable

ROOT = Path(__file__).parents[1]
CONVERTERS = {"tensorflow", "coremltools", "tf2onnx"}
SYSTEMS = {
    # sys_platform, platform_machine: whether coremltools has wheels (looked up in November 2026)
    ("linux", "x86_64"): True,
    ("linux", "aarch64"): False,
    ("win32", "AMD64"): False,
    ("win32", "ARM64"): False,
    ("darwin", "arm64"): True,
    ("darwin", "x86_64"): True,
}


@pytest.fixture
def hidden(monkeypatch):
    """Modules that are as if they were not installed."""

    def hide(*names):
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)

    return hide


def requirements():
    return [Requirement(line) for line in metadata("pocketknn").get_all("Requires-Dist")]


def of_users():
    return [one for one in requirements() if "extra" not in str(one.marker or "")]


# what is declared --------------------------------------------------------------------------------


@pytest.mark.parametrize(("system", "there"), SYSTEMS.items())
def test_coremltools_is_asked_for_where_it_is_to_be_had(system, there, monkeypatch):
    (one,) = (one for one in of_users() if one.name == "coremltools")
    environment = default_environment() | dict(
        zip(("sys_platform", "platform_machine"), system, strict=True)
    )
    assert one.marker.evaluate(environment) is there
    monkeypatch.setattr(sys, "platform", system[0])
    monkeypatch.setattr(needs.platform, "machine", lambda: system[1])
    assert needs.core_ml_is_possible() is there


def test_the_newest_python_is_the_newest_of_all_that_is_needed():
    """Of a package without wheels for a Python pip makes none, so ours must not promise it."""
    ours = SpecifierSet(metadata("pocketknn")["Requires-Python"])
    newest = max(minor for minor in range(30) if f"3.{minor}" in ours)
    for name in ("coremltools", "tensorflow"):
        told = metadata(name).get_all("Classifier") or []
        known = {int(found[1]) for one in told if (found := re.search(r":: 3\.(\d+)$", one))}
        assert max(known) == newest, f"{name} is for Python 3.{max(known)} by now"
    assert "3.11" in ours


def test_upper_bounds_say_why():
    """In the line: a bound without a reason keeps newer releases from people for nothing."""
    for line in (ROOT / "pyproject.toml").read_text("utf-8").splitlines():
        bounded = re.match(r'\s+"[\w\[\],-]+.*(<|==)', line) and "sys_platform ==" not in line
        exact = "pytorch-model==" in line  # weights of a known sha256
        if bounded and not exact:
            assert "#" in line, line


def test_the_light_list_is_all_that_is_needed_but_the_converters():
    lines = (ROOT / "light.txt").read_text("utf-8").splitlines()
    light = {str(Requirement(line)) for line in lines if not line.startswith("#")}
    assert light == {str(one) for one in of_users() if one.name not in CONVERTERS}


# what is said ------------------------------------------------------------------------------------


def test_without_coremltools_all_other_files_are_written(hidden, tmp_path):
    hidden("coremltools")
    said = []
    assert writable(said.append) == ("keras", "tflite", "onnx")
    assert said == [
        "model.mlpackage is not written: it needs coremltools, which is not installed:"
        " pip install coremltools"
    ]
    vectors = np.random.default_rng(0).standard_normal((12, 6))
    references = References.of(vectors, [f"class {i % 2}" for i in range(12)])
    said.clear()
    made = export(
        plain(backbone="vector", k=1), references, None, tmp_path / "out", note=said.append
    )
    assert [one.format for one in made.written] == ["keras", "tflite", "onnx"]
    assert made.agrees
    assert len([line for line in said if "coremltools" in line]) == 1


def test_core_ml_is_refused_before_work_begins(hidden, pocketknn, photos, tmp_path, monkeypatch):
    hidden("coremltools")
    build = ("build", photos, "-o", tmp_path / "out")
    told = pocketknn(*build, "--formats", "tflite,coreml")
    assert told.code == 2
    assert told.err == (
        "pocketknn: writing tflite, coreml needs coremltools, which is not installed:"
        " pip install coremltools\n"
    )
    monkeypatch.setattr(needs.platform, "system", lambda: "Windows")
    monkeypatch.setattr(needs, "core_ml_is_possible", lambda: False)
    told = pocketknn(*build, "--formats", "coreml")
    assert "which has no release for Windows on" in told.err
    assert not (tmp_path / "out").exists()


def test_all_that_is_missing_is_said_at_once(hidden):
    hidden("tensorflow", "tf2onnx")
    with pytest.raises(InputError, match=r"are not installed: pip install tensorflow tf2onnx$"):
        needs.check("writing tflite, onnx", ["tensorflow", "tf2onnx", "onnx"])


def test_a_module_of_ours_that_is_missing_is_a_line_and_others_are_a_bug(hidden):
    def error(name):
        return ModuleNotFoundError(f"No module named {name!r}", name=name)

    line = "this needs scikit-learn, which is not installed: pip install scikit-learn"
    hidden("sklearn")
    assert needs.missing(error("sklearn.cluster")) == line
    line = "this needs protobuf, which is not installed: pip install protobuf"
    assert needs.missing(error("google.protobuf")) == line
    assert needs.missing(error("no_such_module")) == ""
    assert needs.missing(error("numpy.no_such_part")) == ""
    assert needs.missing(ValueError("numpy")) == ""


def test_every_format_says_what_it_takes():
    for name, target in FORMATS.items():
        assert not needs.reason([*target.NEEDS, *target.RUNTIME]), name


# what Windows does not have ----------------------------------------------------------------------


def test_commands_are_shown_as_the_shell_reads_them(monkeypatch):
    words = ("pocketknn", "verify", "my out", "it's")
    assert terminal.command_line(*words) == "pocketknn verify 'my out' 'it'\"'\"'s'"
    monkeypatch.setattr(sys, "platform", "win32")
    assert terminal.command_line(*words) == 'pocketknn verify "my out" it\'s'


def test_signals_that_a_system_lacks_are_not_asked_for(monkeypatch):
    monkeypatch.delattr(signal, "SIGHUP")
    try:
        assert importlib.reload(swap).ENDINGS == (signal.SIGTERM,)
    finally:
        monkeypatch.undo()
        importlib.reload(swap)
