"""What commands refuse in one line, at once: before a runtime, a model or photos are loaded."""

import pytest


@pytest.mark.parametrize(
    "command", [("edit", "--rename", "a=b"), ("inspect",), ("predict", "x.jpg"), ("diff", "x.onnx")]
)
def test_a_folder_where_one_file_is_wanted(refused, tmp_path, command):
    name, *more = command
    assert "is no artefact" in refused(name, tmp_path, *more)
    (tmp_path / "model.onnx").touch()
    (tmp_path / "model.mlpackage").mkdir()
    line = refused(name, tmp_path, *more)
    assert "is a folder; name one file in it: model.mlpackage, model.onnx" in line
