"""Every format against the oracle, with any references and queries."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support import PRECISION, Case, plain, vote

from pocketknn.builder import References
from pocketknn.builder.knn import exact
from pocketknn.builder.knn.resolve import fit
from pocketknn.export import FORMATS, check
from pocketknn.export.output.checksums import files_of
from pocketknn.export.parity import compare
from pocketknn.export.parity.compare import holds
from pocketknn.export.parity.test_inputs import Queries

# A conversion takes a second or more, so there are few examples, each with many queries.
few = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@st.composite
def asked(draw):
    """References with ties, copies, zero rows and any scale; N from 1, k up to N."""
    n, d = draw(st.integers(1, 12)), draw(st.integers(1, 8))
    small = st.integers(-3, 3).map(float)  # few values: many ties
    rows = draw(arrays(np.float64, (n, d), elements=small))
    queries = draw(arrays(np.float32, (8, d), elements=small.map(np.float32)))
    scale = draw(st.sampled_from([1e-20, 1e-6, 1.0, 1e6, 1e18]))
    labels = draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    vote = draw(st.sampled_from(["uniform", "distance", "soft"]))
    temperature = draw(st.sampled_from([None, 0.003, 0.1, 5.0])) if vote == "soft" else None
    spec = plain(
        backbone="vector",
        k=draw(st.sampled_from(sorted({1, (n + 1) // 2, n}))),
        vote=vote,
        temperature=temperature,
        balanced=draw(st.booleans()),
    )
    references = References.of(rows * scale, labels)
    return spec, references, queries * np.float32(scale)


@pytest.mark.parametrize("name", list(FORMATS))
def test_any_file_agrees_with_the_oracle(name, tmp_path_factory):
    @few
    @given(asked())
    def agrees(given):
        spec, references, queries = given
        case = Case(spec, references, None, Queries(queries, queries))
        path = tmp_path_factory.mktemp("any") / f"model{FORMATS[name].SUFFIX}"
        kind = PRECISION[name]
        case.write(name, path, kind)
        outputs = FORMATS[name].load(path)(case.queries.inputs)
        stored = holds(files_of(path), case.fit)
        # A vector model has no half precision, so float32's tolerances apply to Core ML too.
        parity = check(
            outputs,
            case.queries.embeddings,
            case.fit,
            precision="float32" if case.spec.vote == "uniform" else kind,
            stored=stored,
        )
        assert parity.failures == ()

    agrees()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(asked())
def test_the_oracle_is_sound(given):
    """Properties of any correct k-NN."""
    spec, references, queries = given
    k = spec.k
    found = exact.search(queries, references.vectors, k)
    assert found.indices.shape == found.scores.shape == (8, k)
    assert (np.diff(found.scores, axis=1) <= 0).all(), "descending"
    for scores, indices in zip(found.scores, found.indices, strict=True):
        assert len(set(indices.tolist())) == k
        tied = np.flatnonzero(np.diff(scores) == 0)
        assert (indices[tied] < indices[tied + 1]).all(), "ties go to the lower index"
    assert (np.abs(found.scores) <= 1 + 1e-12).all()
    votes = vote(
        found,
        references.label_ids,
        len(references.labels),
        by=spec.vote,
        temperature=fit(spec, references).temperature,
    )
    np.testing.assert_allclose(votes.sum(axis=1), 1)


@pytest.mark.parametrize("turned", [False, True])
def test_a_large_file_is_searched_for_the_references_without_a_copy_of_them(
    turned, tmp_path, monkeypatch
):
    monkeypatch.setattr(compare, "_BYTES", 1 << 16)
    rows = np.random.default_rng(0).standard_normal((4000, 100)).astype("f4")
    found = fit(plain(backbone="vector", metric="euclidean", k=3), References.of(rows))
    held = found.space.constants["references"]
    file = tmp_path / "file"
    file.write_bytes(b"before" + (held.T if turned else held).tobytes() + b"after")
    tracemalloc.start()
    try:
        assert holds([file], found)
        assert tracemalloc.get_traced_memory()[1] < held.nbytes / 4
    finally:
        tracemalloc.stop()
    for place in (6, file.stat().st_size - 6):
        content = bytearray(file.read_bytes())
        content[place] ^= 1
        (tmp_path / "damaged").write_bytes(content)
        assert not holds([tmp_path / "damaged"], found)
