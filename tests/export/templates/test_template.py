"""References filled into a template, against converting the graph with them."""

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import PRECISION, TESTS, photo_case, vector_case

from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import Spec
from pocketknn.builder.system.cache import USUAL
from pocketknn.export import export
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.output.checksums import digest, files_of
from pocketknn.export.parity.check import check
from pocketknn.export.parity.compare import holds
from pocketknn.export.pipeline.build import build
from pocketknn.export.pipeline.request import Request, Selection
from pocketknn.export.templates import converting, template
from pocketknn.export.templates import order as ordering

# All choices that change how a graph holds its references.
CASES = {
    "cosine": {},
    "one class": {"classes": 1},
    "many": {"n": 900, "classes": 300},
    "few": {"n": 6, "k": 5, "classes": 2},
    "weighted, unknown": {"vote": "distance", "balanced": True, "reject": 0.2},
    "euclidean": {"metric": "euclidean", "vote": "distance", "reject": -4.0},
    "euclidean, few": {"metric": "euclidean", "n": 12, "k": 5},
    "one value": {"d": 1},
    "one value, euclidean": {"d": 1, "metric": "euclidean"},
    "soft, balanced, unknown": {"vote": "soft", "balanced": True, "reject": 0.1},
    "soft, euclidean": {"vote": "soft", "metric": "euclidean"},
    "classes": {"projection": "classes", "vote": "soft"},
    "classes, manhattan": {"projection": "classes", "metric": "manhattan"},
    "defaults": {"projection": "auto", "vote": None, "k": None},
    "whitened": {"pca": 6, "whiten": 1.0},
    "projected to one": {"pca": 1, "metric": "manhattan"},
    "projected, euclidean": {"pca": 6, "metric": "euclidean"},
    "manhattan": {"metric": "manhattan", "head": "neighbors"},
    "minkowski": {"metric": "minkowski", "vote": "distance"},
    "values": {"head": "regress", "vote": "distance", "metric": "euclidean"},
    "values, cosine": {"head": "regress"},
    "grows": {
        **{"grow": 20, "spare": 3, "vote": "distance", "balanced": True},
        **{"pca": 6, "metric": "euclidean", "reject": -4.0},
    },
}


def outputs(name, path, case):
    return FORMATS[name].load(path)(case.queries.inputs)


def same(name, case, folder, precision, **options):
    """Both ways give files with the same answers, bit for bit, which hold the references."""
    suffix = FORMATS[name].SUFFIX
    quick = case.write(name, folder / f"quick{suffix}", precision, **options)
    slow = case.convert(name, folder / f"slow{suffix}", precision, **options)
    found, wanted = outputs(name, quick, case), outputs(name, slow, case)
    if options.get("outputs", "neighbors") == "neighbors":
        parity = check(found, case.queries.embeddings, case.fit, precision=precision)
        assert not any("vote" in failure for failure in parity.failures)
    assert found.keys() == wanted.keys()
    for output, values in wanted.items():
        # With int8, TensorFlow adds the votes of many classes in another order than those of few.
        last_bit = 1e-7 if precision == "int8" and output == "probabilities" else 0
        if name == "coreml" and case.fit.scores_of == "classes":
            # coremltools omits a bias of zeros, and numpy then adds products in another order.
            last_bit = 2e-6
        np.testing.assert_allclose(found[output], values, rtol=0, atol=last_bit, err_msg=output)
    if options.get("outputs") != "embedding":
        assert holds(files_of(quick), case.fit)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("which", CASES)
def test_a_filled_template_answers_as_the_converted_graph(name, which, tmp_path):
    same(name, vector_case(**CASES[which]), tmp_path, PRECISION[name])


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_with_a_backbone(name, photos, small_net, tmp_path):
    case = photo_case(photos, small_net, vote="distance", k=3)
    for precision in FORMATS[name].PRECISIONS:
        (folder := tmp_path / precision).mkdir()
        same(name, case, folder, precision)


@pytest.mark.parametrize("ios", [15, 18])
def test_the_same_for_the_oldest_and_the_newest_ios(ios, photos, small_net, tmp_path):
    case = photo_case(photos, small_net, k=3, metric="euclidean")
    same("coreml", case, tmp_path, "float16", options=Options(ios=ios))


@pytest.mark.parametrize("name", ["tflite", "onnx"])
def test_the_same_with_pixels_as_bytes(name, photos, tmp_path):
    same(name, photo_case(photos, k=3), tmp_path, "float32", options=Options(pixels="uint8"))


@pytest.mark.parametrize("what", ["embedding", "scores"])
def test_the_same_for_files_that_end_before_the_top_k(what, tmp_path):
    case = vector_case(pca=4)
    case.metadata.part(what)
    same("tflite", case, tmp_path, "float32", outputs=what)


def test_a_part_without_references_is_made_too(tmp_path):
    same("tflite", vector_case(), tmp_path, "float32", outputs="embedding")


@pytest.mark.parametrize("d", [250, 282])
@pytest.mark.parametrize("name", FORMATS)
def test_rows_with_a_last_value_as_wide_as_made_up_sizes(name, d, tmp_path):
    same(name, vector_case(d=d, metric="euclidean"), tmp_path, PRECISION[name])


# The cache


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))
    return USUAL.drawer("templates")


def conversions(monkeypatch):
    """Record the formats that are converted from now on."""
    seen = []
    for name, target in FORMATS.items():
        monkeypatch.setattr(target, "convert", counted(seen, name, target.convert))
    return seen


def counted(seen, name, convert):
    def count(*given):
        seen.append(name)
        return convert(*given)

    return count


@pytest.mark.parametrize("name", FORMATS)
def test_a_template_serves_other_references(name, place, tmp_path, monkeypatch):
    seen = conversions(monkeypatch)
    for number, (n, k, d) in enumerate(((40, 5, 16), (41, 4, 16), (3000, 20, 30))):
        case = vector_case(n=n, k=k, d=d, classes=n // 8, seed=number)
        case.write(name, tmp_path / f"{number}{FORMATS[name].SUFFIX}", PRECISION[name])
    assert seen == [name]
    vector_case(k=1).write(name, tmp_path / f"other{FORMATS[name].SUFFIX}", PRECISION[name])
    assert seen == [name, name]


def facts_cut_short(kept, file):
    (kept / "template.json").write_text("{")


def facts_lost(kept, file):
    (kept / "template.json").unlink()


def file_changed(kept, file):
    file.write_bytes(file.read_bytes()[:-1] + b"!")


# What is said of a file stands beside it, whatever its format.
DAMAGES = {name: [file_changed] for name in FORMATS} | {
    "onnx": [file_changed, facts_cut_short, facts_lost]
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_template_that_is_no_good_is_made_anew_with_a_line(name, place, tmp_path, monkeypatch):
    case, suffix = vector_case(), FORMATS[name].SUFFIX
    before = case.write(name, tmp_path / f"before{suffix}", PRECISION[name])
    (kept,) = place.iterdir()
    seen, lines = conversions(monkeypatch), []
    for number, damage in enumerate(DAMAGES[name], 1):
        damage(kept, files_of(kept / f"model{suffix}")[-1])
        after = tmp_path / f"after{number}{suffix}"
        template.write(case.order(name, PRECISION[name]), case.metadata, after, lines.append)
        assert seen == [name] * number, damage
        assert ["damaged" in line for line in lines] == [True] * number
        assert digest(after) == digest(before)
    template.write(case.order(name, PRECISION[name]), case.metadata, tmp_path / f"x{suffix}")
    assert seen == [name] * len(DAMAGES[name]), "it must be whole again"


def test_a_template_of_other_versions_serves_these_no_more(place, tmp_path, monkeypatch):
    case, lines = vector_case(), []
    case.write("onnx", tmp_path / "before.onnx")
    versions = ordering._versions() | {"numpy": "1.0"}
    monkeypatch.setattr(ordering, "_versions", lambda: versions)
    seen = conversions(monkeypatch)
    template.write(case.order("onnx"), case.metadata, tmp_path / "after.onnx", lines.append)
    assert (seen, lines) == (["onnx"], [])
    assert len(list(place.iterdir())) == 2


def test_a_cache_that_cannot_be_written_costs_a_line(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))
    case, lines = vector_case(), []
    path = tmp_path / "model.onnx"
    template.write(case.order("onnx"), case.metadata, path, lines.append)
    assert path.exists()
    assert len(lines) == 1
    assert "cannot be used" in lines[0]


def test_a_template_of_a_faster_build_stays(place, tmp_path, monkeypatch):
    """Others may be reading it."""
    case, make, kept = vector_case(), template.make, []

    def slow(order, folder):
        monkeypatch.setattr(template, "make", make)
        case.write("onnx", tmp_path / "faster.onnx")
        kept.extend(path.stat().st_ino for path in place.iterdir())
        return make(order, folder)

    monkeypatch.setattr(template, "make", slow)
    case.write("onnx", tmp_path / "model.onnx")
    assert [path.stat().st_ino for path in place.iterdir()] == kept


def test_files_of_others_among_the_templates_stay(place, tmp_path, pocketknn):
    vector_case().write("onnx", tmp_path / "model.onnx")
    (place / ".DS_Store").touch()
    assert ".DS_Store" not in pocketknn("cache", "show").out
    said = pocketknn("cache", "clear")
    assert (said.code, "1 cache removed" in said.out) == (0, True)
    assert [path.name for path in place.iterdir()] == [".DS_Store"]


def test_references_that_look_like_made_up_ones(tmp_path):
    """As many as the made-up ones, with the same class names: no value is mistaken for a slot."""
    rng = np.random.default_rng(0)
    n, c = 283, 251
    labels = [f"class-{number % c:03}" for number in range(n)]
    references = References.of(rng.standard_normal((n, 8)), labels)
    out = tmp_path / "out"
    result = export(Spec(), references, None, out)
    assert all(one.parity.agrees for one in result.written)
    assert fit(Spec(), references).labels == tuple(sorted(set(labels)))


@pytest.mark.parametrize("before", [True, False])
def test_garbage_is_collected_afterwards_as_before(before, tmp_path, monkeypatch):
    """What a program exempted from collection, as servers do before they fork, stays exempt."""
    during, convert = [], FORMATS["onnx"].convert
    monkeypatch.setattr(converting, "gc", gc)
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        FORMATS["onnx"],
        "convert",
        lambda *given: during.append(gc.get_freeze_count()) or convert(*given),
    )
    (gc.freeze if before else gc.unfreeze)()
    try:
        vector_case().write("onnx", tmp_path / "model.onnx")
        assert during[0] > 10_000
        assert (gc.get_freeze_count() > 0) == before
    finally:
        gc.freeze()


def build_three(photos, out, net):
    """From pictures, with every cache."""
    request = Request(
        selection=Selection(photos=Path(photos)),
        spec=Spec(backbone=net, metric="euclidean", k=3),
        formats=("tflite", "onnx", "coreml"),
    )
    build(request, Path(out), cache=USUAL)


BUILD = """
import sys
sys.path[:0] = sys.argv[4:]
from test_template import build_three
build_three(*sys.argv[1:4])
print("imported:", *sorted({"tensorflow", "keras", "coremltools", "tf2onnx"} & set(sys.modules)))
"""


def test_a_build_from_templates_imports_no_converter(
    photos, small_net, place, tmp_path, monkeypatch
):
    """Another process finds what this one converted."""
    seen = conversions(monkeypatch)
    build_three(photos, tmp_path / "first", small_net)
    assert sorted(seen) == ["coreml", "coreml", "onnx", "onnx", "tflite", "tflite"]
    given = [str(photos), str(tmp_path / "second"), small_net]
    paths = [str(Path(__file__).parent), str(TESTS)]
    words = [sys.executable, "-c", BUILD, *given, *paths]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["imported:"], done.stderr
    for name in ("model.tflite", "model.onnx", "model.mlpackage"):
        assert digest(tmp_path / "first" / name) == digest(tmp_path / "second" / name)
