"""The .keras file opens without pocketknn, in the oldest Keras that README names."""

import os
import subprocess
import sys

import numpy as np
import pytest
from support import photo_case, vector_case

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
import keras, numpy, os, pathlib
assert sys.argv[2] in ("installed", keras.__version__), keras.__version__
for path in pathlib.Path(sys.argv[1]).glob("*.keras"):
    try:
        model = keras.models.load_model(path)
    except ValueError as error:
        assert "ReversibleEmbedding" in str(error), error
        continue
    inputs = numpy.load(path.with_suffix(".npy")).astype("float32")
    # `predict` compiles the graph, which takes as long as all the rest; once is enough.
    found = model.predict(inputs, verbose=0) if path.stem == "photos" else model(inputs)
    found = {name: keras.ops.convert_to_numpy(values) for name, values in found.items()}
    numpy.savez(f"{path}.{sys.argv[2]}.npz", **found)
os._exit(0)  # TensorFlow takes a second to clean up
"""
# docs/pages/reference/files.md says which Keras opens what: the layer of `NEWER` came with 3.12.
STEADY = {
    "manhattan": {"metric": "manhattan"},
    "minkowski": {"metric": "minkowski"},
    "regress": {"head": "regress"},
    "neighbors": {"head": "neighbors", "pca": 4},
    "soft": {"projection": "classes", "vote": "soft", "reject": "auto"},
    "distance": {"vote": "distance", "balanced": True},
}
NEWER = {
    "euclidean": {"metric": "euclidean"},
    "float16": {"references_precision": "float16"},
    "int8": {"references_precision": "int8", "recall": 0.9},
    "rerank": {"search": "rerank", "head": "regress"},
}


@pytest.fixture(scope="module")
def written(photos, tmp_path_factory):
    """A folder with a file of each kind, and their inputs."""
    folder = tmp_path_factory.mktemp("written")
    case = photo_case(photos, "bundled")
    export(case.spec, case.references, case.backbone, folder / "out", formats=["keras"])
    (folder / "out" / "model.keras").rename(folder / "photos.keras")
    cases = {name: vector_case(n=400, **choices) for name, choices in (STEADY | NEWER).items()}
    for name, one in cases.items():
        one.write("keras", folder / f"{name}.keras")
    for name, one in (cases | {"photos": case}).items():
        np.save(folder / f"{name}.npy", one.queries.inputs)
    return folder


@pytest.fixture(scope="module")
def answers(written):
    """What each file answers here."""
    names = ("photos", *STEADY, *NEWER)
    return {
        name: load(written / f"{name}.keras").run(np.load(written / f"{name}.npy"))
        for name in names
    }


def environment_of(version, folder):
    """Environment variables of a Python with this Keras; before 3.11 it names no operations."""
    if version == "installed":
        return dict(os.environ)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wanted = ["--no-deps", "--target", folder, f"keras=={version}"]
    done = subprocess.run([*install, *wanted], capture_output=True, text=True, check=False)
    if done.returncode:
        why = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        pytest.skip(f"no package index gives Keras {version}: {why[:1]}")
    return os.environ | {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize(
    ("version", "kinds"),
    [
        ("installed", {"photos", *STEADY, *NEWER}),
        ("3.12.0", {"photos", *STEADY, *NEWER}),
        ("3.11.0", {"photos", *STEADY}),
    ],
)
def test_plain_keras_gives_the_same_answers(version, kinds, written, answers, tmp_path):
    environment = environment_of(version, tmp_path / "keras")
    command = [sys.executable, "-c", CODE, written, version]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd="/", check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    ending = f".keras.{version}.npz"
    assert {path.name.removesuffix(ending) for path in written.glob(f"*{ending}")} == kinds
    for kind in kinds:
        here = answers[kind]
        with np.load(written / f"{kind}{ending}") as there:
            assert sorted(there.files) == sorted(here)
            assert there["indices"].tolist() == here["indices"].tolist()
            np.testing.assert_allclose(there["scores"], here["scores"], atol=1e-6)
