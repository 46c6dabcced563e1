"""Builds in threads of one process give the same bytes as sequential builds."""

import threading

import numpy as np
from support import plain

from pocketknn.builder import References
from pocketknn.export import export
from pocketknn.export.output.checksums import digest

FORMATS = ("keras", "coreml")


def test_two_exports_at_once_write_what_each_writes_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    failed = []

    def build(dim, cache):
        monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / cache))
        vectors = np.random.default_rng(dim).standard_normal((40, dim))
        references = References.of(vectors, [f"class {i % 4}" for i in range(40)])
        out = tmp_path / f"{cache}-{dim}"
        try:
            export(plain(backbone="vector", k=3), references, None, out, formats=FORMATS)
        except BaseException as error:  # it would only end its thread
            failed.append(error)

    threads = [
        threading.Thread(target=build, args=(dim, "together"), daemon=True) for dim in (12, 20)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join(timeout=300)  # seconds; each takes a few
        assert not one.is_alive(), "they wait for each other"
    for dim in (12, 20):
        build(dim, "alone")
    assert not failed
    for dim in (12, 20):
        for name in ("model.keras", "model.mlpackage"):
            found, wanted = (tmp_path / f"{how}-{dim}" / name for how in ("together", "alone"))
            assert digest(found) == digest(wanted), (dim, name)
