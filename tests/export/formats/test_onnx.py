"""What other tools read from an ONNX file: operators, names, metadata, size."""

import json

import keras
import numpy as np
import onnx
import pytest
from support import PRECISION, Case, photo_case, vector_case

from pocketknn.builder import References, Spec
from pocketknn.export import check
from pocketknn.export.formats.onnx import load
from pocketknn.export.formats.onnx.conversion import OPSET, canonical
from pocketknn.export.formats.options import Options
from pocketknn.export.manifest.describe import describe
from pocketknn.export.parity.test_inputs import Queries

HOSTILE = ["\\", "a \"b\" 'c'", "ä, ö; 雪 🙂", "{0: $x ${y}}"]


def written(case, folder, **options):
    path = folder / "model.onnx"
    metadata = describe(case.fit, case.backbone, PRECISION, None, Options(**options))
    return onnx.load(case.write("onnx", path, "float32", metadata, Options(**options)))


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
    assert [(one.domain, one.version) for one in proto.opset_import] == [("", OPSET)]
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


def test_the_references_lie_in_the_file_once_by_rows(tmp_path):
    """tf2onnx stores columns and, for the Euclidean search, which also looks rows up, both."""
    for metric in ("cosine", "euclidean"):
        case = vector_case(n=2000, d=64, metric=metric)
        plain = written(case, tmp_path)
        matrix = case.fit.space.constants["references"]
        content = (tmp_path / "model.onnx").read_bytes()
        assert content.count(matrix.tobytes()) == 1
        assert content.count(matrix.T.tobytes()) == 0
        assert {node.op_type for node in plain.graph.node if "references" in node.name} >= {"Gemm"}


def test_a_backbone_that_multiplies_stacks_of_matrices_still_converts(photos, tmp_path):
    image = keras.Input((8, 8, 3))
    rows = keras.layers.Dense(3)(keras.layers.Dense(4)(image / 255.0))
    path = tmp_path / "stacks.keras"
    keras.Model(image, keras.layers.Flatten()(rows)).save(path)
    case = photo_case(photos, str(path), metric="euclidean")
    written(case, tmp_path)
    outputs = load(tmp_path / "model.onnx")(case.queries.inputs)
    queries = case.queries.embeddings
    assert check(outputs, queries, case.fit, precision="float32").failures == ()


def strictly(proto):
    """The checks of a strict runtime."""
    onnx.checker.check_model(proto, full_check=True)
    onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True, data_prop=True)
    assert not proto.graph.value_info


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_no_shape_in_between_is_that_of_other_references(photos, tmp_path, precision, small_net):
    """A template has more classes and references than these; strict shape inference would fail."""
    case = photo_case(photos, small_net, k=4, vote="soft", balanced=True)
    strictly(onnx.load(case.write("onnx", tmp_path / "model.onnx", precision)))


VARIANTS = {
    "soft, classes": {"vote": "soft", "projection": "classes"},
    "distance, balanced": {"vote": "distance", "balanced": True},
    "unknown": {"reject": 0.2},
    "neighbours": {"head": "neighbors"},
    "regress": {"head": "regress"},
    "euclidean, pca": {"metric": "euclidean", "pca": 6, "whiten": 0.5},
    "manhattan": {"metric": "manhattan"},
    "minkowski": {"metric": "minkowski"},
    "half": {"references_precision": "float16"},
    "bytes": {"references_precision": "int8"},
    "rerank": {"search": "rerank", "references_precision": "int8", "n": 600, "recall": 0.8},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_passes_the_strict_check(variant, tmp_path):
    case = vector_case(**VARIANTS[variant])
    strictly(onnx.load(case.write("onnx", tmp_path / "model.onnx")))


def scrambled(proto, seed):
    """The same graph with other names, and its nodes in another valid order."""
    rng = np.random.default_rng(seed)
    fixed = {value.name for value in (*proto.graph.input, *proto.graph.output)}
    values = {name for node in proto.graph.node for name in (*node.input, *node.output)}
    numbers = rng.permutation(len(values))
    other = {name: f"v{number}" for name, number in zip(sorted(values), numbers, strict=True)}
    other |= {name: name for name in (*fixed, "")}
    for node in proto.graph.node:
        for names in (node.input, node.output):
            names[:] = [other[name] for name in names]
    for tensor in proto.graph.initializer:
        tensor.name = other[tensor.name]
    ready = {value.name for value in (*proto.graph.input, *proto.graph.initializer)} | {""}
    left, nodes = list(proto.graph.node), []
    while left:
        may = [node for node in left if ready.issuperset(node.input)]
        node = may[rng.integers(len(may))]
        left.remove(node)
        nodes.append(node)
        ready.update(node.output)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    tables = list(proto.graph.initializer)
    rng.shuffle(tables)
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(tables)
    onnx.checker.check_model(proto)
    return proto


@pytest.mark.parametrize("choices", CASES.values(), ids=CASES)
def test_whatever_order_tf2onnx_chose_a_graph_is_written_in_one(choices, tmp_path):
    """The order depends on sets, which differ between processes; README promises equal bytes."""
    content = written(vector_case(**choices), tmp_path).SerializeToString()
    plain, *others = (onnx.ModelProto.FromString(content) for _ in range(3))
    graphs = [plain.graph, *(scrambled(one, seed).graph for seed, one in enumerate(others))]
    assert graphs[0] != graphs[1] != graphs[2]
    for graph in graphs:
        canonical(graph)
    assert graphs[0] == graphs[1] == graphs[2]


def test_what_a_process_converted_before_is_not_in_a_file(photos, small_net, tmp_path):
    """tf2onnx names convolutions with a running number, such as Conv__382."""
    content = photo_case(photos, small_net).convert("onnx", tmp_path / "m.onnx").read_bytes()
    graphs = [onnx.ModelProto.FromString(content).graph for _ in range(2)]
    for start, graph in zip((382, 1084), graphs, strict=True):
        convolutions = [node for node in graph.node if node.op_type == "Conv"]
        assert len(convolutions) > 1
        for number, node in enumerate(convolutions):
            node.name = f"Conv__{start + number}"
        canonical(graph)
    assert graphs[0] == graphs[1]
