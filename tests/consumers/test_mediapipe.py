"""The .tflite file in MediaPipe's ImageClassifier, opened as an app does, without our code."""

import ctypes

import numpy as np
import pytest
from support import PRECISION, Case, drawing, photo_case

from pocketknn.builder import References, Spec, load_backbone
from pocketknn.builder.embedding.local import run
from pocketknn.builder.photos.pixels.crop import square
from pocketknn.export import load
from pocketknn.export.formats.options import Options
from pocketknn.export.manifest.describe import describe
from pocketknn.export.parity.test_inputs import Queries


@pytest.fixture(scope="module")
def mediapipe():
    """The package, and the system libraries that it needs."""
    missing = []
    for library, package in (
        ("libEGL.so.1", "libegl1"),
        ("libGLESv2.so.2", "libgles2"),
        ("libGL.so.1", "libgl1"),  # for OpenCV, which MediaPipe imports
    ):
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    if missing:
        pytest.skip(f"MediaPipe needs the system's {', '.join(missing)}")
    return pytest.importorskip("mediapipe", reason="mediapipe is not installed: extra 'test'")


def labelled(labels, **choices):
    """A case of small pictures, one or more per label, with the backbone `pixels`."""
    spec = Spec(backbone="pixels", size=8, head="classify", **choices)
    net = load_backbone(spec)
    rows = [labels[i % len(labels)] for i in range(max(len(labels), 12))]
    pictures = np.stack([np.asarray(drawing(i, (8, 8))) for i in range(len(rows))])
    references = References.of(run(net, pictures), rows, classes=labels)
    inputs = np.stack([np.asarray(drawing(900 + i, (8, 8))) for i in range(4)])
    return Case(spec, references, net, Queries(inputs, run(net, inputs)))


def taking_bytes(case):
    """The same, with uint8 input."""
    options = Options(pixels="uint8")
    case.metadata = describe(case.fit, case.backbone, PRECISION, options=options)
    return case


CASES = {
    "bundled": lambda photos: photo_case(photos, "bundled"),
    "scan": lambda photos: photo_case(
        photos, "bundled", search="rerank", references_precision="int8", candidates=9
    ),
    "pixels": lambda photos: photo_case(photos, size=16),
    "bytes": lambda photos: taking_bytes(photo_case(photos, "bundled", vote="distance")),
    "reject": lambda photos: photo_case(photos, size=16, reject=0.87),
    "unicode": lambda photos: labelled(
        ["Äpfel 🍎", "ميوه", "りんご", "e\u0301", "z\u00a0z\u2028z"]
    ),
    "spaces": lambda photos: labelled([" lead", "in between", "trail ", "two  spaces", '"q", r']),
    "one class": lambda photos: labelled(["only"]),
    "300 classes": lambda photos: labelled([f"class {i:03}" for i in range(300)]),
}


@pytest.fixture(scope="module", params=list(CASES))
def case(request, photos):
    return CASES[request.param](photos)


@pytest.fixture
def classify(mediapipe, tmp_path):
    """Maps a case to its file, then a picture to the heads that MediaPipe returns."""
    from mediapipe.tasks.python import BaseOptions, vision

    opened = []

    def opening(case, **options):
        path = tmp_path / "model.tflite"
        case.write("tflite", path)
        base = BaseOptions(model_asset_path=str(path))
        options = vision.ImageClassifierOptions(base, **options)
        opened.append(vision.ImageClassifier.create_from_options(options))

        def heads(picture):
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)
            return opened[-1].classify(image).classifications

        return path, heads

    yield opening
    for one in opened:
        one.close()


def values(head):
    """The numbers of a head in the order of its tensor."""
    found = {one.index: one.score for one in head.categories}
    return [found[i] for i in range(len(found))]


def test_the_classifier_names_what_our_own_reader_names(case, classify):
    path, heads = classify(case)
    expected = load(path).run(case.queries.inputs)
    for row, picture in enumerate(case.queries.inputs):
        found = heads(picture)
        # Apps take the first category of the first head.
        assert [head.head_name for head in found] == ["probabilities", "scores", "indices"]
        for head in found:
            np.testing.assert_allclose(values(head), expected[head.head_name][row], atol=1e-6)
        votes = found[0].categories
        named = {one.index: one.category_name for one in votes}
        assert [named[i] for i in range(len(named))] == list(case.fit.labels)
        assert votes[0].score == max(one.score for one in votes)
        assert {one.category_name for head in found[1:] for one in head.categories} == {None}


def test_what_is_strange_is_called_unknown(photos, classify):
    _, heads = classify(photo_case(photos, size=16, reject=0.87), max_results=1)
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    (strange,) = heads(noise)[0].categories
    assert (strange.category_name, strange.score) == ("unknown", 1)
    (known,) = heads(square(drawing(0), 16, "center"))[0].categories
    assert known.category_name != "unknown"


def test_a_file_that_grows_is_refused_as_builds_say(photos, classify):
    """They name MediaPipe and building without --grow; see test_grow.py."""
    with pytest.raises((ValueError, RuntimeError), match="single input"):
        classify(photo_case(photos, size=16, grow=8))
