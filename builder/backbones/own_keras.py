"""The user's own feature extractor: a `.keras` file from one square image to one vector."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from pocketknn.builder.backbones.networks.keras_models import from_pixels
from pocketknn.builder.backbones.weights.info_cache import known, sha256_of
from pocketknn.builder.errors import OF_THE_MACHINE, InputError, first_line
from pocketknn.builder.spec import Spec
from pocketknn.builder.system.cache import Cache

from .backbone import Backbone

if TYPE_CHECKING:
    import keras


def load(name: str, spec: Spec, cache: Cache | None = None) -> Backbone:
    """The backbone in a file.

    Raises:
        InputError: there is no such file, or it is not a feature extractor.
    """
    path = Path(name)
    if not path.is_file():
        raise InputError(f"the backbone {path} does not exist or is not a file", "file-not-found")
    sha256 = sha256_of(path)
    key = [".keras", spec.input_range, spec.size, sha256]
    facts, model = known(key, lambda: _opened(path, spec), cache)
    return Backbone(
        name=path.name,
        facts=facts,
        load=model,
        input_range=spec.input_range,
        weights=path.name,
        weights_sha256=sha256,
    )


def _opened(path: Path, spec: Spec) -> keras.Model:
    import h5py
    import keras

    # Keras would report such a file as not found.
    if not zipfile.is_zipfile(path) and not h5py.is_hdf5(path):
        raise InputError(
            f"{path.name} is damaged or not a Keras file: it is not a zip archive",
            "not-a-keras-file",
        )
    try:
        net = keras.saving.load_model(path, compile=False, safe_mode=True)
    except OF_THE_MACHINE:
        raise
    except Exception as error:  # whatever a broken or foreign archive raises inside Keras
        reason = first_line(error)
        raise InputError(
            f"{path.name} cannot be opened by Keras in safe mode: {reason}", "not-a-keras-file"
        ) from error
    shape, out = getattr(net, "input_shape", None), getattr(net, "output_shape", None)
    if not (isinstance(shape, tuple) and len(shape) == 4 and shape[-1] == 3):
        raise InputError(
            f"{path.name} must have one image input (batch, H, W, 3), not {shape}",
            "not-a-feature-extractor",
        )
    if not (isinstance(out, tuple) and len(out) == 2 and out[-1]):
        raise InputError(
            f"{path.name} must have one vector output (batch, d), not {out}",
            "not-a-feature-extractor",
        )
    sides = {side for side in shape[1:3] if side is not None}
    if spec.size is not None:
        sides.add(spec.size)
    if len(sides) != 1:
        what = "set it with --size" if not sides else f"the sizes {sorted(sides)} do not agree"
        raise InputError(
            f"{path.name} must take square pictures of one size: {what}", "unclear-input-size"
        )
    return from_pixels(net, spec.input_range, sides.pop())
