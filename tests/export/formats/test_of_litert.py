"""Packaged backbones, which become files without a converter, against Keras."""

import sys
from subprocess import run

import numpy as np
import pytest
from support import photo_case

from pocketknn.export.formats.options import Options
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.templates import template

# The largest difference of two cosines: float16 has eleven bits.
CLOSE = {"float32": 2e-6, "float16": 4e-3}


@pytest.fixture(scope="module", params=[96, 40])
def case(request, photos):
    """All references are neighbours, so that every cosine can be compared."""
    return photo_case(photos, "bundled", size=request.param, k=12)


@pytest.fixture(scope="module")
def wanted(case):
    """Every cosine (q, 12), by Keras and float64 numpy."""
    pictures = case.queries.inputs.astype(np.float32)
    rows = case.backbone.model.predict(pictures, verbose=0).astype(np.float64)
    units, others = (
        x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-30)
        for x in (rows, case.references.vectors.astype(np.float64))
    )
    return units @ others.T


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Holds no backbone that another file's tests converted; heads serve every backbone."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("name", ["tflite", "onnx", "coreml"])
def test_it_answers_as_keras(name, case, wanted, cache, tmp_path, monkeypatch):
    made = []
    convert = FORMATS[name].convert
    monkeypatch.setattr(
        FORMATS[name], "convert", lambda model, *how: made.append(model) or convert(model, *how)
    )
    monkeypatch.setenv("POCKETKNN_CACHE", cache)
    # The packaged file for LiteRT declares one size; a file of another takes the converter.
    converted = name == "tflite" and case.backbone.size != 96
    for precision in CLOSE if not converted else ["float32"]:
        path = case.write(name, tmp_path / f"{precision}{FORMATS[name].SUFFIX}", precision)
        pictures = [model for model in made if len(model.input_shape) == 4]
        assert len(pictures) == converted
        outputs = FORMATS[name].load(path)(case.queries.inputs)
        found = np.zeros_like(wanted)
        np.put_along_axis(found, outputs["indices"].astype(int), outputs["scores"], axis=1)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=CLOSE[precision], err_msg=precision)
    widest = max(CLOSE.values())
    assert wanted.std() > 10 * widest, "the cosines must differ for this to mean anything"


@pytest.mark.parametrize(
    ("name", "how", "precision"),
    [
        *[(name, Options(), "int8") for name in ("tflite", "onnx", "coreml")],
        *[(name, Options(pixels="uint8"), "float32") for name in ("tflite", "onnx")],
    ],
)
def test_what_takes_a_converter_is_left_to_it(name, how, precision, case, tmp_path):
    path = tmp_path / "backbone"
    given = (case.backbone.graph(), case.backbone.size, path, how, precision)
    assert FORMATS[name].from_litert(*given) is False
    assert not path.exists()


CODE = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from pocketknn.builder import Spec, load_backbone
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.table import FORMATS
net = load_backbone(Spec(backbone="bundled"))
for name in ("tflite", "onnx", "coreml"):
    path = Path(sys.argv[2]) / name
    assert FORMATS[name].from_litert(net.graph(), net.size, path, Options(), "float32")
print(sorted({"tensorflow", "keras", "coremltools", "tf2onnx"} & set(sys.modules)))
"""


def test_no_converter_is_imported(tmp_path):
    place = template.__file__.split("pocketknn")[0]
    done = run(
        [sys.executable, "-c", CODE, place, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
