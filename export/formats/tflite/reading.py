"""Read, check and run a TFLite file."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices import growth
from pocketknn.builder.errors import InputError, first_line
from pocketknn.export.formats.batches import in_blocks, nothing_taught
from pocketknn.export.formats.protocol import Outputs, Run
from pocketknn.export.formats.storage.texts import manifest_in, payload, read
from pocketknn.export.output import checksums


def check(path: Path) -> dict[str, str]:
    """Check a file for damage; returns its texts."""
    texts = read(path)
    checksums.check_texts(texts, path.name)
    checksums.check_runtime(texts, checksums.sha256(path, 0, payload(path)), path.name)
    return texts


def load(path: Path, threads: int | None = None) -> Run:
    """Open the file in LiteRT.

    Outputs are read by their names in the signature, whatever their order. An interpreter serves
    one caller at a time: in another thread a caller would read someone else's outputs.
    """
    from ai_edge_litert.interpreter import Interpreter

    manifest = manifest_in(check(path))
    asked = manifest["input"]["name"]
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        runner = interpreter.get_signature_runner("serving_default")
        given = runner.get_input_details()[asked]
    except (ValueError, RuntimeError, KeyError) as error:
        raise InputError(
            f"LiteRT cannot open {path.name}: {first_line(error)}", "file-damaged"
        ) from error

    one_caller = Lock()

    def run(batch: NDArray[Any], memory: NDArray[np.float32] | None = None) -> Outputs:
        feeds = {asked: batch.astype(given["dtype"])}
        feeds |= {} if memory is None else {growth.NAME: memory}
        with one_caller:
            outputs = runner(**feeds)
            found = {key: np.array(value) for key, value in outputs.items()}
        if "indices" in found:
            found["indices"] = found["indices"].astype(np.int64)
        return found

    return in_blocks(run, 1, nothing_taught(manifest))
