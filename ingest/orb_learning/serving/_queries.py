"""Running a query beside an event loop: on a thread, with a time limit, and without leftovers."""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from orb_learning.errors import InvalidQueryError, QueryTimeoutError
from orb_learning.serving._publications import CLOSED

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

    from orb_learning.serving._publications import OpenPublication

T = TypeVar("T")

Parameters = Sequence[Any] | dict[str, Any] | None

AGAIN_SECONDS = 0.05
"""How often a query whose time is over is interrupted, until it has ended."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What a query gave.

    Attributes:
        columns: the names of the columns.
        rows: the rows, a tuple each.
        publication_id: the publication that was read.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    publication_id: str
    _again: Callable[[str], Any] = field(repr=False, compare=False)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return each row as a dict."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def to_arrow(self) -> pa.Table:
        """Return an Arrow table: the query is run again, on the same publication.

        Raises:
            InvalidQueryError: pyarrow is not installed.
        """
        return _with_library("pyarrow", lambda: self._again("to_arrow_table"))

    def to_df(self) -> pd.DataFrame:
        """Return a pandas data frame: the query is run again, on the same publication.

        Raises:
            InvalidQueryError: pandas is not installed.
        """
        return _with_library("pandas", lambda: self._again("df"))


class Runner:
    """Threads on which queries run, so many at a time; further ones wait for their turn."""

    def __init__(self, size: int, timeout_seconds: float) -> None:
        """Start no thread yet."""
        self._timeout = timeout_seconds
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="orb-learning-read")

    async def run(
        self,
        publication: Callable[[], OpenPublication],
        work: Callable[[OpenPublication, duckdb.DuckDBPyConnection], T],
    ) -> T:
        """Run something on a cursor of its own; it is interrupted when its time is over.

        The time runs from here on, the wait for a thread included: that is what a caller feels.

        Raises:
            QueryTimeoutError: it took longer than the time limit.
            InvalidQueryError: this was closed.
        """
        call = _Call(publication, work, self._timeout)
        try:
            submitted = self._threads.submit(call)
        except RuntimeError:
            raise InvalidQueryError(CLOSED) from None
        running = asyncio.wrap_future(submitted)
        try:
            await asyncio.wait([running], timeout=self._timeout)
            # An interrupt only stops the statement that runs just then, and there may be more.
            while not running.done():
                if submitted.cancel():  # it still waits for a thread
                    raise too_long(self._timeout)
                call.stop()
                await asyncio.wait([running], timeout=AGAIN_SECONDS)
        except asyncio.CancelledError:
            running.cancel()  # nobody asks for what becomes of it
            call.stop()
            raise
        return await running

    def close(self) -> None:
        """Take no further calls; those that run are finished, those that wait are refused."""
        self._threads.shutdown(wait=False)


class _Call(Generic[T]):
    def __init__(
        self,
        publication: Callable[[], OpenPublication],
        work: Callable[[OpenPublication, duckdb.DuckDBPyConnection], T],
        timeout: float,
    ) -> None:
        self._publication = publication
        self._work = work
        self._timeout = timeout
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self._is_stopped = False
        self._lock = threading.Lock()

    def __call__(self) -> T:
        import duckdb

        opened = self._publication()
        with self._lock:
            if self._is_stopped:
                raise too_long(self._timeout)
            cursor = self._cursor = opened.cursor()
        try:
            done = self._work(opened, cursor)
            if self._is_stopped:
                raise too_long(self._timeout)
            return done
        except duckdb.InterruptException as error:
            raise too_long(self._timeout) from error
        finally:
            with self._lock:
                self._cursor = None
            cursor.close()

    def stop(self) -> None:
        with self._lock:
            self._is_stopped = True
            if self._cursor is not None:
                self._cursor.interrupt()


def too_long(timeout_seconds: float) -> QueryTimeoutError:
    """Return the error of a query whose time is over."""
    return QueryTimeoutError(
        f"the query took longer than {timeout_seconds:g} s; narrow it, or raise timeout_seconds"
    )


def execute(cursor: duckdb.DuckDBPyConnection, sql: str, params: Parameters = None) -> None:
    """Run a query.

    Raises:
        InvalidQueryError: DuckDB refuses it, or a value that is bound to it.
        duckdb.InterruptException: it was interrupted.
    """
    import duckdb

    if params is not None:
        _refuse_deep(params)
    try:
        cursor.execute(sql, params)
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        raise InvalidQueryError(str(error).partition("\n\n")[0]) from error
    except (OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidQueryError(f"a parameter is no value of SQL: {error}") from error


_GAP = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_EXPLAIN = re.compile(
    rf"{_GAP}explain\b{_GAP}(?:analyze\b{_GAP})?(?:\({_GAP}(?:analyze|format)\b[^)]*\))?",
    re.I | re.S,
)

FUNCTIONS = {
    "generate_series", "icu_calendar_names", "json_each", "json_tree", "pg_timezone_names",
    "pragma_database_size", "pragma_show", "pragma_storage_info", "pragma_table_info",
    "pragma_version", "range", "repeat", "repeat_row", "summary", "unnest",
}  # fmt: skip
"""What may stand where a table does, beside `duckdb_tables()` and its like.

Others read files, which is refused anyway, or change settings of all callers, such as
`enable_logging`, or run what a text says, or read memory at an address.
"""

MAX_NESTING = 64
"""How deep lists and structs may be nested that are bound to a query."""


def refuse_unless_read_only(sql: object) -> None:
    """Refuse what is not one query.

    The file is read-only anyway; this keeps callers from leaving tables in memory.

    Raises:
        InvalidQueryError: it is no query, or more than one statement.
    """
    import duckdb

    if not isinstance(sql, str):
        raise InvalidQueryError(f"sql: expected a text, not {type(sql).__name__}")
    try:
        statements = _parser().cursor().extract_statements(sql)
    except duckdb.Error as error:
        raise InvalidQueryError(str(error).partition("\n\n")[0]) from error
    except TypeError:
        raise InvalidQueryError("sql: the text has half a character in it") from None
    kinds = [statement.type for statement in statements]
    explained = _EXPLAIN.match(sql)
    if kinds == [duckdb.StatementType.EXPLAIN] and explained:
        refuse_unless_read_only(sql[explained.end() :])
    elif kinds != [duckdb.StatementType.SELECT]:
        named = ", ".join(str(kind).rpartition(".")[2] for kind in kinds) or "nothing"
        raise InvalidQueryError(f"expected one SELECT, not {named}: the copy is read-only")
    else:
        for name in _table_functions(sql):
            if name not in FUNCTIONS and not name.startswith("duckdb_"):
                raise InvalidQueryError(f"{name}() is not among the functions that may be a table")


def _table_functions(sql: str) -> set[str]:
    """Return the names of the functions that one SELECT reads like tables, wherever it does."""
    ((text,),) = _parser().cursor().execute("select json_serialize_sql(?)", [sql]).fetchall()
    try:
        left = [json.loads(text)["statements"]]
    except (RecursionError, KeyError):  # or DuckDB says an error in its place
        raise InvalidQueryError("sql: it is nested too deep to be looked at") from None
    found = set()
    while left:
        node = left.pop()
        if isinstance(node, list):
            left.extend(node)
        elif isinstance(node, dict):
            if node.get("type") == "TABLE_FUNCTION":
                found.add(str(node["function"].get("function_name", "")).lower())
            left.extend(node.values())
    return found


def fetch(cursor: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    """Return the rows of the query that a cursor has run.

    Raises:
        InvalidQueryError: Python has no such value.
        duckdb.InterruptException: it was interrupted.
    """
    try:
        return cursor.fetchall()
    except (OverflowError, ValueError) as error:
        raise InvalidQueryError(f"a value that Python cannot hold: {error}") from error


def _refuse_deep(params: object) -> None:
    """Refuse parameters that DuckDB would follow until the process dies."""
    level: list[Any] = [params]
    for _ in range(MAX_NESTING):
        level = [
            inner
            for value in level
            if isinstance(value, list | tuple | dict)
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, list | tuple | dict)
        ]
        if not level:
            return
    raise InvalidQueryError(f"a parameter is nested deeper than {MAX_NESTING}")


@functools.cache
def _parser() -> duckdb.DuckDBPyConnection:
    """Return what takes SQL apart: to parse IMPORT DATABASE means to open its files."""
    import duckdb

    return duckdb.connect(config={"enable_external_access": "false"})


def _with_library(name: str, make: Callable[[], T]) -> T:
    try:
        importlib.import_module(name)
    except ImportError as error:
        raise InvalidQueryError(f"{name} is not installed; run: pip install {name}") from error
    return make()
