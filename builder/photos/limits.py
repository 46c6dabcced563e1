"""How much is read of a list of photos, which as Parquet may unpack to far more than its size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pocketknn.builder.errors import InputError

MOST_TEXT = 1 << 30  # bytes of a list of photos, classes or examples: ten million paths
MOST_ROWS = 20_000_000
# A million numbered names take 0.11 bytes each at the least that was measured, and sparse vectors
# of which 1 % are not 0 as much a value; fewer than these may be as small as they like.
_MOST_IN_A_BYTE = 10
_FEW_ROWS, _FEW_VALUES = 1_000_000, 1 << 25


def check_table(path: Path, texts: Sequence[str]) -> None:
    """Refuse a Parquet file that says it has more in it than photos or vectors need.

    What is all the same takes no room in it, but fills the memory when it is read.

    Args:
        path: the file.
        texts: the columns that are to be read as texts, or numbers; they may be missing.

    Raises:
        InputError: it does, or such a column is of another kind.
        pyarrow.ArrowException: it is no Parquet file; so does OSError.
    """
    import pyarrow.parquet as pq

    said = pq.read_metadata(path.absolute())
    groups = [said.row_group(number) for number in range(said.num_row_groups)]
    values = max(
        (sum(one.column(place).num_values for one in groups) for place in range(said.num_columns)),
        default=0,
    )
    rows, size = said.num_rows, path.stat().st_size
    if rows > MOST_ROWS:
        raise InputError(f"{path.name} has {rows:,} rows; at most {MOST_ROWS:,} are read")
    for what, count, few in (("rows", rows, _FEW_ROWS), ("values", values, _FEW_VALUES)):
        if count > max(few, size * _MOST_IN_A_BYTE):
            raise InputError(
                f"{path.name} says that its {size:,} bytes hold {count:,} {what};"
                f" of more than {few:,} at most {_MOST_IN_A_BYTE} a byte are read"
            )
    _check_texts(path, texts)


def _check_texts(path: Path, names: Sequence[str]) -> None:
    """Count the bytes of the texts while each is in memory once, however many rows have it."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    schema = pq.read_schema(path.absolute())
    there = [name for name in names if schema.names.count(name) == 1]
    for name in there:
        kind = schema.field(name).type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise InputError(f"the column {name!r} of {path.name} holds {kind}, not texts")
    length = 0
    file = pq.ParquetFile(path.absolute(), read_dictionary=there)
    for batch in file.iter_batches(columns=there):
        for column in batch.columns:
            if pa.types.is_dictionary(column.type):
                lengths = pc.binary_length(column.dictionary).take(column.indices)
                length += pc.sum(lengths).as_py() or 0
        if length > MOST_TEXT:
            raise InputError(
                f"{path.name} holds more than {MOST_TEXT >> 20:,} MiB of text; no photos need so"
                " much"
            )
