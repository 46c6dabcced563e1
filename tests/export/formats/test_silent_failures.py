"""Silent failures of the converters, reintroduced one by one.

Each test first breaks the code on purpose, as an upstream change or a mistake of ours would, and
then checks that `export` does not write the file.
"""

from types import SimpleNamespace

import coremltools as ct
import keras
import numpy as np
import pytest
import tensorflow as tf
from support import Case, photo_case, vector_case

from pocketknn.builder import References, Spec
from pocketknn.builder.choices.metrics import cosine
from pocketknn.export import FORMATS, export
from pocketknn.export.formats.conversion import serving_function
from pocketknn.export.formats.coreml import conversion as to_coreml
from pocketknn.export.formats.onnx import conversion as to_onnx
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.tflite import conversion as to_tflite
from pocketknn.export.parity.compare import compare
from pocketknn.export.parity.test_inputs import Queries
from pocketknn.export.templates import template
from pocketknn.export.templates.content import content_of


def handed_over(case, name, out, precision=None):
    """The parity of one format, and whether its file was kept."""
    with pytest.MonkeyPatch.context() as patch:
        # Templates cached by other tests are intact, so they must not be used.
        patch.setenv("POCKETKNN_CACHE", f"{out}-cache")
        result = export(
            case.spec,
            case.references,
            case.backbone,
            out,
            against=case.queries,
            formats=[name],
            options=Options(precision=precision),
        )
    (one,) = result.written
    assert (out / one.name).exists() is one.parity.agrees
    assert (one.name in result.manifest["files"]) is one.parity.agrees
    return one.parity


@pytest.mark.parametrize("name", list(FORMATS))
def test_nothing_broken_is_handed_over(name, tmp_path):
    assert handed_over(vector_case(), name, tmp_path / "out").agrees


@pytest.mark.parametrize("module", [to_tflite, to_coreml, to_onnx])
def test_a_lost_output(module, tmp_path, monkeypatch):
    def lossy(model, batch, casts=None, pixels="float32"):
        kept = {name: model.output[name] for name in ("scores", "probabilities")}
        return serving_function(keras.Model(model.input, kept, name="pocketknn"), batch)

    monkeypatch.setattr(module, "serving_function", lossy)
    name = module.__name__.split(".")[-2]
    parity = handed_over(vector_case(), name, tmp_path / "out")
    assert not parity.agrees
    assert "indices" in parity.failures[0]


def test_weights_left_out(photos, small_net, tmp_path, monkeypatch):
    """TFLite: the module holds the Keras model instead of its raw variables."""
    case = photo_case(photos, small_net)

    class Module(tf.Module):
        def __setattr__(self, key, value):
            super().__setattr__(key, case.backbone.model if key == "weights" else value)

    monkeypatch.setattr(tf, "Module", Module)
    assert not handed_over(case, "tflite", tmp_path / "out").agrees


def test_indices_of_sixteen_bits(tmp_path, monkeypatch):
    """Core ML from iOS 17 on: a pass that shortens indices without looking at N."""
    # Row i is i in binary, as signs: even half precision separates the nearest from the next.
    signs = 1 - 2 * (np.arange(70_000)[:, None] >> np.arange(17) & 1).astype(np.float32)
    queries = np.concatenate([np.zeros((1, 17), "f4"), signs[65_000:70_000:125]])
    spec, references = Spec(backbone="vector", k=1), References.of(signs)
    case = Case(spec, references, None, Queries(queries, queries))
    monkeypatch.setattr(ct, "target", SimpleNamespace(iOS16=ct.target.iOS17))

    def judged(name):
        # The references become float16, too, which no template holds: convert the graph itself.
        path = tmp_path / f"{name}.mlpackage"
        case.convert("coreml", path, "float16", wholly=True)
        return compare("coreml", path, "float16", case.fit, case.queries)

    assert judged("without").lists_equal == 1
    monkeypatch.setattr(ct.PassPipeline, "remove_passes", lambda self, passes: None)
    parity = judged("with")
    assert not parity.agrees
    assert parity.lists_equal < 0.2, "rows from 65,536 on come back as others"


def test_nan_on_a_black_picture(photos, tmp_path, monkeypatch):
    """TFLite: UnitNormalization on a zero vector."""
    monkeypatch.setattr(
        cosine,
        "unit_layers",
        lambda x: keras.layers.UnitNormalization()(x),
    )
    case = photo_case(photos, size=16)
    assert not case.queries.embeddings[0].any(), "the first query must be black"
    parity = handed_over(case, "tflite", tmp_path / "out")
    assert not parity.agrees
    assert "NaN" in parity.failures[0]


def test_float16_overflow_in_the_norm(photos, tmp_path, monkeypatch):
    """Core ML: the textbook norm, with the head in half precision."""

    def textbook(x):
        ops = keras.ops
        return x * ops.rsqrt(ops.maximum(ops.sum(x * x, axis=-1, keepdims=True), 1e-12))

    monkeypatch.setattr(cosine, "unit_layers", textbook)
    case = photo_case(photos, size=16)
    assert handed_over(case, "coreml", tmp_path / "single").agrees
    make, convert = template.make, FORMATS["coreml"].convert

    def halved(order, folder):
        def half(model, path, labels, options, precision, calibration):
            convert(model, path, labels, options, order.precision, calibration)

        monkeypatch.setattr(FORMATS["coreml"], "convert", half)
        return make(order, folder)

    monkeypatch.setattr(template, "make", halved)
    assert not handed_over(case, "coreml", tmp_path / "half", "float16").agrees
    widened = handed_over(case, "coreml", tmp_path / "wide")
    assert (widened.agrees, widened.precision) == (True, "float32"), "where nobody asked for half"


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_zeroed_reference(name, tmp_path, monkeypatch):
    """No query finds it, so the outputs alone do not show it."""
    case = vector_case(n=300, d=16, k=1)
    met = set(case.fit.search(case.queries.embeddings).indices.ravel().tolist())
    unmet = next(row for row in range(300) if row not in met)

    def forgetful(fit, *args):
        found = content_of(fit, *args)
        if len(fit.references) == 300:
            matrix = found.constants["references"].copy()
            matrix[unmet] = 0
            found.constants["references"] = matrix
        return found

    monkeypatch.setattr(template, "content_of", forgetful)
    parity = handed_over(case, name, tmp_path / "out")
    assert parity.lists_equal == 1
    assert not parity.stored
    assert not parity.agrees


def test_swapped_colour_channels_in_core_ml(photos, small_net, tmp_path, monkeypatch):
    monkeypatch.setattr(ct, "colorlayout", SimpleNamespace(RGB=ct.colorlayout.BGR))
    assert not handed_over(photo_case(photos, small_net), "coreml", tmp_path / "out").agrees


@pytest.mark.parametrize("module", [to_tflite, to_onnx])
def test_swapped_colour_channels(module, photos, small_net, tmp_path, monkeypatch):
    def swapped(model, *args, **options):
        if len(model.input_shape) != 4:  # the head
            return serving_function(model, *args, **options)
        image = keras.Input(model.input_shape[1:], name="image")
        return serving_function(keras.Model(image, model(image[..., ::-1])), *args, **options)

    monkeypatch.setattr(module, "serving_function", swapped)
    name = module.__name__.split(".")[-2]
    parity = handed_over(photo_case(photos, small_net), name, tmp_path / "out")
    assert parity.stored
    assert not parity.agrees


@pytest.mark.parametrize("module", [to_tflite, to_coreml, to_onnx])
def test_a_rescaling_lost_in_conversion(module, photos, small_net, tmp_path, monkeypatch):
    def unscaled(model, *args, **options):
        if len(model.input_shape) != 4:  # the head
            return serving_function(model, *args, **options)
        image = keras.Input(model.input_shape[1:], name="image")
        return serving_function(keras.Model(image, model(image / 255.0)), *args, **options)

    monkeypatch.setattr(module, "serving_function", unscaled)
    name = module.__name__.split(".")[-2]
    assert not handed_over(photo_case(photos, small_net), name, tmp_path / "out").agrees


def test_a_runtime_that_raises_is_a_failure_not_a_traceback(tmp_path, monkeypatch):
    def broken(path):
        raise RuntimeError("the delegate\nfell over")

    monkeypatch.setattr(FORMATS["onnx"], "load", broken)
    parity = handed_over(vector_case(), "onnx", tmp_path / "out")
    assert parity.failures == ("it cannot be run: the delegate",)
