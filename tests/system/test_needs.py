"""Missing packages are reported in one line before work begins; all else works without them."""

import importlib
import os
import re
import signal
import subprocess
import sys
from importlib.metadata import metadata

import numpy as np
import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from support import ROOT, Held, drawing, plain

from pocketknn.builder import References, Spec
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.memory import warn_of_converting
from pocketknn.builder.system import swap
from pocketknn.export import export
from pocketknn.export.formats import requirements as needs
from pocketknn.export.formats.files import writable
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.output.checksums import digest
from pocketknn.export.report import wording

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
    """Make modules appear not installed."""

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
    """If a dependency has no wheels for a Python, we must not claim to support it."""
    ours = SpecifierSet(metadata("pocketknn")["Requires-Python"])
    newest = max(minor for minor in range(30) if f"3.{minor}" in ours)
    for name in ("coremltools", "tensorflow"):
        told = metadata(name).get_all("Classifier") or []
        known = {int(found[1]) for one in told if (found := re.search(r":: 3\.(\d+)$", one))}
        assert max(known) == newest, f"{name} is for Python 3.{max(known)} by now"
    assert "3.11" in ours


def test_upper_bounds_say_why():
    """On the same line: a bound without a reason blocks newer releases for nothing."""
    for line in (ROOT / "pyproject.toml").read_text("utf-8").splitlines():
        bounded = re.match(r'\s+"[\w\[\],-]+.*(<|==)', line) and "sys_platform ==" not in line
        exact = "pytorch-model==" in line  # weights of a known sha256
        if bounded and not exact:
            assert "#" in line, line


def test_the_light_list_is_all_that_is_needed_but_the_converters():
    lines = (ROOT / "light.txt").read_text("utf-8").splitlines()
    light = {str(Requirement(line)) for line in lines if not line.startswith("#")}
    assert light == {str(one) for one in of_users() if one.name not in CONVERTERS}


def test_real_photos_that_are_not_there_skip_their_test(tmp_path):
    (tmp_path / "ml5").mkdir()
    held = Held(tmp_path) / "ml5"
    with pytest.raises(pytest.skip.Exception, match="POCKETKNN_DATA names another"):
        held / "saved.json"
    with pytest.raises(pytest.skip.Exception):
        Held(tmp_path / "none") / "flowers"


# what is said ------------------------------------------------------------------------------------


@pytest.fixture
def vectors():
    values = np.random.default_rng(0).standard_normal((12, 6))
    return References.of(values, [f"class {i % 2}" for i in range(12)])


def test_the_usual_choices_are_written_without_converters(hidden, vectors, tmp_path):
    hidden(*CONVERTERS, "keras")
    assert writable() == ("tflite", "coreml", "onnx")
    said = []
    made = export(Spec(backbone="vector"), vectors, None, tmp_path / "out", note=said.append)
    assert [one.format for one in made.written] == ["tflite", "coreml", "onnx"]
    assert made.agrees
    assert said == [
        "model.keras is not written: it needs tensorflow, which is not installed:"
        " pip install tensorflow"
    ]


def test_core_ml_of_photos_is_written_without_coremltools(hidden, pocketknn, photos, tmp_path):
    """As on Windows, which has no release of it."""
    hidden("coremltools")
    build = ("build", photos, "-o", tmp_path / "out", "--backbone", "bundled", "--no-report")
    told = pocketknn(*build, "--formats", "coreml")
    assert told.code == 0, told.err
    assert (tmp_path / "out" / "model.mlpackage").is_dir()


def test_without_coremltools_other_choices_leave_core_ml_out(
    hidden, vectors, tmp_path, monkeypatch
):
    hidden("coremltools")
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))  # nothing was converted yet
    said = []
    made = export(plain(backbone="vector", k=1), vectors, None, tmp_path / "out", note=said.append)
    assert [one.format for one in made.written] == ["keras", "tflite", "onnx"]
    assert made.agrees
    (line,) = said
    begin = "model.mlpackage is not written: with these choices it needs coremltools, which is not"
    assert line.startswith(begin)
    assert "need no converter with default choices" in line


@pytest.mark.parametrize(
    "choices", [("--metric", "euclidean"), ("--precision", "int8"), ("--budget", "3MB")]
)
def test_core_ml_that_takes_a_converter_is_refused(
    choices, hidden, pocketknn, photos, tmp_path, monkeypatch
):
    hidden("coremltools")
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))  # nothing was converted yet
    build = ("build", photos, "-o", tmp_path / "out", "--backbone", "bundled", *choices)
    told = pocketknn(*build, "--formats", "tflite,coreml")
    assert told.code == 2
    assert told.err.count("\n") == 1
    assert told.err.startswith("pocketknn: [package-not-installed] writing coreml ")
    assert "needs coremltools, which is not installed: pip install coremltools" in told.err
    monkeypatch.setattr(needs.platform, "system", lambda: "Windows")
    monkeypatch.setattr(needs, "core_ml_is_possible", lambda: False)
    told = pocketknn(*build, "--formats", "coreml")
    assert "which has no release for Windows on" in told.err
    assert not (tmp_path / "out").exists()


def test_a_converted_head_is_used_again_without_the_converter(hidden, vectors, tmp_path):
    spec = plain(backbone="vector", k=1)
    for name in ("first", "again"):
        made = export(spec, vectors, None, tmp_path / name, formats=["coreml"])
        assert made.agrees
        hidden("coremltools")
    with pytest.raises(InputError) as caught:
        export(spec, vectors, None, tmp_path / "uncached", formats=["coreml"], cache=None)
    assert caught.value.code == "package-not-installed"


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


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    vectors = np.random.default_rng(0).standard_normal((12, 6))
    references = References.of(vectors, [f"class {i % 2}" for i in range(12)])
    out = tmp_path_factory.mktemp("built") / "out"
    export(plain(backbone="vector", k=1), references, None, out)
    return out


@pytest.mark.parametrize(
    ("module", "end"),
    [
        ("scipy", "tflite"),
        ("scipy", "mlpackage"),
        ("onnx", "onnx"),
        ("flatbuffers", "tflite"),
        ("ai_edge_litert", "tflite"),
        ("h5py", "keras"),
    ],
)
def test_what_is_missing_is_not_told_of_the_file(module, end, built, hidden, pocketknn, tmp_path):
    """The message must not blame the file."""
    hidden(module)
    change = ("--rename", "class 0=x", "--out", tmp_path / f"new.{end}")
    said = pocketknn("edit", built / f"model.{end}", *change)
    package = module.replace("_", "-")
    if said.code == 0:  # this change does not need it
        assert module == "scipy"
        return
    assert said.code == 2
    assert f" needs {package}, which is not installed: pip install {package}" in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("module", ["h5py", "onnxruntime", "flatbuffers", "pyarrow", "scipy"])
def test_a_build_that_would_end_is_not_begun(module, hidden, pocketknn, photos, tmp_path):
    hidden(module)
    said = pocketknn("build", photos, "-o", tmp_path / "out", "--backbone", "pixels")
    assert said.code == 2
    assert said.err.startswith("pocketknn: [package-not-installed] ")
    assert said.err.endswith(f"{module}, which is not installed: pip install {module}\n")
    assert said.out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("sklearn", ("tune",)),
        ("scipy", ("tune",)),
        ("threadpoolctl", ("tune",)),
        ("pyarrow", ("refs", "new", "-o", "new.parquet")),
        ("tensorflow", ("refs", "new", "-o", "new.parquet", "--backbone", "mobilenet_v2")),
    ],
)
def test_no_photo_is_embedded_before_a_refusal(
    module, words, hidden, pocketknn, photos, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("pocketknn.builder.embedding.local.picture", None)
    hidden(module)
    package = {"sklearn": "scikit-learn"}.get(module, module)
    backbone = () if "--backbone" in words else ("--backbone", "pixels")
    said = pocketknn(*words, photos, *backbone, "--no-cache")
    assert (said.code, said.err.count("\n")) == (2, 1), said.err
    assert f"needs {package}, which is not installed: pip install {package}\n" in said.err


def test_a_verdict_is_not_given_for_want_of_a_library(built, monkeypatch, pocketknn):
    def refuse(*args):
        raise ImportError("libLiteRt.so: failed to map segment from shared object")

    monkeypatch.setattr(FORMATS["tflite"], "load", refuse)
    said = pocketknn("verify", built)
    assert said.code == 2
    assert said.err == (
        "pocketknn: a library cannot be loaded, for lack of memory or of another library:"
        " libLiteRt.so: failed to map segment from shared object\n"
    )


def test_a_build_of_which_nothing_can_be_run_is_not_verified(hidden, pocketknn, tmp_path):
    references = References.of(np.random.default_rng(0).standard_normal((12, 6)))
    export(plain(backbone="vector", k=1), references, None, tmp_path / "out", formats=["keras"])
    hidden("tensorflow")
    said = pocketknn("verify", tmp_path / "out")
    assert (said.code, said.out) == (2, "")
    begin = "pocketknn: [nothing-verified] nothing was verified; model.keras was not run: it needs"
    assert said.err.startswith(begin)
    assert "pip install tensorflow" in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("module", ["typer", "rich"])
def test_a_command_line_without_its_packages_is_a_line(module):
    code = (
        f"import sys; sys.modules[{module!r}] = None; from pocketknn.export.cli.entry import main\n"
    )
    code += "sys.argv = ['pocketknn', 'build', 'photos', '-o', 'out']; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    line = f"this needs {module}, which is not installed: pip install {module}"
    assert done.stderr == f"pocketknn: {line}\n"


def test_a_report_that_could_not_be_drawn_says_what_to_install(hidden, pocketknn, photos, tmp_path):
    hidden("matplotlib")
    said = pocketknn(
        "build", photos, "-o", tmp_path / "out", "--backbone", "pixels", "--formats", "onnx"
    )
    assert said.code == 0
    assert "no report was written: this needs matplotlib, which is not installed" in said.out


def test_a_session_that_reads_no_utf_8_is_not_told_of_the_names(tmp_path):
    (tmp_path / "photos" / "Käse").mkdir(parents=True)
    for name in ("1", "2"):
        drawing(int(name)).save(tmp_path / "photos" / "Käse" / f"{name}.png")
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    code = "from pocketknn.export.cli.entry import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "refs", "new", tmp_path / "photos", "-o", "x.parquet"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.endswith(b"set PYTHONUTF8=1\n"), done.stderr


def test_little_memory_for_a_first_build_is_said(pocketknn, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("pocketknn.builder.knn.memory.free_memory", lambda: 600_000_000)
    said = pocketknn("build", photos, "-o", tmp_path / "out", "--formats", "coreml,x")
    assert "GB of memory" not in said.err
    out = ("-o", tmp_path / "out", "--backbone", "pixels", "--formats", "onnx", "--no-report")
    said = pocketknn("build", photos, *out)
    assert said.code == 0
    assert "warning: only 0.6 GB of memory is free; a first build needs 1.4 GB" in said.err


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux limits the cores")
def test_one_core_is_enough_and_gives_the_same_files(photos, tmp_path):
    """A build with report, its check, and a prediction, in processes that may use one core."""
    main = "from pocketknn.export.cli.entry import main; main()"
    one = f"import os; os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}}); {main}"

    def run(code, *words):
        command = [sys.executable, "-c", code, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, done.stderr), done.stderr
        return done.stdout

    words = ("--backbone", "pixels", "--size", "16", "--formats", "tflite,onnx")
    for name, code in (("one", one), ("all", main)):
        run(code, "build", photos, "-o", name, *words, "--reject", "auto")
    for name in ("model.tflite", "model.onnx", "manifest.json", "parity.json"):
        assert digest(tmp_path / "one" / name) == digest(tmp_path / "all" / name), name
    assert (tmp_path / "one" / "report.html").is_file()
    assert "agrees" in run(one, "verify", "one")
    assert "apple" in run(one, "predict", "one", photos / "apple" / "0.png")


def test_embeddings_count_with_what_a_first_build_takes(monkeypatch):
    monkeypatch.setattr("pocketknn.builder.knn.memory.free_memory", lambda: 1_500_000_000)
    said = []
    warn_of_converting(said.append, 10_000_000)
    assert said == []
    warn_of_converting(said.append, 300_000_000)
    assert "only 1.5 GB of memory is free; a first build needs 1.7 GB" in said[0]


def test_every_format_says_what_it_takes():
    for name, target in FORMATS.items():
        modules = [*target.NEEDS, *target.CONVERTERS, *target.RUNTIME]
        assert not needs.reason(modules), name
        assert set(target.MAY_LACK) <= set(modules)


# what Windows does not have ----------------------------------------------------------------------


def test_commands_are_shown_as_the_shell_reads_them(monkeypatch):
    words = ("pocketknn", "verify", "my out", "it's")
    assert wording.command_line(*words) == "pocketknn verify 'my out' 'it'\"'\"'s'"
    monkeypatch.setattr(sys, "platform", "win32")
    assert wording.command_line(*words) == 'pocketknn verify "my out" it\'s'


def test_signals_that_a_system_lacks_are_not_asked_for(monkeypatch):
    monkeypatch.delattr(signal, "SIGHUP")
    try:
        assert importlib.reload(swap).ENDINGS == (signal.SIGTERM,)
    finally:
        monkeypatch.undo()
        importlib.reload(swap)


def test_a_package_that_cannot_be_imported_is_one_line(photos, tmp_path):
    """Such as one that does not fit the others; it is installed, but raises ImportError."""
    (tmp_path / "keras.py").write_text("raise ImportError('it needs another TensorFlow')")
    code = "import sys; from pocketknn.export.cli.app import main; main(sys.argv[1:])"
    words = ("build", photos, "-o", tmp_path / "out", "--backbone", "pixels", "--formats", "keras")
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "tensorflow cannot be imported: it needs another TensorFlow" in done.stderr


def test_a_fault_of_our_own_is_no_broken_package():
    with pytest.raises(ImportError) as caught:
        exec("from pocketknn.builder import nothing_of_the_kind", {"__name__": "pocketknn.test"})
    assert needs.missing(caught.value) == ""
