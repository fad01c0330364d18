"""Files as rows: JSON lines and CSV (both also gzipped), and Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from orb_learning._database import in_memory
from orb_learning.capture import MAX_PAYLOAD_CHARACTERS
from orb_learning.errors import ImportFileError
from orb_learning.importer._durations import ArrowField, arrow_fields

if TYPE_CHECKING:
    import duckdb

Row: TypeAlias = dict[str, Any]

_OFFSET_TIME = "TIMESTAMP WITH TIME ZONE"
_WHOLE = re.compile(r"\bBIGINT\b")


@dataclass(frozen=True, slots=True)
class BadRow:
    """What stands where a row should be, and why it is none."""

    payload: object
    reason: str


def read_rows(path: Path) -> Iterator[Row | BadRow]:
    """Yield the rows of a file.

    Raises:
        ImportFileError: it cannot be read as what its name says.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes and suffixes[-1] == ".gz":
        suffixes = suffixes[:-1]
    suffix = suffixes[-1] if suffixes else ""
    if not path.is_file():
        raise ImportFileError(f"{path} is not a file that can be read")
    try:
        if suffix in (".jsonl", ".ndjson", ".json"):
            yield from _read_json_lines(path)
        elif suffix == ".csv":
            yield from _read_csv(path)
        elif suffix == ".parquet":
            yield from _read_parquet(path)
        else:
            raise ImportFileError(
                f"{path}: cannot tell its format; name it .jsonl, .jsonl.gz, .csv or .parquet"
            )
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise ImportFileError(f"cannot read {path}: {error}") from error


def _unpacked(path: Path, raw: io.BufferedReader) -> io.BufferedIOBase:
    return gzip.GzipFile(fileobj=raw) if path.suffix.lower() == ".gz" else raw


def _read_json_lines(path: Path) -> Iterator[Row | BadRow]:
    with path.open("rb") as raw, _unpacked(path, raw) as lines:
        for line in map(bytes.strip, lines):
            if line:
                yield _parse_json(line)


def _parse_json(line: bytes) -> Row | BadRow:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return BadRow(line[:MAX_PAYLOAD_CHARACTERS], f"not JSON: {error}")
    if not isinstance(row, dict):
        reason = f"not a JSON object but a {type(row).__name__}"
        return BadRow(line[:MAX_PAYLOAD_CHARACTERS], reason)
    return row


def _read_csv(path: Path) -> Iterator[Row | BadRow]:
    with path.open("rb") as raw, _unpacked(path, raw) as binary:
        text = io.TextIOWrapper(
            io.BufferedReader(binary), encoding="utf-8-sig", errors="backslashreplace", newline=""
        )
        for row in csv.DictReader(text, restkey="_more"):
            if "_more" in row:
                yield BadRow(dict(row), "more values than the header has columns")
            else:
                yield _csv_row({key: value for key, value in row.items() if value})


def _csv_row(row: Row) -> Row:
    return _with_json(row, [key for key in ("metadata", "candidates") if key in row])


def _with_json(row: Row, columns: Sequence[str]) -> Row:
    """Return a row with texts of JSON as what they spell; what is none stays the text it is."""
    for column in columns:
        with suppress(ValueError, RecursionError):
            row[column] = json.loads(row[column])
    return row


def _read_parquet(path: Path) -> Iterator[Row | BadRow]:
    import duckdb

    # DuckDB reads names as patterns, so it gets a name without any.
    with tempfile.TemporaryDirectory() as folder, in_memory() as connection:
        link = Path(folder) / "rows.parquet"
        link.symlink_to(path.resolve())
        try:
            yield from _parquet_rows(connection, link, path)
        except duckdb.Error as error:
            reason = " ".join(str(error).split()).replace(str(link), str(path))
            raise ImportFileError(f"cannot read {path}: {reason}") from error


def _parquet_rows(
    connection: duckdb.DuckDBPyConnection, link: Path, path: Path
) -> Iterator[Row | BadRow]:
    connection.execute("set timezone = 'UTC'")
    rows = connection.read_parquet(str(link))
    kinds = dict(zip(rows.columns, map(str, rows.types), strict=True))
    json_columns = [name for name, kind in kinds.items() if kind == "JSON"]
    durations = _durations(connection, link, path, kinds)
    result = rows.project(", ".join(_fetched(name, kind) for name, kind in kinds.items()))
    while batch := result.fetchmany(1000):
        for values in batch:
            row = dict(zip(kinds, values, strict=True))
            try:
                row |= {name: field.read(row[name]) for name, field in durations.items()}
            except (TypeError, ValueError) as error:
                raise _without_units(path, durations, error) from error
            yield _with_json(row, [name for name in json_columns if row[name] is not None])


def _durations(
    connection: duckdb.DuckDBPyConnection, link: Path, path: Path, kinds: dict[str, str]
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
        raise _without_units(path, numbers, error) from error
    return {name: field for name, field in fields.items() if field.has_duration}


def _without_units(path: Path, columns: Iterable[str], error: Exception) -> ImportFileError:
    return ImportFileError(
        f"cannot read {path}: {', '.join(columns)} may be durations, whose unit only the file's "
        f"ARROW:schema tells, and it cannot be read ({error}); write durations as seconds "
        "(DOUBLE), and the file without that schema"
    )


def _fetched(name: str, kind: str) -> str:
    column = '"' + name.replace('"', '""') + '"'
    # A time with an offset would be fetched through pytz, which is no dependency.
    if _OFFSET_TIME in kind:
        return f"cast({column} as {kind.replace(_OFFSET_TIME, 'VARCHAR')})"
    return column
