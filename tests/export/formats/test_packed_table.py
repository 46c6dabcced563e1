"""A long table of references is packed inside files, and read back as it was."""

import base64
import csv
import gzip
import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from support import photo_case, vector_case

from pocketknn.builder import InputError
from pocketknn.export.editing.edit import rewrite, with_references
from pocketknn.export.formats.storage import texts
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.read_back import open_artefact
from pocketknn.export.output.names import PACKED, TABLE


@pytest.fixture
def long(monkeypatch):
    monkeypatch.setattr(texts, "_LONG", 200)


@pytest.mark.parametrize("format", FORMATS)
def test_a_long_table_is_read_back_as_it_was(format, long, tmp_path):
    case = vector_case()
    path = case.write(format, tmp_path / f"model{FORMATS[format].SUFFIX}")
    assert FORMATS[format].read(path)[TABLE] == case.metadata.table
    assert FORMATS[format].check(path)[TABLE] == case.metadata.table
    assert PACKED not in FORMATS[format].read(path)
    files = path.rglob("*") if path.is_dir() else [path]
    stored = b"".join(one.read_bytes() for one in files if one.is_file())
    assert PACKED.encode() in stored
    assert case.metadata.table.encode() not in stored


@pytest.mark.parametrize("format", FORMATS)
def test_a_table_may_become_long_or_short_by_an_edit(format, tmp_path, monkeypatch):
    """A file is filled again from itself, or from a head that comes with the package."""
    many = vector_case(n=60, head="neighbors", k=3)
    path = many.write(format, tmp_path / f"model{FORMATS[format].SUFFIX}")
    out = path.with_stem("edited")
    for most, rows in ((200, 50), (10**6, 40), (200, 30), (200, 20)):
        monkeypatch.setattr(texts, "_LONG", most)
        opened = open_artefact(path)
        fewer = opened.fit.references.select(np.arange(rows))
        assert rewrite(opened, with_references(opened, fewer), out, None).agrees
        assert FORMATS[format].check(out)[TABLE] == fewer.table()
        path, out = out, path


def test_other_tools_unpack_it(long, tmp_path):
    """With nothing but the standard library's gzip, as the documentation says."""
    case = vector_case()
    path = case.write("tflite", tmp_path / "model.tflite")
    with zipfile.ZipFile(path) as archive:
        assert {one.compress_type for one in archive.infolist()} == {zipfile.ZIP_STORED}
        rows = gzip.decompress(base64.b64decode(archive.read(PACKED))).decode()
        assert TABLE not in archive.namelist()
    assert len(list(csv.reader(io.StringIO(rows)))) == 41


def test_mediapipe_reads_a_file_with_a_packed_table(long, photos, tmp_path):
    python = pytest.importorskip("mediapipe.tasks.python", exc_type=ImportError)
    vision = pytest.importorskip("mediapipe.tasks.python.vision", exc_type=ImportError)
    case = photo_case(photos)
    path = case.write("tflite", tmp_path / "model.tflite")
    options = vision.ImageClassifierOptions(
        base_options=python.BaseOptions(model_asset_path=str(path))
    )
    vision.ImageClassifier.create_from_options(options).close()


def test_short_tables_and_such_as_pack_too_well_stay_as_they_are(monkeypatch, tmp_path):
    assert TABLE in texts.packed({TABLE: "x" * (texts._LONG - 1)})
    assert TABLE in texts.packed({TABLE: "x" * 10 * texts._LONG}), "it would look like a bomb"
    rows = "".join(f'{row},"{row}","",""\n' for row in range(100_000))
    found = texts.packed({TABLE: rows})
    assert len(found[PACKED]) < len(rows) / 2.5
    assert texts.ours(found | {"manifest.json": ""}, "a file")[TABLE] == rows


@pytest.mark.parametrize(
    "stored",
    [
        base64.b64encode(gzip.compress(bytes(10**8))).decode(),
        base64.b64encode(gzip.compress(b"0,a\n" * 99)[:-9]).decode(),
        base64.b64encode(b"no gzip").decode(),
        base64.b64encode(gzip.compress(b"\xff\xfe\xff")).decode(),
        "no base64",
        "ä",
        "",
    ],
    ids=["a bomb", "cut off", "no gzip", "no utf-8", "no base64", "no ascii", "nothing"],
)
def test_a_damaged_table_is_one_line(stored):
    with pytest.raises(InputError, match="a file is damaged: its table of references") as refused:
        texts.ours({"manifest.json": "{}", PACKED: stored}, "a file")
    assert "\n" not in str(refused.value)


def test_the_plan_counts_the_packed_table(long, tmp_path):
    from pocketknn.export.sizes.estimate import plan

    case = vector_case()
    (small,) = plan(case.fit, None, {"tflite": "float32"}, case.metadata)
    written = case.write("tflite", tmp_path / "model.tflite").stat().st_size
    many = replace(case.metadata, table=case.metadata.table + "x" * 199)
    (larger,) = plan(case.fit, None, {"tflite": "float32"}, many)
    assert larger.rest - small.rest < 40
    assert written > small.references + small.rest
