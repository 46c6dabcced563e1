"""The metadata of the .tflite file, read by other tools' readers."""

import importlib.util
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as litert
from ai_edge_litert.interpreter import Interpreter
from support import photo_case, vector_case

from pocketknn.builder import InputError
from pocketknn.export.formats.tflite.metadata import NAME, pack
from pocketknn.export.formats.tflite.model import Model, Port, Signature

CASES = {
    "bundled": lambda photos: photo_case(photos, "bundled"),
    "reject": lambda photos: photo_case(photos, size=12, reject="auto", false_rejection=0.3),
    "picture search": lambda photos: photo_case(photos, size=12, head="neighbors"),
    "vectors": lambda photos: vector_case(),
    "regression": lambda photos: vector_case(head="regress"),
}


@pytest.fixture(scope="module")
def schema():
    """The classes that Google generates from metadata_schema.fbs, as MediaPipe ships them.

    Loaded from their file, as importing MediaPipe itself needs system libraries.
    """
    package = importlib.util.find_spec("mediapipe")
    if package is None:
        pytest.skip("mediapipe is not installed; it is in the extra 'test'")
    name = "metadata_schema_py_generated"
    path = Path(package.origin).parent / "tasks" / "metadata" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def converted(case, folder):
    path = folder / "model.tflite"
    case.write("tflite", path)
    return path


@pytest.fixture(scope="module", params=list(CASES))
def written(request, photos, tmp_path_factory):
    """A case and its file."""
    case = CASES[request.param](photos)
    return case, converted(case, tmp_path_factory.mktemp("tflite"))


def block(path):
    """The metadata block under the name that consumers look for."""
    model = litert.Model.GetRootAs(path.read_bytes())
    (at,) = [
        model.Metadata(i).Buffer()
        for i in range(model.MetadataLength())
        if model.Metadata(i).Name() == NAME.encode()
    ]
    return model.Buffers(at).DataAsNumpy().tobytes()


def parsed(path, schema):
    content = block(path)
    assert schema.ModelMetadata.ModelMetadataBufferHasIdentifier(content, 0)
    return schema.ModelMetadataT.InitFromObj(schema.ModelMetadata.GetRootAs(content))


def by_position(path):
    """LiteRT's names of the inputs and of the outputs, by position."""
    interpreter = Interpreter(str(path))
    runner = interpreter.get_signature_runner("serving_default")

    def names(named, placed):
        called = {one["index"]: name for name, one in named.items()}
        return [called[one["index"]] for one in placed]

    return (
        names(runner.get_input_details(), interpreter.get_input_details()),
        names(runner.get_output_details(), interpreter.get_output_details()),
    )


def test_the_model_says_what_it_is(written, schema):
    case, path = written
    said, manifest = parsed(path, schema), case.metadata.manifest
    assert said.name == b"pocketknn"
    assert said.description.decode() == manifest["description"]
    assert said.version.decode() == manifest["version"]
    assert said.author is None, "nobody is named, so nobody is said"
    assert said.minParserVersion == b"1.0.0"
    kinds = {one.name.decode(): one.type for one in said.associatedFiles}
    assert kinds == dict.fromkeys(
        ("manifest.json", "references.csv"), schema.AssociatedFileType.DESCRIPTIONS
    )
    assert set(kinds) <= set(zipfile.ZipFile(path).namelist())


def test_author_and_license_are_handed_on(schema, tmp_path):
    case = vector_case()
    told = case.metadata.manifest | {"author": "Ada Łovelace", "license": "CC0-1.0"}
    case.metadata = replace(case.metadata, manifest=told)
    said = parsed(converted(case, tmp_path), schema)
    assert said.author.decode() == "Ada Łovelace"
    assert said.license == b"CC0-1.0"


def test_each_tensor_is_named_where_it_lies(written, schema):
    case, path = written
    (graph,) = parsed(path, schema).subgraphMetadata
    inputs, outputs = by_position(path)
    assert [one.name.decode() for one in graph.inputTensorMetadata] == inputs
    assert [one.name.decode() for one in graph.outputTensorMetadata] == outputs
    first = {"classify": ["probabilities"], "regress": ["value"], "neighbors": []}[case.spec.head]
    assert outputs == [*first, "scores", "indices"]
    for one in graph.outputTensorMetadata:
        said = case.metadata.manifest["outputs"][one.name.decode()]["is"]
        assert one.description.decode() == said
        assert one.content.contentPropertiesType == schema.ContentProperties.FeatureProperties


def test_the_picture_goes_in_as_it_is(written, schema):
    case, path = written
    (one,) = parsed(path, schema).subgraphMetadata[0].inputTensorMetadata
    if case.backbone is None:
        assert one.name == b"features"
        assert one.content.contentPropertiesType == schema.ContentProperties.FeatureProperties
        assert one.processUnits is None
        return
    assert one.name == b"image"
    assert one.content.contentPropertiesType == schema.ContentProperties.ImageProperties
    assert one.content.contentProperties.colorSpace == schema.ColorSpaceType.RGB
    (unit,) = one.processUnits
    assert unit.optionsType == schema.ProcessUnitOptions.NormalizationOptions
    assert (list(unit.options.mean), list(unit.options.std)) == ([0], [1])
    for word in ("center", case.metadata.manifest["input"]["resample"]):
        assert word in one.description.decode()


def test_only_probabilities_have_labels_as_many_as_classes(written, schema):
    case, path = written
    (graph,) = parsed(path, schema).subgraphMetadata
    labelled = [one for one in graph.outputTensorMetadata if one.associatedFiles]
    assert [one.name for one in labelled] == [b"probabilities"] * (case.spec.head == "classify")
    for one in labelled:
        (file,) = one.associatedFiles
        assert file.type == schema.AssociatedFileType.TENSOR_AXIS_LABELS
        lines = zipfile.ZipFile(path).read(file.name.decode()).decode().split("\n")
        assert lines == [*case.fit.labels, ""]
        ports = Model(path.read_bytes()).signature().outputs
        assert ports[0].shape == (1, len(case.fit.labels))


def test_ops_and_signature_are_those_every_runtime_has(written):
    _, path = written
    model = litert.Model.GetRootAs(path.read_bytes())
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    assert [code.CustomCode() for code in codes] == [None] * len(codes)
    assert litert.BuiltinOperator.CUSTOM not in [code.BuiltinCode() for code in codes]
    assert list(Interpreter(str(path)).get_signature_list()) == ["serving_default"]
    assert model.SubgraphsLength() == 1


def test_the_archive_is_plain(written):
    """MediaPipe reads only uncompressed members, and `unzip` must accept the archive."""
    _, path = written
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {one.compress_type for one in archive.infolist()} == {zipfile.ZIP_STORED}


def votes(width):
    one = Port(name="probabilities", shape=(1, width), tensor=1)
    return Signature(inputs=(), outputs=(one,))


def test_labels_that_do_not_fit_are_refused_before_a_file_is_written():
    metadata = vector_case().metadata
    with pytest.raises(ValueError, match="5 probabilities for 6 labels"):
        pack(metadata.files(), votes(5))
    labels = ["two\nlines", *metadata.labels[1:]]
    broken = replace(metadata, manifest=metadata.manifest | {"labels": labels})
    with pytest.raises(InputError, match=r"'two\\nlines' has a line break"):
        pack(broken.files(), votes(6))
