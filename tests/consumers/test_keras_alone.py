"""The .keras file opens where pocketknn is not installed."""

import os
import subprocess
import sys

import numpy as np
import pytest
from support import photo_case

from pocketknn.export import export, load

CODE = """
import sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pocketknn":
            raise ImportError("pocketknn is not installed here")

sys.meta_path.insert(0, Wall())
try:
    import pocketknn.builder
except ImportError:
    pass
else:
    sys.exit("the wall has a hole")
import keras, numpy
assert len(sys.argv) < 5 or keras.__version__ == sys.argv[4], keras.__version__
model = keras.models.load_model(sys.argv[1])
outputs = model.predict(numpy.load(sys.argv[2]).astype("float32"), verbose=0)
numpy.savez(sys.argv[3], **outputs)
"""


@pytest.fixture(scope="module")
def oldest(tmp_path_factory):
    """A folder with the oldest Keras that opens what is written; others name no operations."""
    folder = tmp_path_factory.mktemp("oldest")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wanted = ["--no-deps", "--target", folder, "keras==3.11.0"]
    done = subprocess.run([*install, *wanted], capture_output=True, text=True, check=False)
    if done.returncode:
        why = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        pytest.skip(f"no package index gives Keras 3.11.0: {why[:1]}")
    return folder


@pytest.mark.parametrize("version", ["installed", "oldest"])
def test_plain_keras_gives_the_same_answers(version, request, photos, tmp_path):
    case = photo_case(photos, "bundled")
    export(case.spec, case.references, case.backbone, tmp_path / "out", formats=["keras"])
    np.save(tmp_path / "in.npy", case.queries.inputs)
    path = tmp_path / "out" / "model.keras"
    command = [sys.executable, "-c", CODE, path, tmp_path / "in.npy", tmp_path / "answers.npz"]
    command += ["3.11.0"] if version == "oldest" else []
    environment = dict(os.environ)
    if version == "oldest":
        environment["PYTHONPATH"] = str(request.getfixturevalue("oldest"))
    done = subprocess.run(
        command, capture_output=True, text=True, cwd="/", check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    here = load(path).run(case.queries.inputs)
    with np.load(tmp_path / "answers.npz") as answers:
        assert sorted(answers.files) == ["indices", "probabilities", "scores"]
        assert answers["indices"].tolist() == here["indices"].tolist()
        np.testing.assert_allclose(answers["scores"], here["scores"], atol=1e-6)
