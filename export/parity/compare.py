"""A file is opened in its own runtime and compared with the exact k-NN."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pocketknn.builder.errors import OF_THE_MACHINE, first_line
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.output.checksums import files_of

from . import check as parity
from .stored import holds

if TYPE_CHECKING:
    from pocketknn.builder.choices.neighbors import Neighbors
    from pocketknn.builder.knn.fit import Fit

    from .check import Parity
    from .test_inputs import Queries


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
        precision: of the backbone.
        fit: what the file should hold.
        against: the queries; with `before`, as for `parity.check_kept`, without embeddings.
        before: what the file answered when it had other references.
        as_built: it is known to have the bytes of its build, which held the references of an index.
            Another machine may round some of these to other bytes.
    """
    try:
        outputs = FORMATS[name].load(path)(against.inputs)
    except OF_THE_MACHINE:
        raise
    except Exception as error:  # a runtime may raise anything on a file that it cannot run
        refusal = f"it cannot be run: {first_line(error)}"
        return parity.refused(precision, len(against.inputs), refusal)
    stored = (as_built and fit.index is not None) or holds(files_of(path), fit)
    if before is not None:
        return parity.check_kept(outputs, before, fit, precision=precision, stored=stored)
    found = parity.check(outputs, against.embeddings, fit, precision=precision, stored=stored)
    return replace(found, judge=against.judge)
