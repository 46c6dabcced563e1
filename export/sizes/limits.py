"""What file formats can hold, said before any work is done."""

from __future__ import annotations

from collections.abc import Sequence

from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.choices.searches.index import Index
from pocketknn.builder.errors import InputError
from pocketknn.builder.spec import STORES, Spec
from pocketknn.export.formats.table import FORMATS

_ROOM = 64 << 20  # for the backbone and the texts


def check_size(formats: Sequence[str], n: int, dim: int, spec: Spec) -> None:
    """Refuse more references than a file can hold.

    Args:
        formats: the files that are wanted.
        n: how many references, or photos that become such.
        dim: values of an embedding.
        spec: the choices: of how many values a reference is, and how they are stored.

    Raises:
        InputError: a file would be too large.
    """
    width = min(spec.pca, dim) if isinstance(spec.pca, int) else dim
    limited, largest = _limits(formats)
    value = STORES[spec.references_precision]
    scan = SEARCHES[spec.search].bytes_beside(width) if spec.search in SEARCHES else 0
    size = n * (value * width + scan)
    # How many components a share of the variance takes, or auto, is not known yet.
    unknown = spec.projection in ("auto", "classes") or isinstance(spec.pca, float | str)
    if not limited or unknown or size + _ROOM < largest:
        return
    fits = ((largest - _ROOM) // n - scan) // value
    ways = [f"--projection pca:{fits}"] if 0 < fits < width else []
    if value > 1 and METRICS[spec.metric].ANGULAR and n * (width + scan) + _ROOM < largest:
        ways.append("--references-precision int8")
    most = (largest - _ROOM) // (value * width + scan)
    free = " or ".join(name for name in FORMATS if FORMATS[name].LARGEST is None)
    ways += [f"at most {most} references", f"--formats {free} alone"]
    raise InputError(
        f"{n} references of {width} values take {size / 1e9:.1f} GB, and a {' or '.join(limited)}"
        f" file holds less than {largest / 1e9:.1f} GB; take {', or '.join(ways)}"
    )


def check_held(formats: Sequence[str], index: Index) -> None:
    """Refuse an index that turned out larger than a file can be.

    Raises:
        InputError: a file would be too large.
    """
    limited, largest = _limits(formats)
    size = sum(table.nbytes for table in index.held)
    if limited and size + _ROOM >= largest:
        raise InputError(
            f"the references take {size / 1e9:.2f} GB by the search {index.search}, and a"
            f" {' or '.join(limited)} file holds less than {largest / 1e9:.1f} GB; take fewer"
            " references, --projection pca:SIZE, --references-precision int8, or --search exact"
        )


def _limits(formats: Sequence[str]) -> tuple[list[str], int]:
    """The formats that cannot hold everything, and the bytes that all of them are smaller than."""
    most = {name: FORMATS[name].LARGEST for name in formats}
    limits = {name: size for name, size in most.items() if size is not None}
    return list(limits), min(limits.values(), default=0)
