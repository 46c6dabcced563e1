"""Keras numbers layers through the life of a process; a graph should not depend on its history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

# Keras, TensorFlow and coremltools keep names, passes and types of what they build or convert in
# places that all threads share.
_ONE_AT_A_TIME = RLock()


@contextmanager
def fresh_names() -> Iterator[None]:
    """Names as in a new process, for what is built or converted inside; then the count goes on.

    No other thread builds or converts meanwhile.
    """
    # There is a public way to reset the count, but none to go on with it.
    from keras.src.backend.common import global_state

    name = "object_name_uids"
    with _ONE_AT_A_TIME:
        before = global_state.get_global_attribute(name)
        global_state.set_global_attribute(name, None)
        try:
            yield
        finally:
            global_state.set_global_attribute(name, before)
