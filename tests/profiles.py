"""Colour profiles, made by hand: Pillow can only make one of sRGB."""

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)
# Red, green and blue in XYZ under D50, and the exponent of all three.
P3 = (((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)), 2.2)
PROPHOTO = (((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249)), 1.8)
SRGB = np.array(((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)))


def _fixed(*values):
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _profile(space, tags):
    at = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", at + len(data), len(content))
        data += content + b"\0" * (-len(content) % 4)
    header = struct.pack(">II4s4s4s4s", at + len(data), 0, b"\2\x10\0\0", b"mntr", space, b"XYZ ")
    header = header.ljust(36, b"\0") + b"acsp"
    header = header.ljust(68, b"\0") + _fixed(*D50)
    return header.ljust(128, b"\0") + table + data


def _curve(gamma):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def of_colours(primaries, gamma):
    """An RGB profile."""
    tags = {b"wtpt": b"XYZ \0\0\0\0" + _fixed(*D50)}
    for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True):
        tags[name] = b"XYZ \0\0\0\0" + _fixed(*xyz)
    return _profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(gamma)))


def of_grey(gamma):
    """A grey profile."""
    white = b"XYZ \0\0\0\0" + _fixed(*D50)
    return _profile(b"GRAY", {b"wtpt": white, b"kTRC": _curve(gamma)})


def in_colours(pixels, primaries, gamma):
    """sRGB pixels (uint8) converted to such a profile."""
    share = pixels / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    there = linear @ SRGB @ np.linalg.inv(np.array(primaries))
    return np.rint(255 * np.clip(there, 0, 1) ** (1 / gamma)).astype(np.uint8)
