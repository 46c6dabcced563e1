"""Keras in a process of its own answers as in this one, and ends with what it was started for."""

import json
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from support import input_error

from pocketknn.builder.system.cache import Cache
from pocketknn.export import FORMATS
from pocketknn.export.formats.keras import apart, running


def built(photos, out, backbone):
    """The Keras file of a build in this process."""
    from pocketknn.export.cli.app import main

    words = ("--backbone", backbone, "--formats", "keras", "--no-report")
    with pytest.raises(SystemExit) as end:
        main(["build", str(photos), "-o", str(out), *words])
    assert end.value.code == 0
    return out / "model.keras"


@pytest.fixture(scope="module")
def model(photos, small_net, tmp_path_factory):
    """A file with convolutions."""
    return built(photos, tmp_path_factory.mktemp("apart") / "out", small_net)


@pytest.fixture
def child(monkeypatch):
    """The other process, which is used although the tests import Keras in this one."""
    monkeypatch.setattr(apart, "_is_here", lambda: False)
    with apart.beside():
        (found,) = apart._running
        yield found
    assert apart._running == []
    assert found._process.returncode is not None


def load_and_run(path, seed=0):
    given = np.random.default_rng(seed).integers(0, 256, shape_of(path), np.uint8)
    return FORMATS["keras"].load(path)(given)


def shape_of(path):
    return (40, *json.loads(FORMATS["keras"].read(path)["manifest.json"])["input"]["shape"])


def test_it_answers_to_the_bit_as_keras_here(model, child, monkeypatch):
    """And so do both of two files, though it holds one at a time, for the sake of memory."""
    first = apart.opened(model)
    found = load_and_run(model)
    with monkeypatch.context() as here:
        here.setattr(apart, "opened", running.opened)
        expected = load_and_run(model)
    assert child._process.poll() is None
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)
    given = np.zeros(shape_of(model), np.float32)
    expected = apart.opened(model)(given)
    assert child._process.poll() is None
    np.testing.assert_array_equal(first(given)["scores"], expected["scores"])
    assert child._process.poll() is not None


def test_what_keras_refuses_is_refused_in_the_same_words(model, child, tmp_path):
    (bad := tmp_path / "model.keras").write_bytes(model.read_bytes()[:5000])
    with input_error("file-damaged", "Keras cannot open model.keras: "):
        apart.opened(bad)
    assert apart._running == []


def test_a_question_without_answer_is_answered_here(model, child):
    given = np.zeros(shape_of(model), np.float32)
    expected = running.opened(model)(given)
    answer = apart.opened(model)
    with pytest.raises(Exception, match=r"shape|input"):  # whatever Keras raises
        answer(given[:, :-1])
    child._process.kill()
    found = answer(given)
    np.testing.assert_array_equal(found["scores"], expected["scores"])
    assert child._process.returncode is not None


def test_none_is_started_where_keras_is_imported():
    import keras  # noqa: F401

    with apart.beside():
        assert apart._running == []


def test_it_is_worth_it_once_something_was_converted(tmp_path):
    cache = Cache(tmp_path)
    assert not apart.is_worth_it(None, cache)
    (tmp_path / "templates" / f"onnx-{24 * '0'}").mkdir(parents=True)
    assert not apart.is_worth_it(None, cache)
    (tmp_path / "templates" / f"keras-{24 * '0'}").mkdir()
    assert apart.is_worth_it(None, cache)
    assert apart.is_worth_it(["onnx", "keras"], cache)
    assert not apart.is_worth_it(["onnx"], cache)
    assert not apart.is_worth_it(None, None)


START = """
import sys, time
from pocketknn.export.formats.keras import apart
with apart.beside():
    print(apart._running[0]._process.pid, flush=True)
    {}
"""


@pytest.mark.parametrize("wait", [0, 1])
def test_it_ends_when_the_other_process_is_killed(wait):
    """Even while it imports."""
    code = [sys.executable, "-c", START.format("time.sleep(60)")]
    with subprocess.Popen(code, stdout=subprocess.PIPE) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        time.sleep(wait)
        parent.kill()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE  # its reaper is slow


def test_ctrl_c_is_not_its_business(model):
    lines = f"""
    import os, signal
    from pathlib import Path
    child = apart._running[0]
    assert child.ask("open", Path({str(model)!r})) == 0
    os.kill(child._process.pid, signal.SIGINT)
    time.sleep(0.5)
    assert child.ask("open", Path({str(model)!r})) == 1
    assert not {{"keras", "tensorflow"}} & sys.modules.keys()"""
    done = subprocess.run(
        [sys.executable, "-c", START.format(lines)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not psutil.pid_exists(int(done.stdout))


def test_a_second_build_imports_no_tensorflow_itself(photos, tmp_path):
    first = built(photos, tmp_path / "first", "bundled")
    code = """
import atexit, sys
from pocketknn.export.cli.app import main
from pocketknn.export.formats.keras import apart
asked, ask = [], apart.Child.ask
apart.Child.ask = lambda self, *question: asked.append(question[0]) or ask(self, *question)
atexit.register(lambda: print("LOADED", *asked, *{"keras", "tensorflow"} & sys.modules.keys()))
main(sys.argv[1:])
"""
    words = ("build", photos, "-o", tmp_path / "second", "--backbone", "bundled")
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words), "--formats", "keras", "--no-report"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.splitlines()[-1].split()) == {"LOADED", "open", "run"}
    assert (tmp_path / "second" / "model.keras").read_bytes() == first.read_bytes()
