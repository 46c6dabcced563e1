"""Every format against the exact k-NN, each file read back by its own runtime."""

import json
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from support import PRECISION, Case, drawing, input_error, photo_case, plain, vector_case

from pocketknn.builder import InputError, References, Spec, build
from pocketknn.builder.backbones.networks.mobilenets import FAMILIES, network
from pocketknn.builder.knn import exact as neighbors
from pocketknn.export import FORMATS, check, load
from pocketknn.export.manifest.artefact import metadata_of
from pocketknn.export.output.checksums import files_of
from pocketknn.export.parity.check import TOLERANCES
from pocketknn.export.parity.compare import holds
from pocketknn.export.parity.test_inputs import Queries

CASES = {
    "vectors, vote": lambda photos: vector_case(),
    "vectors, neighbours": lambda photos: vector_case(head="neighbors"),
    "vectors, by distance": lambda photos: vector_case(vote="distance"),
    "vectors, balanced": lambda photos: vector_case(balanced=True),
    "vectors, soft": lambda photos: vector_case(vote="soft"),
    "vectors, soft, all of them": lambda photos: vector_case(vote="soft", k=40),
    "vectors, soft, cold": lambda photos: vector_case(vote="soft", temperature=0.003),
    "vectors, soft, balanced": lambda photos: vector_case(vote="soft", balanced=True),
    "vectors, soft, euclidean": lambda photos: vector_case(vote="soft", metric="euclidean"),
    "vectors, soft, manhattan": lambda photos: vector_case(vote="soft", metric="manhattan"),
    "vectors, soft, minkowski": lambda photos: vector_case(vote="soft", metric="minkowski"),
    "vectors, both": lambda photos: vector_case(vote="distance", balanced=True),
    "vectors, euclidean": lambda photos: vector_case(metric="euclidean", vote="distance"),
    "vectors, manhattan": lambda photos: vector_case(metric="manhattan", vote="distance"),
    "vectors, minkowski": lambda photos: vector_case(metric="minkowski", vote="distance"),
    "vectors, euclidean, neighbours": lambda photos: vector_case(
        metric="euclidean", head="neighbors"
    ),
    "vectors, k auto": lambda photos: vector_case(k="auto"),
    "vectors, pca": lambda photos: vector_case(pca=4),
    "vectors, whitened pca": lambda photos: vector_case(pca=6, whiten=1.0),
    "vectors, pca of a share": lambda photos: vector_case(pca=0.8, metric="euclidean"),
    "vectors, by default": lambda photos: vector_case(k=None, projection="auto", vote=None),
    "vectors, classes": lambda photos: vector_case(projection="classes"),
    "vectors, classes by distance": lambda photos: vector_case(
        projection="classes", metric="euclidean", vote="distance"
    ),
    "vectors, classes, manhattan": lambda photos: vector_case(
        projection="classes", metric="manhattan", vote="soft"
    ),
    "vectors, soft pca": lambda photos: vector_case(pca=6, whiten=0.5, vote="soft"),
    "vectors, mean": lambda photos: vector_case(head="regress"),
    "vectors, mean by distance": lambda photos: vector_case(head="regress", vote="distance"),
    "vectors, mean by manhattan": lambda photos: vector_case(
        head="regress", vote="distance", metric="manhattan", pca=5
    ),
    "vectors, unknown": lambda photos: vector_case(reject="auto", false_rejection=0.5),
    "vectors, unknown by distance": lambda photos: vector_case(
        reject=-4.0, metric="euclidean", vote="distance", balanced=True
    ),
    "vectors, unknown, soft": lambda photos: vector_case(
        reject="auto", false_rejection=0.5, vote="soft", projection="classes"
    ),
    "one reference, by default": lambda photos: vector_case(
        n=1, k=None, classes=1, projection="auto", vote=None
    ),
    "one reference": lambda photos: vector_case(n=1, k=1, classes=1),
    "k = n": lambda photos: vector_case(n=7, k=7, classes=2),
    "pixels, vote": lambda photos: photo_case(photos, size=16),
    "pixels, neighbours": lambda photos: photo_case(photos, head="neighbors", size=16),
    "bundled, vote": lambda photos: photo_case(photos, "bundled"),
    "pixels, classes": lambda photos: photo_case(
        photos, size=16, projection="classes", vote="soft"
    ),
    "bundled, all": lambda photos: photo_case(
        photos,
        "bundled",
        metric="euclidean",
        pca=8,
        k="auto",
        vote="distance",
        reject="auto",
        false_rejection=0.3,
    ),
}


@pytest.fixture(scope="module", params=list(CASES))
def case(request, photos):
    return CASES[request.param](photos)


V1 = ("mobilenet", 0.25)
SMALL, LARGE = (("mobilenet_v3_small", 0.75), ("mobilenet_v3_large", 0.75))


@pytest.fixture(scope="module", params=[V1, SMALL])
def architecture(request, photos, tmp_path_factory):
    return other_network(*request.param, photos, tmp_path_factory.mktemp("architecture"))


def other_network(name, alpha, photos, folder):
    """Another MobileNet: random weights, batch norms calibrated to keep activations alive."""
    keras.utils.set_random_seed(0)
    net = network(FAMILIES[name], alpha, 64)
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    pictures = [np.asarray(drawing(i, (64, 64)), np.float32) for i in range(32)]
    scale = {"0..255": (1, 0), "-1..1": (1 / 127.5, -1)}[FAMILIES[name].input_range]
    net(np.stack(pictures) * scale[0] + scale[1], training=True)
    path = folder / "w.weights.h5"
    net.save_weights(path)
    return photo_case(photos, name, alpha=alpha, size=64, weights=path, by_keras=True)


def written(name, case, folder, precision=None):
    path = folder / f"model{FORMATS[name].SUFFIX}"
    precision = precision or PRECISION[name]
    return case.write(name, path, precision)


def judge(name, path, case, precision=None):
    return check(
        FORMATS[name].load(path)(case.queries.inputs),
        case.queries.embeddings,
        case.fit,
        precision=precision or PRECISION[name],
        stored=holds(files_of(path), case.fit),
    )


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_file_agrees_with_exact_knn(name, case, tmp_path):
    path = written(name, case, tmp_path)
    parity = judge(name, path, case)
    assert parity.failures == ()
    assert parity.stored
    assert metadata_of(path) == case.metadata


@pytest.mark.parametrize("precision", ["float16", "int8"])
@pytest.mark.parametrize("vote", ["uniform", "distance", "soft"])
def test_a_vote_of_less_than_float32_is_that_of_its_own_neighbours(
    vote, precision, photos, small_net, tmp_path
):
    """Whatever rounding in the backbone does to the scores, the vote follows from them."""
    case = photo_case(photos, small_net, vote=vote)
    path = written("tflite", case, tmp_path, precision)
    assert judge("tflite", path, case, precision).failures == ()


def kinds_of_layers(name, alpha):
    """What a converter tells apart in a network: layers without names, sizes and filters."""
    found = set()
    for layer in network(FAMILIES[name], alpha, 64).layers:
        told = layer.get_config()
        for key in ("name", "filters", "batch_shape", "target_shape"):
            told.pop(key, None)
        if isinstance(layer, keras.layers.ZeroPadding2D):
            del told["padding"]
        found.add((type(layer).__name__, json.dumps(told, sort_keys=True, default=str)))
    return found


def test_the_large_network_has_no_kind_of_layer_that_the_small_one_lacks():
    """So not every format need be tried with it."""
    assert kinds_of_layers(*LARGE) <= kinds_of_layers(*SMALL)
    assert not kinds_of_layers(*SMALL) <= kinds_of_layers(*V1)


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_architecture_agrees(name, architecture, tmp_path):
    assert_agrees(name, architecture, tmp_path)


def test_the_large_network_agrees(photos, tmp_path):
    assert_agrees("onnx", other_network(*LARGE, photos, tmp_path), tmp_path)


def assert_agrees(name, case, folder):
    assert np.linalg.norm(case.queries.embeddings[1]) > 1e-3, "the signal must be alive"
    # Half precision has larger errors on random weights than on trained ones, which come next.
    path = written(name, case, folder, "float32")
    assert judge(name, path, case, "float32").failures == ()


def test_mobilenet_v1_in_half_precision_with_trained_weights(photos, data, tmp_path):
    weights = data / "weights" / "mobilenet_v1_0.25_224.weights.h5"
    case = photo_case(photos, "mobilenet", alpha=0.25, size=96, weights=weights, by_keras=True)
    assert judge("coreml", written("coreml", case, tmp_path), case).failures == ()


@pytest.mark.parametrize("choices", [{}, {"projection": "classes", "vote": "soft"}])
def test_core_ml_in_float32_meets_the_float32_tolerance(choices, photos, tmp_path):
    case = photo_case(photos, "bundled", **choices)
    path = written("coreml", case, tmp_path, "float32")
    assert judge("coreml", path, case, "float32").failures == ()


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_last_of_70000_references_is_found(name, tmp_path):
    """Above 65,536 an index no longer fits into 16 bits."""
    rng = np.random.default_rng(0)
    references = References.of(rng.standard_normal((70_000, 4)))
    queries = np.array(references.vectors[[69_999, 65_536, 65_535, 4_463, 0]])
    case = Case(Spec(backbone="vector", k=3), references, None, Queries(queries, queries))
    path = written(name, case, tmp_path)
    outputs = FORMATS[name].load(path)(queries)
    assert outputs["indices"][:, 0].tolist() == [69_999, 65_536, 65_535, 4_463, 0]
    np.testing.assert_allclose(outputs["scores"][:, 0], 1, atol=TOLERANCES["float32"].score)


@pytest.mark.parametrize("name", list(FORMATS))
def test_ties_go_to_the_lowest_index_and_zeros_score_zero(name, tmp_path):
    rows = np.array([[0, 1.0], [1, 0], [1, 0], [0, 0], [1, 0], [0, 2]])
    references = References.of(rows, list("abcdef"))
    queries = np.array([[5, 0], [0, 0], [0, 1e-6], [0, 1e20]], np.float32)
    case = Case(plain(backbone="vector", k=4), references, None, Queries(queries, queries))
    outputs = FORMATS[name].load(written(name, case, tmp_path))(queries)
    assert outputs["indices"].tolist() == [[1, 2, 4, 0], [0, 1, 2, 3], [0, 5, 1, 2], [0, 5, 1, 2]]
    expected = [[1, 1, 1, 0], [0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]]
    np.testing.assert_allclose(outputs["scores"], expected, atol=1e-6)
    np.testing.assert_allclose(outputs["probabilities"].sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", list(FORMATS))
def test_more_than_2048_classes_keep_their_numbers(name, tmp_path):
    """Above 2,048 a class number no longer fits into float16."""
    rng = np.random.default_rng(0)
    references = References.of(rng.standard_normal((2500, 8)), [f"{i:04}" for i in range(2500)])
    queries = np.array(references.vectors[[2499, 2049, 7]])
    case = Case(plain(backbone="vector", k=1), references, None, Queries(queries, queries))
    outputs = FORMATS[name].load(written(name, case, tmp_path))(queries)
    assert outputs["probabilities"].argmax(axis=1).tolist() == [2499, 2049, 7]


@pytest.mark.parametrize("name", list(FORMATS))
def test_long_embeddings_do_not_overflow(name, photos, tmp_path):
    """A backbone whose vectors are 60,000 long: their squares are far beyond float16."""
    image = keras.Input((16, 16, 3))
    long = keras.layers.Rescaling(4.0)(keras.layers.Flatten()(image))
    keras.Model(image, long).save(tmp_path / "long.keras")
    case = photo_case(photos, str(tmp_path / "long.keras"))
    assert np.linalg.norm(case.queries.embeddings, axis=1).max() > 10_000
    assert judge(name, written(name, case, tmp_path), case).failures == ()


def test_an_embedding_of_any_length_gives_the_same_scores(tmp_path):
    case = vector_case()
    model = build(case.spec, case.references)
    for scale in (1e-20, 1e-10, 1.0, 1e10, 1e18):
        outputs = model.predict(case.queries.inputs * np.float32(scale), verbose=0)
        exact = neighbors.search(case.queries.embeddings, case.references.vectors, 5)
        np.testing.assert_allclose(outputs["scores"], exact.scores, atol=1e-6)


@pytest.mark.parametrize("name", list(FORMATS))
@pytest.mark.parametrize("content", [b"", b"\x00\x01 nonsense" * 100])
def test_a_broken_file_is_one_line(name, content, tmp_path):
    path = tmp_path / f"broken{FORMATS[name].SUFFIX}"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        FORMATS[name].read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_picture_of_another_size_is_refused(name, photos, tmp_path):
    file = load(written(name, photo_case(photos, size=16), tmp_path))
    with input_error("wrong-shape", "(16, 16, 3)", "(15, 16, 3)"):
        file.run(np.zeros((1, 15, 16, 3), np.uint8))


def test_a_reference_table_is_inside_each_file(photos, tmp_path):
    case = photo_case(photos, size=16)
    for name in FORMATS:
        rows = metadata_of(written(name, case, tmp_path)).rows()
        assert rows[5]["path"] == "berries/red/1.png"
        assert rows[5]["label"] == "berries/red"


@pytest.mark.parametrize("name", FORMATS)
def test_threads_get_the_answers_to_their_own_pictures(name, photos, tmp_path):
    """A LiteRT interpreter returned one thread's outputs to another, without an error."""
    case = photo_case(photos, size=128)  # large enough for one thread to overtake another
    run = FORMATS[name].load(written(name, case, tmp_path))
    # Keras computes in Python, whose threads take turns: fewer pictures show as much.
    inputs = [one[None] for one in case.queries.inputs] * (3 if name == "keras" else 8)
    alone = [run(one)["scores"] for one in inputs]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda one: run(one)["scores"], inputs))
    assert sum(map(np.array_equal, alone, together)) == len(inputs)
