"""Open a saved model with plain Keras, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pocketknn.builder.errors import OF_THE_MACHINE, InputError, first_line

if TYPE_CHECKING:
    from pocketknn.export.formats.protocol import Outputs

Answer = Callable[[Any], "Outputs"]


def opened(path: Path) -> Answer:
    """Open the archive in safe mode; what is returned maps inputs to outputs.

    Raises:
        InputError: Keras refuses the file.
    """
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except OF_THE_MACHINE:
        raise
    except Exception as error:  # Keras may raise anything on a damaged archive
        raise InputError(
            f"Keras cannot open {path.name}: {first_line(error)}", "file-damaged"
        ) from error

    def answer(feeds: Any) -> Outputs:  # noqa: ANN401  # an array, or several by name
        # Called directly: `predict` would first trace a function, which takes a second or more.
        outputs = model(feeds, training=False)
        return {name: np.asarray(value) for name, value in outputs.items()}

    return answer
