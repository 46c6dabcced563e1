"""The graph, as Keras runs it, where the runtimes' own tests do not tell."""

import numpy as np

from pocketknn.builder import References, Spec
from pocketknn.builder.graph.wire import wire
from pocketknn.builder.knn.resolve import fit


def test_equal_distances_go_to_the_lowest_row_although_products_are_rounded():
    near = np.random.default_rng(0).integers(3000, 6000, 8)
    moved = near + np.eye(8)  # each at distance 1
    # Their mean is 0, and whole numbers stay exact, except in products of more than 24 bits.
    references = References.of(np.concatenate([moved, -moved]), ["a"] * 8 + ["b"] * 8)
    spec = Spec(k=8, metric="euclidean", projection="none", vote="uniform")
    found = wire(fit(spec, references))(near[None].astype(np.float32))
    assert np.array_equal(found["scores"], np.full((1, 8), -1))
    assert np.array_equal(found["indices"], [np.arange(8)])
