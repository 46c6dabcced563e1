"""The same build gives the same bytes, also in another process."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from pocketknn.builder import Spec, embed, find, load_backbone
from pocketknn.export import export
from pocketknn.export.formats.keras import fill
from pocketknn.export.formats.storage.slots import Content, Slots
from pocketknn.export.output.checksums import digest


def make(photos, out, backbone):
    """A build in all formats that converts everything itself."""
    spec = Spec(backbone=backbone, metric="euclidean", pca=4, reject="auto", vote="distance")
    net = load_backbone(spec)
    references = embed(find(Path(photos)), net, spec.crop).references()
    assert export(spec, references, net, Path(out), cache=None).agrees


CODE = """
import sys
sys.path[:0] = [sys.argv[1]]
from test_canonical import make
make(*sys.argv[2:])
"""


def test_two_processes_write_the_same_bytes(photos, small_net, tmp_path):
    """This one, which has converted other things or not, and a new one with other hashes."""
    make(photos, tmp_path / "a", small_net)
    given = [str(Path(__file__).parent), str(photos), str(tmp_path / "b"), small_net]
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    subprocess.run([sys.executable, "-c", CODE, *given], check=True, env=environment)
    for file in sorted((tmp_path / "a").iterdir()):
        assert digest(file) == digest(tmp_path / "b" / file.name), file.name


def test_the_date_is_the_one_that_is_asked_for(photos, tmp_path, monkeypatch):
    """Only Keras files hold a date; Python's clock is not used."""
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    written = {}
    for name, epoch in (("a", "86400"), ("b", "86400"), ("c", "")):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
        path = tmp_path / f"{name}.keras"
        model.save(tmp_path / "saved.keras")
        nothing = Content(constants={}, sizes={}, labels=(), large=())
        fill(tmp_path / "saved.keras", path, Slots(), nothing, {})
        written[name] = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            said = json.loads(archive.read("metadata.json"))["date_saved"]
        assert said == ("1970-01-02@00:00:00" if epoch else "1980-01-01@00:00:00")
        assert keras.saving.load_model(path).count_params() == 3
    assert written["a"] == written["b"] != written["c"]
