"""Work for each format: that of Keras, whose runtime starts slowest, beside the others."""

import threading

from pocketknn.export.formats import side_by_side
from pocketknn.export.formats.keras import apart


def test_keras_comes_last_without_a_process_of_its_own():
    order = []
    names = ("keras", "coreml", "tflite")
    work = {name: lambda name=name: order.append(name) or name.upper() for name in names}
    found = side_by_side.each(work, lambda: order.append("meanwhile"))
    assert order == ["tflite", "coreml", "meanwhile", "keras"]
    assert list(found.items()) == [(name, name.upper()) for name in names]
    assert side_by_side.each({"onnx": lambda: 1}) == {"onnx": 1}
    assert side_by_side.each({"keras": lambda: 2}) == {"keras": 2}


def test_keras_is_beside_the_others_with_one(monkeypatch):
    monkeypatch.setattr(apart, "_running", [None])
    begun, ended = threading.Event(), threading.Event()

    def by_keras():
        begun.set()
        return ended.wait(60)

    work = {"keras": by_keras, "onnx": lambda: begun.wait(60)}
    assert side_by_side.each(work, ended.set) == {"keras": True, "onnx": True}
