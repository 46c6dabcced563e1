"""Limits on lists of photos: a Parquet file may unpack to far more than its size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pocketknn.builder.errors import InputError

MOST_TEXT = 1 << 30  # bytes in a list of photos, classes or examples: ten million paths
MOST_ROWS = 20_000_000
# In Parquet a million numbered names took at least 0.11 bytes each, and so did the values of
# vectors with 1 % nonzero; smaller tables are not limited.
_MOST_IN_A_BYTE = 10
_FEW_ROWS, _FEW_VALUES = 1_000_000, 1 << 25


def check_table(path: Path, texts: Sequence[str]) -> None:
    """Check that a Parquet file does not claim more content than photos or vectors need.

    Constant columns take almost no space in the file, but could fill the memory.

    Args:
        path: the file.
        texts: columns to be read as text or numbers; they may be missing.

    Raises:
        InputError: it claims too much, or one of these columns holds something else.
        pyarrow.ArrowException: it is not a Parquet file; this may raise OSError instead.
    """
    import pyarrow.parquet as pq

    file = pq.read_metadata(path.absolute())
    groups = [file.row_group(number) for number in range(file.num_row_groups)]
    values = max(
        (sum(one.column(place).num_values for one in groups) for place in range(file.num_columns)),
        default=0,
    )
    rows, size = file.num_rows, path.stat().st_size
    if rows > MOST_ROWS:
        raise InputError(
            f"{path.name} has {rows:,} rows; at most {MOST_ROWS:,} are allowed", "too-many-rows"
        )
    for what, count, few in (("rows", rows, _FEW_ROWS), ("values", values, _FEW_VALUES)):
        if count > max(few, size * _MOST_IN_A_BYTE):
            raise InputError(
                f"{path.name} claims to hold {count:,} {what} in only {size:,} bytes; a file with"
                f" more than {few:,} {what} may hold at most {_MOST_IN_A_BYTE} per byte",
                "too-many-rows",
            )
    _check_texts(path, texts)


def _check_texts(path: Path, names: Sequence[str]) -> None:
    """Count the bytes of text through the dictionary, where each text is in memory only once."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    schema = pq.read_schema(path.absolute())
    there = [name for name in names if schema.names.count(name) == 1]
    for name in there:
        kind = schema.field(name).type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise InputError(
                f"the column {name!r} of {path.name} holds {kind}, not text", "not-text"
            )
    length = 0
    file = pq.ParquetFile(path.absolute(), read_dictionary=there)
    for batch in file.iter_batches(columns=there):
        for column in batch.columns:
            if pa.types.is_dictionary(column.type):
                lengths = pc.binary_length(column.dictionary).take(column.indices)
                length += pc.sum(lengths).as_py() or 0
        if length > MOST_TEXT:
            raise InputError(
                f"{path.name} holds more than {MOST_TEXT >> 20:,} MiB of text, more than any list"
                " of photos needs",
                "too-much-text",
            )
