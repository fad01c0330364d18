"""Running a query beside an event loop: on a thread, with a time limit, and without leftovers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from orb_learning.errors import InvalidQueryError, QueryTimeoutError
from orb_learning.serving._guard import refuse_deep
from orb_learning.serving._publications import CLOSED

if TYPE_CHECKING:
    import duckdb

    from orb_learning.serving._publications import OpenPublication

T = TypeVar("T")

Parameters = Sequence[Any] | dict[str, Any] | None

AGAIN_SECONDS = 0.05
"""How often a query whose time is over is interrupted, until it has ended."""


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
                    raise _too_long(self._timeout)
                call.stop()
                await asyncio.wait([running], timeout=AGAIN_SECONDS)
        except asyncio.CancelledError:
            running.cancel()  # nobody asks for what becomes of it
            call.stop()
            raise
        return await running

    def run_here(
        self,
        opened: OpenPublication,
        work: Callable[[OpenPublication, duckdb.DuckDBPyConnection], T],
    ) -> T:
        """Run something in the thread that calls, with the same time limit."""
        call = _Call(lambda: opened, work, self._timeout)
        timer = threading.Timer(self._timeout, call.stop_until_it_ends)
        timer.start()
        try:
            return call()
        finally:
            timer.cancel()

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
                raise _too_long(self._timeout)
            cursor = self._cursor = opened.cursor()
        try:
            done = self._work(opened, cursor)
            if self._is_stopped:
                raise _too_long(self._timeout)
            return done
        except Exception as error:
            if isinstance(error, duckdb.FatalException | duckdb.InternalException):
                opened.is_broken = True
            if self._is_stopped:  # whatever a statement says that was interrupted
                raise _too_long(self._timeout) from error
            if isinstance(error, duckdb.Error):
                raise InvalidQueryError(str(error).partition("\n\n")[0]) from error
            raise
        finally:
            with self._lock:
                self._cursor = None
            cursor.close()

    def stop(self) -> bool:
        """Interrupt what runs just then; return whether anything did."""
        with self._lock:
            self._is_stopped = True
            if self._cursor is None:
                return False
            self._cursor.interrupt()
            return True

    def stop_until_it_ends(self) -> None:
        while self.stop():
            time.sleep(AGAIN_SECONDS)


def _too_long(timeout_seconds: float) -> QueryTimeoutError:
    """Return the error of a query whose time is over."""
    return QueryTimeoutError(
        f"the query took longer than {timeout_seconds:g} s; narrow it, or raise timeout_seconds"
    )


def execute(cursor: duckdb.DuckDBPyConnection, sql: str, params: Parameters) -> None:
    """Run a query with values bound to it.

    Raises:
        InvalidQueryError: a value is none of SQL.
        duckdb.Error: DuckDB refuses the query, or it was interrupted.
    """
    refuse_deep(params)
    try:
        cursor.execute(sql, params)
    except (OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidQueryError(f"a parameter is no value of SQL: {error}") from error
