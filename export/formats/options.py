"""How files are written, apart from what they compute."""

from __future__ import annotations

from dataclasses import dataclass

from pocketknn.builder.errors import InputError

IOS = (15, 16, 17, 18)
PRECISIONS = ("float32", "float16", "int8")
PIXELS = ("float32", "uint8")
OUTPUTS = ("embedding", "scores")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a platform is told, and what it must be able to do.

    Attributes:
        precision: of the backbone's weights, where a format can; None is each format's default.
        pixels: type of the picture that TFLite and ONNX take, `float32` or `uint8`, 0..255.
        outputs: further TFLite files for devices that take no top-k: `embedding`, `scores`.
        ios: the least iOS that the Core ML model runs on: 15, 16, 17 or 18.
        author: who made the model; "" says nothing.
        license: under what terms it may be used; "" says nothing.
        version: of the model.
    """

    precision: str | None = None
    pixels: str = "float32"
    outputs: tuple[str, ...] = ()
    ios: int = 16
    author: str = ""
    license: str = ""
    version: str = "1"

    def __post_init__(self) -> None:
        if self.precision not in (None, *PRECISIONS):
            choices = ", ".join(PRECISIONS)
            raise InputError(f"unknown precision {self.precision!r}; choose from {choices}")
        if self.pixels not in PIXELS:
            choices = ", ".join(PIXELS)
            raise InputError(f"unknown type of pixels {self.pixels!r}; choose from {choices}")
        for one in self.outputs:
            if one not in OUTPUTS:
                raise InputError(f"unknown outputs {one!r}; choose from {', '.join(OUTPUTS)}")
        if self.ios not in IOS:
            choices = ", ".join(map(str, IOS))
            raise InputError(f"Core ML models are written for iOS {choices}, not {self.ios}")
        for name in ("author", "license", "version"):
            if not getattr(self, name).isprintable():
                raise InputError(f"the {name} must be one line of printable text")


def check_options(options: Options, *, bytes_: bool) -> None:
    """Refuse none, for formats that can be written with all options."""
