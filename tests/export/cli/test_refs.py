"""`pocketknn refs`: files of references, and builds from them."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from support import drawing

from pocketknn.builder import References
from pocketknn.builder.knn import exact
from pocketknn.builder.references import ml5_json
from pocketknn.export import load
from pocketknn.export.cli.refs import files

EMBED = ("--backbone", "pixels", "--size", "8")


@pytest.fixture
def refs(pocketknn):
    """Run a command of `refs` that must succeed; returns its output."""

    def run(*arguments):
        said = pocketknn("refs", *arguments)
        assert (said.code, said.err) == (0, "")
        return said.out

    return run


@pytest.fixture
def refused(pocketknn, tmp_path):
    """Run a command of `refs` that must end in one line and exit code 2, and change no file."""

    def run(*arguments):
        before = contents(tmp_path)
        said = pocketknn("refs", *arguments)
        assert said.code == 2, said.out + said.err
        assert said.err.startswith("pocketknn: ")
        assert said.err.count("\n") == 1, said.err
        assert "written" not in said.out
        assert contents(tmp_path) == before
        return said.err

    return run


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def labelled(references):
    return [references.label_of(row) for row in range(len(references))]


@pytest.fixture
def file(pixels_build, tmp_path):
    """A copy of the build's references, which a test may damage."""
    return shutil.copy(pixels_build / "references.parquet", tmp_path / "kept.parquet")


@pytest.fixture
def new(tmp_path):
    return tmp_path / "new.parquet"


@pytest.fixture
def more(tmp_path):
    """Two more photos, one of a new class."""
    for i, label in enumerate(("apple", "pear")):
        (tmp_path / "more" / label).mkdir(parents=True)
        drawing(50 + i).save(tmp_path / "more" / label / "new.png")
    return tmp_path / "more"


# list


def test_list_says_what_a_file_holds(file, pixels_build, refs):
    said = refs("list", file)
    for line in (
        f"{file}: 12 references in 3 classes, 192 values each",
        "  apple         4",
        "  berries/red   4",
        "backbone pixels at 8×8, weights e3b0c44298fc, crop center",
    ):
        assert line in said.splitlines()
    assert refs("list", pixels_build).splitlines()[1:] == said.splitlines()[1:], (
        "the build's folder"
    )


def test_list_rows_are_a_line_each(file, pixels_build, refs):
    lines = refs("list", file, "--rows").splitlines()
    assert len(lines) == 12
    first = References.load(file)
    assert lines[0].split() == ["0", first.ids[0], "apple", "apple/0.png"]
    assert lines[11].split() == ["11", first.ids[11], "cherry", "cherry/3.png"]


def test_list_json_is_whole(file, refs):
    said = json.loads(refs("list", file, "--json"))
    assert said["per_label"] == {"apple": 4, "berries/red": 4, "cherry": 4}
    assert (said["count"], said["dim"], said["duplicates"]) == (12, 192, 0)
    assert said["provenance"]["backbone"] == "pixels"
    assert "rows" not in said
    rows = json.loads(refs("list", file, "--json", "--rows"))["rows"]
    assert [row["index"] for row in rows] == list(range(12))
    assert rows[4]["path"] == "berries/red/0.png"


def test_list_of_targets_copies_and_odd_names(refs, new):
    References.of(
        np.eye(3),
        list("aba"),
        paths=["x\r\ny", ":cat: [red]", "z"],
        sha256=["s", "s", "s"],
        targets=[1.5, -2, 30],
        target_names=["age"],
    ).save(new)
    said = refs("list", new)
    assert "target age: -2 to 30" in said
    assert "2 copies of other pictures" in said
    assert "warning: the same picture is in two classes: x\\r\\ny as 'a' and :cat: [red]" in said
    assert "backbone unknown" in said
    assert refs("list", new, "--rows").splitlines() == [
        "0  0  a  1.5  x\\r\\ny",
        "1  1  b  -2  :cat: [red]",
        "2  2  a  30  z",
    ]
    assert json.loads(refs("list", new, "--json"))["targets"] == {"age": [-2, 30]}


def test_a_pipe_that_closes_early_is_no_error(file):
    code = "from pocketknn.export.cli.app import main; main()"
    command = [sys.executable, "-c", code, "refs", "list", file, "--rows"]
    buffered = os.environ | {"PYTHONUNBUFFERED": ""}
    done = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered)
    done.stdout.close()
    assert done.communicate(timeout=300)[1] == b""
    assert done.returncode == 141


# new and add


def test_a_first_collection_equals_what_a_build_keeps(photos, file, refs, new):
    said = refs("new", photos, "-o", new, *EMBED)
    assert f"12 references in 3 classes; written to {new}" in said
    assert "backbone pixels at 8×8, 192 values each" in said
    assert pq.read_table(new).equals(pq.read_table(file), check_metadata=True)


def test_photos_added_to_a_build_give_the_model_of_a_build_of_all(
    pixels_build, photos, more, pocketknn, refs, tmp_path, new
):
    said = refs("add", pixels_build, more, "-o", new)
    assert f"12 references in 3 classes → 14 in 4; written to {new}" in said
    assert "  apple +1, pear +1 (new)" in said.splitlines()
    model = "--formats", "onnx", "--k", "3", "--vote", "distance"
    assert pocketknn("build", new, "-o", tmp_path / "grown", *model).code == 0
    shutil.copytree(photos, tmp_path / "all")
    shutil.copytree(more, tmp_path / "all", dirs_exist_ok=True)
    assert pocketknn("build", tmp_path / "all", "-o", tmp_path / "fresh", *model, *EMBED).code == 0

    grown, fresh = (load(tmp_path / name / "model.onnx") for name in ("grown", "fresh"))
    assert sorted(grown.metadata.labels) == sorted(fresh.metadata.labels)
    inputs = np.stack([np.asarray(drawing(seed, (8, 8))) for seed in range(40)])
    one, other = grown.run(inputs), fresh.run(inputs)
    np.testing.assert_array_equal(one["scores"], other["scores"])
    for first, second in zip(one["indices"], other["indices"], strict=True):
        rows, others = grown.metadata.rows(), fresh.metadata.rows()
        assert [rows[i]["path"] for i in first] == [others[i]["path"] for i in second]
        assert [rows[i]["id"] for i in first] == [others[i]["id"] for i in second]
    order = [grown.metadata.labels.index(label) for label in fresh.metadata.labels]
    np.testing.assert_allclose(one["probabilities"][:, order], other["probabilities"], atol=1e-6)
    assert grown.metadata.manifest["backbone"] == fresh.metadata.manifest["backbone"]


def test_the_old_references_stay_bit_for_bit(file, more, refs, new):
    refs("add", file, more, "-o", new)
    old, grown = References.load(file), References.load(new)
    np.testing.assert_array_equal(grown.vectors[:12], old.vectors)
    assert grown.ids[:12] == old.ids
    assert labelled(grown)[12:] == ["apple", "pear"]
    assert grown.provenance == old.provenance


def test_what_is_there_already_is_not_added_twice(file, photos, more, refs, new, tmp_path):
    shutil.copy(photos / "apple/1.png", more / "apple/again.png")
    shutil.copy(more / "pear/new.png", more / "pear/twin.png")
    said = refs("add", file, more, "-o", new)
    assert "12 references in 3 classes → 14 in 4" in said
    assert "apple +1, pear +1 (new); 2 photos already present" in said
    said = refs("add", new, more, "-o", tmp_path / "newer.parquet")
    assert "14 references in 4 classes → 14 in 4" in said
    assert "  4 photos already present" in said.splitlines()
    assert pq.read_table(new).equals(pq.read_table(tmp_path / "newer.parquet"))


def test_a_picture_in_another_class_is_added_with_a_warning(file, photos, refs, refused, new):
    again = "add", file, photos / "apple/1.png", "-o", new, "--label", "cherry"
    words = "the same picture is in two classes: apple/1.png as 'apple' and 1.png as 'cherry'"
    assert words in refused(*again, "--strict")
    assert f"warning: {words}" in refs(*again)
    grown = References.load(new)
    assert grown.ids[12] == f"{grown.ids[1]}-2"
    assert "warning" not in refs("remove", new, "-o", new, "--force", "--id", grown.ids[5])


def test_pictures_of_a_flat_folder_or_named_one_by_one_go_into_a_class(
    file, more, refs, refused, new
):
    shutil.move(more / "apple/new.png", more / "loose.png")
    shutil.rmtree(more / "apple")
    refs("add", file, more / "loose.png", more / "pear", "-o", new, "--label", "fig")
    grown = References.load(new)
    assert labelled(grown)[12:] == ["fig", "fig"]
    assert grown.paths[12:] == ("loose.png", "new.png")
    new.unlink()
    line = refused("add", file, more, "-o", new, "--label", "fig")
    assert "[class-known]" in line
    line = refused("add", file, more / "pear", "-o", new)
    assert "[labels-mismatch]" in line
    assert "a label is empty" in refused("add", file, more / "pear", "-o", new, "--label", " ")


def test_photos_without_classes(photos, more, refs, refused, new, tmp_path):
    flat = tmp_path / "flat.parquet"
    said = refs("new", photos / "apple", "-o", flat, *EMBED)
    assert f"4 references, no classes; written to {flat}" in said
    assert "4 references, no classes → 5; written to" in refs("add", flat, more / "pear", "-o", new)
    assert References.load(new).labels == ()
    assert "[labels-mismatch]" in refused("add", flat, more, "-o", tmp_path / "x.parquet")
    assert "have no labels" in refused(
        *("relabel", flat, "-o", tmp_path / "x.parquet"),
        *("--id", References.load(flat).ids[0], "--to", "a"),
    )


def test_tables_and_their_targets(photos, refs, refused, new, tmp_path):
    def table(name, rows):
        path = tmp_path / name
        path.write_text("file,age\n" + "".join(f"{photos}/{p},{age}\n" for p, age in rows))
        return path

    first = table("first.csv", [("apple/0.png", 1), ("apple/1.png", 2)])
    column = "--path-column", "file"
    start = tmp_path / "start.parquet"
    refs("new", first, "-o", start, *EMBED, *column, "--target-column", "age")
    more = table("more.csv", [("apple/1.png", 2), ("apple/2.png", 3), ("apple/0.png", 7)])
    said = refs("add", start, more, "-o", new, *column)
    assert "2 references, no classes → 4; written to" in said
    assert "1 photo already present" in said, "the same picture with another target is another"
    grown = References.load(new)
    assert grown.targets.ravel().tolist() == [1, 2, 7, 3]
    assert grown.target_names == ("age",)
    line = refused("add", start, photos / "apple/3.png", "-o", tmp_path / "x.parquet")
    assert "3.png has no value for age" in line


def test_what_cannot_be_read_is_skipped_or_strictly_refused(file, more, refs, refused, new):
    (more / "apple/text.png").write_text("no picture")
    line = refused("add", file, more, "-o", new, "--strict")
    assert "apple/text.png: not a picture" in line
    said = refs("add", file, more, "-o", new)
    assert "1 skipped:\n  apple/text.png: not a picture" in said
    assert len(References.load(new)) == 14


def test_nothing_but_unreadable_pictures(file, tmp_path, refused, new):
    (tmp_path / "junk/apple").mkdir(parents=True)
    (tmp_path / "junk/apple/a.jpg").write_bytes(b"")
    assert "'apple' has no usable picture; apple/a.jpg: empty file" in refused(
        "add", file, tmp_path / "junk", "-o", new
    )


def test_a_backbone_of_ones_own_may_lie_elsewhere(photos, more, refs, refused, new, tmp_path):
    import keras

    for name, scale in (("own", 1.0), ("renamed", 1.0), ("other", 2.0)):
        image = keras.Input((8, 8, 3))
        pooled = keras.layers.GlobalAveragePooling2D()(image)
        out = keras.layers.Dense(4, kernel_initializer=keras.initializers.Constant(scale))(pooled)
        keras.Model(image, out).save(tmp_path / f"{name}.keras")
    start = tmp_path / "start.parquet"
    refs("new", photos, "-o", start, "--backbone", tmp_path / "own.keras")
    refs("add", start, more, "-o", tmp_path / "remembered.parquet")
    (tmp_path / "own.keras").unlink()
    assert "[backbone-missing]" in refused("add", start, more, "-o", new)
    line = refused("add", start, more, "-o", new, "--backbone", tmp_path / "other.keras")
    assert "the references come from another backbone" in line
    refs("add", start, more, "-o", new, "--backbone", tmp_path / "renamed.keras")
    assert References.load(new).provenance.backbone == "own.keras"


def test_photos_are_cropped_as_the_references_were(photos, more, refs, new, tmp_path):
    refs("new", photos, "-o", tmp_path / "fit.parquet", *EMBED, "--crop", "fit")
    refs("add", tmp_path / "fit.parquet", more, "-o", new)
    whole = tmp_path / "whole.parquet"
    refs("new", photos, more, "-o", whole, *EMBED, "--crop", "fit")
    grown, fresh = References.load(new), References.load(whole)
    assert grown.provenance == fresh.provenance
    assert grown.provenance.crop == "fit"
    assert grown.ids == fresh.ids
    np.testing.assert_array_equal(grown.vectors, fresh.vectors)


# remove


def test_remove_by_class_id_and_path(file, refs, new):
    ids = References.load(file).ids
    said = refs(
        *("remove", file, "-o", new, "--class", "cherry", "--id", ids[0]),
        *("--path", "berries/*/[12].png"),
    )
    assert said == (
        f"12 references in 3 classes → 5 in 2; written to {new}\n"
        "  apple -1, berries/red -2, cherry -4 (gone)\n"
    )
    left = References.load(new)
    assert left.ids == (*ids[1:4], ids[4], ids[7])
    assert left.labels == ("apple", "berries/red")


def test_a_model_of_what_is_left(file, pocketknn, refs, new, tmp_path):
    refs("remove", file, "-o", new, "--class", "cherry")
    said = pocketknn("build", new, "-o", tmp_path / "out", "--formats", "keras")
    assert said.code == 0, said.err
    assert "8 references in 2 classes (4 each)" in said.out


# relabel


def test_classes_are_renamed_and_united(file, refs, new):
    said = refs("relabel", file, "-o", new, "cherry=sour cherry", "berries/red=apple")
    assert said == (
        f"12 references in 3 classes → 12 in 2; written to {new}\n"
        "  cherry (4) → sour cherry, berries/red (4) → apple\n"
    )
    assert References.load(new).counts == {"apple": 8, "sour cherry": 4}


def test_single_references_move(file, refs, new):
    ids = References.load(file).ids
    said = refs(
        *("relabel", file, "-o", new, "--to", "pear"),
        *("--id", ids[0], "--path", "cherry/[01].png"),
    )
    assert "  apple -1, cherry -2, pear +3 (new)" in said.splitlines()
    moved = References.load(new)
    assert [moved.ids[row] for row, label in enumerate(labelled(moved)) if label == "pear"] == [
        ids[i] for i in (0, 8, 9)
    ]
    refs(
        "relabel", file, "-o", new, "--force", "--class", "cherry", "--id", ids[0], "--to", "apple"
    )
    assert References.load(new).counts == {"apple": 8, "berries/red": 4}


def test_names_that_hold_an_equals_sign(refs, refused, new, tmp_path):
    start = tmp_path / "start.parquet"
    References.of(np.eye(4), ["a", "a=b", "c=d", "e"]).save(start)
    refs("relabel", start, "-o", new, "c=d=x=y", "e==")
    assert References.load(new).labels == ("a", "a=b", "x=y", "=")
    new.unlink()
    line = refused("relabel", start, "-o", new, "a=b=c")
    assert "'a=b=c' may rename 'a' to 'b=c' or 'a=b' to 'c'; use --class OLD --to NEW" in line
    refs("relabel", start, "-o", new, "--class", "a=b", "--to", "c")
    assert References.load(new).labels == ("a", "c", "c=d", "e")


def test_case_alone_may_change_but_not_tell_two_classes_apart(file, refs, refused, new):
    assert "'apple' and 'APPLE' differ only in case" in refused(
        "relabel", file, "-o", new, "cherry=APPLE"
    )
    assert "'fig' and 'Fig' differ only in case" in refused(
        "relabel", file, "-o", new, "cherry=fig", "apple=Fig"
    )
    refs("relabel", file, "-o", new, "cherry=Cherry")
    assert References.load(new).labels == ("apple", "berries/red", "Cherry")


# merge


def test_merge_puts_files_together_and_no_picture_twice(photos, file, more, refs, new, tmp_path):
    parts = []
    for name, place in (("more", more), ("apples", photos / "apple")):
        parts.append(tmp_path / f"{name}.parquet")
        refs("new", place, "-o", parts[-1], *EMBED, *(["--label", "apple"] * (name == "apples")))
    said = refs("merge", file, *parts, "-o", new)
    assert said == (
        f"12 references in 3 classes → 14 in 4; written to {new}\n"
        f"  apple +1, pear +1 (new); 4 of {parts[1]} already present\n"
    )
    assert References.load(new).paths[12:] == ("apple/new.png", "pear/new.png")


def test_vectors_without_a_picture_are_all_kept(refs, new, tmp_path):
    for name in "ab":
        References.of(np.eye(2), ["x", "y"]).save(tmp_path / f"{name}.parquet")
    refs("merge", tmp_path / "a.parquet", tmp_path / "b.parquet", "-o", new)
    assert References.load(new).ids == ("0", "1", "0-2", "1-2")


def test_a_merge_that_puts_pictures_into_two_classes_warns(file, refs, new, tmp_path):
    other = tmp_path / "other.parquet"
    refs("relabel", file, "-o", other, "apple=fruit")
    said = refs("merge", file, other, "-o", new)
    assert "apple/0.png as 'apple' and apple/0.png as 'fruit', and 3 more such pairs" in said


# import and export


def test_through_ml5_and_back(file, refs, pocketknn, new, tmp_path):
    path = tmp_path / "set.json"
    said = refs("export", file, "-o", path)
    assert f"12 references in 3 classes, 192 values each; written to {path}" in said
    assert "scaled to length 1, since ml5's load does not" in said
    assert set(json.loads(path.read_text("utf-8"))) == {"dataset", "tensors"}
    assert "written to" in refs("import", path, "-o", new)
    kept_, back = References.load(file), References.load(new)
    np.testing.assert_array_equal(back.vectors, ml5_json.read(path).vectors)
    np.testing.assert_allclose(back.vectors, exact.unit(kept_.vectors), atol=1e-7)
    assert labelled(back) == labelled(kept_)
    assert back.provenance is None
    assert refs("list", path).splitlines()[1:] == refs("list", new).splitlines()[1:]
    said = pocketknn("build", path, "-o", tmp_path / "out", "--formats", "keras")
    assert said.code == 0, said.err


def test_a_json_that_does_not_say_its_width(refs, refused, new, tmp_path):
    path = tmp_path / "set.json"
    path.write_text('{"a": [1, 2, 3, 4], "b": [5, 6]}')
    assert "[no-shape]" in refused("import", path, "-o", new)
    assert "3 references in 2 classes, 2 values each" in refs("import", path, "-o", new, "--dim", 2)


def test_a_plain_table_holds_every_bit(refs, tmp_path, new):
    rng = np.random.default_rng(0)
    given = References.of(
        rng.standard_normal((3, 5)) * [1e-30, 1, 1e30, 1 / 3, 0],
        ['a,"', "b", "b"],
        paths=["x\ry", "1", "z"],
        targets=[0.1, 2, 3],
        target_names=["age"],
    )
    given.save(new)
    refs("export", new, "-o", tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["id", "label", "path", "age", "e0", "e1", "e2", "e3", "e4"]
    assert [row[:3] for row in rows] == [["0", 'a,"', "x\ry"], ["1", "b", "1"], ["2", "b", "z"]]
    numbers = np.array([row[3:] for row in rows], np.float32)
    np.testing.assert_array_equal(numbers[:, 1:], given.vectors)
    np.testing.assert_array_equal(numbers[:, :1], given.targets)


# Refusals are one line, and no file is changed.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["remove", "--id", "zz"], "no id 'zz' among the references"),
        (["remove", "--class", "plum"], "no class 'plum'; the classes are: apple, berries/red"),
        (["remove", "--path", "plum/*"], "[no-matching-path]"),
        (["remove", "--path", "*"], "no reference would be left"),
        (["remove"], "[nothing-selected]"),
        (["relabel"], "[either-or]"),
        (["relabel", "--to", "plum"], "[nothing-selected]"),
        (["relabel", "--id", "zz"], "[either-or]"),
        (["relabel", "a=b", "--to", "plum"], "[either-or]"),
        (["relabel", "--id", "zz", "--to", "plum"], "no id 'zz'"),
        (["relabel", "--class", "zz", "--to", "plum"], "no class 'zz'"),
        (["relabel", "--class", "apple", "--to", ""], "a label is empty"),
        (["relabel", "apple="], "[empty-label]"),
        (["relabel", "apple= "], "[empty-label]"),
        (["relabel", "apple=a\nb"], "control character"),
        (["relabel", "apple"], "[bad-rename]"),
        (["relabel", "plum=b=c"], "no class 'plum'"),
        (["relabel", "apple=b", "apple=c"], "[two-names]"),
        (["merge"], "[one-file-only]"),
    ],
)
def test_an_edit_that_makes_no_sense(file, refused, new, arguments, words):
    command, *rest = arguments
    assert words in refused(command, file, "-o", new, *rest)


def test_references_that_do_not_go_together(photos, file, more, refs, refused, new, tmp_path):
    def other(name, *options):
        path = tmp_path / f"{name}.parquet"
        refs("new", more, "-o", path, *options)
        return path

    sized = other("sized", "--backbone", "pixels", "--size", "9")
    cropped = other("cropped", *EMBED, "--crop", "stretch")
    line = refused("merge", file, sized, "-o", new)
    assert f"{file} and {sized} cannot be merged: embedded in different ways" in line
    assert "pixels at 8 (e3b0c44298fc, center) and pixels at 9" in line
    assert "stretch)" in refused("merge", file, cropped, "-o", new)
    vectors = [tmp_path / f"{name}.parquet" for name in ("plain", "wide", "classless", "same")]
    for path, width, labels in zip(vectors, (2, 3, 2, 2), ("ab", "ab", None, "Ab"), strict=True):
        References.of(np.eye(2, width), labels and list(labels)).save(path)
    plain, wide, classless, same = vectors
    assert "vectors of unknown origin" in refused("merge", file, plain, "-o", new)
    assert "vectors of 2 values, the other of 3" in refused("merge", plain, wide, "-o", new)
    assert "only one of the two has labels" in refused("merge", plain, classless, "-o", new)
    assert "'a' and 'A' differ only in case" in refused("merge", plain, same, "-o", new)
    assert "holds vectors of an unknown backbone" in refused("add", plain, more, "-o", new)
    assert "[option-not-applicable]" in refused(
        "add", file, more, "-o", new, "--weights", tmp_path / "no.h5"
    )
    assert "come from another backbone" in refused(
        "add", file, more, "-o", new, "--backbone", "bundled"
    )


def test_files_that_hold_no_references(file, photos, refused, new, tmp_path):
    (tmp_path / "text.parquet").write_text("no table")
    (tmp_path / "text.json").write_text("no JSON")
    (tmp_path / "model.onnx").write_text("x")
    (tmp_path / "empty").mkdir()
    for name, words in (
        ("none.parquet", "none.parquet does not exist"),
        ("text.parquet", "[not-a-reference-table]"),
        ("text.json", "[not-json]"),
        ("model.onnx", "is not a file of references: those end in .parquet or .json"),
        ("empty", "is a folder without references.parquet, so it is not a build"),
    ):
        for command in (["remove", "--id", "x"], ["relabel", "a=b"], ["add", photos]):
            verb, *rest = command
            assert words in refused(verb, tmp_path / name, *rest, "-o", new)
        assert words in refused("merge", file, tmp_path / name, "-o", new)
        assert words in refused("list", tmp_path / name)
        assert words in refused("export", tmp_path / name, "-o", tmp_path / "set.json")
    assert "holds references, not photos; see pocketknn refs merge" in refused(
        "add", file, file, "-o", new
    )
    assert "does not exist" in refused("add", file, tmp_path / "nowhere", "-o", new)
    assert "cannot be read" in refused("import", tmp_path / "none.json", "-o", new)
    assert "[no-labels]" in refused("export", flat(tmp_path), "-o", tmp_path / "set.json")


def flat(folder):
    path = folder / "flat.parquet"
    if not path.exists():
        References.of(np.eye(2)).save(path)
    return path


def test_a_place_that_cannot_be_written(file, pixels_build, photos, more, refused, tmp_path):
    def remove(out, *more):
        return refused("remove", file, "-o", out, "--class", "apple", *more)

    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "link.parquet").symlink_to(tmp_path / "nowhere")
    (tmp_path / "photos.parquet").write_bytes(b"PAR1")
    copy = tmp_path / "copy"
    shutil.copytree(pixels_build, copy)
    assert "must end in .parquet" in remove(tmp_path / "new.json")
    assert "must end in .parquet" in remove(tmp_path / "new")
    assert "is a folder; name a file" in remove(tmp_path / "folder.parquet", "--force")
    assert "is a link" in remove(tmp_path / "link.parquet", "--force")
    assert "[not-a-folder]" in remove(file / "new.parquet")
    assert "is the input; choose another name, or replace it" in remove(file)
    assert "exists; choose another name, or replace it with --force" in remove(
        copy / "references.parquet"
    )
    assert "was not written by pocketknn; --force replaces only files that were" in remove(
        tmp_path / "photos.parquet", "--force"
    )
    line = remove(copy / "references.parquet", "--force")
    assert "is part of a build, whose other files would no longer agree" in line
    assert "[out-among-photos]" in refused("add", file, more, "-o", more / "x.parquet")
    assert "must end in .json or .csv" in refused("export", file, "-o", tmp_path / "set.parquet")
    (tmp_path / "package.json").write_text('{"name": "mine"}')
    (tmp_path / "mine.csv").write_text("path,label\n")
    for name in ("package.json", "mine.csv"):
        line = refused("export", file, "-o", tmp_path / name, "--force")
        assert "was not written by pocketknn; --force replaces only files that were" in line
    (tmp_path / "ml5.json").write_text(
        '{"dataset":{"0":{"kept":true,"shape":[1,1]}},"tensors":[[1]]}'
    )
    (tmp_path / "theirs.csv").write_text('"id","label","path"\n"1","e0","a.jpg"\n')
    for name in ("ml5.json", "theirs.csv"):
        line = refused("export", file, "-o", tmp_path / name, "--force")
        assert "was not written by pocketknn" in line
    assert "must end in .parquet" in refused("import", tmp_path / "x.json", "-o", tmp_path / "x")


def test_force_replaces_an_earlier_file_or_the_one_that_is_read(file, refs, new, tmp_path):
    refs("remove", file, "-o", new, "--class", "apple")
    refs("remove", file, "-o", new, "--class", "cherry", "--force")
    assert References.load(new).labels == ("apple", "berries/red")
    refs("remove", new, "-o", new, "--class", "apple", "--force")
    assert References.load(new).labels == ("berries/red",)
    for ending in ("json", "csv"):
        for _ in range(2):
            refs("export", file, "-o", tmp_path / f"set.{ending}", "--force")


def test_a_table_of_others_is_not_replaced_whatever_its_columns(file, refs, refused, tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    theirs = tmp_path / "theirs.parquet"
    pq.write_table(pa.table({"id": ["a"], "embedding": [[1.0, 2.0]], "price": [3.0]}), theirs)
    before = theirs.read_bytes()
    line = refused("remove", file, "-o", theirs, "--class", "apple", "--force")
    assert f"{theirs} was not written by pocketknn; --force replaces only files that were" in line
    assert theirs.read_bytes() == before


def test_folders_above_are_made(file, refs, tmp_path):
    refs("remove", file, "-o", tmp_path / "deep/er/new.parquet", "--class", "apple")
    assert [path.name for path in tmp_path.rglob("*er/*")] == ["new.parquet"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_half_written_is_left(file, pocketknn, tmp_path, monkeypatch, error):
    """Neither at the new name, nor in place of an old file, nor beside it."""

    def write(self, path):
        path.write_text("half")
        raise error

    before = contents(tmp_path)
    monkeypatch.setattr(References, "save", write)
    for out in (tmp_path / "new.parquet", file):
        said = pocketknn("refs", "remove", file, "-o", out, "--class", "apple", "--force")
        assert said.code == (2 if isinstance(error, OSError) else 130)
        assert said.err.count("\n") == 1
    assert contents(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.parquet"]


def test_one_that_came_first_is_not_replaced(file, new, tmp_path, monkeypatch):
    real = References.save

    def save(self, path):
        real(self, path)
        (tmp_path / "elsewhere").rename(new)

    (tmp_path / "elsewhere").write_text("first")
    monkeypatch.setattr(References, "save", save)
    with pytest.raises(files.InputError, match="created in the meantime"):
        files.save(References.load(file).select([0]), new, force=False)
    assert new.read_text() == "first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.parquet", "new.parquet"]


def test_a_signal_to_end_leaves_the_old_file(file, photos, tmp_path):
    before = contents(tmp_path)
    code = "from pocketknn.export.cli.app import main; main()"
    add = ["refs", "add", file, photos, "-o", file, "--force", "--no-cache"]
    run = subprocess.Popen([sys.executable, "-c", code, *add], stderr=subprocess.PIPE, text=True)
    time.sleep(1)
    os.kill(run.pid, signal.SIGTERM)
    assert run.communicate(timeout=300)[1] in (
        "pocketknn: interrupted; no half-written file is left behind\n",
        "",  # it ended before its handler was installed
    )
    assert contents(tmp_path) == before


# Structure


def test_help_names_the_verbs_and_starts_at_once(pocketknn):
    said = pocketknn("refs")
    assert said.code == 0
    for verb in ("list", "new", "add", "remove", "relabel", "merge", "import", "export"):
        assert f"\n  {verb} " in said.out
    assert "No such command 'eat'" in pocketknn("refs", "eat").err
    code = """
import sys
from pocketknn.export.cli.app import main
try:
    main(["refs", "add", "--help"])
except SystemExit as end:
    assert end.code == 0
heavy = {"numpy", "PIL", "rich", "keras", "tensorflow", "pyarrow"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
