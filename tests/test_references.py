import numpy as np
import pytest

from pocketknn.builder import InputError, References


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
        ([[1.0], [2.0]], {"labels": ["a"]}, "1 labels for 2 references"),
        ([[1.0], [2.0]], {"ids": ["x", "x"]}, "'x' is given to two"),
        ([[1.0], [2.0]], {"paths": ["x"]}, "1 paths for 2"),
        ([[1.0]], {"labels": ["a"], "classes": ["b"]}, "'a' is not in the list"),
    ],
)
def test_nonsense_is_refused_in_one_line(rows, options, message):
    with pytest.raises(InputError, match=message) as caught:
        References.of(rows, **options)
    assert "\n" not in str(caught.value)


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


@pytest.mark.parametrize("content", [b"", b"PAR1 not really", b"index,id\n"])
def test_a_file_that_is_no_table_of_references(tmp_path, content):
    path = tmp_path / "r.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no table of references"):
        References.load(path)


def test_copies_of_a_picture_are_counted():
    assert References.of(np.eye(4), sha256=["a", "b", "a", ""]).duplicates() == 1
