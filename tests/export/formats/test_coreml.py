"""What Xcode, Vision and Core ML read from a package, for every minimum iOS version."""

import sys

import coremltools as ct
import numpy as np
import pytest
from support import PRECISION, Case, photo_case, vector_case

from pocketknn.builder import InputError, References, Spec
from pocketknn.export import check
from pocketknn.export.formats import coreml
from pocketknn.export.formats.batches import in_blocks
from pocketknn.export.formats.coreml import reading
from pocketknn.export.formats.options import IOS, Options
from pocketknn.export.manifest.describe import describe
from pocketknn.export.manifest.figures import measure
from pocketknn.export.output.checksums import files_of
from pocketknn.export.parity.compare import holds
from pocketknn.export.parity.test_inputs import Queries

SPECIFICATION = {15: 6, 16: 7, 17: 8, 18: 9}


def written(case, folder, precision="float16", **options):
    path = folder / "model.mlpackage"
    found = Options(**options)
    metadata = describe(case.fit, case.backbone, PRECISION, measure(case.fit), found)
    return case.write("coreml", path, precision, metadata, found)


def agrees(case, path, precision):
    outputs = coreml.load(path)(case.queries.inputs)
    stored = holds(files_of(path), case.fit)
    given = (outputs, case.queries.embeddings, case.fit)
    return check(*given, precision=precision, stored=stored).failures == ()


@pytest.mark.parametrize("ios", IOS)
@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_every_target_agrees(ios, precision, photos, small_net, tmp_path):
    """The oldest and the newest with a whole network, the others with each of its layer types."""
    net = (
        "bundled" if (precision, ios) in (("float16", IOS[0]), ("float32", IOS[-1])) else small_net
    )
    choices = {"metric": "euclidean", "vote": "distance", "reject": "auto", "pca": 6}
    for number, case in enumerate(
        [vector_case(metric="manhattan", reject="auto"), photo_case(photos, net, **choices)]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = written(case, folder, precision, ios=ios)
        assert ct.utils.load_spec(str(path)).specificationVersion == SPECIFICATION[ios]
        assert agrees(case, path, precision)


def test_pictures_that_are_evaluated_at_once_are_answered_in_order(photos, monkeypatch, tmp_path):
    """Large ones are, on as many cores as there are; here, small ones and three threads."""
    case = photo_case(photos)
    path = case.write("coreml", tmp_path / "model.mlpackage", "float16")
    wanted = coreml.load(path)(case.queries.inputs)
    monkeypatch.setattr(reading, "_LARGE", 1)
    at_once = []

    def counted(*given, **how):
        at_once.append(how["workers"])
        return in_blocks(*given, **how)

    monkeypatch.setattr(reading, "in_blocks", counted)
    for name, values in coreml.load(path, 3)(case.queries.inputs).items():
        np.testing.assert_array_equal(values, wanted[name])
    coreml.load(path, 1)
    assert at_once == [1 if sys.platform == "darwin" else 3, 1]


@pytest.mark.parametrize("ios", IOS)
def test_70000_references_at_every_target(ios, tmp_path):
    rng = np.random.default_rng(0)
    references = References.of(rng.standard_normal((70_000, 4)))
    queries = np.array(references.vectors[[69_999, 65_536, 65_535, 4_463, 0]])
    case = Case(Spec(backbone="vector", k=3), references, None, Queries(queries, queries))
    outputs = coreml.load(written(case, tmp_path, ios=ios))(queries)
    assert outputs["indices"][:, 0].tolist() == [69_999, 65_536, 65_535, 4_463, 0]


def test_vision_finds_a_classifier_that_carries_scores_and_indices(photos, tmp_path):
    case = photo_case(photos, "bundled", reject="auto")
    path = written(case, tmp_path, author="Ada Lovelace", license="CC0", version="2.1")
    spec = ct.utils.load_spec(str(path))
    described = spec.description
    (image,) = described.input
    assert (image.name, image.type.WhichOneof("Type")) == ("image", "imageType")
    assert (image.type.imageType.width, image.type.imageType.height) == (96, 96)
    assert image.type.imageType.colorSpace == ct.proto.FeatureTypes_pb2.ImageFeatureType.RGB
    # Vision returns VNClassificationObservation if there is a predicted feature name.
    assert described.predictedFeatureName == "classLabel"
    assert described.predictedProbabilitiesName == "classLabelProbs"
    kinds = {feature.name: feature.type.WhichOneof("Type") for feature in described.output}
    assert kinds == {
        "classLabel": "stringType",
        "classLabelProbs": "dictionaryType",
        "scores": "multiArrayType",
        "indices": "multiArrayType",
    }
    said = described.metadata
    assert (said.author, said.license, said.versionString) == ("Ada Lovelace", "CC0", "2.1")
    assert said.shortDescription.startswith("k-nearest-neighbour classifier: 12 references in 3")
    assert said.userDefined["com.apple.coreml.model.preview.type"] == "imageClassifier"
    assert all(feature.shortDescription for feature in (*described.input, *described.output))


def test_a_search_without_labels_is_no_classifier(photos, tmp_path):
    path = written(photo_case(photos, head="neighbors", size=8), tmp_path)
    described = ct.utils.load_spec(str(path)).description
    assert not described.predictedFeatureName
    assert {feature.name for feature in described.output} == {"scores", "indices"}
    assert "com.apple.coreml.model.preview.type" not in described.metadata.userDefined


def test_scores_stay_float32_and_indices_int32(photos, tmp_path):
    described = ct.utils.load_spec(
        str(written(photo_case(photos, "bundled"), tmp_path, "float16"))
    ).description
    kinds = {f.name: f.type.multiArrayType.dataType for f in described.output}
    array = ct.proto.FeatureTypes_pb2.ArrayFeatureType
    assert (kinds["scores"], kinds["indices"]) == (array.FLOAT32, array.INT32)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"ios": 14}, "for iOS 15, 16, 17, 18, not 14"),
        ({"author": "two\nlines"}, "author must be one line"),
    ],
)
def test_options_that_make_no_sense(choices, message):
    with pytest.raises(InputError, match=message):
        Options(**choices)
