"""Files as rows, whatever their format: it is told by the content, not by the name."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from orb_learning.errors import ImportFileError
from orb_learning.importer._columnar import read_arrow, read_parquet
from orb_learning.importer._csv_rows import read_csv
from orb_learning.importer._json_rows import read_json
from orb_learning.importer._row import BadRow, Row
from orb_learning.importer._sources import Source
from orb_learning.importer._texts import encoding_of

_HEAD_BYTES = 64 * 1024
_COLUMNAR = {
    b"PAR1": read_parquet,
    b"ARROW1": read_arrow,
    b"\xff\xff\xff\xff": read_arrow,
}
_OTHERS = {
    b"PK\x03\x04": "a workbook or an archive: save its table as CSV, or unpack it",
    b"\xd0\xcf\x11\xe0": "an old workbook: save its table as CSV",
    b"SQLite format 3": "a SQLite database: export its table as CSV",
    b"FEA1": "a Feather file of the old form: write it as Arrow or Parquet",
    b"%PDF": "a PDF file",
    b"\x89PNG": "a picture",
    b"7z\xbc\xaf\x27\x1c": "an archive: unpack it",
}
_JSON_NAMES = (".json", ".jsonl", ".ndjson")


def read_rows(
    source: Source, rows: str | None = None, *, may_lack: bool = False
) -> Iterator[Row | BadRow]:
    """Yield the rows of a file.

    Args:
        source: the file.
        rows: the path to the rows within a JSON object; None to find them.
        may_lack: whether an object without rows at the path is a row itself.

    Raises:
        ImportFileError: it is in no format that holds rows, or damaged.
    """
    try:
        with source.path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        for magic, read in _COLUMNAR.items():
            if head.startswith(magic):
                yield from read(source)
                return
        yield from _read_text(source, head, rows, may_lack)
    except (OSError, EOFError, csv.Error, UnicodeError) as error:
        raise ImportFileError(f"cannot read {source.name}: {error}") from error


def _read_text(
    source: Source, head: bytes, rows: str | None, may_lack: bool
) -> Iterator[Row | BadRow]:
    for magic, what in _OTHERS.items():
        if head.startswith(magic):
            raise ImportFileError(f"{source.name} is {what}")
    encoding = encoding_of(source)
    text = head.decode(encoding, "replace")
    if "\0" in text:
        raise ImportFileError(
            f"{source.name} is neither text nor Parquet nor Arrow: give JSON, CSV or Parquet"
        )
    first = text.lstrip()[:1]
    if first == "<":
        raise ImportFileError(f"{source.name} is XML or HTML: give JSON, CSV or Parquet")
    if first in ("{", "[") or (first and _is_named_json(source.name)):
        yield from read_json(source, encoding, rows, may_lack=may_lack)
    elif first:
        yield from read_csv(source, encoding)


def _is_named_json(name: str) -> bool:
    return any(part in name.lower() for part in _JSON_NAMES)
