"""CSV as rows, whatever its delimiter and quoting."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice, zip_longest
from typing import TextIO

from orb_learning.errors import ImportFileError
from orb_learning.importer._row import BadRow, Row, with_json
from orb_learning.importer._sources import Source

_DELIMITERS = (",", ";", "\t", "|", "^", "~")
_SAMPLE_CHARACTERS = 256 * 1024
_SAMPLE_ROWS = 50
_DECIMAL_COMMA = re.compile(r"\s*[-+]?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+)(?:,[0-9]+)?\s*")
_SURELY_DECIMAL = re.compile(r"\s*[-+]?(?:[0-9.]+,(?:[0-9]{1,2}|[0-9]{4,})|0+,[0-9]+)\s*")
_JSON_COLUMNS = ("metadata", "candidates")


class _Style(csv.excel):
    """How a file delimits and quotes its cells."""

    strict = False


def read_csv(source: Source, encoding: str) -> Iterator[Row | BadRow]:
    """Yield the rows of a CSV file; the first line names the columns.

    Raises:
        ImportFileError: it has one column only, or two of one name.
    """
    with _any_length(), _text(source, encoding) as text:
        skipped, style = _style(source, text)
        decimals = set() if style.delimiter == "," else _decimal_commas(text, skipped, style)
        text.seek(0)
        for _ in range(skipped):
            text.readline()
        rows = csv.reader(text, style)
        header = _header(source, next(rows, []))
        for cells in rows:
            if not cells:
                continue
            for place in decimals:
                if place < len(cells) and _DECIMAL_COMMA.fullmatch(cells[place]):
                    cells[place] = cells[place].replace(".", "").replace(",", ".")
            row = {name: cell for name, cell in zip(header, cells, strict=False) if cell}
            if any(cells[len(header) :]):
                yield BadRow(
                    {**row, "_more": cells[len(header) :]},
                    "more values than the header has columns",
                )
            elif len(cells) < len(header) and "\n" in cells[-1]:
                yield BadRow(
                    row, "its last cell goes on to the end of the file: a quote is missing"
                )
            else:
                yield with_json(row, [name for name in _JSON_COLUMNS if name in row])


def _decimal_commas(text: TextIO, skipped: int, style: type[_Style]) -> set[int]:
    """Return the places of columns whose numbers have decimal commas, as the first rows show it.

    A comma before three digits may be one between thousands, so one before fewer or more, or behind
    a leading zero, has to show what it is.
    """
    text.seek(0)
    sample = text.read(_SAMPLE_CHARACTERS)
    lines = "".join(sample.splitlines(keepends=True)[skipped:])
    with suppress(csv.Error):
        rows = list(csv.reader(io.StringIO(lines, newline=""), style))[1:]
        if len(sample) == _SAMPLE_CHARACTERS:
            rows.pop()  # it may be cut
        columns = ([cell for cell in column if cell] for column in zip_longest(*rows, fillvalue=""))
        return {
            place
            for place, cells in enumerate(columns)
            if any(_SURELY_DECIMAL.fullmatch(cell) for cell in cells)
            and all(_DECIMAL_COMMA.fullmatch(cell) for cell in cells)
        }
    return set()


@contextmanager
def _any_length() -> Iterator[None]:
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _text(source: Source, encoding: str) -> TextIO:
    return source.watched(source.path.open(encoding=encoding, errors="replace", newline=""))


def _style(source: Source, text: TextIO) -> tuple[int, type[_Style]]:
    """Return how many lines come before the header, and the style of a file.

    The best is the one in which the most of the first rows have as many cells as the header, and of
    two such the one with more cells.
    """
    sample = text.read(_SAMPLE_CHARACTERS)
    is_cut = len(sample) == _SAMPLE_CHARACTERS
    lines = sample.splitlines(keepends=True)
    skipped = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    delimiters: tuple[str, ...] = _DELIMITERS
    if skipped < len(lines) and (first := lines[skipped].strip().strip('"'))[:4].lower() == "sep=":
        delimiters = (first[4:5] or "\t",)  # as Excel is told
        skipped += 1
    sample = "".join(lines[skipped:])
    best: tuple[float, int, type[_Style]] | None = None
    for delimiter in delimiters:
        for quote, escape in (('"', None), ('"', "\\"), ("'", None)):
            style = type(
                "_", (_Style,), {"delimiter": delimiter, "quotechar": quote, "escapechar": escape}
            )
            found = _rated(sample, style, is_cut)
            if found and (best is None or found > best[:2]):
                best = (*found, style)
    return skipped, best[2] if best else _Style


def _rated(sample: str, style: type[_Style], is_cut: bool) -> tuple[float, int] | None:
    """Return the share of rows with as many cells as the header, and that number of cells."""
    try:
        rows = [
            row
            for row in islice(csv.reader(io.StringIO(sample, newline=""), style), _SAMPLE_ROWS)
            if row
        ]
    except csv.Error:
        return None
    if is_cut and len(rows) > 1:
        rows.pop()
    if not rows or len(rows[0]) < 2:
        return None
    even = sum(len(row) == len(rows[0]) for row in rows)
    quotes = sum(cell[:1] in "'\"" and cell[:1] == cell[-1:] != "" for row in rows for cell in row)
    return even / len(rows) - quotes / sum(map(len, rows)), len(rows[0])


def _header(source: Source, cells: list[str]) -> list[str]:
    names = [cell.strip() or f"column_{number}" for number, cell in enumerate(cells, start=1)]
    if len(names) == 1:
        raise ImportFileError(
            f"{source.name}: its header has one column, {names[0]!r:.200}; is it a table, "
            "delimited by , ; | or tabs?"
        )
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise ImportFileError(f"{source.name}: its header names {', '.join(twice)} twice")
    return names
