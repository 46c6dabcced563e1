"""Strangers are called unknown, by a threshold or because strangers are among the references."""

import json
import shlex

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest
from support import drawing, input_error

from pocketknn.builder import InputError, References, Spec
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.knn.validation import learned_strangers
from pocketknn.export.report.unknown_words import unknown_words, weakness


def of(rows, labels=None, hashes=None):
    return References.of(rows, labels, sha256=hashes)


def scattered(n, middle, seed, spread=1.0):
    return middle + spread * np.random.default_rng(seed).standard_normal((n, 40))


def test_copies_are_in_one_half_and_the_seed_draws_them():
    rows = scattered(20, 3, 0)
    strangers = of(np.concatenate([rows, rows]))
    learned, held_back = learned_strangers.halves(strangers, seed=1)
    assert sorted([*learned, *held_back]) == list(range(40))
    assert len(learned) == len(held_back) == 20
    assert set(learned % 20).isdisjoint(held_back % 20)
    again, other = (learned_strangers.halves(strangers, seed)[0] for seed in (1, 2))
    assert np.array_equal(learned, again)
    assert not np.array_equal(learned, other)
    with pytest.raises(InputError, match="at least 4 different photos, not 3"):
        learned_strangers.halves(of(np.concatenate([rows[:3], rows[:3]])), seed=0)


def test_references_are_no_strangers():
    references = of(scattered(10, 3, 0), ["a", "b"] * 5, [f"r{i}" for i in range(10)])
    rows = scattered(6, 3, 1)
    assert learned_strangers.strange(references, of(rows)).tolist() == list(range(6))
    with input_error("stranger-is-reference", "1 of the strangers", "2 is the same picture as 4"):
        learned_strangers.strange(references, of(rows, None, ["", "", "r4", "", "", ""]))
    rows[3] = references.vectors[7] * 2 + 0.01
    assert learned_strangers.strange(references, of(rows)).tolist() == [0, 1, 2, 4, 5]
    with pytest.raises(InputError, match="all strangers are near-copies"):
        learned_strangers.strange(references, of(references.vectors))


def test_what_learned_strangers_bring_by_loops():
    rng = np.random.default_rng(0)
    middles = rng.standard_normal((3, 40)) * 2 + 3
    ids = np.repeat(np.arange(3), 12)
    rows = middles[ids] + rng.standard_normal((36, 40))
    labels = ["a", "b", "unknown"]
    found = fit(Spec(backbone="vector"), of(rows, [labels[i] for i in ids]))
    held_back = middles[2] + rng.standard_normal((30, 40))
    assert found.strangers.tolist() == [i == 2 for i in ids]
    assert not np.isin(found.out_of_fold.queries, np.flatnonzero(ids == 2)).any()
    said = learned_strangers.measure(found, held_back, None)
    won = [found.labels[vote.argmax()] for vote in found.answers(found.search(held_back))]
    assert said.strangers == won.count("unknown") / 30 > 0.8
    assert (said.learned, said.held_back, said.threshold_known) == (12, 30, None)
    assert said.known is not None
    assert said.known < 0.2
    plain = of(rows[:24], ["a", "b"] * 12)
    assert not fit(Spec(backbone="vector"), plain).strangers.any()


def reject(**more):
    nothing = {"strangers": None, "strangers_asked": 0, "left_out_classes": None, "known": 0.05}
    backbone = {"name": "bundled"}
    return {"reject": nothing | {"unprojected": None} | more, "backbone": backbone}


@pytest.mark.parametrize(
    ("stopped", "words"),
    [
        (0.05, "does not work"),
        (0.35, "fails for most of them, do not rely on it"),
        (0.6, "stops most of them, not all"),
        (0.95, "rejection works"),
    ],
)
def test_the_words_say_whether_it_works_and_what_to_do(stopped, words):
    said = "\n".join(unknown_words(reject(strangers=stopped, strangers_asked=40)))
    count = 40 - round(40 * stopped)
    low, high = binomtest(count, 40).proportion_ci(method="wilson")
    assert f"{count} of 40 strangers pass (95%: {100 * low:.0f} to {100 * high:.0f}%)" in said
    assert words in said
    assert ("--learn-strangers" in said) == ("efficientnet_lite0" in said) == (stopped < 0.8)
    found = reject(left_out_classes=stopped, left_out_asked=60, unprojected=stopped + 0.04)
    said = "\n".join(unknown_words(found))
    assert words in said
    assert "measured on 60 photos of classes held out" in said
    assert "--projection none" not in said
    said = "\n".join(unknown_words(reject(left_out_classes=0.2, unprojected=0.7)))
    assert "with --projection none about 30%" in said
    assert "measure it with --strangers" in "\n".join(unknown_words(reject()))
    assert "too many" not in said
    assert "many known pictures are rejected" in "\n".join(
        unknown_words(reject(strangers=0.9, strangers_asked=40, known=0.5))
    )


def test_few_of_anything_are_counted_and_not_scaled_to_a_hundred():
    said = "\n".join(
        unknown_words(reject(known_asked=60, strangers=39 / 40, strangers_asked=40, known=3 / 60))
    )
    assert "3 of 60 references are rejected when held out (95%: " in said
    assert "1 of 40 strangers passes (95%: 0 to 13%): rejection works" in said
    assert "of 100" not in said


def test_strangers_are_measured_before_they_are_learned():
    """Else the build with learned strangers may send back to the threshold."""
    said = "\n".join(unknown_words(reject(left_out_classes=0.4)))
    assert "--reject auto --strangers PHOTOS" in said
    assert "--learn-strangers" not in said
    said = "\n".join(unknown_words(reject(left_out_classes=0.4, strangers=0.4, strangers_asked=40)))
    assert "--learn-strangers" in said


@pytest.mark.parametrize(("stopped", "told"), [(0.4, "Do not rely"), (0.7, "not all"), (0.9, None)])
def test_a_weakness_of_rejection_is_a_sentence(stopped, told):
    for found in (
        reject(left_out_classes=stopped),
        reject(strangers=stopped, strangers_asked=40),
        reject(strangers=1.0, strangers_asked=3, left_out_classes=stopped),
    ):
        said = weakness(found["reject"])
        assert said is None if told is None else told in said
    assert weakness(reject()["reject"]) is None


@pytest.mark.parametrize("threshold", [None, 0.4, 0.9])
def test_the_words_say_where_a_threshold_stops_more(threshold):
    found = {"learned": 19, "held_back": 20, "strangers": 0.6, "known": 0.02}
    found |= {"threshold_strangers": threshold, "threshold_known": 0.05}
    said = "\n".join(unknown_words({"reject": None, "strangers": found}))
    assert "; 8 of 20 other strangers pass (95%: 22 to 61%): rejection stops most" in said
    assert "2.0% of the other references are called unknown" in said
    assert ("with a threshold instead" in said) == (threshold is not None)
    assert ("--reject auto instead of" in said) == (threshold == 0.9)


@pytest.fixture(scope="module")
def strange(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strange")
    for i in range(12):
        drawn = drawing(500 + i)
        Image.eval(drawn, lambda value: 255 - value // 3).save(folder / f"{i}.png")
    return folder


def test_a_build_learns_half_of_the_strangers_and_asks_for_the_others(
    pocketknn, photos, strange, tmp_path
):
    choices = ("--backbone", "pixels", "--size", "8", "--formats", "onnx", "--no-report")
    words = ("build", photos, "-o", tmp_path / "out", *choices, "--strangers", strange)
    said = pocketknn(*words, "--learn-strangers")
    assert said.code == 0, said.err
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["labels"][-1] == "unknown"
    assert manifest["reject"] is None
    assert manifest["strangers"]["learned"] == manifest["references"]["per_label"]["unknown"] == 6
    assert manifest["strangers"]["held_back"] == 6
    loo = manifest["references"]["leave_one_out"]
    assert sorted(loo["per_class"]) == sorted({*manifest["labels"]} - {"unknown"})
    assert loo["queries"] == sum(asked for _, asked in loo["per_class"].values())
    assert "6 strangers are references of the class unknown; " in said.out
    assert " of 6 other strangers pass" in said.out
    assert "with a threshold instead" in said.out
    judged = pocketknn("eval", tmp_path / "out", strange, "--json")
    assert json.loads(judged.out)[0]["unknown"] >= 0.5
    again = pocketknn(*words[:3], tmp_path / "again", *words[4:], "--learn-strangers")
    assert again.code == 0
    files = (tmp_path / name / "references.parquet" for name in ("out", "again"))
    assert len({file.read_bytes() for file in files}) == 1


def test_a_build_that_strangers_pass_says_how_to_learn_them(pocketknn, photos, tmp_path):
    (tmp_path / "strange").mkdir()
    for i in range(12):  # drawings like those of the classes
        drawing(3000 + i).save(tmp_path / f"strange/{i}.png")
    choices = ("--backbone", "pixels", "--size", "8", "--formats", "onnx")
    words = ("--strangers", tmp_path / "strange", "--reject", "auto", "--false-rejection", "0.02")
    said = pocketknn("build", photos, "-o", tmp_path / "out", *choices, *words)
    assert said.code == 0, said.err
    (line,) = [
        one for one in said.out.splitlines() if "pocketknn build" in one and "--learn" in one
    ]
    assert not {"--reject", "--false-rejection"} & {*shlex.split(line)}
    again = pocketknn(*shlex.split(line)[1:])
    assert again.code == 0, again.err
    assert "6 strangers are references" in again.out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--learn-strangers"], "[option-not-applicable]"),
        (["--strangers", "STRANGE"], "--learn-strangers"),
        (["--strangers", "STRANGE", "--learn-strangers", "--reject", "auto"], "[either-or]"),
        (["--strangers", "PHOTOS", "--reject", "auto"], "[stranger-is-reference]"),
        (["--strangers", "PHOTOS", "--learn-strangers"], "[stranger-is-reference]"),
    ],
)
def test_strangers_that_mean_nothing_are_one_line(
    pocketknn, photos, strange, tmp_path, more, words
):
    places = {"PHOTOS": photos, "STRANGE": strange}
    choices = ("--backbone", "pixels", "--size", "8", "--formats", "onnx")
    words_given = [places.get(one, one) for one in more]
    said = pocketknn("build", photos, "-o", tmp_path / "out", *choices, *words_given)
    assert said.code == 2
    assert words in said.err
    assert said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_class_of_that_name_is_refused_before_photos_are_embedded(pocketknn, tmp_path):
    for label in ("apple", "unknown"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(3):
            drawing(i).save(tmp_path / "photos" / label / f"{i}.png")
    words = ("build", tmp_path / "photos", "-o", tmp_path / "out", "--backbone", "bundled")
    said = pocketknn(*words, "--reject", "auto")
    assert said.code == 2
    assert "[reserved-class-name]" in said.err
    assert "embedding" not in said.err
    assert not (tmp_path / "out").exists()
