"""A build's answers by default: the learned projection, the soft vote, and how they are judged."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from pocketknn.builder import InputError, References, Spec
from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.metrics.cosine import unit
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.knn.validation.leave_one_out import leave_one_out
from pocketknn.export import export, load
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.metadata import manifest_of
from pocketknn.export.parity.test_inputs import Queries

SUFFIXES = {name: target.SUFFIX for name, target in FORMATS.items()}
VECTOR = Spec(backbone="vector")


def clouds(sizes, d=48, apart=1.5, seed=0):
    """Classes of the given sizes, which differ along few directions and vary more along others."""
    rng = np.random.default_rng(seed)
    middles = np.zeros((len(sizes), d))
    middles[:, : d // 4] = apart * np.random.default_rng(7).standard_normal((len(sizes), d // 4))
    ids = np.repeat(np.arange(len(sizes)), sizes)
    noise = rng.standard_normal((len(ids), d))
    noise[:, d // 4 :] *= 4  # such as light, background and pose
    return (4 + middles[ids] + noise).astype(np.float32), [f"class {i:03}" for i in ids]


def references_of(sizes, **choices):
    return References.of(*clouds(sizes, **choices))


def answered(outputs, labels):
    return [labels[i] for i in winners(outputs["probabilities"])]


@pytest.mark.parametrize(
    "sizes", [[1] * 12, [1, 2, 40], [2, 2], [1, 1, 30, 30], [5, 6, 7, 8], [2] * 30, [25] * 3]
)
def test_a_reference_asked_as_a_query_gets_its_own_class(sizes, tmp_path):
    refs = references_of(sizes)
    against = Queries(refs.vectors, refs.vectors)
    built = export(VECTOR, refs, None, tmp_path / "out", against=against)
    assert built.agrees
    wanted = [refs.label_of(row) for row in range(len(refs))]
    for suffix in SUFFIXES.values():
        file = load(tmp_path / f"out/model{suffix}")
        assert answered(file.run(refs.vectors), file.metadata.labels) == wanted


def test_with_one_photo_per_class_the_nearest_reference_names_it():
    refs = references_of([1] * 20)
    fitted = fit(VECTOR, refs)
    assert fitted.spec.projection == "none"
    queries, _ = clouds([5] * 20, seed=1)
    votes = fitted.answers(fitted.search(queries))
    nearest = (unit(queries) @ unit(refs.vectors).T).argmax(axis=1)
    np.testing.assert_array_equal(votes.argmax(axis=1), refs.label_ids[nearest])
    assert votes.max(axis=1).std() > 0  # not all equal, as in a tie of five


def test_the_learned_projection_answers_new_queries_better_than_plain_cosine():
    refs = references_of([12] * 8, d=96, apart=3.0)
    queries, labels = clouds([40] * 8, d=96, apart=3.0, seed=1)
    right = {}
    for name in ("auto", "none"):
        fitted = fit(replace(VECTOR, projection=name), refs)
        votes = fitted.answers(fitted.search(queries))
        right[name] = np.mean(
            [fitted.labels[i] == label for i, label in zip(winners(votes), labels, strict=True)]
        )
    assert fit(VECTOR, refs).spec.projection == "classes"
    assert right["auto"] > right["none"] + 0.1


def test_probabilities_are_the_softmax_of_the_scores():
    refs, (queries, _) = references_of([9, 10, 11]), clouds([7] * 3, seed=2)
    fitted = fit(VECTOR, refs)
    found = fitted.search(queries)
    shares = softmax(found.scores / fitted.temperature, axis=1)
    votes = np.zeros((len(queries), 3))
    for column in range(found.indices.shape[1]):
        np.add.at(
            votes,
            (np.arange(len(queries)), refs.label_ids[found.indices[:, column]]),
            shares[:, column],
        )
    votes /= [9, 10, 11]  # so that all classes have the same weight
    votes /= votes.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(fitted.answers(found), votes, atol=1e-6)


def shuffled(refs, seed=0):
    """The same vectors with random labels."""
    ids = np.random.default_rng(seed).permutation(refs.label_ids)
    return References.of(refs.vectors, [refs.labels[i] for i in ids])


def test_labels_that_say_nothing_are_found_out():
    """Cross-validation finds chance level; a space learned from the photos would not."""
    refs = shuffled(
        References.of(
            np.random.default_rng(0).standard_normal((160, 128)),
            [f"class {i % 4}" for i in range(160)],
        )
    )
    fitted = fit(replace(VECTOR, projection="classes"), refs)
    measured = leave_one_out(fitted)
    assert measured.folds > 1
    assert measured.accuracy < 0.25 + 3 * np.sqrt(0.25 * 0.75 / 160)  # three standard errors
    confident = fitted.answers(fitted.space.others_of_all(fitted.k)).max(axis=1)
    assert np.median(confident) < 0.5
    # The same with the leak that the folds prevent.
    leaking = replace(fitted, space=replace(fitted.space, refit=None))
    assert leave_one_out(leaking).accuracy > 0.6


def test_copies_of_a_picture_do_not_answer_for_each_other():
    """Random rows twice, some slightly changed: their labels cannot be predicted."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((60, 64)).astype(np.float32)
    labels = [f"class {i}" for i in rng.integers(0, 3, 60)]
    near = rows * (1 + 1e-4 * rng.standard_normal(rows.shape))
    refs = References.of(np.concatenate([rows, near]), labels * 2)
    assert leave_one_out(fit(VECTOR, refs)).accuracy < 1 / 3 + 3 * np.sqrt(2 / 9 / 60)


def test_one_template_serves_all_numbers_of_classes(tmp_path, monkeypatch):
    """That of the package, or else one that is converted."""
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))
    for k, kept in ((None, 0), (1, 1)):
        for classes in (2, 3, 7, 20):
            refs = references_of([120 // classes] * classes)
            out = tmp_path / f"{k}-{classes}"
            built = export(replace(VECTOR, k=k), refs, None, out, formats=["tflite"])
            assert built.fit.spec.projection == "classes"
        assert len(list((tmp_path / "cache").glob("templates/*"))) == kept


def test_files_are_no_larger_than_without_a_projection(tmp_path):
    refs = references_of([2] * 250, d=400)
    sizes = {}
    for name in ("classes", "none"):
        spec = replace(VECTOR, projection=name)
        built = export(spec, refs, None, tmp_path / name, formats=["tflite", "onnx"])
        sizes[name] = [one.bytes for one in built.written]
    assert all(one <= other for one, other in zip(sizes["classes"], sizes["none"], strict=True))


SAME_BYTES = """
import hashlib, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_answers import VECTOR, references_of
from pocketknn.export import export
export(VECTOR, references_of([9] * 7), None, Path(sys.argv[2]), formats=["tflite"])
print(hashlib.sha256(Path(sys.argv[2], "model.tflite").read_bytes()).hexdigest())
"""


def test_the_same_photos_give_the_same_bytes_in_any_process(tmp_path):
    from pathlib import Path

    hashes = set()
    for number, threads in enumerate(("1", "2")):
        done = subprocess.run(
            [sys.executable, "-c", SAME_BYTES, str(Path(__file__).parent), tmp_path / f"{number}"],
            env=_environment(threads),
            capture_output=True,
            text=True,
            check=True,
        )
        hashes.add(done.stdout.strip().splitlines()[-1])
    assert len(hashes) == 1
    assert all(len(one) == hashlib.sha256().digest_size * 2 for one in hashes)


def _environment(threads):
    import os

    return os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}


@pytest.mark.parametrize(
    ("refs", "choices", "line"),
    [
        (References.of(np.eye(4)), {}, "labels|classes"),
        (References.of(np.eye(4), ["a"] * 4), {}, "two classes"),
        (References.of(np.ones((4, 3)), [*"aabb"]), {}, "equal"),
        (References.of(np.eye(4), targets=[1, 2, 3, 4]), {"head": "regress"}, "regress"),
    ],
    ids=["no classes", "one class", "all the same", "targets"],
)
def test_what_nothing_can_be_learned_from(refs, choices, line):
    with pytest.raises(InputError, match=line):
        fit(Spec(backbone="vector", projection="classes", **choices), refs)


@pytest.mark.parametrize(
    "refs",
    [
        References.of(np.eye(4)),
        References.of(np.eye(4), ["a"] * 4),
        References.of(np.ones((4, 3)), [*"aabb"]),
        References.of(np.zeros((4, 3)), [*"aabb"]),
        References.of(np.eye(4), [*"abcd"]),
        References.of([[1.0, 2.0]], ["a"]),
        References.of(np.eye(2), [*"ab"]),
        References.of(np.eye(3), [*"aab"]),
    ],
)
def test_by_default_nothing_is_learned_where_nothing_can_be(refs):
    fitted = fit(VECTOR, refs)
    assert fitted.spec.projection in ("none", "classes")
    found = fitted.search(refs.vectors)
    if fitted.labels:
        assert np.isfinite(fitted.answers(found)).all()


@pytest.mark.parametrize(
    ("choices", "line"),
    [
        ({"temperature": 0.0}, "above 0"),
        ({"temperature": -1.0}, "above 0"),
        ({"temperature": float("nan")}, "above 0"),
        ({"temperature": 0.1, "vote": "uniform"}, "soft vote"),
        ({"projection": "lda"}, "unknown projection"),
        ({"projection": "pca"}, "number"),
        ({"projection": "pca:x"}, "pca:SIZE"),
        ({"projection": "pca:8", "pca": 8}, "once"),
        ({"projection": "classes", "pca": 8}, "cannot be combined"),
        ({"projection": "none", "whiten": 0.5}, "number"),
    ],
)
def test_choices_that_make_no_sense(choices, line):
    with pytest.raises(InputError, match=line):
        Spec(**choices)


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("pca:64", {"pca": 64}),
        ("pca:0.95:0.5", {"pca": 0.95, "whiten": 0.5}),
        ("pca:auto", {"pca": "auto"}),
    ],
)
def test_the_older_spellings_are_understood(new, old):
    assert Spec(projection=new) == Spec(**old)


def test_editing_keeps_the_projection_and_the_figures_of_the_build(photos, tmp_path, pocketknn):
    out, more = tmp_path / "out", tmp_path / "more"
    said = pocketknn(
        *("build", photos, "-o", out, "--backbone", "pixels", "--size", "8", "--no-report"),
        *("--projection", "classes", "--formats", "tflite"),
    )
    assert said.code == 0, said.err
    before = manifest_of(out)
    (more / "new class").mkdir(parents=True)
    picture = next((photos / "apple").iterdir())
    from PIL import Image

    Image.open(picture).transpose(Image.Transpose.ROTATE_90).save(more / "new class/0.png")
    file = tmp_path / "grown.tflite"
    said = pocketknn("edit", out / "model.tflite", "--add", more, "-o", file)
    assert said.code == 0, said.err
    assert "'new class'" in said.out
    assert "pocketknn edit" in said.out
    after = load(file).metadata.manifest
    assert after["references"]["figures_of"] == before["references"]["count"] == 12
    assert after["references"]["leave_one_out"] == before["references"]["leave_one_out"]
    assert after["projection"] == before["projection"]
    said = pocketknn("inspect", file)
    assert "measured before the edit, with the 12 references of the build" in said.out
    # A class that the build knew needs no warning.
    (more / "new class").rename(more / "apple")
    said = pocketknn("edit", out / "model.tflite", "--add", more, "-o", tmp_path / "b.tflite")
    assert said.code == 0
    assert "warning" not in said.out


def test_a_core_ml_backbone_is_float32_where_half_precision_would_not_agree(
    tmp_path, monkeypatch, small_net
):
    """The projection magnifies rounding errors; the build must still write a file."""
    from pocketknn.builder import load_backbone
    from pocketknn.export.parity import check

    spec = Spec(backbone=small_net)
    backbone = load_backbone(spec)
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (12, 32, 32, 3)).astype(np.uint8)
    embeddings = backbone.engine.run(pictures)
    refs = References.of(embeddings, [*"aaaabbbbcccc"])
    strict = check.TOLERANCES["float16"]._replace(score=1e-9)
    monkeypatch.setitem(check.TOLERANCES, "float16", strict)
    notes = []
    built = export(
        spec,
        refs,
        backbone,
        tmp_path / "out",
        against=Queries(pictures, embeddings),
        formats=["tflite", "coreml"],
        note=notes.append,
    )
    assert built.agrees
    assert built.manifest["precision"] == {"tflite": "float32", "coreml": "float32"}
    assert [one.format for one in built.written] == ["tflite", "coreml"]
    assert len([line for line in notes if "float32" in line]) == 1
    for name in ("model.tflite", "model.mlpackage"):
        inside = load(tmp_path / "out" / name).metadata.manifest
        assert inside["precision"] == built.manifest["precision"]
    assert json.loads((tmp_path / "out/parity.json").read_text())["coreml"]["agrees"]
