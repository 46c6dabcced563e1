"""Smaller backbones, and other types of pixels."""

from dataclasses import replace

import numpy as np
import pytest
from support import input_error, photo_case, vector_case

from pocketknn.builder.knn import exact
from pocketknn.export import FORMATS, export, load
from pocketknn.export.formats.files import check_formats
from pocketknn.export.formats.options import Options
from pocketknn.export.sizes import budget

SMALL = ("tflite", "coreml", "onnx")
PRECISIONS = ("float32", "float16", "int8")


@pytest.fixture(scope="module")
def case(photos):
    return photo_case(photos, "bundled", k=3)


@pytest.fixture(scope="module")
def builds(case, tmp_path_factory):
    """The same model in each precision."""
    folder = tmp_path_factory.mktemp("precision")
    given = (case.spec, case.references, case.backbone)
    return {
        precision: export(
            *given,
            folder / precision,
            against=case.queries,
            options=Options(precision=precision),
            formats=SMALL,
        )
        for precision in PRECISIONS
    }


@pytest.mark.parametrize("precision", PRECISIONS)
def test_each_precision_agrees_by_its_own_table(builds, precision):
    for one in builds[precision].written:
        assert one.parity.failures == (), one.name
        assert one.parity.stored, "the head keeps its float32"
        assert one.parity.precision == precision
        # with the bundled weights int8 costs at most 0.016 of a cosine
        assert one.parity.score_error < 0.05


def test_smaller_is_smaller(builds):
    sizes = {
        precision: {one.format: one.bytes for one in build.written}
        for precision, build in builds.items()
    }
    for name in SMALL:
        assert sizes["float16"][name] < 0.62 * sizes["float32"][name]
        assert sizes["int8"][name] < 0.45 * sizes["float32"][name]


def test_eight_bits_were_used(builds):
    """Scores differ from half precision's: the weights are not merely stored in another way."""
    errors = {p: {w.format: w.parity.score_error for w in b.written} for p, b in builds.items()}
    for name in SMALL:
        assert errors["float32"][name] < 1e-5 < errors["float16"][name] < errors["int8"][name]


def test_eight_bits_in_onnx_are_those_of_what_leaves_a_layer(builds):
    """Not those of a convolution before its batch norm or ReLU6, which cuts off most of them."""
    import onnx

    graph = onnx.load(builds["int8"].out / "model.onnx").graph
    users = {name: node.op_type for node in graph.node for name in node.input}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert {users[node.output[0]] for node in convolutions} == {"QuantizeLinear"}
    assert len(convolutions) == 52
    assert not any(node.op_type == "Clip" for node in graph.node)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_bytes_as_they_are_go_in(precision, photos, small_net, tmp_path):
    import onnxruntime as ort
    from ai_edge_litert.interpreter import Interpreter

    case, out = photo_case(photos, small_net, k=3), tmp_path / "out"
    result = export(
        case.spec,
        case.references,
        case.backbone,
        out,
        against=case.queries,
        options=Options(precision=precision, pixels="uint8"),
        formats=["tflite", "onnx"],
    )
    assert [one.parity.failures for one in result.written] == [(), ()]
    picture = case.queries.inputs[3:4]
    assert picture.dtype == np.uint8
    runner = Interpreter(model_path=str(out / "model.tflite")).get_signature_runner()
    assert runner.get_input_details()["image"]["dtype"] == np.uint8
    session = ort.InferenceSession(out / "model.onnx")
    assert session.get_inputs()[0].type == "tensor(uint8)"
    expected = case.fit.search(case.queries.embeddings[3:4]).indices.tolist()
    found = [
        runner(image=picture)["indices"].tolist(),
        session.run(["indices"], {"image": picture})[0].tolist(),
    ]
    assert found == [expected] * 2 or precision == "int8", "which promises no neighbour"


def test_keras_stays_in_float32(photos, small_net, tmp_path):
    case = photo_case(photos, small_net, k=3)
    given = (case.spec, case.references, case.backbone, tmp_path / "out")
    result = export(*given, options=Options(precision="int8"), formats=["keras"])
    assert result.manifest["precision"] == {"keras": "float32"}


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_a_model_of_vectors_has_no_backbone_to_make_smaller(precision, tmp_path):
    case = vector_case(metric="euclidean")
    result = export(
        case.spec, case.references, None, tmp_path / "out", options=Options(precision=precision)
    )
    assert result.agrees
    assert all(one.parity.score_error < 1e-5 for one in result.written)


@pytest.mark.parametrize(
    ("choices", "code"),
    [
        ({"precision": "int4"}, "unknown-precision"),
        ({"pixels": "int8"}, "unknown-pixel-type"),
    ],
)
def test_nonsense_is_refused(choices, code):
    with input_error(code, *choices.values()):
        Options(**choices)


def test_what_core_ml_cannot_do_holds_for_its_files_alone(tmp_path):
    """Also for a budget's variants; it is refused before any work."""
    options = Options(precision="int8", ios=15)
    with input_error("ios-too-old", "iOS 16"):
        check_formats(["tflite", "coreml"], options)
    check_formats(["tflite", "onnx"], options)
    undecided = replace(options, precision=None)
    assert list(budget.refused(["tflite", "coreml"], undecided)) == ["int8"]
    assert budget.refused(["tflite", "onnx"], undecided) == {}
    assert budget.refused(["tflite", "coreml"], replace(undecided, ios=16)) == {}


def test_every_format_says_what_it_can():
    for target in FORMATS.values():
        assert target.PRECISION in target.PRECISIONS


@pytest.mark.parametrize("choices", [{}, {"pca": 5}, {"metric": "manhattan"}])
def test_files_that_end_before_the_top_k(choices, tmp_path):
    """An app that ranks these outputs itself gets the same neighbours."""
    from ai_edge_litert.interpreter import Interpreter

    case = vector_case(**choices)
    options = Options(outputs=("embedding", "scores"))
    given = (case.spec, case.references, None, tmp_path / "out")
    result = export(*given, options=options, formats=["tflite"])
    assert "model-scores.tflite" in result.manifest["files"]
    opened = {
        what: Interpreter(model_path=str(tmp_path / "out" / f"model-{what}.tflite"))
        for what in options.outputs
    }
    for file in opened.values():
        assert "TOPK_V2" not in {op["op_name"] for op in file._get_ops_details()}
    query = case.queries.embeddings[7:8]
    scores = opened["scores"].get_signature_runner()(features=query)["scores"]
    embedding = opened["embedding"].get_signature_runner()(features=query)["embedding"]
    found = case.fit.search(query)
    assert np.argsort(-scores[0], kind="stable")[:5].tolist() == found.indices[0].tolist()
    by_hand = exact.scores(embedding, case.fit.space.rows, case.spec.metric)
    assert np.argsort(-by_hand[0], kind="stable")[:5].tolist() == found.indices[0].tolist()
    with input_error("no-top-k", "model-scores.tflite", "scores"):
        load(tmp_path / "out" / "model-scores.tflite")


def test_all_euclidean_distances_are_refused(tmp_path):
    case = vector_case(metric="euclidean")
    options = Options(outputs=("scores",))
    with input_error("scores-not-available", "euclidean"):
        export(case.spec, case.references, None, tmp_path / "out", options=options)
    assert not (tmp_path / "out").exists()
