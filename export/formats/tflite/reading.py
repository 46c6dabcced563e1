"""A TFLite file as one that says what it is, and runs."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import InputError, first_line
from pocketknn.export.formats.batches import in_blocks
from pocketknn.export.formats.protocol import Outputs, Run
from pocketknn.export.formats.storage.texts import payload, read
from pocketknn.export.output import checksums


def check(path: Path) -> dict[str, str]:
    """Refuse a file that is not what was written; its texts."""
    texts = read(path)
    checksums.check_texts(texts, path.name)
    checksums.check_runtime(texts, checksums.sha256(path, 0, payload(path)), path.name)
    return texts


def load(path: Path, threads: int | None = None) -> Run:
    """Open the file in LiteRT.

    Outputs are taken by the names of the signature, wherever they lie. An interpreter serves one
    caller at a time: others, in other threads, would read outputs that are not theirs.
    """
    from ai_edge_litert.interpreter import Interpreter

    check(path)
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        runner = interpreter.get_signature_runner("serving_default")
        ((name, given),) = runner.get_input_details().items()
    except (ValueError, RuntimeError, KeyError) as error:
        raise InputError(f"{path.name} is refused by LiteRT: {first_line(error)}") from error

    one_caller = Lock()

    def run(batch: NDArray[Any]) -> Outputs:
        with one_caller:
            outputs = runner(**{name: batch.astype(given["dtype"])})
            found = {key: np.array(value) for key, value in outputs.items()}
        if "indices" in found:
            found["indices"] = found["indices"].astype(np.int64)
        return found

    return in_blocks(run)
