"""Parquet and Arrow files as rows."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orb_learning._database import in_memory
from orb_learning.errors import ImportFileError
from orb_learning.importer._durations import ArrowField, arrow_fields
from orb_learning.importer._row import Row, with_json
from orb_learning.importer._sources import WITH_EXTRA, Source

if TYPE_CHECKING:
    import duckdb

_OFFSET_TIME = "TIMESTAMP WITH TIME ZONE"
_WHOLE = re.compile(r"\bBIGINT\b")


def read_parquet(source: Source) -> Iterator[Row]:
    """Yield the rows of a Parquet file.

    Raises:
        ImportFileError: it is damaged, or holds what may be durations of an unknown unit.
    """
    import duckdb

    # DuckDB reads names as patterns, so it gets a name without any.
    with tempfile.TemporaryDirectory() as folder, in_memory() as connection:
        link = Path(folder) / "rows.parquet"
        link.symlink_to(source.path.absolute())
        try:
            yield from _parquet_rows(connection, link, source.name)
        except duckdb.Error as error:
            reason = " ".join(str(error).split()).replace(str(link), source.name)
            raise ImportFileError(f"cannot read {source.name}: {reason}") from error


def read_arrow(source: Source) -> Iterator[Row]:
    """Yield the rows of an Arrow file, also called Feather, or of a stream.

    Raises:
        ImportFileError: it is damaged, or pyarrow is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise ImportFileError(f"{source.name}: it is an Arrow file; {WITH_EXTRA}") from None
    try:
        for batch in _batches(source):
            yield from _in_microseconds(batch).to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ImportFileError(f"cannot read {source.name}: {reason}") from error


def _batches(source: Source) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import ipc

    with source.path.open("rb") as file:
        head = file.read(6)
    if head == b"ARROW1":
        reader = ipc.open_file(pa.OSFile(str(source.path)))
        yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
    else:
        yield from ipc.open_stream(pa.OSFile(str(source.path)))


def _in_microseconds(batch: Any) -> Any:
    """Return a batch without nanoseconds, for which Python has no type."""
    import pyarrow as pa

    types = [field.type for field in batch.schema]
    for number, kind in enumerate(types):
        if pa.types.is_timestamp(kind) and kind.unit == "ns":
            types[number] = pa.timestamp("us", kind.tz)
        elif pa.types.is_duration(kind) and kind.unit == "ns":
            types[number] = pa.duration("us")
    columns = [
        column.cast(kind, safe=False) for column, kind in zip(batch.columns, types, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _parquet_rows(connection: duckdb.DuckDBPyConnection, link: Path, shown: str) -> Iterator[Row]:
    connection.execute("set timezone = 'UTC'")
    rows = connection.read_parquet(str(link))
    kinds = dict(zip(rows.columns, map(str, rows.types), strict=True))
    json_columns = [name for name, kind in kinds.items() if kind == "JSON"]
    durations = _durations(connection, link, shown, kinds)
    result = rows.project(", ".join(_fetched(name, kind) for name, kind in kinds.items()))
    while batch := result.fetchmany(1000):
        for values in batch:
            row = dict(zip(kinds, values, strict=True))
            try:
                row |= {name: field.read(row[name]) for name, field in durations.items()}
            except (TypeError, ValueError) as error:
                raise _without_units(shown, durations, error) from error
            yield with_json(row, [name for name in json_columns if row[name] is not None])


def _durations(
    connection: duckdb.DuckDBPyConnection, link: Path, shown: str, kinds: dict[str, str]
) -> dict[str, ArrowField]:
    """Return the columns that hold durations, which DuckDB shows as whole numbers."""
    numbers = [name for name, kind in kinds.items() if _WHOLE.search(kind)]
    found = connection.execute(
        "select value from parquet_kv_metadata(?) where key = 'ARROW:schema'::blob", [str(link)]
    ).fetchone()
    if found is None or not numbers:
        return {}
    try:
        fields = dict(zip(kinds, arrow_fields(found[0]), strict=True))
        for name, field in fields.items():
            # Of two columns of one name DuckDB calls the second another.
            if not name.startswith(field.name):
                raise ValueError(f"it has a column {field.name!r} where {name!r} is")
    except ValueError as error:
        raise _without_units(shown, numbers, error) from error
    return {name: field for name, field in fields.items() if field.has_duration}


def _without_units(shown: str, columns: Iterable[str], error: Exception) -> ImportFileError:
    return ImportFileError(
        f"cannot read {shown}: {', '.join(columns)} may be durations, whose unit only the file's "
        f"ARROW:schema tells, and it cannot be read ({error}); write durations as seconds "
        "(DOUBLE), and the file without that schema"
    )


def _fetched(name: str, kind: str) -> str:
    column = '"' + name.replace('"', '""') + '"'
    # A time with an offset would be fetched through pytz, which is no dependency.
    if _OFFSET_TIME in kind:
        return f"cast({column} as {kind.replace(_OFFSET_TIME, 'VARCHAR')})"
    return column
