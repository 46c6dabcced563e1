"""Open a saved model with plain Keras, in this process."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pocketknn.builder.errors import OF_THE_MACHINE, InputError, first_line

if TYPE_CHECKING:
    from pocketknn.export.formats.protocol import Outputs

# Imported by Keras if they are there, for functions that no model of ours uses.
_UNUSED = ("IPython", "cv2", "matplotlib", "pandas", "sklearn")


@contextmanager
def imported() -> Iterator[None]:
    """Import Keras two seconds sooner, and hide modules that our models do not need in the block.

    Only for our own process, as a user's Keras may need them.
    """
    with _hidden(_UNUSED):
        with _hidden(("scipy",)):  # a conversion may need it
            _import_keras()
        yield


@contextmanager
def _hidden(names: Iterable[str]) -> Iterator[None]:
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None hides it
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _import_keras() -> None:
    """Import it without looking for garbage among its objects, now or later: all stay."""
    gc.disable()
    try:
        import keras  # noqa: F401
    finally:
        gc.enable()
        gc.freeze()


class Answer:
    """An open file.

    Attributes:
        seconds: returns how long it took to open.
    """

    def __init__(self, run: Callable[[Any], Outputs], seconds: Callable[[], float]) -> None:
        """Store the model and its opening time."""
        self._run, self.seconds = run, seconds

    def __call__(self, feeds: Any) -> Outputs:  # noqa: ANN401  # an array, or several by name
        """The outputs for some inputs."""
        return self._run(feeds)


def opened(path: Path) -> Answer:
    """Open the archive in safe mode.

    Raises:
        InputError: Keras refuses the file.
    """
    import keras

    start = time.perf_counter()
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except OF_THE_MACHINE:
        raise
    except Exception as error:  # Keras may raise anything on a damaged archive
        raise InputError(
            f"Keras cannot open {path.name}: {first_line(error)}", "file-damaged"
        ) from error

    def answer(feeds: Any) -> Outputs:  # noqa: ANN401
        # Called directly: `predict` would first trace a function, which takes a second or more.
        outputs = model(feeds, training=False)
        return {name: np.asarray(value) for name, value in outputs.items()}

    seconds = time.perf_counter() - start
    return Answer(answer, lambda: seconds)
