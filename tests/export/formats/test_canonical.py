"""The same build gives the same bytes, also in another process."""

import json
import os
import subprocess
import sys
import zipfile

from pocketknn.export.formats.keras import fill
from pocketknn.export.formats.storage.slots import Content, Slots
from pocketknn.export.output.checksums import digest

BUILD = """
import sys
from pathlib import Path
import numpy as np
from pocketknn.builder import Spec, embed, find, load_backbone
from pocketknn.export import export
spec = Spec(backbone=sys.argv[3], metric="euclidean", pca=4, reject="auto", vote="distance")
net = load_backbone(spec)
references = embed(find(Path(sys.argv[1])), net, spec.crop).references()
result = export(spec, references, net, Path(sys.argv[2]))
assert result.agrees
"""


def test_two_processes_write_the_same_bytes(photos, small_net, tmp_path):
    for out, seed in (("a", "1"), ("b", "2")):
        given = [sys.executable, "-c", BUILD, str(photos), str(tmp_path / out), small_net]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run(given, check=True, capture_output=True, env=environment)
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
