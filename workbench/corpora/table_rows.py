"""Texts in tables: Parquet, and Arrow as `datasets` keeps it on the disk, a batch of rows at a
time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".arrow")
_ROWS = 1024  # of a batch


def read(file: Path, name: str, column: str) -> Iterator[tuple[int, bytes]]:
    """(number of the row, from 1, and its text as UTF-8) of every row that has a text.

    Args:
        name: of the file, for errors.

    Raises:
        BadInput: it is no table, has no such column, or the column holds no texts.
    """
    import pyarrow as pa

    row = 0
    try:
        with _batches(file, name, column) as batches:
            for batch in batches:
                for text in batch.column(column):
                    row += 1
                    if value := text.as_py():
                        yield row, value.encode()
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise BadInput(
            f"{name} cannot be read as a table: {str(error).splitlines()[0]}",
            "Parquet, or Arrow as `datasets` saves it",
            "Download or save it again, or leave it out.",
        ) from error


@contextmanager
def _batches(file: Path, name: str, column: str) -> Iterator[Iterator[pa.RecordBatch]]:
    if file.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(file) as table:
            _check_column(table.schema_arrow, name, column)
            yield table.iter_batches(_ROWS, columns=[column])
        return
    import pyarrow as pa

    with pa.memory_map(str(file)) as source:
        if source.read(6) == b"ARROW1":  # of a file with an index; a stream has none
            with pa.ipc.open_file(source) as table:
                _check_column(table.schema, name, column)
                yield (table.get_batch(n) for n in range(table.num_record_batches))
            return
        source.seek(0)
        with pa.ipc.open_stream(source) as stream:
            _check_column(stream.schema, name, column)
            yield iter(stream)


def _check_column(schema: pa.Schema, name: str, column: str) -> None:
    import pyarrow as pa

    kinds = (pa.string(), pa.large_string(), pa.string_view())
    texts = [each.name for each in schema if each.type in kinds]
    if column not in texts:
        listed = ", ".join(repr(text) for text in texts[:12]) or "none here"
        raise BadInput(
            f"{name} has no column {column!r} of texts.", f"one of: {listed}", "Choose --field."
        )
