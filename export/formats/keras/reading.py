"""Read, check and run a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices import growth
from pocketknn.builder.errors import OF_THE_MACHINE, InputError, first_line
from pocketknn.export.formats.batches import in_blocks, nothing_taught, together
from pocketknn.export.formats.protocol import Outputs, Run
from pocketknn.export.formats.storage.texts import manifest_in, read
from pocketknn.export.output import checksums


def check(path: Path) -> dict[str, str]:
    """Check the file; returns its texts. Keras reads it safely, so only the texts are sealed."""
    texts = read(path)
    checksums.check_texts(texts, path.name)
    return texts


def load(path: Path, threads: int | None = None) -> Run:
    """Open the archive with plain Keras, in safe mode."""
    import keras

    manifest = manifest_in(check(path))
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except OF_THE_MACHINE:
        raise
    except Exception as error:  # Keras may raise anything on a damaged archive
        raise InputError(
            f"Keras cannot open {path.name}: {first_line(error)}", "file-damaged"
        ) from error

    def run(batch: NDArray[Any], memory: NDArray[np.float32] | None = None) -> Outputs:
        feeds: Any = batch.astype(np.float32)
        if memory is not None:
            feeds = {manifest["input"]["name"]: feeds, growth.NAME: memory}
        # Called directly: `predict` would first trace a function, which takes a second or more.
        outputs = model(feeds, training=False)
        return {name: np.asarray(value) for name, value in outputs.items()}

    return in_blocks(run, together(manifest), nothing_taught(manifest))
