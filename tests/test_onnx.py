"""What other tools see of an ONNX file: operators, names, metadata, size."""

import json

import keras
import numpy as np
import onnx
import pytest
from conftest import PRECISION, Case, photo_case, vector_case
from onnx import TensorProto, helper, numpy_helper

from pocketknn.builder import References, Spec
from pocketknn.export import check, to_onnx
from pocketknn.export.metadata import describe
from pocketknn.export.options import Options
from pocketknn.export.queries import Queries

HOSTILE = ["\\", "a \"b\" 'c'", "ä, ö; 雪 🙂", "{0: $x ${y}}"]


def written(case, folder, **options):
    path = folder / "model.onnx"
    metadata = describe(case.fit, case.backbone, PRECISION, None, Options(**options))
    to_onnx.convert(case.model(), path, metadata, "float32")
    return onnx.load(path)


def properties(proto):
    return {one.key: one.value for one in proto.metadata_props}


@pytest.fixture(scope="module")
def pictured(photos, tmp_path_factory):
    case = photo_case(photos, "bundled", crop="fit")
    return written(
        case, tmp_path_factory.mktemp("p"), author="A. Person", license="CC0", version="7"
    )


CASES = {
    "cosine": {},
    "euclidean": {"metric": "euclidean", "vote": "distance", "pca": 5, "reject": "auto"},
    "manhattan": {"metric": "manhattan", "balanced": True},
    "mean": {"head": "regress"},
}


@pytest.mark.parametrize("choices", CASES.values(), ids=CASES)
def test_only_operators_of_the_standard(choices, tmp_path):
    proto = written(vector_case(**choices), tmp_path)
    assert [(one.domain, one.version) for one in proto.opset_import] == [("", to_onnx.OPSET)]
    assert {node.domain for node in proto.graph.node} == {""}
    assert proto.ir_version == 8, "of opset 17: what ONNX 1.12 and its runtimes read"
    assert not proto.functions
    onnx.checker.check_model(proto, full_check=True)


def test_names_and_shapes(pictured):
    def shape(value):
        return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]

    (feed,) = pictured.graph.input
    assert (feed.name, shape(feed)) == ("image", ["batch", 96, 96, 3])
    given = {value.name: shape(value) for value in pictured.graph.output}
    assert given == {
        "scores": ["batch", 5],
        "indices": ["batch", 5],
        "probabilities": ["batch", 3],
    }
    assert feed.type.denotation == "IMAGE"
    axes = [dim.denotation for dim in feed.type.tensor_type.shape.dim]
    assert axes == ["DATA_BATCH", "DATA_FEATURE", "DATA_FEATURE", "DATA_CHANNEL"]
    assert "crop fit" in feed.doc_string
    assert all(value.doc_string for value in pictured.graph.output)


def test_the_metadata_that_other_tools_read(pictured):
    said = properties(pictured)
    standard = {key: said[key] for key in said if not key.startswith("pocketknn.")}
    assert standard == {
        "author": "A. Person",
        "license": "CC0",
        "version": "7",
        "description": pictured.doc_string,
        "task": "classify",
        "k": "5",
        "metric": "cosine",
        "names": '{"0": "apple", "1": "berries/red", "2": "cherry"}',
        "imgsz": "[96, 96]",
        "crop": "fit",
        "backbone": "bundled",
        "Image.BitmapPixelFormat": "Rgb8",
        "Image.ColorSpaceGamma": "SRGB",
        "Image.NominalPixelRange": "NominalRange_0_255",
    }
    assert pictured.producer_name == pictured.domain == "pocketknn"
    assert pictured.producer_version
    assert pictured.model_version == 7
    assert "12 references in 3 classes" in pictured.doc_string


def test_vectors_are_no_pictures(tmp_path):
    proto = written(vector_case(head="neighbors"), tmp_path, version="next")
    assert not proto.graph.input[0].type.denotation
    assert not proto.model_version, "a number, and this version is none"
    keys = [key for key in properties(proto) if not key.startswith("pocketknn.")]
    assert keys == ["version", "description", "task", "k", "metric"]


def test_names_hold_any_label(tmp_path):
    references = References.of(np.eye(4), HOSTILE)
    queries = np.eye(4, dtype=np.float32)
    spec = Spec(backbone="vector", k=1)
    proto = written(Case(spec, references, None, Queries(queries, queries)), tmp_path)
    names = json.loads(properties(proto)["names"])
    assert names == {str(i): label for i, label in enumerate(sorted(HOSTILE))}


def test_the_order_of_the_properties_is_always_the_same(tmp_path):
    case = vector_case()
    orders = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        orders.append(list(properties(written(case, tmp_path / name))))
    assert orders[0] == orders[1]


# Euclidean: the references are multiplied with and looked up, and stored once.


def twice(case, folder, monkeypatch):
    """The same file as tf2onnx leaves it, with the references stored both ways."""
    with monkeypatch.context() as patch:
        patch.setattr(to_onnx, "_share_table", lambda proto: None)
        folder.mkdir()
        return written(case, folder)


def test_the_euclidean_file_holds_the_references_once(tmp_path, monkeypatch):
    case = vector_case(n=2000, d=64, metric="euclidean")
    written(case, tmp_path)
    matrix = case.fit.space.matrix
    table = len(case.metadata.table.encode())
    size = (tmp_path / "model.onnx").stat().st_size - table
    assert matrix.nbytes < size < 1.1 * matrix.nbytes + 20_000
    content = (tmp_path / "model.onnx").read_bytes()
    assert content.count(matrix.tobytes()) == 1
    assert content.count(matrix.T.tobytes()) == 0
    before = twice(case, tmp_path / "before", monkeypatch)
    stored = [numpy_helper.to_array(one).tobytes() for one in before.graph.initializer]
    assert matrix.tobytes() in stored, "else the rewrite has nothing to do any more: drop it"
    assert matrix.T.tobytes() in stored


@pytest.mark.parametrize("pca", [None, 6])
def test_storing_it_once_changes_no_answer(pca, tmp_path, monkeypatch):
    case = vector_case(n=300, metric="euclidean", vote="distance", pca=pca)
    written(case, tmp_path)
    twice(case, tmp_path / "before", monkeypatch)
    paths = [tmp_path / "model.onnx", tmp_path / "before/model.onnx"]
    after, before = (to_onnx.load(path)(case.queries.inputs) for path in paths)
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)
    queries = case.queries.embeddings
    assert check(after, queries, case.fit, precision="float32").failures == ()


def graph_of(rank):
    """A product with W over a stack of matrices, beside a product with W transposed."""
    table = np.arange(6, dtype=np.float32).reshape(2, 3)
    shape = [2] * (rank - 1)
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [*shape, 2])
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("Gather", ["t", "i"], ["z"]),
    ]
    outputs = [
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [*shape, 3]),
        helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 2]),
    ]
    stored = [
        numpy_helper.from_array(table, "w"),
        numpy_helper.from_array(np.ascontiguousarray(table.T), "t"),
        numpy_helper.from_array(np.zeros(1, np.int64), "i"),
    ]
    graph = helper.make_graph(nodes, "g", [given], outputs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(("rank", "kind"), [(2, "Gemm"), (3, "MatMul")])
def test_only_products_of_matrices_are_rewritten(rank, kind):
    proto = graph_of(rank)
    to_onnx._share_table(proto)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.graph.node[0].op_type == kind
    assert ("w" in {one.name for one in proto.graph.initializer}) is (kind == "MatMul")


def test_a_table_that_is_only_nearly_the_transpose_stays():
    proto = graph_of(2)
    other = numpy_helper.to_array(proto.graph.initializer[1]).copy()
    other[0, 0] = -0.0
    proto.graph.initializer[1].CopyFrom(numpy_helper.from_array(other, "t"))
    to_onnx._share_table(proto)
    assert proto.graph.node[0].op_type == "MatMul"


def test_a_backbone_that_multiplies_stacks_of_matrices_still_converts(photos, tmp_path):
    image = keras.Input((8, 8, 3))
    rows = keras.layers.Dense(3)(keras.layers.Dense(4)(image / 255.0))
    path = tmp_path / "stacks.keras"
    keras.Model(image, keras.layers.Flatten()(rows)).save(path)
    case = photo_case(photos, str(path), metric="euclidean")
    written(case, tmp_path)
    outputs = to_onnx.load(tmp_path / "model.onnx")(case.queries.inputs)
    queries = case.queries.embeddings
    assert check(outputs, queries, case.fit, precision="float32").failures == ()
