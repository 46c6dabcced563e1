"""The sizes and costs that a build predicts, against the real ones."""

import numpy as np
import pytest
from support import photo_case

from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import Spec
from pocketknn.export import export
from pocketknn.export.formats.options import Options
from pocketknn.export.pipeline.export import planned
from pocketknn.export.sizes.estimate import network_of, plan


@pytest.mark.parametrize(
    ("precision", "stored", "formats"),
    [
        (None, "float32", ("keras", "tflite", "coreml", "onnx")),  # Core ML in float16
        ("float16", "int8", ("keras", "tflite", "onnx")),  # Keras in float32
        ("int8", "int8", ("tflite", "coreml", "onnx")),
    ],
)
def test_sizes_are_right_to_a_few_per_cent(precision, stored, formats, photos, tmp_path):
    case = photo_case(photos, "bundled", k=3, references_precision=stored, recall=0.5)
    # More references than photos, so that their size matters.
    rng = np.random.default_rng(0)
    more = case.references.vectors[rng.integers(0, 12, 800)]
    more = np.abs(more + rng.normal(scale=0.1, size=more.shape)).astype(np.float32)
    references = References.of(more, ["a", "b"] * 400)
    options = Options(precision=precision)
    told = planned(case.spec, references, case.backbone, options, formats)
    made = export(
        case.spec, references, case.backbone, tmp_path / "out", options=options, formats=formats
    )
    for one, file in zip(told, made.written, strict=True):
        assert one.format == file.format
        assert one.bytes == pytest.approx(file.bytes, rel=0.08), one
        assert one.backbone + one.references < one.bytes


def test_multiplications(photos):
    """The bundled network's equal those in its card; a search's equal those of its tables."""
    case = photo_case(photos, "bundled", k=3)
    network = network_of(case.backbone.model)
    assert network.multiplications == pytest.approx(17.6e6, rel=0.01)
    (one,) = plan(case.fit, case.backbone, {"onnx": "float32"}, case.metadata)
    assert one.search == 12 * 1280
    assert one.read == 12 * 1280 * 4
    vectors = np.random.default_rng(0).gamma(0.5, 1, (900, 72)).astype(np.float32)
    choices = {"search": "rerank", "references_precision": "int8", "candidates": 40}
    fitted = fit(Spec(backbone="vector", **choices), References.of(vectors))
    (one,) = plan(fitted, None, {"tflite": "float32"}, case.metadata)
    width = fitted.index.width
    assert one.search == 72 * width + 900 * width + 40 * 72
    assert one.read == 900 * width + 40 * 72
    assert one.network == 0


def test_a_plan_of_a_budget_says_what_to_type_instead(photos, pocketknn):
    said = pocketknn("build", photos, "--plan", "--budget", "5MB")
    assert said.code == 2
    assert "different values of --precision and --backbone" in said.err


def test_nothing_is_written(photos, tmp_path, pocketknn):
    out = tmp_path / "out"
    said = pocketknn("build", photos, "-o", out, "--backbone", "bundled", "--plan")
    assert said.code == 0
    assert not out.exists()
    lines = [line.split() for line in said.out.splitlines()]
    assert [line[0] for line in lines if line and line[0] in ("keras", "tflite", "coreml")]
    assert "17.6" in said.out
