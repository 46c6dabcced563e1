"""onnxruntime-web, under Node: the same answers as onnxruntime and the exact k-NN."""

import json

import numpy as np
import pytest
from support import PRECISION, photo_case, vector_case

from pocketknn.export import check
from pocketknn.export.formats.onnx import load
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.storage import groups
from pocketknn.export.manifest.describe import describe
from pocketknn.export.manifest.figures import measure

CASES = {
    "bundled": lambda photos: photo_case(photos, "bundled"),
    "bundled, bytes": lambda photos: photo_case(photos, "bundled"),
    "vectors, euclidean, pca": lambda photos: vector_case(metric="euclidean", pca=4),
    "vectors, unknown": lambda photos: vector_case(reject="auto", false_rejection=0.5),
    "vectors, manhattan": lambda photos: vector_case(metric="manhattan", vote="distance"),
    "vectors, eight bits": lambda photos: vector_case(
        n=90, references_precision="int8", recall=0.5
    ),
    "vectors, scan": lambda photos: vector_case(
        n=900, d=72, search="rerank", references_precision="float16", candidates=40
    ),
    "vectors, two stages": lambda photos: vector_case(
        n=902, d=72, references_precision="int8", recall=0.5
    ),
    "vectors, mean": lambda photos: vector_case(head="regress", vote="distance"),
}


@pytest.fixture(scope="module")
def web(ortweb, node):
    def ask(model, inputs):
        (ortweb / "inputs.bin").write_bytes(inputs.tobytes())
        shape = ",".join(map(str, inputs.shape))
        done = node(ortweb, "answers.mjs", model, "inputs.bin", inputs.dtype.name, shape)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        return {name: np.array(one["data"]).reshape(one["dims"]) for name, one in said.items()}

    return ask


@pytest.mark.parametrize("name", CASES)
def test_the_web_answers_as_the_desktop(name, web, photos, tmp_path, monkeypatch):
    if "stages" in name:  # as with very many references
        monkeypatch.setattr(groups, "FROM", 900)
        monkeypatch.setattr(groups, "_SIZES", range(4, 5))
        monkeypatch.setattr(groups, "_USUAL", 4)
    case = CASES[name](photos)
    pixels = "uint8" if "bytes" in name else "float32"
    options = Options(pixels=pixels)
    metadata = describe(case.fit, case.backbone, PRECISION, measure(case.fit), options)
    path = tmp_path / "model.onnx"
    case.write("onnx", path, "float32", metadata, options)
    assert (b"_ordered" in path.read_bytes()) == ("stages" in name)
    here = load(path)(case.queries.inputs)
    # Manhattan distance needs the differences to all references for each input: few at once.
    blocks = np.array_split(case.queries.inputs.astype(pixels), 3)
    parts = [web(path, block) for block in blocks]
    there = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    assert check(there, case.queries.embeddings, case.fit, precision="float32").failures == ()
    assert there.keys() == here.keys()
    np.testing.assert_array_equal(there["indices"], here["indices"])
    for output in there.keys() - {"indices"}:
        np.testing.assert_allclose(there[output], here[output], rtol=1e-5, atol=2e-6)
