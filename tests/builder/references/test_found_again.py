"""Photos that are references are recognised by the bytes of their files."""

import hashlib

import pytest

from pocketknn.builder import find
from pocketknn.builder.photos.photo import Photo
from pocketknn.builder.photos.pixels.decode import read
from pocketknn.builder.references.match import ByPicture, among, thumbnails

CONTENT = b"the bytes of a file"
HASH = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize(
    ("ids", "places"),
    [
        ([HASH[:12]], [0]),
        (["f" * 12, HASH[:12], f"{HASH[:12]}-2", f"{HASH[:12]}-13"], [1, 2, 3]),
        ([HASH[:16], HASH], [0, 1]),
        ([HASH[1:13], HASH[:11], "a-2"], []),
        (["", "0", *"123456789abcdef"], []),  # ids of vectors: every hash begins with one of them
    ],
)
def test_an_id_that_a_build_gave_is_the_start_of_the_hash(ids, places):
    assert ByPicture(ids).places(CONTENT) == places
    assert ByPicture(ids).places(b"another file") == []


def test_photos_that_cannot_be_read_are_no_references():
    def broken():
        raise OSError("gone")

    photos = [
        Photo(name="1", label="", content=one) for one in (lambda: CONTENT, broken, lambda: b"x")
    ]
    assert among(photos, [HASH[:12]]).tolist() == [True, False, False]
    assert not among(photos, ["0"]).any()


def test_a_reference_without_a_name_is_found_among_all_photos(photos):
    found = find(photos)
    ids = [hashlib.sha256(read(photo)).hexdigest()[:12] for photo in found]
    named = {ids[5]: found[5].name, ids[6]: "elsewhere.png"}
    assert set(thumbnails({ids[3]: ""} | named, found, 8, "center")) == {ids[3], ids[5]}
    assert set(thumbnails(named, found, 8, "center")) == {ids[5]}
