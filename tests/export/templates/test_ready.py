"""The heads that come with the package are what the converters make now."""

import json
import shutil
import subprocess
import sys

import pytest
from support import vector_case

from pocketknn.export.formats.table import FORMATS
from pocketknn.export.output.checksums import digest, files_of
from pocketknn.export.templates import needed, template
from pocketknn.export.templates import order as ordering
from pocketknn.export.templates.make_ready import orders

ORDERS = list(orders())


def test_there_is_one_for_each_and_no_other():
    assert {one.name for one in ORDERS} == {path.name for path in ordering.READY.iterdir()}


@pytest.mark.parametrize("number", range(len(ORDERS)))
def test_it_gives_the_bytes_of_a_new_conversion(number, tmp_path, monkeypatch):
    """Filled with other references, of another width and k; if not, run `make heads`."""
    order, spec = ORDERS[number], ORDERS[number].fit.spec
    case = vector_case(
        n=41, d=20, k=7, classes=5, head=spec.head, vote=spec.vote, balanced=spec.balanced,
        projection=spec.projection, reject=spec.reject,
    )  # fmt: skip
    suffix = FORMATS[order.format].SUFFIX
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))
    given = {"precision": order.precision, "outputs": order.outputs}
    assert case.order(order.format, **given).ready(), "or the test has another choice"
    if order.outputs != "neighbors":
        given["metadata"] = case.metadata.part(order.outputs)
    ready = case.write(order.format, tmp_path / f"ready{suffix}", **given)
    assert not (tmp_path / "cache" / "templates").exists()
    monkeypatch.setattr(ordering, "READY", tmp_path / "nothing")
    new = case.write(order.format, tmp_path / f"new{suffix}", **given)
    assert [digest(file) for file in files_of(ready)] == [digest(file) for file in files_of(new)]


def first(format):
    """An order of a format for whose head the package has a template, and a case of it."""
    order = next(one for one in ORDERS if one.format == format and one.fit.spec.vote == "soft")
    spec = order.fit.spec
    return order, vector_case(
        n=41, d=20, k=7, classes=5, head=spec.head, vote=spec.vote, balanced=spec.balanced,
        projection=spec.projection, reject=spec.reject,
    )  # fmt: skip


@pytest.mark.parametrize("format", sorted({one.format for one in ORDERS}))
@pytest.mark.parametrize("damage", ["facts", "file", "nothing", "another version"])
def test_one_that_is_no_good_is_converted_again_with_a_line(format, damage, tmp_path, monkeypatch):
    order, case = first(format)
    suffix, lines = FORMATS[format].SUFFIX, []
    before = case.write(format, tmp_path / f"before{suffix}", precision=order.precision)
    shutil.copytree(ordering.READY, tmp_path / "ready")
    monkeypatch.setattr(ordering, "READY", tmp_path / "ready")
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))
    facts = tmp_path / "ready" / order.name / "template.json"
    if damage == "facts":
        facts.write_text("{")
    elif damage == "file":
        file = files_of(facts.parent / f"model{suffix}")[-1]
        file.write_bytes(file.read_bytes()[:-1] + b"!")
    elif damage == "nothing":
        facts.unlink()
    else:
        known = json.loads(facts.read_text())
        facts.write_text(json.dumps(known | {"slots": known["slots"] | {"unheard of": 1}}))
    with monkeypatch.context() as patch:
        patch.setattr(needed, "is_there", lambda module: False)
        assert needed.lacking(case.order(format, order.precision)), "a converter for the new one"
    after = tmp_path / f"after{suffix}"
    template.write(case.order(format, order.precision), case.metadata, after, lines.append)
    (line,) = lines
    assert format in line
    assert "damaged" in line
    assert digest(after) == digest(before)
    template.write(case.order(format, order.precision), case.metadata, tmp_path / f"x{suffix}")
    assert len(list((tmp_path / "cache" / "templates").iterdir())) == 1, "the new one is kept"


BUILD = """
import sys
from pathlib import Path
from pocketknn.builder import Spec
from pocketknn.export.pipeline.build import build
from pocketknn.export.pipeline.request import Request, Selection
for out, choices in (("classes", {}), ("search", {"head": "neighbors"})):
    request = Request(
        selection=Selection(photos=Path(sys.argv[1])),
        spec=Spec(backbone="bundled", size=96, **choices),
        formats=("tflite", "onnx", "coreml"),
    )
    result, _ = build(request, Path(sys.argv[2]) / out)
    print(result.agrees, len(result.written))
print("imported:", *sorted({"tensorflow", "keras", "coremltools", "tf2onnx"} & set(sys.modules)))
"""


def test_a_first_build_imports_no_converter(photos, tmp_path, monkeypatch):
    words = [sys.executable, "-c", BUILD, str(photos), str(tmp_path)]
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["True 3", "True 3", "imported:"], done.stderr
