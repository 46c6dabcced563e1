import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from support import input_error

from pocketknn.builder import InputError, References
from pocketknn.builder.backbones.provenance import Provenance
from pocketknn.builder.references import parquet
from pocketknn.export.manifest.metadata import Metadata


def test_vectors_are_kept_as_they_are_and_cannot_be_changed():
    given = np.array([[3.0, 4.0], [0, 0]], np.float32)
    references = References.of(given, ["a", "b"])
    np.testing.assert_array_equal(references.vectors, given)
    given[0, 0] = 5
    assert references.vectors[0, 0] == 3, "a copy of the caller's array"
    with pytest.raises(ValueError, match="read-only"):
        references.vectors[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        references.label_ids[0] = 1


def test_classes_are_sorted_unless_their_order_is_given():
    rows = np.eye(3)
    assert References.of(rows, ["b", "a", "b"]).labels == ("a", "b")
    fixed = References.of(rows, ["b", "a", "b"], classes=["b", "c", "a"])
    assert fixed.labels == ("b", "c", "a")
    assert fixed.label_ids.tolist() == [0, 2, 0]
    assert fixed.counts == {"b": 2, "c": 0, "a": 1}


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([], {}, "table"),
        ([[]], {}, "table"),
        ([1.0, 2.0], {}, "table"),
        ([[1.0, np.nan]], {}, "reference 0 holds a NaN"),
        ([[1.0], [np.inf]], {}, "reference 1 holds a NaN or infinite"),
        ([[1.0], [2.0]], {"labels": ["a"]}, "the number of labels is 1, not 2"),
        ([[1.0], [2.0]], {"ids": ["x", "x"]}, "'x' is given to two"),
        ([[1.0], [2.0]], {"paths": ["x"]}, "the number of paths is 1, not 2"),
        ([[1.0]], {"labels": ["a"], "classes": ["b"]}, "'a' is not in the list"),
    ],
)
def test_nonsense_is_refused_in_one_line(rows, options, message):
    with pytest.raises(InputError, match=message) as caught:
        References.of(rows, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([[10**400, 1]], {}, "reference: a number is too large for float32"),
        ([[1j, 2]], {}, "reference: not a table of numbers"),
        (np.array([[1j, 2]]), {}, "reference: not a table of numbers"),
        ([[1, "a"]], {}, "reference: not a table of numbers"),
        ([["1", "2"]], {}, "reference: not a table of numbers"),
        (np.array([["2020-01-01"]], "M8[D]"), {}, "reference: not a table of numbers"),
        (np.array([[1, 2]], "m8[s]"), {}, "reference: not a table of numbers"),
        ([[1.0]], {"targets": [10**400]}, "target of row: a number is too large"),
        ([[1.0]], {"targets": np.array(["2020"], "M8[Y]")}, "target of row: not a table"),
        ([[1.0], [2.0]], {"labels": ["a", 2]}, "number 1 is 2"),
        ([[1.0], [2.0]], {"labels": [0, 1]}, "number 0 is 0"),
        ([[1.0], [2.0]], {"labels": "ab"}, "not 'ab'"),
        ([[1.0], [2.0]], {"labels": 5}, "not 5"),
        ([[1.0], [2.0]], {"ids": [[1], [2]]}, "number 0 is [1]"),
        ([[1.0], [2.0]], {"paths": [b"a", None]}, "number 0 is b'a'"),
        ([[1.0]], {"labels": ["a"], "classes": [1]}, "number 0 is 1"),
        ([[1.0]], {"targets": [1], "target_names": [3]}, "target_names"),
    ],
    ids=str,
)
def test_what_is_no_number_and_no_text_is_refused(rows, options, message):
    with pytest.raises(InputError) as error:
        References.of(rows, **options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_vectors_are_written_a_group_of_rows_at_a_time(tmp_path, monkeypatch):
    """pyarrow holds a group in memory: with one for all, a save took as much again."""
    import pyarrow.parquet as pq

    monkeypatch.setattr(parquet, "_WRITTEN", 3 * small().dim)
    small().save(tmp_path / "r.parquet")
    groups = pq.ParquetFile(tmp_path / "r.parquet").metadata
    sizes = [groups.row_group(i).num_rows for i in range(groups.num_row_groups)]
    assert sizes == [3] * (len(small()) // 3) + [len(small()) % 3] * (len(small()) % 3 > 0)
    equal(References.load(tmp_path / "r.parquet"), small())


@pytest.mark.parametrize("labels", [["z", "ä", "z", "日本"], None])
def test_what_is_saved_is_read_back(tmp_path, labels):
    rows = np.random.default_rng(0).standard_normal((4, 7))
    kept = References.of(
        rows, labels, ids=list("abcd"), paths=["1.png", "b/2.png", "3", ""], sha256=list("pqrs")
    )
    kept.save(tmp_path / "r.parquet")
    read = References.load(tmp_path / "r.parquet")
    np.testing.assert_array_equal(read.vectors, kept.vectors)
    assert read.label_ids.tolist() == kept.label_ids.tolist()
    assert (read.labels, read.ids, read.paths, read.sha256) == (
        kept.labels,
        kept.ids,
        kept.paths,
        kept.sha256,
    )


def test_row_i_of_the_file_is_column_i_of_the_graph(tmp_path):
    import pyarrow.parquet as pq

    kept = References.of(np.random.default_rng(0).standard_normal((5, 3)))
    kept.save(tmp_path / "r.parquet")
    table = pq.read_table(tmp_path / "r.parquet")
    assert table.column_names == ["id", "path", "label", "sha256", "embedding"]
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist(), "f4"), kept.vectors)


def test_the_table_survives_commas_quotes_and_newlines():
    import csv
    import io

    names = ['a,b "c"\nd', "é/ü.png"]
    text = References.of(np.eye(2), ["x", "y,z"], paths=names).table()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["path"] for row in rows] == names
    assert [(row["index"], row["label"]) for row in rows] == [("0", "x"), ("1", "y,z")]


FORMULAS = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "'=1+1"]


@pytest.mark.parametrize("name", [*FORMULAS, "a=1", "'tis", "''", ""])
def test_no_text_of_the_table_is_a_formula(name):
    import csv
    import io

    refs = References.of(np.eye(2), [name or "x", "y"], ids=[name, "1"], paths=[name, "z"])
    written = list(csv.reader(io.StringIO(refs.table(), newline="")))[1]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in written)
    assert (written[3] == name) is (name not in FORMULAS)
    manifest = {"references": {"count": len(refs)}}
    (read, _) = Metadata(manifest=manifest, table=refs.table()).rows()
    assert read == {"index": 0, "id": name, "label": name or "x", "path": name}


@pytest.mark.parametrize("content", [b"", b"PAR1 not really", b"index,id\n"])
def test_a_file_that_is_no_table_of_references(tmp_path, content):
    path = tmp_path / "r.parquet"
    path.write_bytes(content)
    with input_error("not-a-reference-table", path):
        References.load(path)


def test_copies_of_a_picture_are_counted():
    assert References.of(np.eye(4), sha256=["a", "b", "a", ""]).duplicates() == 1


# Changes: each returns new references and leaves the old ones unchanged.

ORIGIN = Provenance(
    backbone="bundled", alpha=0.5, size=96, input_range="-1..1", sha256="a1" * 32, crop="center"
)


def small(**changed):
    """Four references of three classes, which are not in alphabetical order."""
    given = {
        "embeddings": np.arange(8.0).reshape(4, 2),
        "labels": ["dog", "cat", "bee", "dog"],
        "classes": ["dog", "cat", "none", "bee"],
        "ids": list("abcd"),
        "paths": ["dog/1", "cat/1", "bee/1", "dog/2"],
        "sha256": ["s1", "s2", "s3", "s1"],
        "targets": [[1, 10], [2, 20], [3, 30], [4, 40]],
        "target_names": ["age", "weight"],
        "provenance": ORIGIN,
    } | changed
    return References.of(given.pop("embeddings"), given.pop("labels"), **given)


def label_list(references):
    return [references.label_of(row) for row in range(len(references))]


def equal(one, other):
    for name in ("vectors", "label_ids", "targets"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in ("labels", "ids", "paths", "sha256", "target_names", "provenance"):
        assert getattr(one, name) == getattr(other, name), name


def test_select_takes_rows_in_the_order_asked_for():
    chosen = small().select([3, 1])
    assert chosen.vectors.tolist() == [[6, 7], [2, 3]]
    assert chosen.targets.tolist() == [[4, 40], [2, 20]]
    assert label_list(chosen) == ["dog", "cat"]
    assert chosen.labels == ("dog", "cat"), "the others have lost all of theirs"
    assert (chosen.ids, chosen.paths) == (("d", "b"), ("dog/2", "cat/1"))
    assert (chosen.sha256, chosen.provenance) == (("s1", "s2"), ORIGIN)
    assert chosen.target_names == ("age", "weight")
    assert small(labels=None, classes=None).select([0]).labels == ()
    with pytest.raises(InputError, match="no reference would be left"):
        small().select([])


def test_remove_by_id_and_by_class():
    left = small().remove(["b"], ["bee"])
    assert left.ids == ("a", "d")
    assert left.labels == ("dog",)
    assert small().remove().ids == small().ids
    assert small(labels=None, classes=None).remove(["a"]).ids == ("b", "c", "d")


def test_relabel_renames_all_at_once_and_unites():
    swapped = small().relabel({"dog": "cat", "cat": "dog"})
    assert label_list(swapped) == ["cat", "dog", "bee", "cat"]
    assert swapped.labels == ("cat", "dog", "none", "bee")
    united = small().relabel({"bee": "dog"})
    assert united.counts == {"dog": 3, "cat": 1, "none": 0}
    assert label_list(small()) == ["dog", "cat", "bee", "dog"]
    with pytest.raises(ValueError, match="read-only"):
        united.label_ids[0] = 1


def test_relabel_rows_moves_them_to_an_old_or_a_new_class():
    moved = small().relabel_rows(["a", "c"], "cat")
    assert label_list(moved) == ["cat", "cat", "cat", "dog"]
    assert moved.labels == ("dog", "cat")
    assert small().relabel_rows(["d"], "ant").labels == ("dog", "cat", "bee", "ant")
    with pytest.raises(ValueError, match="read-only"):
        moved.label_ids[0] = 1


def test_in_order_renumbers_the_classes():
    ordered = small().in_order(["bee", "more", "cat", "dog"])
    assert label_list(ordered) == label_list(small())
    assert ordered.label_ids.tolist() == [3, 2, 0, 3]
    assert ordered.counts == {"bee": 1, "more": 0, "cat": 1, "dog": 2}


def test_merge_puts_the_others_behind_and_tells_ids_apart():
    other = small(labels=["cat", "ant", "ant", "ant"], classes=None, ids=["a", "a-2", "e", "f"])
    both = small().merge(other)
    assert both.ids == ("a", "b", "c", "d", "a-2", "a-2-2", "e", "f")
    assert both.labels == ("dog", "cat", "none", "bee", "ant")
    assert label_list(both) == [*label_list(small()), "cat", "ant", "ant", "ant"]
    np.testing.assert_array_equal(both.vectors, np.concatenate([small().vectors, other.vectors]))
    np.testing.assert_array_equal(both.targets, np.concatenate([small().targets, other.targets]))
    assert both.provenance == ORIGIN
    assert both.sha256 == (*small().sha256, *other.sha256)
    none = small(labels=None, classes=None)
    assert none.merge(none).labels == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one.remove(["x"]), "no id 'x'"),
        (lambda one: one.remove([], ["x"]), "no class 'x'; the classes are: dog, cat, none, bee"),
        (lambda one: one.remove("abcd"), "no reference would be left"),
        (lambda one: one.relabel({"x": "y"}), "no class 'x'"),
        (lambda one: one.relabel({"dog": ""}), "the new name of the class 'dog' is empty"),
        (lambda one: one.relabel_rows(["x"], "dog"), "no id 'x'"),
        (lambda one: one.relabel_rows(["a"], ""), "a label is empty"),
        (lambda one: small(labels=None, classes=None).relabel_rows(["a"], "b"), "have no labels"),
        (lambda one: small(labels=None, classes=None).relabel({"a": "b"}), "classes are: none"),
        (lambda one: small(labels=None, classes=None).in_order(["a"]), "have no labels"),
        (lambda one: one.in_order(["dog"]), "'bee' is not in the list"),
        (lambda one: one.in_order(["dog", "cat", "bee", "dog"]), "'dog' is listed twice"),
        (
            lambda one: one.merge(small(provenance=replace(ORIGIN, crop="fit"))),
            r"different ways: bundled at 96 \(a1a1a1a1a1a1, center\) and bundled at 96 \(.*, fit\)",
        ),
        (lambda one: one.merge(small(provenance=None)), "and vectors of unknown origin"),
        (lambda one: one.merge(small(embeddings=np.eye(4))), "of 2 values, the other of 4"),
        (lambda one: one.merge(small(labels=None, classes=None)), "only one of the two has labels"),
        (lambda one: one.merge(small(targets=None, target_names=None)), "age, weight and none"),
    ],
)
def test_a_change_that_makes_no_sense_is_one_line(change, message):
    with pytest.raises(InputError, match=message) as caught:
        change(small())
    assert "\n" not in str(caught.value)


def test_many_classes_are_not_all_named():
    labels = [f"c{i:02}" for i in range(50)]
    with pytest.raises(InputError, match=r"c08, c09, …$"):
        References.of(np.eye(50), labels).remove([], ["x"])


@pytest.mark.parametrize("labels", [["a", ""], ["", ""], [None, "a"]])
def test_an_empty_label_is_refused(labels):
    with pytest.raises(InputError, match="the label of reference"):
        References.of(np.eye(2), labels)


# Targets


def test_targets_may_be_flat_and_cannot_be_changed():
    one = References.of(np.eye(3), targets=[1, 2, 3])
    assert one.targets.tolist() == [[1], [2], [3]]
    assert one.target_names == ("value",)
    assert References.of(np.eye(2), targets=np.eye(2)).target_names == ("value 0", "value 1")
    assert References.of(np.eye(2)).targets.shape == (2, 0)
    with pytest.raises(ValueError, match="read-only"):
        one.targets[0] = 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": [1]}, "the number of targets is 1, not 2"),
        ({"targets": [[1, 2], [3]]}, "target of row: not a table of numbers"),
        ({"targets": [["a"], ["b"]]}, "target of row: not a table of numbers"),
        ({"targets": [[[1]], [[2]]]}, r"not shape \(2, 1, 1\)"),
        ({"targets": [1, np.nan]}, "target of row 1 holds a NaN"),
        ({"targets": [[1, 2], [1e39, 2]]}, "target of row 1 holds a NaN or infinite"),
        ({"targets": [1, 2], "target_names": ["a", "b"]}, "the number of names is 2, not 1"),
        ({"targets": np.eye(2), "target_names": ["a", "a"]}, "named twice: 'a', 'a'"),
        ({"target_names": ["a"]}, "the number of names is 1, not 0"),
    ],
)
def test_targets_that_make_no_sense_are_one_line(options, message):
    with pytest.raises(InputError, match=message) as caught:
        References.of(np.eye(2), **options)
    assert "\n" not in str(caught.value)


# The file


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"provenance": None},
        {"provenance": replace(ORIGIN, alpha=None)},
        {"provenance": replace(ORIGIN, alpha=1)},
        {"labels": None, "classes": None},
        {"targets": None, "target_names": None},
        {"targets": [1, 2, 3, 4], "target_names": ['ä "b"\n: ']},
        {"labels": ["=", " x", "日本", '"'], "classes": None},
    ],
)
def test_all_of_it_is_saved_and_read_back(tmp_path, changed):
    kept = small(**changed)
    kept.save(tmp_path / "r.parquet")
    equal(References.load(tmp_path / "r.parquet"), kept)


def test_a_name_that_looks_like_an_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small().save(Path("s3:r.parquet"))
    equal(References.load(Path("s3:r.parquet")), small())


def tampered(path, notes=(), columns=(), without=()):
    """The file of `small`, with modified metadata and columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    small().save(path)
    table = pq.read_table(path)
    metadata = table.schema.metadata | {
        f"pocketknn.{key}".encode(): value for key, value in dict(notes).items()
    }
    table = table.drop_columns(list(without))
    for name, values in dict(columns).items():
        column = values if isinstance(values, pa.Array) else pa.array(values)
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, column)
        else:
            table = table.append_column(name, column)
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path


WHOLE = asdict(ORIGIN)


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        ({"provenance": b"{"}, "JSON"),
        ({"classes": b""}, "JSON"),
        ({"targets": b"\xff"}, "table of references"),
        ({"provenance": b"[" * 100_000}, "table of references"),
        ({"provenance": b"[]"}, "backbone"),
        ({"provenance": b"{}"}, "backbone"),
        ({"provenance": json.dumps(WHOLE | {"colour": "RGB"})}, "a later pocketknn"),
        ({"provenance": json.dumps({"backbone": "bundled"})}, "backbone"),
        ({"provenance": json.dumps(WHOLE | {"sha256": None})}, "backbone"),
        ({"provenance": json.dumps(WHOLE | {"size": "96"})}, "backbone"),
        ({"classes": b'{"dog": 1}'}, "classes .* list of names"),
        ({"classes": b"[1, 2]"}, "classes .* list of names"),
        ({"classes": b'["dog"]'}, "'bee' is not in the list of classes"),
        ({"classes": b'["dog", "cat", "bee", "cat"]'}, "'cat' is listed twice"),
        ({"targets": b'"age"'}, "targets .* list of names"),
        ({"targets": b'["age", "height"]'}, "target: height"),
        ({"targets": b'["age", "age"]'}, "named twice"),
    ],
)
def test_metadata_that_are_damaged_are_one_line(tmp_path, notes, message):
    path = tampered(tmp_path / "r.parquet", notes)
    with pytest.raises(InputError, match=message) as caught:
        References.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"embedding": [[1.0, 2.0], [1.0], [1.0, 2.0], [1.0, 2.0]]}, "table of references"),
        ({"embedding": [[1.0], None, [1.0], [1.0]]}, "table of references"),
        ({"embedding": [1.0, 2.0, 3.0, 4.0]}, "not lists of numbers"),
        ({"embedding": [["a"], ["b"], ["c"], ["d"]]}, "not lists of numbers"),
        ({"embedding": [[1.0], [2.0], [float("nan")], [4.0]]}, "reference 2 holds a NaN"),
        ({"id": ["a", "b", "c", "a"]}, "'a' is given to two"),
        ({"id": [["a"], ["b"], ["c"], ["d"]]}, "holds list<element: string>, not text"),
        ({"label": ["dog", None, "bee", "dog"]}, "the label of reference 1 is empty"),
        ({"target: age": [1.0, None, 3.0, 4.0]}, "target of row 1 holds a NaN"),
        ({"target: age": ["a", "b", "c", "d"]}, "target of row: not a table"),
    ],
)
def test_columns_that_are_damaged_are_one_line(tmp_path, columns, message):
    path = tampered(tmp_path / "r.parquet", columns=columns)
    with pytest.raises(InputError, match=message) as caught:
        References.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["id", "path", "label", "sha256", "embedding", "target: age"])
def test_a_column_that_is_missing_is_named(tmp_path, name):
    path = tampered(tmp_path / "r.parquet", without=[name])
    with pytest.raises(InputError, match=f'"{name}"') as caught:
        References.load(path)
    assert "\n" not in str(caught.value)


def test_a_bit_that_flipped_is_not_built_from(tmp_path):
    """In an embedding it would change a neighbour unnoticed."""
    rng = np.random.default_rng(0)
    references = References.of(rng.standard_normal((40, 32)), [*"abcde" * 8])
    references.save(tmp_path / "r.parquet")
    whole = (tmp_path / "r.parquet").read_bytes()
    first = references.vectors.tobytes()[:64]
    places = [whole.index(first) + int(one) for one in rng.integers(0, 40 * 32 * 4, 25)]
    for place in [*places, *rng.integers(0, len(whole), 75)]:
        content = bytearray(whole)
        content[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "r.parquet").write_bytes(content)
        try:
            found = References.load(tmp_path / "r.parquet")
        except InputError:
            continue
        assert place not in places
        np.testing.assert_array_equal(found.vectors, references.vectors)
        assert (found.labels, found.ids) == (references.labels, references.ids)


def test_a_table_of_somebody_else_s(tmp_path):
    """Numeric ids, empty cells, float64 and missing metadata are all accepted."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "id": [7, 8],
        "path": pa.array([None, "x"]),
        "label": ["b", "a"],
        "sha256": pa.array([None, None], pa.string()),
        "embedding": [[1.0, 2.0], [3.0, 4.0]],
    }
    pq.write_table(pa.table(columns), tmp_path / "r.parquet")
    read = References.load(tmp_path / "r.parquet")
    assert (read.ids, read.paths, read.sha256) == (("7", "8"), ("", "x"), ("", ""))
    assert read.labels == ("a", "b")
    assert read.vectors.tolist() == [[1, 2], [3, 4]]
    assert read.provenance is None
    pq.write_table(pa.table(columns).slice(0, 0), tmp_path / "none.parquet")
    with pytest.raises(InputError, match="it holds no references"):
        References.load(tmp_path / "none.parquet")


def what_is_read(path):
    """The content of a file, bit for bit; None if it is refused."""
    try:
        read = References.load(path)
    except InputError:
        return None
    return repr(read), read.vectors.tobytes(), read.targets.tobytes()


def test_every_damaged_byte_is_noticed_or_without_effect(tmp_path):
    rng = np.random.default_rng(0)
    refs = References.of(
        rng.standard_normal((6, 5)),
        [*"aabbcc"],
        paths=[*"uvwxyz"],
        targets=rng.standard_normal(6),
        provenance=ORIGIN,
    )
    path = tmp_path / "r.parquet"
    refs.save(path)
    content, whole = path.read_bytes(), what_is_read(path)
    noticed = 0
    for place in range(0, len(content), 17):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        found = what_is_read(path)
        assert found in (None, whole), place
        noticed += found is None
    assert noticed > len(content) / 17 / 4


def test_a_flipped_bit_is_not_built_from(tmp_path, pocketknn):
    refs = References.of(np.random.default_rng(0).standard_normal((40, 64)))
    path = tmp_path / "r.parquet"
    refs.save(path)
    content = bytearray(path.read_bytes())
    content[content.index(refs.vectors[20].tobytes()[:16]) + 2] ^= 1
    path.write_bytes(content)
    said = pocketknn("build", path, "-o", tmp_path / "out")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "[checksum-mismatch]" in said.err
    assert not (tmp_path / "out").exists()


def test_a_file_of_an_earlier_version_notes_no_checksum(tmp_path):
    import pyarrow.parquet as pq

    path, refs = tmp_path / "r.parquet", References.of(np.eye(3), [*"aab"])
    refs.save(path)
    table = pq.read_table(path)
    notes = dict(table.schema.metadata)
    del notes[b"pocketknn.crc32"]
    pq.write_table(table.replace_schema_metadata(notes), path)
    np.testing.assert_array_equal(References.load(path).vectors, refs.vectors)


def test_pictures_under_two_labels_are_found():
    one = References.of(
        np.eye(5), list("aabba"), sha256=["s", "s", "s", "", ""], paths=list("vwxyz")
    )
    assert one.contradicting() == [(0, 2)]
    assert one.contradictions() == [("v", "x")]
    assert References.of(np.eye(2), sha256=["s", "s"]).contradictions() == []


def test_the_folder_has_them_by_name():
    from pocketknn.builder import references

    assert references.References is References
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        references.nonsense  # noqa: B018
