"""Photos at an address, in any store that fsspec knows, through the local engine."""

import sys
from pathlib import Path

import pytest

from pocketknn.builder import InputError, References, Spec, embed, find, load_backbone
from pocketknn.builder.photos.remote import place_of, was_address

fsspec = pytest.importorskip("fsspec", reason="addresses need fsspec: pip install fsspec")


@pytest.fixture
def store(photos):
    """The small pictures, and files that are not photos, in a store in memory."""
    memory = fsspec.filesystem("memory")
    for path in photos.rglob("*.png"):
        memory.pipe(f"/shop/{path.relative_to(photos).as_posix()}", path.read_bytes())
    memory.pipe("/shop/.trash/x.png", b"hidden")
    yield memory
    memory.rm("/shop", recursive=True)


def test_an_address_is_no_path():
    assert place_of("s3://bucket/photos") == "s3://bucket/photos"
    assert str(place_of("file:///data/photos")) == "/data/photos"
    assert str(place_of("photos")) == "photos"


def test_they_are_the_photos_of_a_folder(store, photos):
    ours, theirs = find("memory://shop"), find(photos)
    for found in (ours, find(f"file://{photos}"), find(f"local://{photos}")):
        assert [(one.name, one.label) for one in found] == [(o.name, o.label) for o in theirs]
    net = load_backbone(Spec(backbone="pixels", size=8))
    one, other = (embed(found, net, "center").references() for found in (ours, theirs))
    assert one.vectors.tobytes() == other.vectors.tobytes()
    assert (one.ids, one.paths, one.labels) == (other.ids, other.paths, other.labels)


def test_a_build_reads_an_address(pocketknn, store, photos, tmp_path):
    given = ("--backbone", "pixels", "--size", 8, "--formats", "tflite", "--no-report")
    assert pocketknn("build", "memory://shop", "-o", tmp_path / "one", *given).code == 0
    assert pocketknn("build", photos, "-o", tmp_path / "two", *given).code == 0
    one, two = ((tmp_path / name / "model.tflite").read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_photo_that_is_gone_or_changed(store):
    net = load_backbone(Spec(backbone="pixels", size=8))
    found = find("memory://shop")
    before = [photo.content.stamp() for photo in found]
    store.rm("/shop/apple/0.png")
    store.pipe("/shop/apple/1.png", b"no picture")
    embedded = embed(found, net, "center")
    assert [(one.name, one.reason) for one in embedded.skipped] == [
        ("apple/0.png", "No such file or directory"),
        ("apple/1.png", "not a picture"),
    ]
    after = [photo.content.stamp() for photo in find("memory://shop")]
    assert before[2:] == after[1:]
    assert before[1] != after[0]


def test_what_a_store_says_is_the_reason(store, monkeypatch):
    def fail(self, path, **options):
        raise RuntimeError("the bucket is on fire\nand more")

    found = find("memory://shop", limit=1)
    monkeypatch.setattr(type(store), "cat_file", fail)
    net = load_backbone(Spec(backbone="pixels", size=8))
    with pytest.raises(InputError, match=r"0\.png: the bucket is on fire$"):
        embed(found, net, "center")


BAD = {
    "memory://nowhere": "memory://nowhere does not exist or holds no files",
    "memory://shop/apple/0.png": "is a file; give the address of a folder of photos",
    "gopher://host/photos": "unknown protocol 'gopher' in gopher://host/photos; fsspec supports s3",
    "file:///no/such/folder": "/no/such/folder does not exist",
}


@pytest.mark.parametrize("address", BAD)
def test_an_address_that_leads_nowhere_is_one_line(pocketknn, store, tmp_path, address):
    said = pocketknn("build", address, "-o", tmp_path / "out")
    assert said.code == 2
    assert BAD[address] in said.err
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("s3fs", "s3://bucket/photos needs another package: Install s3fs to access S3"),
        ("fsspec", "s3://bucket/photos needs the package fsspec: pip install fsspec"),
    ],
)
def test_a_package_that_is_not_there_is_named(pocketknn, tmp_path, monkeypatch, module, line):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, f"{module}.core", None)
    said = pocketknn("build", "s3://bucket/photos", "-o", tmp_path / "out")
    assert (said.code, line in said.err, len(said.err.splitlines())) == (2, True, 1)


def test_references_are_made_of_an_address(pocketknn, store, photos, tmp_path):
    for place, name in (("memory://shop", "one"), (photos, "two")):
        out = tmp_path / f"{name}.parquet"
        assert pocketknn("refs", "new", place, "-o", out, "--backbone", "pixels").code == 0
    one, two = (References.load(tmp_path / f"{name}.parquet") for name in ("one", "two"))
    assert one.vectors.tobytes() == two.vectors.tobytes()
    assert one.ids == two.ids


def test_an_address_where_none_is_read_has_its_own_line(pocketknn, tmp_path):
    for words in (("refs", "list", "s3://bucket/r.parquet"), ("verify", "out", "s3://bucket/p")):
        (tmp_path / "out").mkdir(exist_ok=True)
        said = pocketknn(*words)
        assert (said.code, f"{words[-1]} is an address" in said.err) == (2, True), said.err
    assert not was_address(Path("photos/s3:/x"))
    assert not was_address(Path("C:/photos"))
