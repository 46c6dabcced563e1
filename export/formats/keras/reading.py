"""Read, check and run a saved model."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices import growth
from pocketknn.export.formats.batches import in_blocks, nothing_taught, together
from pocketknn.export.formats.protocol import Outputs, Run
from pocketknn.export.formats.storage.texts import manifest_in, read
from pocketknn.export.output import checksums

from . import apart

# Keras keeps what every layer gave until the last one is done: 150 MB a picture of 224 pixels.
_NUMBERS = 8 * 224 * 224 * 3  # in the inputs of a block


def check(path: Path) -> dict[str, str]:
    """Check the file; returns its texts.

    Only the texts have a checksum, as Keras reads the rest safely.
    """
    texts = read(path)
    checksums.check_texts(texts, path.name)
    return texts


def load(path: Path, threads: int | None = None) -> Run:
    """Open the archive with plain Keras, in the other process of `apart` if there is one."""
    manifest = manifest_in(check(path))
    answer = apart.opened(path)

    def run(batch: NDArray[Any], memory: NDArray[np.float32] | None = None) -> Outputs:
        feeds: Any = batch.astype(np.float32)
        if memory is not None:
            feeds = {manifest["input"]["name"]: feeds, growth.NAME: memory}
        return answer(feeds)

    size = max(1, min(together(manifest), _NUMBERS // math.prod(manifest["input"]["shape"])))
    blocks = in_blocks(run, size, nothing_taught(manifest))
    return replace(blocks, seconds=answer.seconds)
