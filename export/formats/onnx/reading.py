"""Read, check and run an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices import growth
from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.system.offline import send_nothing
from pocketknn.export.formats.batches import in_blocks, nothing_taught, together
from pocketknn.export.formats.protocol import Outputs, Run
from pocketknn.export.formats.storage.texts import manifest_in, of_properties, ours
from pocketknn.export.output import checksums

from .file import graph_of, properties

if TYPE_CHECKING:
    import onnxruntime as ort


def session_of(model: Path | bytes, threads: int | None = None) -> ort.InferenceSession:
    """Open a model on the processor.

    Args:
        model: the file, or its content.
        threads: how many it may use; None for its default.
    """
    send_nothing()
    import onnxruntime as ort

    how = ort.SessionOptions()
    if threads is not None:
        how.intra_op_num_threads = threads
    return ort.InferenceSession(model, how, providers=["CPUExecutionProvider"])


def read(path: Path) -> dict[str, str]:
    """The texts in `metadata_props`; nothing else of the file is read."""
    return ours(of_properties(properties(path)), path.name)


def check(path: Path) -> dict[str, str]:
    """Check a file for damage; returns its texts."""
    texts, graph = read(path), graph_of(path)
    checksums.check_texts(texts, path.name)
    checksums.check_runtime(texts, checksums.sha256(path, graph.start, graph.end), path.name)
    return texts


def load(path: Path, threads: int | None = None) -> Run:
    """Open the file in onnxruntime."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    # onnxruntime's exceptions have no common base but Exception; a message may not be UTF-8.
    refusals = (state.Fail, state.InvalidGraph, state.InvalidProtobuf, state.RuntimeException)
    manifest = manifest_in(check(path))
    try:
        session = session_of(path, threads)
    except (*refusals, state.NotImplemented, state.InvalidArgument, UnicodeDecodeError) as error:
        raise InputError(
            f"onnxruntime cannot open {path.name}: {first_line(error)}", "file-damaged"
        ) from error
    types = {feed.name: feed.type for feed in session.get_inputs()}
    asked = manifest["input"]["name"]
    kind = np.uint8 if types[asked] == "tensor(uint8)" else np.float32
    names = [output.name for output in session.get_outputs()]

    def run(batch: NDArray[Any], memory: NDArray[np.float32] | None = None) -> Outputs:
        feeds = {asked: batch.astype(kind)} | ({} if memory is None else {growth.NAME: memory})
        found = session.run(names, feeds)
        return dict(zip(names, found, strict=True))

    return in_blocks(run, together(manifest), nothing_taught(manifest))
