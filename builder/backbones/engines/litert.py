"""A network in LiteRT, for any number of threads at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter


class Network:
    """A TFLite network from pixels to embeddings.

    Pictures are run one by one: on a CPU a batch is no faster. An interpreter has one thread and
    serves one caller at a time; LiteRT releases Python's GIL meanwhile, so that each calling thread
    can keep a core busy.
    """

    def __init__(self, content: bytes, size: int) -> None:
        """Open a network from (1, size, size, 3) float32 to (1, d); its input may need resizing.

        Args:
            content: the TFLite file.
            size: side of the pictures.
        """
        self._content, self._shape = content, (1, size, size, 3)
        self._idle: SimpleQueue[Interpreter] = SimpleQueue()

    def __reduce__(self) -> tuple[type[Network], tuple[bytes, int]]:
        """Pickle only the file; the other process opens it again."""
        return Network, (self._content, self._shape[1])

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings (n, d) of pictures (n, size, size, 3).

        Raises:
            ValueError: LiteRT rejects the network; it may also raise RuntimeError.
        """
        with self._interpreter() as interpreter:
            (image,) = interpreter.get_input_details()
            (embedding,) = interpreter.get_output_details()
            rows = []
            for picture in pictures:
                interpreter.set_tensor(image["index"], picture[None].astype(np.float32))
                interpreter.invoke()
                rows.append(interpreter.get_tensor(embedding["index"])[0])
            return np.stack(rows)

    @contextmanager
    def _interpreter(self) -> Iterator[Interpreter]:
        try:
            interpreter = self._idle.get_nowait()
        except Empty:
            interpreter = self._open()
        yield interpreter
        self._idle.put(interpreter)

    def _open(self) -> Interpreter:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=self._content, num_threads=1)
        (image,) = interpreter.get_input_details()
        interpreter.resize_tensor_input(image["index"], self._shape)
        interpreter.allocate_tensors()
        return interpreter
