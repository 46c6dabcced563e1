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
    """How files are written.

    Attributes:
        precision: precision of the backbone's weights, if the format supports it; None for each
            format's default.
        pixels: input type of TFLite and ONNX, `float32` or `uint8`, with values 0..255.
        outputs: further TFLite files for devices without a top-k: `embedding`, `scores`.
        ios: minimum iOS version of the Core ML model: 15, 16, 17 or 18.
        author: who made the model; "" for none.
        license: the terms of use; "" for none.
        version: version of the model.
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
            raise InputError(
                f"unknown precision {self.precision!r}; choose from {choices}", "unknown-precision"
            )
        if self.pixels not in PIXELS:
            choices = ", ".join(PIXELS)
            raise InputError(
                f"unknown pixel type {self.pixels!r}; choose from {choices}", "unknown-pixel-type"
            )
        for one in self.outputs:
            if one not in OUTPUTS:
                raise InputError(
                    f"unknown output {one!r}; choose from {', '.join(OUTPUTS)}", "unknown-output"
                )
        if self.ios not in IOS:
            choices = ", ".join(map(str, IOS))
            raise InputError(
                f"Core ML models are written for iOS {choices}, not {self.ios}", "unknown-ios"
            )
        for name in ("author", "license", "version"):
            if not getattr(self, name).isprintable():
                raise InputError(f"the {name} must be one line of printable text", "not-printable")


def check_options(options: Options, *, bytes_: bool) -> None:
    """Accept everything, for formats that support all options."""
