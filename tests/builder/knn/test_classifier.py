"""KNNClassifier with a backbone: pictures as examples, in any form a program holds."""

import numpy as np
import pytest
from PIL import Image
from support import input_error, tinted

from pocketknn.builder import KNNClassifier, Spec, embed, find, load_backbone

COLOURS = {"red": (200, 30, 30), "blue": (30, 30, 200)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("coloured")
    for label, colour in COLOURS.items():
        (made / label).mkdir()
        for seed in range(3):
            tinted(seed, colour, (40, 30), 0.3).save(made / label / f"{seed}.png")
    return made


@pytest.fixture(scope="module")
def pixels():
    return load_backbone(Spec(backbone="pixels", size=8))


def grown(folder, backbone, form=lambda path: path):
    knn = KNNClassifier(backbone=backbone)
    for path in sorted(folder.rglob("*.png")):
        knn.add_example(form(path), path.parent.name)
    return knn


FORMS = {
    "path": lambda path: path,
    "text": str,
    "image": Image.open,
    "array": lambda path: np.asarray(Image.open(path).convert("RGB")),
}


@pytest.mark.parametrize("form", FORMS)
def test_examples_are_the_embeddings_of_a_build(folder, pixels, form):
    knn = grown(folder, pixels, FORMS[form])
    expected = embed(find(folder), pixels, "center").references()
    found = knn.references()
    assert found.labels == expected.labels == ("blue", "red")
    np.testing.assert_array_equal(found.vectors, expected.vectors)
    assert found.provenance == expected.provenance
    query = FORMS[form](folder / "red/1.png")
    assert knn.classify(query, k=1).label == "red"


def test_a_backbone_by_name_is_loaded(folder):
    knn = grown(folder, "bundled")
    assert knn.references().dim == 1280
    assert knn.references().provenance.backbone == "bundled"
    assert knn.classify(folder / "blue/0.png", k=1).label == "blue"


def test_a_grey_or_transparent_array_is_a_picture(pixels):
    knn = KNNClassifier(backbone=pixels)
    knn.add_example(np.full((20, 20), 9, np.uint8), "dark")
    knn.add_example(np.full((20, 20, 4), 255, np.uint8), "light")
    assert knn.classify(np.full((9, 30, 3), 250, np.uint8), k=1).label in ("dark", "light")


def test_vectors_are_still_taken_but_then_the_origin_is_unknown(folder, pixels, tmp_path):
    knn = grown(folder, pixels)
    row = knn.references().vectors[0]
    knn.add_example(row, "blue")
    assert knn.references().provenance is None
    knn.save(tmp_path / "saved.json")
    again = KNNClassifier(backbone=pixels)
    again.load(tmp_path / "saved.json")
    assert again.references().provenance is None
    assert again.classify(folder / "red/2.png", k=1).label == "red"
    again.clear_all_labels()
    again.add_example(folder / "red/2.png", "red")
    assert again.references().provenance is not None


def test_refusals_say_what_to_do(folder, pixels, tmp_path):
    (tmp_path / "no.png").write_text("no picture")
    for given in (folder / "red/0.png", Image.new("RGB", (9, 9))):
        with input_error("takes-vectors", 'KNNClassifier(backbone="bundled")'):
            KNNClassifier().add_example(given, "red")
    knn = KNNClassifier(backbone=pixels)
    for given in (tmp_path / "no.png", tmp_path / "absent.png"):
        with input_error("unreadable-picture", given.name):
            knn.add_example(given, "red")
    assert knn.count() == 0
    with input_error("unknown-choice"):
        KNNClassifier(backbone="no such").add_example(folder / "red/0.png", "red")
    with input_error("unknown-choice"):
        KNNClassifier(backbone="bundled", crop="middle")
