"""The snippet camera.py, with cameras that show drawings, and what else `classify` takes."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import drawing
from test_snippets import agrees, built, expected_of

STUBS = Path(__file__).parent / "stubs/python"
BUILDS = {
    "classify": {},
    "neighbors": {"head": "neighbors", "crop": "stretch"},
    "regress": {"head": "regress", "crop": "fit"},
}


@pytest.fixture(scope="module", params=list(BUILDS))
def out(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("camera") / "out"
    return built(folder, formats=["tflite"], **BUILDS[request.param])


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    for number in range(4):
        drawing(800 + number, (64, 48)).save(folder / f"{number}.png")
    return folder


def started(out, frames, *arguments):
    paths = os.pathsep.join([str(STUBS), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, out / "snippets/camera.py", *arguments],
        env=os.environ | {"PYTHONPATH": paths, "FRAMES": str(frames)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        # Background jobs of a shell ignore Ctrl-C, and so would this process.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def line_of(expected):
    """What is printed for an answer of `pocketknn predict`."""
    if "label" in expected:
        return f"{expected['probability']:4.0%} {expected['label']}"
    if "value" in expected:
        return " ".join(f"{value:.3f}" for value in expected["value"].values())
    return "  ".join(f"{one['score']:.3f} {one['path']}" for one in expected["neighbors"][:5])


@pytest.mark.parametrize("camera", ["picamera2", "opencv"])
def test_it_prints_the_answers_of_predict(camera, out, frames):
    process = started(out, frames, "--camera", camera, "--pictures", "4")
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "camera closed" in errors
    lines = [re.sub(r"  \(\d+ ms\)$", "", line) for line in said.splitlines()]
    expected = [expected_of(out, "model.tflite", path) for path in sorted(frames.iterdir())]
    assert lines == [line_of(one) for one in expected]


def test_ctrl_c_stops_it_and_closes_the_camera(out, frames):
    process = started(out, frames, "--camera", "picamera2")
    assert process.stdout.readline().endswith(" ms)\n")
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert said.endswith("stopped\n")
    assert "camera closed" in errors
    assert "Traceback" not in errors


def test_a_camera_without_pictures_is_reported(out, frames):
    process = started(out, frames, "--camera", "opencv")  # its pictures end after the fourth
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said.count(" ms)") == 4
    assert "camera 0 gives no pictures" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("camera", ["picamera2", "opencv"])
def test_a_missing_package_is_named(camera, out):
    done = subprocess.run(
        # As if the package were not there, whether or not it is.
        [
            *(sys.executable, "-c"),
            "import runpy, sys; sys.modules.update(cv2=None, picamera2=None);"
            " sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')",
            *(out / "snippets/camera.py", "--camera", camera),
        ],
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "install" in done.stderr


@pytest.fixture
def snippet(out, monkeypatch):
    """The module classify of a build."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "square", raising=False)  # that of another build
    spec = importlib.util.spec_from_file_location("classify", out / "snippets/classify.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_classify_takes_files_images_and_arrays(snippet, out, frames):
    path = frames / "0.png"
    image = Image.open(path)
    answers = [snippet.classify(one) for one in (path, str(path), image, np.asarray(image))]
    agrees(answers[0], expected_of(out, "model.tflite", path), 1e-6)
    assert all(one == answers[0] for one in answers[1:])


def test_neighbours_name_their_thumbnails(snippet, out, frames):
    (out / "thumbnails").mkdir(exist_ok=True)
    for index in range(0, 12, 2):
        (out / f"thumbnails/{index}.jpg").touch()
    for one in snippet.classify(frames / "0.png")["neighbors"]:
        expected = None if one["index"] % 2 else str(out / f"thumbnails/{one['index']}.jpg")
        assert one.get("thumbnail") == expected
