"""The section of the files: what matters first, and nothing that alarms without a word."""

import numpy as np
import pytest
from rich.console import Console
from support import study_of

from pocketknn.builder import References, Spec
from pocketknn.builder.knn.resolve import fit
from pocketknn.export.cli.console import tables
from pocketknn.export.parity.check import TOLERANCES, Parity
from pocketknn.export.report.blocks import Command, Table
from pocketknn.export.report.sections.files import files

HALF = Parity(
    precision="float16",
    queries=65,
    lists_equal=0.18,
    lists_agree=1.0,
    first_equal=0.95,
    recall=0.99,
    score_error=4e-3,
    vote_error=2e-4,
    labels_equal=0.97,
    stored=True,
    failures=(),
)


def study(labels, **changes):
    rows = np.random.default_rng(0).standard_normal((len(labels or "abcdef"), 8))
    given = study_of(fit(Spec(backbone="vector"), References.of(rows, labels)), **changes)
    given.manifest["parity"] = {"coreml": HALF.as_json()}
    given.manifest["files"] = {"model.mlpackage": {"bytes": 4_000_000}}
    return given


@pytest.mark.parametrize(("labels", "classes"), [("aaabbb", True), (None, False)])
def test_what_matters_comes_first_and_exact_lists_are_explained(labels, classes):
    section = files(study(labels and list(labels)))
    table = next(block for block in section.blocks if isinstance(block, Table))
    first = ("same class", "top-1 match", "same lists")[not classes :]
    assert table.columns[4:] == (*first, "score error", "vote error", "exact lists")
    (row,) = table.rows
    shares = ("97.0%", "95.0%", "100%")[not classes :]
    assert row[4:] == (*shares, "4e-03", "2e-04", "18.0%")
    said = " ".join(block for block in section.blocks if isinstance(block, str))
    assert f"{TOLERANCES['float16'].tie:.0e} in float16" in said
    assert "Exact lists have every neighbour" in said


def test_the_terminal_shows_no_share_that_only_counts_swaps():
    console = Console(width=80)
    row = tables.Row("model.mlpackage", 4_000_000, HALF)
    with console.capture() as shown:
        console.print(tables.parity_table([row]))
    text = " ".join(shown.get().split())
    assert "18.0%" not in text
    assert "95.0% 100%" in text
    assert "5e-03 in float16 may swap" in text
    assert max(map(len, shown.get().splitlines())) <= 80


def test_times_name_the_precision_of_each_file():
    times = [("model.keras", "float32", "", "1", "2", "3"), ("model.onnx", "int8", "1", *"123")]
    found = files(study(list("aaabbb"), timings=times)).blocks
    (table,) = [block for block in found if isinstance(block, Table) and "p95" in block.columns]
    assert table.columns[:2] == ("file", "weights")
    assert table.rows == tuple(times)


def test_a_platform_with_another_crop_is_named_with_the_command_to_measure_it():
    given = study(list("aaabbb"))
    assert not any(isinstance(block, Command) for block in files(given).blocks)
    given.manifest["input"] |= {"crop": "center"}
    given.manifest["input"]["consumers"] = {"tflite": {"name": "MediaPipe", "crop": "stretch"}}
    section = files(given)
    (command,) = [block.text for block in section.blocks if isinstance(block, Command)]
    assert command == "pocketknn eval OUT PHOTOS --crop stretch"
    said = " ".join(block for block in section.blocks if isinstance(block, str))
    assert "The crop is center, but by default MediaPipe uses stretch" in said
