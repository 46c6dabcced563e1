"""How metadata are added to a TFLite model, and that later changes are detected."""

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from support import vector_case

from pocketknn.builder import InputError
from pocketknn.export import load
from pocketknn.export.formats import tflite
from pocketknn.export.formats.storage.texts import append_files, payload
from pocketknn.export.formats.tflite.model import Model


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """The file of a small case, and the converter's own output for it."""
    folder = tmp_path_factory.mktemp("tflite")
    case = vector_case()
    path = case.convert("tflite", folder / "model.tflite")
    return path, (folder / "raw-model.tflite").read_bytes()


def flatbuffer(path):
    return path.read_bytes()[: payload(path)]


def test_the_same_model_gives_the_same_bytes(vectors, tmp_path):
    path = vector_case().convert("tflite", tmp_path / "model.tflite")
    assert path.read_bytes() == vectors[0].read_bytes()


def test_writing_changes_nothing_but_the_order_of_the_outputs(vectors):
    path, content = vectors
    before, after = Model(content), Model(flatbuffer(path))
    names = ["probabilities", "scores", "indices"]
    assert after.signature() == before.signature().ordered(names)
    assert [port.name for port in after.signature().outputs] == names
    for tree in (before.tree, after.tree):
        tree.metadata = [one for one in tree.metadata or () if one.name != b"TFLITE_METADATA"]
    del after.tree.buffers[len(before.tree.buffers) :]
    before.reorder(after.signature())
    assert fields(before.tree) == fields(after.tree)


def fields(part):
    """The content of a table, as plain values."""
    if isinstance(part, list | tuple | np.ndarray):
        return [fields(one) for one in part]
    return (
        {k: fields(v) for k, v in vars(part).items() if k != "Pack"}
        if hasattr(part, "__dict__")
        else part
    )


def test_data_lie_where_runtimes_want_them(vectors):
    path, _ = vectors
    content = flatbuffer(path)
    model = schema.Model.GetRootAs(content)
    for number in range(model.BuffersLength()):
        table = model.Buffers(number)._tab
        if table.Offset(4):
            assert table.Vector(table.Offset(4)) % 16 == 0


def test_two_names_for_one_tensor(tmp_path):
    module = tf.Module()
    module.serve = tf.function(lambda x: dict.fromkeys(("a", "b"), x + 1.0) | {"first": x * 3.0})
    traced = module.serve.get_concrete_function(tf.TensorSpec((1, 2)))
    content = tf.lite.TFLiteConverter.from_concrete_functions([traced], module).convert()
    model = Model(content)
    ports = model.signature().ordered(["first"])
    assert [port.name for port in ports.outputs] == ["first", "a", "b"]
    model.reorder(ports)
    model.write(tmp_path / "model.tflite", {})
    answers = Interpreter(str(tmp_path / "model.tflite")).get_signature_runner()
    found = {name: float(value[0, 0]) for name, value in answers(x=np.ones((1, 2), "f4")).items()}
    assert found == {"a": 2, "b": 2, "first": 3}


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
    texts = tflite.check(path)
    edited.write_bytes(flatbuffer(path))
    append_files(edited, texts)
    assert load(edited).metadata == load(path).metadata, "the edit must be what is refused"
    edited.write_bytes(flatbuffer(path))
    append_files(edited, texts | {"labels.txt": edit(texts["labels.txt"])})
    with pytest.raises(InputError, match="damaged"):
        load(edited)


def test_the_metadata_is_sealed_too(vectors, tmp_path):
    path, edited = vectors[0], tmp_path / "model.tflite"
    content = path.read_bytes()
    edited.write_bytes(
        content.replace(b"The classes, one per line.", b"The classes, two per line.")
    )
    assert edited.read_bytes() != content
    with pytest.raises(InputError, match="damaged"):
        load(edited)
