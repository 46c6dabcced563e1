"""Models in onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pocketknn.builder.system.offline import send_nothing

if TYPE_CHECKING:
    import onnxruntime as ort


def session_of(model: Path | bytes, threads: int | None = None) -> ort.InferenceSession:
    """Open a model on the processor.

    Args:
        model: the file, or what is in it.
        threads: how many it may use; what it likes when None.
    """
    send_nothing()
    import onnxruntime as ort

    how = ort.SessionOptions()
    if threads is not None:
        how.intra_op_num_threads = threads
    return ort.InferenceSession(model, how, providers=["CPUExecutionProvider"])
