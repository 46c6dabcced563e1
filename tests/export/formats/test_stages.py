"""A top-k in two stages in TFLite and ONNX, against one stage and numpy."""

import numpy as np
import pytest
from support import Case, plain

from pocketknn.builder.references.references import References
from pocketknn.export.formats.storage import groups
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.formats.tflite.model import Model
from pocketknn.export.parity.test_inputs import Queries

K = 5


def case_of(n, **choices):
    """Whole numbers, so that scores tie within groups, between them, and with copies."""
    rng = np.random.default_rng(0)
    vectors = rng.integers(-2, 3, (n, 24)).astype(np.float32)
    vectors[300:420] = vectors[7]
    vectors[500] = vectors[8]  # in the group of a farther row, of which there is an earlier copy
    vectors[100] = vectors[501] = vectors[8] + np.eye(24)[0]
    queries = np.concatenate([rng.standard_normal((60, 24)), vectors[[7, 8, 350, n - 1]]])
    queries = queries.astype(np.float32)
    queries[0] = 0
    spec = plain(backbone="vector", head="neighbors", k=K, recall=0.01, **choices)
    return Case(spec, References.of(vectors), None, Queries(queries, queries))


def operators(path):
    """The names of a file's operators, as TFLite spells them."""
    if path.suffix == ".onnx":
        import onnx

        names = {"TopK": "TOPK_V2", "Pad": "PADV2"}
        return [names.get(node.op_type, node.op_type) for node in onnx.load(path).graph.node]
    from ai_edge_litert import schema_py_generated as schema

    kinds = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    model = Model(path.read_bytes())
    return [kinds[model.kind(one)] for one in model.graph.operators]


@pytest.mark.parametrize("format", ["tflite", "onnx"])
@pytest.mark.parametrize("n", [1600, 1601], ids=["whole groups", "a group with empty places"])
@pytest.mark.parametrize(
    "choices",
    [
        {"references_precision": "float16"},
        {"references_precision": "int8"},
        {"search": "rerank", "candidates": 40},
    ],
    ids=["float16", "int8", "rerank"],
)
def test_two_stages_answer_as_one(format, n, choices, monkeypatch, tmp_path):
    case, suffix = case_of(n, **choices), FORMATS[format].SUFFIX
    one = case.write(format, tmp_path / f"one{suffix}", "float32")
    monkeypatch.setattr(groups, "FROM", 1000)
    monkeypatch.setattr(groups, "_SIZES", range(4, 5))
    monkeypatch.setattr(groups, "_USUAL", 4)
    two = case.write(format, tmp_path / f"two{suffix}", "float32")
    added = operators(two).count("TOPK_V2") - operators(one).count("TOPK_V2")
    assert added == 2, "the groups, and their order"
    assert operators(two).count("PADV2") == n % 4
    wanted, found = (FORMATS[format].load(path)(case.queries.inputs) for path in (one, two))
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values)
    # What a file ranks is what it scores, for products that are not quantised.
    if choices.get("references_precision") == "float16":
        rows = case.fit.index.table.astype(np.float64)
        units = case.queries.inputs.astype(np.float64)
        units /= np.maximum(np.linalg.norm(units, axis=1, keepdims=True), 1e-30)
        exact = np.sort(units @ rows.T, axis=1)[:, ::-1][:, :K]
        np.testing.assert_allclose(found["scores"], exact, atol=1e-6)
    assert found["indices"][61, :4].tolist() == [8, 500, 100, 501]
    assert found["indices"][60].tolist() == [7, *range(300, 304)], "ties go to the lowest"


def test_groups_hold_every_score_once():
    for n in (1 << 17, 131_101, 999_983, 1_000_000):
        cut = groups.groups(n, 116)
        assert cut.many * cut.size - cut.empty == n
        assert 0 <= cut.empty < cut.size
    assert groups.groups(1_000_000, 5).empty == 0
    assert groups.groups((1 << 17) - 1, 5) is None, "one stage is as fast"
    assert groups.groups(1 << 17, 1000) is None, "as many groups would be ranked as there are"
