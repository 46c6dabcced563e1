"""Open a file in its own runtime and compare it with the exact k-NN.

Queries reach only a few references, so the bytes of all references are checked too.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices import growth
from pocketknn.builder.errors import OF_THE_MACHINE, first_line
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.output.checksums import files_of

from .check import TOLERANCES, Parity, check, check_kept
from .taught import half

if TYPE_CHECKING:
    from pocketknn.builder.choices.neighbors import Neighbors
    from pocketknn.builder.knn.fit import Fit
    from pocketknn.export.formats.protocol import Outputs, Run

    from .test_inputs import Queries

_BYTES = 1 << 24  # of a matrix, compared at once


def compare(
    name: str,
    path: Path,
    precision: str,
    fit: Fit,
    against: Queries,
    before: Neighbors | None = None,
    *,
    as_built: bool = False,
) -> Parity:
    """Open a file in its own runtime and compare its answers with the exact k-NN.

    Args:
        name: the format.
        path: the file.
        precision: precision of the backbone.
        fit: what the file should hold.
        against: the queries; with `before`, they need no embeddings, see `check_kept`.
        before: the file's answers when it had other references.
        as_built: whether the file is known to be unchanged since its build, which checked the
            references of an index. Another machine may round some of these to other bytes.
    """
    try:
        run = FORMATS[name].load(path)
        outputs = run(against.inputs)
        grown: tuple[str, ...] = ()
        if fit.slots:
            known = against.embeddings if before is None else outputs[growth.EMBEDDING]
            grown = check_growth(run, against.inputs, known, fit, precision=precision)
            grown += _of_nobody(outputs, fit.k)
            outputs = growth.without_nobody(outputs, fit.k)
    except OF_THE_MACHINE:
        raise
    except Exception as error:  # a runtime may raise anything on a file it cannot run
        refusal = f"it cannot be run: {first_line(error)}"
        return Parity(precision=precision, queries=len(against.inputs), failures=(refusal,))
    del run  # and its copy of the references
    stored = (as_built and fit.index is not None) or holds(files_of(path), fit)
    if before is not None:
        found = check_kept(outputs, before, fit, precision=precision, stored=stored)
    else:
        found = check(outputs, against.embeddings, fit, precision=precision, stored=stored)
        found = replace(found, judge=against.judge)
    return replace(found, failures=(*found.failures, *grown))


def check_growth(
    run: Run,
    inputs: NDArray[Any],
    embeddings: NDArray[np.floating],
    fit: Fit,
    *,
    precision: str,
) -> tuple[str, ...]:
    """What is wrong, in words, with a file's answers if half of its references are taught.

    Args:
        run: the open file.
        inputs: (q, …) its inputs.
        embeddings: (q, d) of the same inputs, by another runtime than the file's.
        fit: the references and choices of the file.
        precision: precision of the backbone.
    """
    one = half(fit)
    found = run(inputs, one.memory)
    failures = list(_of_embeddings(found, embeddings, fit, precision))
    judged = check(one.outputs(found), embeddings, one.fit, precision=precision, searched=False)
    failures += [f"with half of the references taught: {line}" for line in judged.failures]
    return (*failures, *_of_nobody(found, one.fit.k))


def _of_nobody(found: Outputs, k: int) -> tuple[str, ...]:
    """What is wrong with the neighbours that a file lists beyond the number that exist."""
    if (found["scores"][:, k:] > growth.THERE).any():
        return ("finds more neighbours than there are",)
    return ()


def _of_embeddings(
    found: Outputs, embeddings: NDArray[np.floating], fit: Fit, precision: str
) -> list[str]:
    given = found.get(growth.EMBEDDING)
    if given is None or given.shape != embeddings.shape:
        return [f"the output {growth.EMBEDDING!r} is missing or has another shape"]
    lengths = np.linalg.norm(embeddings.astype(np.float64), axis=1)
    usual = float(np.median(np.linalg.norm(fit.references.vectors, axis=1)))
    apart = np.linalg.norm(given.astype(np.float64) - embeddings, axis=1)
    error = float((apart / np.maximum(np.maximum(lengths, usual), 1e-30)).max())
    if error <= (allowed := TOLERANCES[precision].distance):
        return []
    return [f"embedding error {error:.1e} exceeds the tolerance {allowed:.0e}"]


def holds(files: Sequence[Path], fit: Fit) -> bool:
    """Whether one of the files holds the references bit for bit, by rows or by columns.

    With an index, they are in the form that the index stores; int8 may be shifted to uint8, as in
    ONNX files.
    """
    held = [fit.space.constants["references"]] if fit.index is None else fit.index.held
    return all(
        any(_in_file(layout, file) for file in files for layout in _layouts(table))
        for table in held
    )


def _layouts(table: NDArray[Any]) -> list[NDArray[Any]]:
    found = [table, table.T]
    return [*found, table.view(np.uint8) ^ np.uint8(128)] if table.dtype == np.int8 else found


def _in_file(layout: NDArray[Any], file: Path) -> bool:
    """Whether a file holds a matrix as it is laid out in memory, row by row."""
    if file.stat().st_size < layout.nbytes:
        return False
    width = layout.shape[1] * layout.itemsize
    step = max(_BYTES // width, 1)
    starts = range(0, len(layout), step)
    largest = [np.abs(layout[row : row + step]).max(axis=1) for row in starts]
    anchor = int(np.argmax(np.concatenate(largest)))  # zeros would match all over the file
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as held:
        place, sought = -1, layout[anchor].tobytes()
        while (place := held.find(sought, place + 1)) >= 0:
            first = place - anchor * width
            parts = ((first + row * width, layout[row : row + step].tobytes()) for row in starts)
            if first >= 0 and all(held[at : at + len(part)] == part for at, part in parts):
                return True
    return False
