"""References in fewer bytes, and searches that compare only some of them, in every format."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors
from support import PLAIN, PRECISION, Case, photo_case, plain

from pocketknn.builder.choices.searches import find
from pocketknn.builder.choices.searches.index import LARGEST, encode, scale
from pocketknn.builder.errors import InputError
from pocketknn.builder.graph.wire import wire
from pocketknn.builder.knn import exact as neighbors
from pocketknn.builder.knn.index.choose import index_again
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import Spec
from pocketknn.export import export
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.read_back import open_artefact
from pocketknn.export.output.checksums import files_of, size
from pocketknn.export.parity.check import check
from pocketknn.export.parity.compare import holds
from pocketknn.export.parity.test_inputs import Queries

N, D, K = 1600, 72, 5
KINDS = {
    "float16": {"references_precision": "float16"},
    "int8": {"references_precision": "int8"},
    "rerank": {"search": "rerank"},
    "rerank, float16": {"search": "rerank", "references_precision": "float16"},
    "rerank, int8": {"search": "rerank", "references_precision": "int8"},
}


def clustered(n=N, d=D, seed=0, queries=60):
    """Clustered, non-negative vectors, like pooled features."""
    rng = np.random.default_rng(seed)
    middles = rng.gamma(0.5, 1, (max(2, n // 40), d))
    drawn = middles[rng.integers(0, len(middles), n + queries)]
    vectors = np.maximum(drawn + rng.normal(scale=0.3, size=drawn.shape), 0).astype(np.float32)
    return vectors[:n], vectors[n:], rng


def case_of(n=N, d=D, seed=0, classes=7, **choices):
    vectors, queries, rng = clustered(n, d, seed)
    queries[0] = 0
    references = References.of(vectors, [f"class {i}" for i in rng.integers(0, classes, n)])
    spec = plain(backbone="vector", k=K, recall=choices.pop("recall", 0.9), **choices)
    return Case(spec, references, None, Queries(queries, queries))


def recall(wanted, found):
    return float((wanted[:, :, None] == found[:, None, :]).any(axis=2).mean())


@pytest.fixture(scope="module", params=[kind for kind in KINDS if kind != "rerank, float16"])
def case(request):
    return case_of(**KINDS[request.param])


def test_shapes_in_a_tflite_file_are_those_that_run(case, tmp_path):
    """A shape left over from the placeholder references would mislead memory planning."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    path = case.write("tflite", tmp_path / "m.tflite", "float32")
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    runtime = Interpreter(str(path), experimental_op_resolver_type=plain)
    told = {one["index"]: one for one in runtime.get_tensor_details()}
    runtime.allocate_tensors()
    runtime.set_tensor(runtime.get_input_details()[0]["index"], case.queries.inputs[:1])
    runtime.invoke()
    for one in runtime.get_tensor_details():
        before = told.get(one["index"], one)  # a kernel's scratch tensors are not part of the file
        if one["shape"].size and -1 not in before["shape_signature"]:
            assert before["shape"].tolist() == one["shape"].tolist(), one["name"]


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_file_answers_as_the_index_does_in_numpy(name, case, tmp_path):
    path = case.write(name, tmp_path / f"m{FORMATS[name].SUFFIX}", PRECISION[name])
    found = FORMATS[name].load(path)(case.queries.inputs)
    assert holds(files_of(path), case.fit)
    parity = check(found, case.queries.embeddings, case.fit, precision="float32")
    assert parity.failures == ()
    own = find(case.fit.index, neighbors.unit(case.queries.embeddings), K)
    # The black query is equally near to all. For int8, runtimes quantise queries with their own
    # step sizes, which changes a few references at the edge of the candidates.
    assert recall(own.indices[1:], found["indices"][1:]) > 0.97
    # Returned references are scored in float32 as stored, so float32 references exactly.
    exact = np.take_along_axis(
        case.fit.space.scores(case.queries.embeddings), found["indices"], axis=1
    )
    np.testing.assert_allclose(found["scores"], exact, rtol=0, atol=1e-6 + case.fit.stored_error)
    assert np.isfinite(found["scores"]).all()
    assert not found["scores"][0].any() or case.fit.index.codes is not None


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_filled_template_answers_as_the_converted_float_graph(name, case, tmp_path):
    suffix = FORMATS[name].SUFFIX
    quick = case.write(name, tmp_path / f"quick{suffix}", PRECISION[name])
    slow = case.convert(name, tmp_path / f"slow{suffix}", PRECISION[name])
    found, wanted = (FORMATS[name].load(one)(case.queries.inputs) for one in (quick, slow))
    # The float graph multiplies queries that are not quantised.
    assert recall(wanted["indices"], found["indices"]) > 0.97
    same = found["indices"] == wanted["indices"]
    np.testing.assert_allclose(found["scores"][same], wanted["scores"][same], atol=2e-6)


def test_the_recall_that_is_said_is_the_recall_that_scikit_learn_sees(case):
    index, vectors = case.fit.index, case.fit.references.vectors.astype(np.float64)
    rows = np.sort(np.random.default_rng(3).permutation(N)[:400])
    nearest = NearestNeighbors(n_neighbors=K + 1, metric="cosine", algorithm="brute").fit(vectors)
    around = nearest.kneighbors(vectors[rows], return_distance=False)
    wanted = np.array([[i for i in near if i != row][:K] for near, row in zip(around, rows)])  # noqa: B905
    found = find(index, neighbors.unit(vectors[rows]), K, rows).indices
    assert not (found == rows[:, None]).any()
    assert recall(wanted, found) == pytest.approx(index.recall, abs=0.03)
    assert index.recall >= 0.9
    assert index.queries == 1000


@pytest.mark.parametrize("name", ["tflite", "onnx"])
def test_sizes(name, tmp_path):
    """Bytes per reference: its values, the scan, and the label's float."""
    sizes = {}
    for n in (800, 1600):
        for kind in ("float16", "int8", "rerank, int8"):
            case = case_of(n=n, **KINDS[kind])
            path = case.write(name, tmp_path / f"{n}{kind}{FORMATS[name].SUFFIX}")
            rows = sum(len(row) for row in case.metadata.files().values())
            width = case.fit.index.width
            assert bool(width) == kind.startswith("rerank")
            # The matrix that projects a query for the scan does not grow with the references.
            sizes[n, kind] = size(path) - rows - 4 * D * width - n * width
    for kind, value in (("float16", 2), ("int8", 1), ("rerank, int8", 1)):
        grown = sizes[1600, kind] - sizes[800, kind]
        assert grown / 800 == pytest.approx(D * value + 4, abs=1)


def test_codes_are_within_half_a_step():
    rows = np.random.default_rng(0).gamma(0.3, size=(300, 40))
    rows[:, 7] = 0.25
    steps, middle = scale(rows.min(axis=0), rows.max(axis=0))
    values = encode(rows, steps, middle)
    used = np.delete(values, 7, axis=1)  # each column has a step of its own
    assert (used.min(axis=0) == -LARGEST).all()
    assert (used.max(axis=0) == LARGEST).all()
    off = np.abs(values * steps.astype(np.float64) + middle - rows)
    assert (off <= steps * 0.5001).all()
    assert not off[:, 7].any()


def test_copies_come_in_their_order(tmp_path):
    vectors, _, _ = clustered(400)
    vectors[100:110] = vectors[7]
    for choices in ({"search": "rerank"}, {"references_precision": "int8"}):
        references = References.of(vectors, ["a"] * 200 + ["b"] * 200)
        spec = plain(backbone="vector", k=K, recall=0.8, **choices)
        case = Case(spec, references, None, Queries(vectors[:9], vectors[:9]))
        for name in ("tflite", "onnx"):
            path = tmp_path / f"{len(choices)}{next(iter(choices))}{FORMATS[name].SUFFIX}"
            found = FORMATS[name].load(case.write(name, path))(vectors[7:8])
            assert found["indices"][0].tolist() == [7, 100, 101, 102, 103]


@pytest.fixture(scope="module")
def very_many():
    """More references than 16 bits count."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(66_000, 12)).astype(np.float32)
    references = References.of(vectors)
    spec = plain(
        backbone="vector", k=3, search="rerank", references_precision="int8", candidates=30
    )
    return Case(spec, references, None, Queries(vectors[-4:], vectors[-4:]))


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_last_of_very_many_is_found(name, very_many, tmp_path):
    """Every counter of references must exceed 65,536, also with int8."""
    path = very_many.write(name, tmp_path / f"m{FORMATS[name].SUFFIX}", PRECISION[name])
    found = FORMATS[name].load(path)(very_many.queries.inputs)
    assert found["indices"][:, 0].tolist() == list(range(65_996, 66_000))


def test_an_answer_does_not_depend_on_the_others_of_a_batch(tmp_path):
    case = case_of(**KINDS["rerank, int8"])
    run = FORMATS["onnx"].load(case.write("onnx", tmp_path / "m.onnx"))
    queries = case.queries.inputs * np.geomspace(1e-3, 1e3, len(case.queries.inputs))[:, None]
    together = run(queries.astype(np.float32))
    alone = [run(query[None].astype(np.float32)) for query in queries]
    assert np.array_equal(together["indices"], np.concatenate([one["indices"] for one in alone]))


def test_the_same_references_give_the_same_bytes(tmp_path):
    for name in ("tflite", "onnx"):
        made = [
            case_of(**KINDS["rerank, int8"]).write(name, tmp_path / f"{i}{FORMATS[name].SUFFIX}")
            for i in range(2)
        ]
        assert made[0].read_bytes() == made[1].read_bytes()


# Errors are detected


@pytest.mark.parametrize("kind", ["rerank", "int8"])
def test_a_wrong_scan_is_no_parity(kind, tmp_path):
    """The scores would still be correct, but for the wrong references."""
    case = case_of(**KINDS[kind])
    path = case.write("tflite", tmp_path / "m.tflite")
    content = path.read_bytes()
    rows = case.fit.index.held[-1]
    start = content.find(rows.tobytes())
    assert start > 0
    shuffled = np.random.default_rng(0).permutation(rows.ravel())
    broken = content[:start] + shuffled.tobytes() + content[start + rows.nbytes :]
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=broken).get_signature_runner()
    rows = [runner(features=one[None]) for one in case.queries.inputs]
    found = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
    failures = check(found, case.queries.embeddings, case.fit, precision="float32").failures
    wanted = "score error" if kind == "int8" else "of the exact neighbours"
    assert any(wanted in failure for failure in failures)
    (tmp_path / "broken.tflite").write_bytes(broken)
    assert not holds([tmp_path / "broken.tflite"], case.fit)


def test_an_index_is_made_again_from_what_the_manifest_says():
    for kind in ("int8", "rerank", "rerank, int8"):
        fitted = case_of(**KINDS[kind]).fit
        first = fitted.index
        again = index_again(fitted.spec, fitted.space, fitted.k, first.width)
        assert again.candidates == first.candidates
        for one, other in zip(first.held, again.held, strict=True):
            assert np.array_equal(one, other)


def test_auto_reads_less_only_where_that_pays():
    assert case_of(search="auto").fit.index is None
    vectors, _, _ = clustered(20_000, 128)
    fitted = fit(Spec(backbone="vector", search="auto"), References.of(vectors))
    assert fitted.index.search == "rerank"
    assert fitted.index.recall >= 0.99
    fitted = fit(
        Spec(backbone="vector", search="auto", references_precision="float16", recall=0.8),
        References.of(vectors[:400]),
    )
    assert (fitted.index.search, fitted.index.precision) == ("exact", "float16")


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"search": "quick"}, "unknown search 'quick'; choose from exact, rerank, auto"),
        ({"search": "ivf"}, "unknown search 'ivf'; choose from exact, rerank, auto"),
        ({"references_precision": "int4"}, "unknown references' precision 'int4'"),
        ({"search": "rerank", "metric": "euclidean"}, "the metric euclidean"),
        ({"references_precision": "int8", "metric": "manhattan"}, "the metric manhattan"),
        ({"recall": 1.5}, "not 1.5"),
        ({"recall": 0.0}, "not 0.0"),
        ({"candidates": 9}, "'candidates' needs the search rerank, not 'exact'"),
        ({"search": "rerank", "candidates": 0}, "candidates must be at least 1"),
        ({"search": "rerank", "candidates": 3}, "candidates must be 5 to 400, not 3"),
        ({"search": "rerank", "candidates": 401}, "candidates must be 5 to 400, not 401"),
        ({"references_precision": "int8", "recall": 1.0}, "100.00% is required"),
    ],
)
def test_choices_that_cannot_be_served(choices, said):
    vectors, _, _ = clustered(400)
    with pytest.raises(InputError, match=r"^[^\n]+$") as caught:
        fit(Spec(backbone="vector", **choices), References.of(vectors))
    assert said in str(caught.value)


def test_a_recall_that_is_too_low_names_one_that_serves():
    references = References.of(clustered(400)[0])
    choices = {"backbone": "vector", "references_precision": "int8"}
    with pytest.raises(InputError) as caught:
        fit(Spec(**choices, recall=1.0), references)
    (named,) = re.findall(r"--recall, such as (0\.\d\d),", str(caught.value))
    found = fit(Spec(**choices, recall=float(named)), references).index
    assert float(named) <= found.recall < float(named) + 0.01, "the highest of two digits"


def test_what_cannot_be_combined_is_refused_before_work(tmp_path):
    references = References.of(clustered(400)[0])
    spec = Spec(backbone="vector", search="rerank", recall=0.9)
    for options, said in (
        (Options(outputs=("scores",)), "the output 'scores'"),
        (Options(ios=15), "iOS 16 or later"),
    ):
        with pytest.raises(InputError, match=said):
            export(spec, references, None, tmp_path / "out", options=options)
    assert not (tmp_path / "out").exists()


def test_such_files_are_not_edited(tmp_path):
    case = case_of(**KINDS["rerank, int8"])
    path = case.write("tflite", tmp_path / "m.tflite")
    with pytest.raises(InputError, match="holds int8 references for the search rerank"):
        open_artefact(path)


# The command line


def test_the_search_by_cells_of_earlier_versions_is_refused(refused, tmp_path):
    """It was measured and removed. Its builds name it in their files, and in their folder."""
    case = case_of(**KINDS["rerank"])
    earlier = {"by": "ivf", "cells": 160, "probes": 12}
    manifest = case.metadata.manifest
    metadata = replace(case.metadata, manifest=manifest | {"search": manifest["search"] | earlier})
    path = case.write("onnx", tmp_path / "m.onnx", metadata=metadata)
    out = tmp_path / "out"
    assert export(case.spec, case.references, None, out, formats=["onnx"]).written
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["search"] |= earlier
    (out / "manifest.json").write_text(json.dumps(manifest))
    for words in (("inspect", path), ("verify", out)):
        line = refused(*words)
        assert "[manifest-broken]" in line
        assert "'ivf', which is not one of exact, rerank" in line
    references = out / "references.parquet"
    line = refused("build", references, "-o", tmp_path / "new", "--search", "ivf")
    assert "[unknown-choice]" in line
    assert "choose from exact, rerank, auto" in line
    assert "--probes" in refused("build", references, "-o", tmp_path / "new", "--probes", "3")


def test_a_build_says_and_verifies_it(photos, tmp_path, pocketknn):
    out = tmp_path / "out"
    built = pocketknn(
        "build", photos, "-o", out, "--backbone", "pixels", "--size", 32, "--no-report",
        "--search", "rerank", "--candidates", 8, "--references-precision", "int8", *PLAIN,
    )  # fmt: skip
    assert built.code == 0, built.err
    assert "search rerank: int8 references, all scanned, comparing 1" in built.out
    assert "of the exact neighbours of 12 held-out references" in built.out
    assert pocketknn("verify", out, photos).code == 0
    told = pocketknn("inspect", out / "model.onnx").out
    assert "the best 8 scored" in told
    edited = pocketknn("edit", out / "model.onnx", "--remove-class", "apple", "--out", "x.onnx")
    assert edited.code == 2
    assert "[cannot-read-back]" in edited.err


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_with_a_backbone_in_every_format(precision, photos, small_net, tmp_path):
    case = photo_case(photos, small_net, k=3, references_precision=precision, recall=0.5)
    for name in FORMATS:
        path = case.write(name, tmp_path / f"m{FORMATS[name].SUFFIX}", PRECISION[name])
        found = FORMATS[name].load(path)(case.queries.inputs)
        parity = check(
            found,
            case.queries.embeddings,
            case.fit,
            precision=PRECISION[name],
            stored=holds(files_of(path), case.fit),
        )
        assert parity.failures == ()


def test_a_scan_behind_a_backbone_in_eight_bits(photos, small_net, tmp_path):
    """TFLite's quantiser must exclude the search."""
    few = photo_case(photos, small_net, k=3)
    rng = np.random.default_rng(0)
    rows = few.references.vectors[rng.integers(0, 12, 1600)]
    rows = rows + rng.normal(scale=0.1 * rows.std(axis=0), size=rows.shape)
    spec = plain(backbone=small_net, k=3, search="rerank", recall=0.8)
    case = Case(spec, References.of(rows, ["a", "b"] * 800), few.backbone, few.queries)
    path = case.write("tflite", tmp_path / "m.tflite", "int8")
    found = FORMATS["tflite"].load(path)(case.queries.inputs)
    assert check(found, case.queries.embeddings, case.fit, precision="int8").failures == ()


def test_a_batch_of_as_many_as_there_are_candidates():
    """Keras broadcasts (batch, 1) to (batch, candidates) wrongly if both numbers are the same."""
    case = case_of(**KINDS["int8"])
    index = case.fit.index
    queries = case.queries.embeddings[: index.candidates]
    outputs = wire(case.fit)(queries)
    found = find(index, neighbors.unit(queries), K)
    assert recall(found.indices[1:], np.asarray(outputs["indices"])[1:]) > 0.99
    np.testing.assert_allclose(outputs["scores"][1:], found.scores[1:], atol=1e-5)
