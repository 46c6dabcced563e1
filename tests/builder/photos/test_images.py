"""Every kind of picture a folder of photos can hold."""

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from profiles import P3, PROPHOTO, in_colours, of_colours, of_grey

from pocketknn.builder.photos.photo import Photo, PictureError
from pocketknn.builder.photos.pixels.crop import square
from pocketknn.builder.photos.pixels.decode import decode, formats, pixels


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


GRADIENT = Image.fromarray(
    np.stack(np.broadcast_arrays(*np.ogrid[0:240:20, 0:240:30], 90), -1).astype(np.uint8)
)


def colours(content):
    return np.asarray(decode(content)).astype(int)


@pytest.mark.parametrize(
    "kind", ["PNG", "BMP", "TIFF", "GIF", "WEBP", "JPEG", "PPM", "AVIF", "MPO"]
)
def test_every_format_gives_the_same_colours(kind):
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}
    options = {
        **lossless,
        "MPO": {"quality": 100, "subsampling": 0},
        "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    }
    found = colours(encoded(GRADIENT, kind, **options.get(kind, {})))
    assert np.abs(found - np.asarray(GRADIENT)).max() <= (0 if kind in ("PNG", "BMP") else 12)


def test_exif_rotation_is_applied():
    marked = Image.new("RGB", (40, 20), "black")
    marked.paste("red", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the stored picture must be rotated clockwise by 90°
    upright = decode(encoded(marked, "PNG", exif=exif))
    assert upright.size == (20, 40)
    assert upright.getpixel((10, 5)) == (255, 0, 0)
    assert upright.getpixel((10, 35)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *[("JPEG", mode) for mode in ("RGB", "L", "CMYK")],
        *[("PNG", mode) for mode in ("RGB", "L", "P", "RGBA")],
        *[("WEBP", mode) for mode in ("RGB", "RGBA")],
        *[("TIFF", mode) for mode in ("RGB", "L", "P", "RGBA", "CMYK")],
    ],
)
@pytest.mark.parametrize("turned", range(1, 9))
def test_pixels_are_those_of_pillows_own_copies(kind, mode, turned):
    """Decoding turns a picture in place, and copies none that is RGB already."""
    noise = np.random.default_rng(turned).integers(0, 256, (23, 31, 4)).astype(np.uint8)
    given, exif = Image.fromarray(noise, "RGBA").convert("RGB").convert(mode), Image.Exif()
    exif[0x0112] = turned
    given.save(file := io.BytesIO(), kind, exif=exif)
    with Image.open(io.BytesIO(file.getvalue())) as opened:
        wanted = ImageOps.exif_transpose(opened).convert("RGB")
    found = decode(file.getvalue())
    np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted))
    assert found.size == (wanted.size if turned < 5 else (23, 31))
    assert type(found) is Image.Image


def test_cmyk_becomes_rgb():
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # no cyan, full magenta and yellow: red
    red = colours(encoded(image, "JPEG", quality=100))[4, 4]
    assert red[0] > 230
    assert red[1:].max() < 40


SOFT = np.asarray(GRADIENT) // 2 + 64  # colours that all profiles here can represent
TAGGED = {"P3": P3, "ProPhoto": PROPHOTO}


@pytest.mark.parametrize("name", TAGGED)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_a_colour_profile_is_converted(name, kind):
    told = Image.fromarray(in_colours(SOFT, *TAGGED[name]))
    assert np.abs(np.asarray(told, int) - SOFT).max() > 15
    best = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    content = encoded(told, kind, icc_profile=of_colours(*TAGGED[name]), **best.get(kind, {}))
    assert np.abs(colours(content) - SOFT).max() <= (8 if kind == "JPEG" else 3)


def test_a_profile_is_converted_where_a_jpeg_is_decoded_smaller_and_turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    flat = Image.new("RGB", (320, 160), (190, 90, 60))
    told = Image.fromarray(in_colours(np.asarray(flat), *PROPHOTO))
    content = encoded(told, "JPEG", quality=95, icc_profile=of_colours(*PROPHOTO), exif=exif)
    found = pixels(Photo(name="", label="", content=lambda: content), 8, "center").astype(int)
    assert np.abs(found - (190, 90, 60)).max() <= 3


def test_a_profile_leaves_transparency_alone():
    told = Image.fromarray(in_colours(SOFT, *P3))
    told.putalpha(128)
    found = colours(encoded(told, "PNG", icc_profile=of_colours(*P3)))
    assert np.abs(found - (SOFT.astype(int) + 255) / 2).max() <= 3


def test_grey_has_profiles_of_grey_and_of_colours():
    grey = Image.fromarray(np.arange(0, 256, 5, dtype=np.uint8)[None])
    found = colours(encoded(grey, "PNG", icc_profile=of_grey(1.0)))
    assert found[0, 10].tolist() == pytest.approx([121] * 3, abs=2), "50 of 255, linear"
    found = colours(encoded(grey, "PNG", icc_profile=of_colours(P3[0], 1.0)))
    assert found[0, 10].tolist() == pytest.approx([121] * 3, abs=2)


def test_a_profile_of_srgb_moves_nothing():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = colours(encoded(GRADIENT, "PNG", icc_profile=srgb))
    np.testing.assert_array_equal(found, np.asarray(GRADIENT))


@pytest.mark.parametrize(
    "profile",
    [
        b"garbage",
        of_colours(*P3)[:200],
        b"\0" * 300,
        of_grey(1.0),
        bytes(16) + b"CMYK" + bytes(200),
    ],
)
def test_a_profile_that_cannot_be_used_is_passed_over(profile):
    found = colours(encoded(GRADIENT, "PNG", icc_profile=profile))
    np.testing.assert_array_equal(found, np.asarray(GRADIENT))


def test_a_decoded_picture_has_no_words_of_its_file():
    content = encoded(
        GRADIENT, "JPEG", comment=b"of my house", icc_profile=of_colours(*P3), exif=Image.Exif()
    )
    assert decode(content).info == {}
    assert b"house" not in encoded(decode(content), "JPEG")
    assert b"house" not in encoded(decode(encoded(GRADIENT, "GIF", comment=b"my house")), "GIF")


def test_transparency_is_laid_on_white():
    palette = Image.new("P", (4, 4))
    palette.putpalette([10, 20, 30, 200, 0, 0])
    palette.putpixel((0, 0), 1)
    found = colours(encoded(palette, "PNG", transparency=0))
    assert found[0, 0].tolist() == [200, 0, 0]
    assert found[3, 3].tolist() == [255, 255, 255]
    half = Image.new("RGBA", (2, 2), (0, 0, 0, 128))
    assert np.abs(colours(encoded(half, "PNG")) - 127).max() <= 1


def test_sixteen_bit_grey_is_scaled_not_clipped():
    values = np.array([[0, 257 * 100], [257 * 200, 65535]], np.uint16)
    found = colours(encoded(Image.fromarray(values), "PNG"))
    assert found[..., 0].tolist() == [[0, 100], [200, 255]]


def test_twelve_bits_in_a_tiff_of_sixteen_are_seen():
    values = np.array([[0, 1000], [2047, 4000]], np.uint16)
    found = colours(encoded(Image.fromarray(values), "TIFF"))
    assert found[..., 0].tolist() == [[0, 62], [127, 249]]
    assert colours(encoded(Image.fromarray(values), "PNG")).max() == 16, "PNG says that it has 16"
    assert colours(encoded(Image.fromarray(values * 16), "TIFF"))[1, 1, 0] == 249


def test_twelve_bits_in_colours_of_sixteen_are_refused_in_words():
    values = np.full((2, 2, 3), 3000, "<u2").tobytes()
    tags = [(256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 3, 134), (262, 3, 1, 2), (273, 4, 1, 140)]
    tags += [(277, 3, 1, 3), (278, 3, 1, 2), (279, 4, 1, len(values))]
    written = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + written
    content = head.ljust(134, b"\0") + struct.pack("<3H", 16, 16, 16) + values
    with pytest.raises(PictureError, match="12-bit values"):
        decode(content)


@pytest.mark.parametrize("mode", ["L", "1", "LA", "RGBA", "P"])
def test_every_mode_becomes_rgb(mode):
    assert colours(encoded(GRADIENT.convert(mode), "PNG")).shape == (12, 8, 3)


def test_one_pixel_is_enough():
    dot = decode(encoded(Image.new("RGB", (1, 1), (9, 8, 7)), "PNG"))
    for crop in ("center", "stretch"):
        assert (square(dot, 16, crop) == [9, 8, 7]).all()
    assert (square(dot, 16, "fit") == [9, 8, 7]).all()


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    found = colours(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert found[0, 0].tolist() == [255, 0, 0]


def bomb():
    """A PNG of a few bytes that claims 30,000 × 30,000 pixels."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


JPEG = encoded(GRADIENT.resize((200, 200)), "JPEG")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"hello, I am a text", "not a picture"),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (bomb(), "million pixels"),
        (encoded(GRADIENT, "PNG")[:60], "."),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    ],
)
def test_what_is_no_picture_is_named_in_one_line(content, reason):
    with pytest.raises(PictureError, match=reason) as caught:
        decode(content)
    assert "\n" not in str(caught.value)


def test_a_wrong_extension_does_not_matter():
    photo = Photo(name="photo.txt", label="", content=lambda: JPEG)
    assert pixels(photo, 32, "center").shape == (32, 32, 3)


def test_floating_point_pixels_are_refused_and_integers_scaled_alike():
    image = Image.fromarray(np.full((4, 4), 0.5, np.float32))
    with pytest.raises(PictureError, match="floating-point pixels"):
        decode(encoded(image, "TIFF"))
    for top in (65535, 300):
        grey = Image.fromarray(np.array([[200, top]], np.int32))
        assert colours(encoded(grey, "TIFF"))[0, 0, 0] == 1, "whatever the largest value is"


def heic():
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    return encoded(GRADIENT.resize((64, 64)), "HEIF", quality=95)


def test_heic_is_read_with_its_plug_in():
    found = colours(heic())
    assert np.abs(found - np.asarray(GRADIENT.resize((64, 64)))).max() <= 12


def test_heic_without_its_plug_in_says_what_it_needs(monkeypatch):
    content = heic()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    formats.cache_clear()
    with pytest.raises(PictureError, match="needs pillow-heif: pip install pillow-heif"):
        decode(content)
    formats.cache_clear()


def test_crop_policies():
    wide = Image.new("RGB", (300, 100), "blue")
    wide.paste("red", (100, 0, 200, 100))
    assert (square(wide, 50, "center") == [255, 0, 0]).all()
    stretched = square(wide, 90, "stretch")
    assert (stretched[:, 45] == [255, 0, 0]).all()
    assert (stretched[:, 2] == [0, 0, 255]).all()
    fitted = square(wide, 90, "fit")
    assert (fitted[:25] == 0).all()
    assert (fitted[-25:] == 0).all()
    assert (fitted[45, 45] == [255, 0, 0]).all()
    assert (fitted[45, 5] == [0, 0, 255]).all()


def test_the_resampling_rule_is_pillows_antialiased_bilinear_after_the_crop():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (91, 131, 3), np.uint8))
    expected = image.crop((20, 0, 111, 91)).resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(square(image, 32, "center"), np.asarray(expected))


def test_a_very_flat_picture_fits():
    assert square(Image.new("RGB", (20000, 10), "red"), 96, "fit").shape == (96, 96, 3)


def test_broken_exif_is_passed_over():
    exif = encoded(GRADIENT.resize((64, 64)), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09garbage")
    assert decode(exif).size == (64, 64)
