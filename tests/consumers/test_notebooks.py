"""The notebooks run offline, check themselves and show pictures; in git they have no outputs."""

import base64
import io
import json
import os
import re

import numpy as np
import pytest
from PIL import Image
from support import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
NOWHERE = "http://127.0.0.1:9"  # the port "discard": downloads fail at once


def test_there_are_six():
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{number}_" for number in range(1, 7)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_without_outputs_and_without_a_kernel_of_its_own(path):
    import nbformat

    kept = json.loads(path.read_text("utf-8"))
    nbformat.validate(kept)
    assert kept["metadata"] == METADATA
    code = [cell for cell in kept["cells"] if cell["cell_type"] == "code"]
    for cell in kept["cells"]:
        assert cell["metadata"] == {}
        assert set(cell["id"]) <= set("abcdefghijklmnopqrstuvwxyz-"), "a name, not drawn by chance"
    for cell in code:
        assert (cell["outputs"], cell["execution_count"]) == ([], None)
    source = "\n".join("".join(cell["source"]) for cell in code)
    assert "sklearn" in source, "it has a witness"
    assert len(re.findall(r"^ *assert |assert_allclose\(", source, re.MULTILINE)) >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_offline_and_shows_pictures(path, tmp_path):
    import nbformat
    from nbclient import NotebookClient

    own = ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "KERAS_HOME")
    environment = os.environ | {name: str(tmp_path / name) for name in own}
    environment |= dict.fromkeys(
        ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE
    )
    environment["POCKETKNN_DATA"] = str(tmp_path / "none")
    del environment["PYTEST_CURRENT_TEST"]  # with it, ipykernel's stderr cannot be captured
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources=place)
    client.execute(env=environment)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    said = [output.text for output in outputs if output.get("name") == "stderr"]
    assert not said, "what a reader need not see is held back"
    pictures = [
        output.data["image/png"] for output in outputs if "image/png" in output.get("data", ())
    ]
    assert len(pictures) >= 2
    for picture in pictures:
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("L"), float)
        assert pixels.std() > 10, "it is not blank"
