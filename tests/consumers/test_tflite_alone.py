"""A device needs only the .tflite file, not pocketknn."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from installed import environment
from support import drawing, photo_case

from pocketknn.export import load
from pocketknn.export.manifest.artefact import metadata_of

# What a user writes on a Raspberry Pi after `app/bin/pip install ai-edge-litert numpy pillow`.
SCRIPT = """
import csv, io, json, sys, zipfile
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

model, picture = sys.argv[1:]
files = zipfile.ZipFile(model)
labels = files.read("labels.txt").decode().split("\\n")
rows = list(csv.DictReader(io.StringIO(files.read("references.csv").decode(), newline="")))
ask = Interpreter(model).get_signature_runner()
_, high, wide, _ = ask.get_input_details()["image"]["shape"]
image = Image.open(picture).convert("RGB").resize((wide, high), Image.Resampling.BILINEAR)
answer = {name: value[0] for name, value in ask(image=np.float32(image)[None]).items()}
votes = dict(zip(labels, answer["probabilities"].tolist()))
nearest = rows[int(answer["indices"][0])]["path"]
print(json.dumps({"votes": votes, "nearest": nearest, "score": float(answer["scores"][0])}))
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A Python with LiteRT, numpy and Pillow, without our code."""
    folder = tmp_path_factory.mktemp("bare")
    yield environment(folder, ["ai-edge-litert", "numpy", "pillow"])
    shutil.rmtree(folder)


def test_the_file_answers_as_our_load_does(photos, bare, tmp_path):
    case = photo_case(photos, "bundled")
    path, size = tmp_path / "model.tflite", case.backbone.size
    case.write("tflite", path)
    picture = drawing(3, (size, size))  # which needs no resizing
    picture.save(tmp_path / "picture.png")
    command = [bare, "-I", "-c", SCRIPT, path, tmp_path / "picture.png"]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    there = json.loads(done.stdout)
    here = load(path).run(np.asarray(picture)[None])
    rows = metadata_of(path).rows()
    np.testing.assert_allclose(list(there["votes"].values()), here["probabilities"][0], atol=1e-6)
    assert list(there["votes"]) == list(case.fit.labels)
    assert there["nearest"] == rows[here["indices"][0, 0]]["path"]
    assert there["score"] == pytest.approx(here["scores"][0, 0], abs=1e-6)
