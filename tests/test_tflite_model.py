"""How metadata get into a TFLite model, and that nobody changes them afterwards."""

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from conftest import vector_case

from pocketknn.builder import InputError
from pocketknn.export import load, tflite_model, to_tflite
from pocketknn.export.archive import append_files, payload
from pocketknn.export.tflite_model import rewrite, signature


def converted(case, folder):
    path = folder / "model.tflite"
    to_tflite.convert(case.model(), path, case.metadata, "float32")
    return path


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """The file of a small case, and what the converter gave for it."""
    kept = []
    with pytest.MonkeyPatch.context() as patch:
        convert = tf.lite.TFLiteConverter.convert
        patch.setattr(
            tf.lite.TFLiteConverter, "convert", lambda self: kept.append(convert(self)) or kept[0]
        )
        path = converted(vector_case(), tmp_path_factory.mktemp("tflite"))
    return path, kept[0]


def test_the_same_model_gives_the_same_bytes(vectors, tmp_path, monkeypatch):
    path, content = vectors
    monkeypatch.setattr(tf.lite.TFLiteConverter, "convert", lambda self: content)
    assert converted(vector_case(), tmp_path).read_bytes() == path.read_bytes()


def test_the_model_lies_in_the_file_as_the_converter_gave_it(vectors):
    """But for a new root in front, and the order of the outputs."""
    path, content = vectors
    told, ports = payload(path), signature(content).ordered(["probabilities", "scores", "indices"])
    assert signature(told) == ports
    front = len(told) - len(content)
    assert 0 < front < 4096
    changed = [i for i, (a, b) in enumerate(zip(told[front:], content, strict=True)) if a != b]
    assert len(changed) <= 4 * len(ports.outputs)
    for length in range(1, 17):
        shift = len(rewrite(content, ports, "block", b"x" * length)) - len(content)
        assert shift % 16 == 0, "the weights must keep their alignment"


def test_two_names_for_one_tensor():
    module = tf.Module()
    module.serve = tf.function(lambda x: dict.fromkeys(("a", "b"), x + 1.0) | {"first": x * 3.0})
    traced = module.serve.get_concrete_function(tf.TensorSpec((1, 2)))
    content = tf.lite.TFLiteConverter.from_concrete_functions([traced], module).convert()
    ports = signature(content).ordered(["first"])
    assert [port.name for port in ports.outputs] == ["first", "a", "b"]
    model = rewrite(content, ports, "block", b"text")
    answers = Interpreter(model_content=model).get_signature_runner()(x=np.ones((1, 2), "f4"))
    found = {name: float(value[0, 0]) for name, value in answers.items()}
    assert found == {"a": 2, "b": 2, "first": 3}


def test_a_model_too_large_for_a_flatbuffer_stays_as_it_is(vectors, monkeypatch):
    """Above 2 GiB, weights are found by their place in the file, which a new root would shift."""
    _, content = vectors
    ports = signature(content)
    assert rewrite(content, ports, "block", b"text") != content
    monkeypatch.setattr(tflite_model, "_LARGEST", len(content))
    assert rewrite(content, ports, "block", b"text") is content
    monkeypatch.undo()
    module = tf.Module()
    module.serve = tf.function(lambda x: {"y": x * tf.range(5000.0)})
    traced = module.serve.get_concrete_function(tf.TensorSpec((1, 5000)))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], module)
    converter._experimental_use_buffer_offset = True  # what the converter does above 2 GiB
    content = converter.convert()
    assert rewrite(content, signature(content), "block", b"text") is content


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace("class 1", "class one"),
        lambda text: text.removesuffix("class 5\n"),
        lambda text: text + "class 6\n",
    ],
)
def test_edited_labels_are_refused(vectors, tmp_path, edit):
    path, edited = vectors[0], tmp_path / "model.tflite"
    texts = to_tflite.read(path).files(payload(path))
    edited.write_bytes(payload(path))
    append_files(edited, texts)
    assert load(edited).metadata == load(path).metadata, "the edit must be what is refused"
    edited.write_bytes(payload(path))
    append_files(edited, texts | {"labels.txt": edit(texts["labels.txt"])})
    with pytest.raises(InputError, match="damaged"):
        load(edited)


def test_the_metadata_is_sealed_too(vectors, tmp_path):
    path, edited = vectors[0], tmp_path / "model.tflite"
    content = path.read_bytes()
    edited.write_bytes(content.replace(b"The classes, one a line.", b"The classes, two a line."))
    assert edited.read_bytes() != content
    with pytest.raises(InputError, match="damaged"):
        load(edited)
