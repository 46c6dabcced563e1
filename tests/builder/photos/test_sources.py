"""Photos in folders, tables and archives."""

import io
import os
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import input_error

from pocketknn.builder import InputError, Spec, embed, find, load_backbone
from pocketknn.builder.photos.class_names import check_classes
from pocketknn.builder.photos.photo import Photo, PictureError
from pocketknn.builder.photos.pixels.decode import Squares, read

NAMES = [f"{label}/{i}.png" for label in ("apple", "berries/red", "cherry") for i in range(4)]


def named(found):
    return [photo.name for photo in found]


def test_folders_are_classes_and_nested_ones_join(photos):
    found = find(photos)
    assert named(found) == NAMES
    assert [photo.label for photo in found] == ["apple"] * 4 + ["berries/red"] * 4 + ["cherry"] * 4


def test_hidden_files_are_left_out_and_links_followed(photos, tmp_path):
    (tmp_path / "apple").symlink_to(photos / "apple")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "x.png").write_bytes(b"")
    (tmp_path / ".DS_Store").write_bytes(b"")
    assert named(find(tmp_path)) == NAMES[:4]


def test_a_flat_folder_has_no_labels(photos):
    assert {photo.label for photo in find(photos / "apple")} == {""}


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file; give a folder"):
        find(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no files"):
        find(tmp_path / "empty")


def test_an_empty_class_folder_is_named_and_passed_over(photos, tmp_path):
    (tmp_path / "apple").symlink_to(photos / "apple")
    (tmp_path / "empty").mkdir()
    notes = []
    assert named(find(tmp_path, note=notes.append)) == NAMES[:4]
    assert len(notes) == 1
    assert notes[0].startswith("warning: the folder 'empty' is empty")


def test_what_systems_write_for_themselves_is_no_photo(photos, tmp_path):
    (tmp_path / "apple").mkdir()
    (tmp_path / "apple/0.png").symlink_to(photos / "apple/0.png")
    for name in ("__MACOSX/._0.png", "apple/Thumbs.db", "desktop.ini", "apple/@eaDir/0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert named(find(tmp_path)) == ["apple/0.png"]


def test_a_split_is_refused_in_a_line_that_says_what_to_type(photos, tmp_path):
    for part in ("train", "Val"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "apple").symlink_to(photos / "apple")
    with input_error("train-test-split", f"build from {tmp_path}/train,", f"on {tmp_path}/Val"):
        find(tmp_path)
    assert named(find(tmp_path / "train")) == NAMES[:4]
    (tmp_path / "bus").symlink_to(photos / "apple")  # a train may be a vehicle
    assert {photo.label for photo in find(tmp_path)} == {"Val/apple", "bus", "train/apple"}


def test_an_empty_folder_beside_a_classs_pictures_is_no_class(photos, tmp_path):
    (tmp_path / "apple/raw").mkdir(parents=True)
    (tmp_path / "apple/0.png").symlink_to(photos / "apple/0.png")
    assert named(find(tmp_path)) == ["apple/0.png"]


def test_a_loop_of_links_ends_in_one_line(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    with input_error("link-loop", "a/loop"):
        find(tmp_path)


@pytest.mark.parametrize("label", ["a\nb", "a\rb", "a\tb", "a\u2028b"])
def test_control_characters_in_a_class(tmp_path, label):
    (tmp_path / label).mkdir()
    (tmp_path / label / "1.png").write_bytes(b"")
    with pytest.raises(InputError, match="has a control character; rename it") as caught:
        find(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "label", ["a b", 'it\'s "so"', "🍎", "תפוח", "[red]", "a,b", "日本", "unknown"]
)
def test_other_names_are_taken_as_they_are(tmp_path, label):
    (tmp_path / label).mkdir()
    (tmp_path / label / "1.png").write_bytes(b"")
    assert [photo.label for photo in find(tmp_path)] == [label]


def test_names_that_are_not_utf8(tmp_path):
    os.mkdir(os.fsencode(tmp_path) + b"/caf\xe9")  # noqa: PTH102  # pathlib takes no bytes
    (tmp_path / os.fsdecode(b"caf\xe9") / "1.png").write_bytes(b"")
    with pytest.raises(InputError, match="is not UTF-8; rename it"):
        find(tmp_path)


def test_a_class_of_300_characters():
    with pytest.raises(InputError, match="has a name of 300 characters"):
        check_classes(["a" * 300])


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (photo,) = find(tmp_path)
    with pytest.raises(PictureError, match="not a regular file"):
        read(photo)


def test_exclude_and_limit(photos):
    assert named(find(photos, exclude=["apple/*", "*/3.png"])) == NAMES[4:7] + NAMES[8:11]
    assert named(find(photos, limit=1)) == ["apple/0.png", "berries/red/0.png", "cherry/0.png"]
    with pytest.raises(InputError, match="limit must be at least 1, not 0"):
        find(photos, limit=0)
    with pytest.raises(InputError, match="holds no files"):
        find(photos, exclude=["*"])


def table(folder, ending, columns):
    path = folder / f"photos{ending}"
    if ending == ".parquet":
        pq.write_table(pa.table(columns), path)
    else:
        rows = zip(*columns.values(), strict=True)
        lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
        path.write_text("\ufeff" + "\n".join(lines), "utf-8")  # as spreadsheets write tables
    return path


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_table_of_paths_and_labels(photos, ending):
    columns = {"path": ["cherry/1.png", "apple/0.png"], "label": ["stone", "core"]}
    found = find(table(photos, ending, columns))
    assert [(photo.name, photo.label) for photo in found] == [
        ("apple/0.png", "core"),
        ("cherry/1.png", "stone"),
    ]
    assert read(found[0]) == (photos / "apple/0.png").read_bytes()
    (photos / f"photos{ending}").unlink()


def test_a_table_says_nothing_of_where_photos_lie_on_this_machine(photos, tmp_path):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere" / "alice"
    here.mkdir()
    places = {
        here / "sub/a.png": "sub/a.png",  # below the table's folder
        "b.png": "b.png",
        "sub/../c.png": "c.png",
        photos / "apple/0.png": "core/0.png",  # elsewhere: by its class
        photos / "cherry/1.png": "core/1.png",
        "../elsewhere/alice/d.png": "core/d.png",
        elsewhere / "e.png": "core/e.png",
        "/etc/passwd": "core/passwd",  # shares only the root with the others, and is not a picture
        "/": "core/",
    }
    columns = {"path": [*places], "label": ["core"] * len(places)}
    found = find(table(here, ".csv", columns))
    assert named(found) == sorted(places.values())
    content = {photo.name: photo for photo in found}
    assert read(content["core/1.png"]) == (photos / "cherry/1.png").read_bytes()
    (here / "photos.csv").unlink()
    without = find(table(here, ".parquet", {"path": [*map(str, places)]}))
    assert {photo.name for photo in without if "sub" not in photo.name} == {
        *("b.png", "c.png", "0.png", "1.png", "d.png", "e.png", "passwd", "")
    }


@pytest.mark.parametrize("label", ["core", ""])
def test_photos_of_one_name_are_not_taken_for_one_photo(photos, tmp_path, label):
    paths = [photos / folder / "0.png" for folder in ("apple", "berries/red", "cherry")]
    found = find(table(tmp_path, ".csv", {"path": paths, "label": [label] * 3}))
    assert len({*named(found)}) == 1
    assert [found.index(photo) for photo in found] == [0, 1, 2]
    squares = Squares(8, "center")
    seen = [squares.of(photo).tobytes() for photo in found]
    assert len({*seen}) == 3
    assert [squares.of(photo).tobytes() for photo in found] == seen, "they are held apart"


def test_rows_without_a_label(photos, tmp_path):
    net = load_backbone(Spec(backbone="pixels", size=8))
    columns = {"path": [photos / name for name in NAMES[:3]], "label": ["x", "", "y"]}
    columns["weight"] = [1, 2, 3]
    path = table(tmp_path, ".csv", columns)
    done = embed(find(path), net, "center")
    assert [one.reason for one in done.skipped] == [
        "is not in a class folder, or has an empty label in the table"
    ]
    done = embed(find(path, target_columns=["weight"]), net, "center")
    assert done.skipped == ()
    refs = done.references(target_names=["weight"])
    assert sorted(refs.targets[:, 0]) == [1, 2, 3]
    assert refs.labels == ()


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_columns_by_other_names(tmp_path, ending):
    path = table(tmp_path, ending, {"file": ["a.png", "b.png"], "kind": [1, 2]})
    found = find(path, path_column="file", label_column="kind")
    assert [(photo.name, photo.label) for photo in found] == [("a.png", "1"), ("b.png", "2")]
    assert {photo.label for photo in find(path, path_column="file")} == {""}
    with pytest.raises(InputError, match=r"no column 'path'; its columns are 'file', 'kind'"):
        find(path)
    with pytest.raises(InputError, match="no column 'class'"):
        find(path, path_column="file", label_column="class")


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_table_that_cannot_be_read(tmp_path, ending):
    (tmp_path / f"t{ending}").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"cannot be read as a table|no column"):
        find(tmp_path / f"t{ending}")


def packed(photos, path, below=""):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in reversed(NAMES):
                archive.write(photos / name, below + name)
            archive.writestr("__MACOSX/._0.png", b"x")
            archive.writestr(below + "apple/.DS_Store", b"x")
    else:
        with tarfile.open(path, f"w:{path.suffix[1:] if path.suffix != '.tar' else ''}") as archive:
            archive.add(photos, below or ".")
    return path


@pytest.mark.parametrize("below", ["", "photos/"])
@pytest.mark.parametrize("name", ["p.zip", "p.tar", "p.tar.gz", "p.tar.bz2", "p.tar.xz"])
def test_an_archive_gives_the_same_references_as_the_folder(photos, tmp_path, name, below):
    found = find(packed(photos, tmp_path / name, below))
    assert named(found) == NAMES
    net = load_backbone(Spec(backbone="pixels", size=8))
    ours, theirs = embed(found, net, "center"), embed(find(photos), net, "center")
    assert ours.sha256 == theirs.sha256
    assert (ours.embeddings == theirs.embeddings).all()
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing was unpacked"


def test_a_zip_of_windows_has_folders(photos, tmp_path):
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for name in NAMES:
            archive.write(photos / name, f"photos\\{name}".replace("/", "\\"))
        archive.writestr("photos\\cherry\\", b"")
    assert named(find(tmp_path / "p.zip")) == NAMES


def zipped_as(written, path):
    """A zip with a name in bytes whose encoding it does not declare."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("c/" + "x" * len(written) + "/0.png", b"")
    path.write_bytes(path.read_bytes().replace(b"x" * len(written), written))
    return path


def test_names_of_a_zip_that_does_not_say_their_encoding(tmp_path):
    notes = []
    (photo,) = find(zipped_as("雪".encode(), tmp_path / "utf8.zip"), note=notes.append)
    assert photo.label == "雪"
    assert not [line for line in notes if line.startswith("warning")]
    find(zipped_as("雪".encode("shift-jis"), tmp_path / "sjis.zip"), note=notes.append)
    (line,) = [line for line in notes if line.startswith("warning")]
    assert line.startswith("warning: 1 name in the zip has an unknown encoding")


def test_links_in_a_tar_are_read(photos, tmp_path):
    content = (photos / "apple/0.png").read_bytes()
    with tarfile.open(tmp_path / "p.tar.gz", "w:gz") as archive:
        archive.add(photos / "apple/0.png", "./a/0.png")
        for name, kind, to in (
            ("./a/hard.png", tarfile.LNKTYPE, "./a/0.png"),
            ("./b/soft.png", tarfile.SYMTYPE, "../a/hard.png"),
            ("./b/gone.png", tarfile.SYMTYPE, "/etc/passwd"),
            ("./b/loop.png", tarfile.SYMTYPE, "loop.png"),
            ("./b/device", tarfile.CHRTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, to
            archive.addfile(info)
    found = {photo.name: photo for photo in find(tmp_path / "p.tar.gz")}
    for name in ("a/0.png", "a/hard.png", "b/soft.png"):
        assert read(found.pop(name)) == content
    assert sorted(found) == ["b/device", "b/gone.png", "b/loop.png"]
    for photo in found.values():
        with pytest.raises(PictureError, match="link to one in the archive"):
            read(photo)


@pytest.mark.parametrize("name", ["p.zip", "p.tar", "p.tar.gz"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no more", b"\x1f\x8b\x08 no more"])
def test_an_archive_that_is_none(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"cannot be read as an archive|holds no files|is empty"):
        find(tmp_path / name)


def test_a_damaged_member_is_skipped_and_named(photos, tmp_path):
    path = packed(photos, tmp_path / "p.zip")
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = archive.getinfo("apple/0.png").header_offset + 80
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    done = embed(find(path), load_backbone(Spec(backbone="pixels", size=8)), "center")
    (skipped,) = done.skipped
    assert skipped.name == "apple/0.png"
    assert "archive" in skipped.reason


@pytest.mark.parametrize("pair", [("Cat", "cat"), ("é", "e\u0301"), ("straße", "STRASSE")])
def test_classes_that_look_alike(pair):
    with pytest.raises(InputError, match="differ only in case or Unicode form"):
        check_classes({*pair, "dog"})
    check_classes({pair[0], "dog"})


def test_a_folder_that_cannot_be_read(photos, tmp_path, monkeypatch):
    real = os.scandir

    def refuse(path):
        if "locked" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    (tmp_path / "locked").mkdir()
    monkeypatch.setattr(os, "scandir", refuse)  # the tests may run as root, who can read everything
    with pytest.raises(InputError, match="locked cannot be read: Permission denied"):
        find(tmp_path)


def test_a_file_that_cannot_be_read_is_skipped_and_named(photos):
    def refuse():
        raise PermissionError(13, "Permission denied")

    found = [*find(photos), Photo(name="apple/locked.png", label="apple", content=refuse)]
    (skipped,) = embed(found, load_backbone(Spec(backbone="pixels", size=8)), "center").skipped
    assert (skipped.name, skipped.reason) == ("apple/locked.png", "Permission denied")


def test_a_class_of_a_table_with_no_usable_picture(photos, tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    path = table(tmp_path, ".csv", {"path": ["empty.png", photos / "apple/0.png"], "label": "xy"})
    words = "the class 'x' has no usable picture; empty.png: empty file"
    with pytest.raises(InputError, match=words):
        embed(find(path), load_backbone(Spec(backbone="pixels", size=8)), "center")


@pytest.mark.parametrize("name", ["p.zip", "p.tar"])
def test_a_file_larger_than_any_picture_is_not_read(photos, tmp_path, monkeypatch, name):
    found = find(packed(photos, tmp_path / name)) + find(photos)
    monkeypatch.setattr("pocketknn.builder.photos.readers.LARGEST", 10)
    for photo in found:
        with pytest.raises(PictureError, match="larger than"):
            read(photo)
