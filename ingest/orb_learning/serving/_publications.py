"""The publication in force, open for reading; a newer one takes its place at the next call."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orb_learning._database import explained, in_memory, literal
from orb_learning.errors import InvalidQueryError
from orb_learning.home import Home
from orb_learning.publication import DATABASE, Publication, current
from orb_learning.serving._rows import Row
from orb_learning.serving._similarity import Similarity

if TYPE_CHECKING:
    import duckdb

CLOSED = "this LearningDatabase is closed; make another"

_TRIES = 5


class Opened(Protocol):
    """A publication that can be asked."""

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a cursor of its own; the tables are those of `learning`."""


class Source(Protocol):
    """Where a publication comes from."""

    def current(self) -> Opened:
        """Return the one in force; the same object for as long as it is."""

    def close(self) -> None:
        """Let go of it."""


class OnePublication:
    """One that is open already, as a source that follows no other."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Take a connection whose tables are those of `learning`; whoever made it closes it."""
        self._connection = connection

    def current(self) -> OnePublication:
        """Return it."""
        return self

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a cursor of its own."""
        return self._connection.cursor()

    def close(self) -> None:
        """Leave it open."""


@dataclass
class OpenPublication:
    """One publication; a cursor of it reads nothing else, however long it lives.

    Attributes:
        is_broken: DuckDB failed within itself, and may refuse everybody from then on.
    """

    publication: Publication
    folder: Path
    connection: duckdb.DuckDBPyConnection
    is_broken: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a cursor of its own for one query; the tables are those of `learning`."""
        return self.connection.cursor()

    def columns_of(self, kind: type[Row], table: str) -> list[str]:
        """Return a row's columns, but those that this publication's older release did not have."""
        return [
            name
            for name, field in kind.model_fields.items()
            if field.is_required() or (table, name) in self._columns
        ]

    def select(self, kind: type[Row], table: str, condition: str) -> str:
        """Return the SQL for the rows of a table that meet a condition."""
        columns = ", ".join(self.columns_of(kind, table))
        return f"select {columns} from learning.{table} where {condition}"

    @cached_property
    def _columns(self) -> set[tuple[str, str]]:
        with self.cursor() as cursor:
            found = cursor.execute(
                "select table_name, column_name from duckdb_columns()"
                " where database_name = 'learning'"
            )
            return set(found.fetchall())

    def similarity(self) -> Similarity:
        """Return what searches this publication's vectors; made by the first call."""
        with self._lock:
            return self._similarity

    @cached_property
    def _similarity(self) -> Similarity:
        with self.cursor() as cursor:
            return Similarity(cursor, self.publication, self.folder)


class Publications:
    """Opens the publication in force, once, and lets go of the one before."""

    def __init__(self, home: Home, *, threads: int, memory_limit: str) -> None:
        """Open nothing yet.

        Args:
            home: whose publications.
            threads: how many DuckDB may use, all queries together.
            memory_limit: how much memory DuckDB may use, in its own spelling, such as `1GB`.
        """
        self._home = home
        self._threads = threads
        self._memory_limit = memory_limit
        self._open: OpenPublication | None = None
        self._is_closed = False
        self._lock = threading.Lock()

    def current(self) -> OpenPublication:
        """Return the publication in force.

        Raises:
            NotPublishedError: there is none.
            InvalidQueryError: this was closed, or the memory limit is none.
            HomeError: it cannot be opened.
        """
        with self._lock:
            if self._is_closed:
                raise InvalidQueryError(CLOSED)
            opened = self._open
            if opened is None or opened.is_broken or opened.publication.id != self._identity():
                # The one before is not closed, which would close the cursors that are still read;
                # it goes with the last of them.
                self._open = opened = self._open_current()
            return opened

    def close(self) -> None:
        """Let go of the publication, and open none from now on."""
        with self._lock:
            self._open = None
            self._is_closed = True

    def _identity(self) -> str:
        try:
            return self._home.current.readlink().name
        except OSError:
            return ""

    def _open_current(self, tries_left: int = _TRIES) -> OpenPublication:
        import duckdb

        publication = current(self._home)
        folder = self._home.published / publication.id
        # Its own directory, not the link, which may point elsewhere by now.
        path = folder / DATABASE
        try:
            return OpenPublication(publication, folder, self._connect(path))
        except duckdb.Error as error:
            if tries_left and not path.exists():
                # A few publications later: it was taken away.
                return self._open_current(tries_left - 1)
            raise explained(error, path) from error

    def _connect(self, path: Path) -> duckdb.DuckDBPyConnection:
        import duckdb

        # Attached, not opened: a file that is opened with one configuration cannot be opened with
        # another in the same process, and a notebook may have it open already.
        connection = in_memory(
            autoinstall_known_extensions="false",
            autoload_known_extensions="false",
            python_enable_replacements="false",
            threads=str(self._threads),
        )
        try:
            try:
                connection.execute(f"set global memory_limit = {literal(self._memory_limit)}")
            except (duckdb.Error, UnicodeError) as error:
                reason = str(error).partition("\n")[0]
                raise InvalidQueryError(f"memory_limit: {reason}") from error
            connection.execute(f"attach {literal(path)} as learning (read_only)")
            connection.execute("set global TimeZone = 'UTC'")
            connection.execute("set allowed_configs = ['streaming_buffer_size']")
            connection.execute("set enable_external_access = false")
            connection.execute("set lock_configuration = true")
        except Exception:
            connection.close()
            raise
        return connection
