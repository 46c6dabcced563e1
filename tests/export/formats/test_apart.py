"""Keras in a process of its own answers as in this one, and ends with what it was started for."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
from support import input_error, vector_case

from pocketknn.builder.system.cache import Cache
from pocketknn.export import FORMATS
from pocketknn.export.formats.keras import apart, reading, running
from pocketknn.export.output.checksums import digest, files_of
from pocketknn.export.templates import converting, elsewhere, template
from pocketknn.export.templates.content import content_of


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


def test_it_answers_to_the_bit_as_keras_here(model, child, monkeypatch, tmp_path):
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
    expected = apart.opened(shutil.copy(model, tmp_path / "other.keras"))(given)
    assert child._process.poll() is None
    np.testing.assert_array_equal(first(given)["scores"], expected["scores"])
    assert child._process.poll() is not None


def test_a_file_stays_open_where_its_folder_is_renamed(model, child, tmp_path):
    """As a build does; the time it took is still known."""
    (tmp_path / "new").mkdir()
    shutil.copy(model, tmp_path / "new" / "model.keras")
    first = FORMATS["keras"].load(tmp_path / "new" / "model.keras")
    assert first.seconds() > 0
    moved = (tmp_path / "new").rename(tmp_path / "out") / "model.keras"
    number, seconds = child.ask("open", moved)
    assert FORMATS["keras"].load(moved).seconds() == first.seconds() == seconds > 0
    os.utime(moved, ns=(1, 1))  # as if it were another
    other, seconds = child.ask("open", moved)
    assert (other, seconds != first.seconds()) == (number + 1, True)


def test_work_goes_on_beside_other_work(model, child):
    """And what the other process does not do, the caller does."""
    started, waited = threading.Event(), threading.Event()

    def work():
        started.set()
        waited.wait(60)
        return threading.current_thread(), load_and_run(model)

    with apart.meanwhile(work) as result:
        assert started.wait(60)
        waited.set()
        thread, found = result()
    assert thread is not threading.main_thread()
    waited.clear()
    with apart.meanwhile(work) as result:
        child.end()
        waited.set()
        thread, again = result()
    assert thread is threading.main_thread()
    for name, values in found.items():
        np.testing.assert_array_equal(again[name], values)


def test_an_error_beside_it_ends_the_work(child):
    """It must not write into a folder that is being removed."""
    asked = []

    def work():
        asked.append(apart.called(time.sleep, 60))
        apart.end()

    with pytest.raises(KeyboardInterrupt), apart.meanwhile(work):
        raise KeyboardInterrupt
    assert asked == [None]
    assert threading.active_count() == 1 or not any(
        one.daemon and one.name.endswith("(begin)") for one in threading.enumerate()
    )


def test_an_error_of_the_work_is_raised_where_its_result_is_wanted(child):
    def work():
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"), apart.meanwhile(work) as result:
        result()


def test_without_it_the_work_is_done_when_it_is_wanted():
    done = []
    with apart.meanwhile(lambda: done.append(1)) as result:
        assert done == []
        result()
    assert done == [1]


def test_it_converts_to_the_byte_as_here(child, monkeypatch, tmp_path):
    """A head that does not come with the package, over other references than it is given."""
    case = vector_case(n=300, d=16, k=3, metric="euclidean")
    orders = {name: replace(case.order(name, "float32"), cache=None) for name in FORMATS}
    there = {}
    for name, order in orders.items():
        path = tmp_path / name / "there" / f"model{FORMATS[name].SUFFIX}"
        path.parent.mkdir(parents=True)
        there[name] = template.Template(path=path, slots=elsewhere.converted(order, path))
        assert child._process.poll() is None, name
    monkeypatch.undo()
    content = content_of(case.fit, "float32")
    for name, order in orders.items():
        path = tmp_path / name / f"model{FORMATS[name].SUFFIX}"
        here = template.Template(path=path, slots=converting.converted(order, path))
        found = there[name]
        assert found.slots == here.slots, name
        assert len(files_of(found.path)) == len(files_of(here.path)) > 0
        digests = []
        for number, made in enumerate((found, here)):
            filled = tmp_path / name / f"filled{number}{FORMATS[name].SUFFIX}"
            FORMATS[name].fill(made.path, filled, made.slots, content, case.metadata.files())
            digests.append([digest(file) for file in files_of(filled)])
        assert digests[0] == digests[1], name


class Ended(list):
    """Another thread takes out the last after this one has asked whether there is any."""

    def __len__(self):
        return 1


def test_it_may_be_ended_by_another_thread_at_any_moment(monkeypatch, model):
    monkeypatch.setattr(apart, "_is_here", lambda: False)
    monkeypatch.setattr(apart, "_running", Ended())
    assert apart.called(len, "abc") is None
    assert load_and_run(model)["scores"].shape[0] == 40
    apart.end()


def test_what_keras_refuses_is_refused_in_the_same_words(model, child, tmp_path):
    (bad := tmp_path / "model.keras").write_bytes(model.read_bytes()[:5000])
    answer = apart.opened(bad)
    with input_error("file-damaged", "Keras cannot open model.keras: "):
        answer(None)
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


def test_it_is_worth_it_where_keras_is_not_needed_here(tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    assert not apart.is_worth_it(None, cache, packaged=False)
    (tmp_path / "templates" / f"onnx-{24 * '0'}").mkdir(parents=True)
    assert not apart.is_worth_it(None, cache, packaged=False)
    (tmp_path / "templates" / f"keras-{24 * '0'}").mkdir()
    assert apart.is_worth_it(None, cache, packaged=False)
    assert apart.is_worth_it(["onnx", "keras"], cache, packaged=False)
    assert not apart.is_worth_it(["onnx"], cache, packaged=True)
    assert not apart.is_worth_it(None, None, packaged=False)
    assert apart.is_worth_it(None, None, packaged=True)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert not apart.is_worth_it(None, cache, packaged=True)


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
    assert child.ask("open", Path({str(model)!r}))[0] == 0
    os.kill(child._process.pid, signal.SIGINT)
    time.sleep(0.5)
    assert child.ask("open", Path({str(model)!r}))[0] == 0
    assert not {{"keras", "tensorflow"}} & sys.modules.keys()"""
    done = subprocess.run(
        [sys.executable, "-c", START.format(lines)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not psutil.pid_exists(int(done.stdout))


def test_a_build_imports_no_tensorflow_itself(photos, tmp_path):
    code = """
import atexit, sys
from pocketknn.export.cli.app import main
from pocketknn.export.formats.keras import apart
asked, begin = [], apart.Child.begin
apart.Child.begin = lambda self, *question: asked.append(question[0]) or begin(self, *question)
atexit.register(lambda: print("LOADED", *asked, *{"keras", "tensorflow"} & sys.modules.keys()))
main(sys.argv[1:])
"""
    words = ("build", photos, "--backbone", "bundled", "--formats", "keras", "-o")
    lines = []
    for name, more in (("first", ["--no-report"]), ("second", [])):
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, words), str(tmp_path / name), *more],
            capture_output=True,
            text=True,
            env=os.environ | {"POCKETKNN_CACHE": str(tmp_path / "cache")},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        lines.append(done.stdout.splitlines()[-1].split())
    assert set(lines[0]) == {"LOADED", "call", "open", "run"}
    assert set(lines[1]) == {"LOADED", "open", "run"}
    one, two = ((tmp_path / name / "model.keras").read_bytes() for name in ("first", "second"))
    assert one == two


def test_large_pictures_are_run_a_few_at_once(pixels_build, monkeypatch):
    """Each layer's result stays in memory until the last layer is done."""
    batch = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.float32)
    monkeypatch.setattr(reading, "_NUMBERS", 2 * 8 * 8 * 3)
    asked, opened = [], apart.opened

    def counting(path):
        answer = opened(path)
        return running.Answer(lambda feeds: asked.append(len(feeds)) or answer(feeds), lambda: 0.0)

    monkeypatch.setattr(apart, "opened", counting)
    few = reading.load(pixels_build / "model.keras")(batch)
    monkeypatch.undo()
    for name, values in reading.load(pixels_build / "model.keras")(batch).items():
        # A product of another shape is summed in another order: some ulps of 1.
        np.testing.assert_allclose(few[name], values, rtol=0, atol=2e-6)
    assert asked == [2, 2, 1]


def test_keras_is_imported_without_what_our_models_do_not_use():
    """And its objects are never looked at again for garbage; a conversion may import scipy."""
    code = """
import gc, sys
from pocketknn.export.formats.keras import running
with running.imported():
    assert "keras" in sys.modules and "scipy.sparse" not in sys.modules
    assert gc.isenabled() and gc.get_freeze_count() > len(gc.get_objects())
    import scipy.sparse
    try:
        import sklearn
    except ImportError:
        print("good")
import sklearn
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert said.stdout == "good\n", said.stderr
