"""The .keras file opens where pocketknn is not installed."""

import subprocess
import sys

import numpy as np
from conftest import photo_case

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
model = keras.models.load_model(sys.argv[1])
outputs = model.predict(numpy.load(sys.argv[2]).astype("float32"), verbose=0)
numpy.savez(sys.argv[3], **outputs)
"""


def test_plain_keras_gives_the_same_answers(photos, tmp_path):
    case = photo_case(photos, "bundled")
    export(case.spec, case.references, case.backbone, tmp_path / "out", formats=["keras"])
    np.save(tmp_path / "in.npy", case.queries.inputs)
    path = tmp_path / "out" / "model.keras"
    command = [sys.executable, "-c", CODE, path, tmp_path / "in.npy", tmp_path / "answers.npz"]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    here = load(path).run(case.queries.inputs)
    with np.load(tmp_path / "answers.npz") as answers:
        assert sorted(answers.files) == ["indices", "probabilities", "scores"]
        assert answers["indices"].tolist() == here["indices"].tolist()
        np.testing.assert_allclose(answers["scores"], here["scores"], atol=1e-6)
