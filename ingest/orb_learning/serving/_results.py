"""What a query gave, as rows, an Arrow table or a data frame; refused where it is too large."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from operator import itemgetter
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar
from uuid import UUID

from orb_learning.errors import InvalidQueryError, ResultTooLargeError

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

T = TypeVar("T")
Row = tuple[Any, ...]


class _Rows(Protocol):
    """Rows in any form: a list, an Arrow batch, a data frame."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Self: ...


Part = TypeVar("Part", bound=_Rows)

MAX_ROWS = 1_000_000
MAX_BYTES = 512_000_000
"""What a result may have: some 200,000 executions with all their columns, at 2.5 KB each in Python.
Four of the largest at the same time take twice what DuckDB itself may by default."""

VECTOR_ROWS = 2_048
"""Rows that are taken at a time, then measured, at most: so many DuckDB makes at a time."""

LARGE_BYTES = 8_000_000
"""What so many rows take for no more of them to be taken at a time."""

VALUE_BYTES = 40
"""What a number or a time takes in Python with its place in a row; texts and lists take more."""
Reader = Callable[["duckdb.DuckDBPyConnection", "Cap"], T]
"""Takes what a cursor has run."""

_TEXTS = {"bignum", "bit", "enum", "varchar"}
_GROWING = {"array", "blob", "geometry", "list", "map", "struct", "union", "variant"}
_FIXED = {bool, date, datetime, Decimal, float, int, type(None), UUID}


@dataclass(frozen=True, slots=True)
class Cap:
    """How large a result may be; one that is larger is refused, never cut.

    Attributes:
        rows: how many it may have.
        bytes: how much memory it may take, about.
        first: so many rows are taken and the rest is left, if that is asked for.
    """

    rows: int
    bytes: int
    first: int | None = None

    def checked(self, parts: Iterable[Part], size: Callable[[Part], int]) -> Iterator[Part]:
        """Yield the parts of a result, as they come.

        Raises:
            ResultTooLargeError: they are too many rows, or too large; no further one is taken.
        """
        rows = taken = 0
        for whole in parts:
            part = whole if self.first is None else whole[: self.first - rows]
            rows += len(part)
            taken += size(part)
            if rows > self.rows:
                raise ResultTooLargeError(
                    f"the result has more than {self.rows:,} rows; "
                    "add a limit, aggregate, or raise max_rows"
                )
            if taken > self.bytes:
                raise ResultTooLargeError(
                    f"the result takes more than {self.bytes:,} bytes; "
                    "add a limit, aggregate, ask for fewer columns, or raise max_bytes"
                )
            yield part
            if rows == self.first:
                return


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What a query gave.

    Attributes:
        columns: the names of the columns.
        rows: the rows, a tuple each.
        publication_id: the publication that was read.
    """

    columns: tuple[str, ...]
    rows: list[Row]
    publication_id: str
    _again: Callable[[Reader[Any]], Any] = field(repr=False, compare=False)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return each row as a dict."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def to_arrow(self) -> pa.Table:
        """Return an Arrow table: the query is run again, on the same publication.

        Raises:
            InvalidQueryError: pyarrow is not installed.
            ResultTooLargeError: the table is larger than `max_rows` or `max_bytes`.
        """
        _require("pyarrow")
        return self._again(_arrow)

    def to_df(self) -> pd.DataFrame:
        """Return a pandas data frame: the query is run again, on the same publication.

        Raises:
            InvalidQueryError: pandas is not installed.
            ResultTooLargeError: the frame is larger than `max_rows` or `max_bytes`.
        """
        _require("pandas")
        return self._again(_frame)


def fetch(cursor: duckdb.DuckDBPyConnection, cap: Cap) -> list[Row]:
    """Return the rows of the query that a cursor has run.

    Raises:
        InvalidQueryError: Python has no such value.
        ResultTooLargeError: there are too many, or they are too large.
        duckdb.Error: the query failed on its way, or was interrupted.
    """
    kinds = [column[1].id for column in cursor.description or ()]
    texts = [itemgetter(place) for place, kind in enumerate(kinds) if kind in _TEXTS]
    growing = [itemgetter(place) for place, kind in enumerate(kinds) if kind in _GROWING]

    count = 64

    def batches() -> Iterator[list[Row]]:
        while batch := cursor.fetchmany(count):
            yield batch

    def size(batch: list[Row]) -> int:
        nonlocal count
        size = VALUE_BYTES * len(kinds) * len(batch)
        for text in texts:  # all in one: to measure each takes four times as long
            size += getsizeof("".join(filter(None, map(text, batch))))
        for value in growing:
            size += _size(list(map(value, batch)))
        if size < LARGE_BYTES:
            count = min(2 * count, VECTOR_ROWS)
        return size

    rows: list[Row] = []
    try:
        for batch in cap.checked(batches(), size):
            rows += batch
    except (MemoryError, OverflowError, ValueError) as error:
        raise InvalidQueryError(f"a value that Python cannot hold: {error}") from error
    return rows


def _arrow(cursor: duckdb.DuckDBPyConnection, cap: Cap) -> pa.Table:
    import pyarrow as pa

    try:
        batches = cursor.to_arrow_reader(VECTOR_ROWS)
        checked = list(cap.checked(batches, lambda batch: int(batch.nbytes)))
    except (OSError, ValueError) as error:  # a query that failed on its way is an OSError
        raise InvalidQueryError(f"no Arrow table can be made of it: {error}") from error
    return pa.Table.from_batches(checked, batches.schema)


def _frame(cursor: duckdb.DuckDBPyConnection, cap: Cap) -> pd.DataFrame:
    import pandas as pd

    def chunks() -> Iterator[pd.DataFrame]:
        chunk = cursor.fetch_df_chunk()
        yield chunk  # the first tells the columns, though it may be empty
        while len(chunk := cursor.fetch_df_chunk()):
            yield chunk

    def size(chunk: pd.DataFrame) -> int:
        return sum(
            _size(column.tolist())
            if column.dtype == object
            else column.memory_usage(False, deep=True)
            for _, column in chunk.items()
        )

    frame = pd.concat(list(cap.checked(chunks(), size)), ignore_index=True)
    return frame.infer_objects()  # texts, where a chunk had none


def _size(values: Collection[Any]) -> int:
    """Return about how many bytes values take in Python, and all that is in them."""
    size, left = 0, [values]
    while left:
        values = left.pop()
        size += VALUE_BYTES * len(values)
        if not set(map(type, values)) <= _FIXED:
            for value in values:
                if isinstance(value, dict):
                    left += (list(value), list(value.values()))
                elif isinstance(value, list | tuple):
                    left.append(value)
                elif hasattr(value, "tolist"):  # a list, in a data frame
                    left.append(value.tolist())
                else:
                    size += getsizeof(value)
    return size


def _require(library: str) -> None:
    try:
        importlib.import_module(library)
    except ImportError as error:
        raise InvalidQueryError(
            f"{library} is not installed; run: pip install {library}"
        ) from error
