"""Opening DuckDB files, with errors a person can act on."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from orb_learning._files import replacing, sync
from orb_learning._spill import SpillFolder, delete_left_spills, own_spill
from orb_learning.errors import BusyError, HomeError, OrbLearningError
from orb_learning.home import Home

if TYPE_CHECKING:
    import duckdb


MEMORY_BYTES = 3_000_000_000
"""What DuckDB may use, unless the profile says otherwise; a full build beyond it goes to disk."""


def connect(
    path: Path, home: Home | None = None, *, read_only: bool = False, name: str = "opened"
) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file.

    Args:
        path: the file; it is made if there is none.
        home: where to spill what does not fit into memory, privately; nowhere, if it is None.
        read_only: open it beside others that read it, in this process too.
        name: what it is attached as, if it is only read.

    Raises:
        BusyError: another process, or another part of this one, holds the file.
        HomeError: the file cannot be read as a DuckDB database, or its path has a question mark.
    """
    import duckdb

    if read_only:
        connection = in_memory(home)
        try:
            # Not opened: in one process a file cannot be open with two configurations.
            _attach(connection, path, name)
            connection.execute(f"use {name}")
        except BaseException:
            connection.close()
            raise
        return connection
    _refuse_name(path)
    try:
        if not path.exists():
            _create(path)
        connection = _spilling(str(path), home)
    except duckdb.Error as error:
        raise explained(error, path) from error
    except OSError as error:
        raise HomeError(f"cannot make {path}: {error.strerror}") from error
    path.chmod(0o600)
    # Nobody else has the file open: what lies there is of a process that was killed.
    shutil.rmtree(own_spill(path), ignore_errors=True)
    if home is not None:
        delete_left_spills(home)
    return connection


def _attach(connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    """Attach a file for reading. See `connect`."""
    import duckdb

    _refuse_name(path)
    try:
        connection.execute(f"attach {literal(path)} as {name} (read_only)")
    except duckdb.Error as error:
        raise explained(error, path) from error


def _refuse_name(path: Path) -> None:
    if "?" in str(path):  # DuckDB puts the name of its write-ahead log in front of it
        raise HomeError(f"DuckDB cannot use {path}: rename what has a question mark in its name")


def in_memory(home: Home | None = None, **config: str) -> duckdb.DuckDBPyConnection:
    """Open a database in memory.

    Args:
        home: where to spill what does not fit into it, privately; nowhere, if it is None.
        config: DuckDB's settings.

    Raises:
        HomeError: the home cannot be written.
    """
    return _spilling(":memory:", home, **config)


def _spilling(database: str, home: Home | None, **config: str) -> duckdb.DuckDBPyConnection:
    import duckdb

    folder = SpillFolder(home) if home else None
    try:
        connection = duckdb.connect(
            database, config={"temp_directory": str(folder.path) if folder else "", **config}
        )
    except BaseException:
        if folder:
            folder.delete()
        raise
    if folder:
        weakref.finalize(connection, folder.delete)
    return connection


def _create(path: Path) -> None:
    """Make an empty database that is whole from its first moment.

    DuckDB begins a file with three writes, and never opens one that was left between them.
    """
    import duckdb

    with replacing(path) as fresh:
        duckdb.connect(str(fresh)).close()


def copy_database(
    home: Home, source: Path, target: Path, *statements: str, storage_version: str = "v1.0.0"
) -> None:
    """Copy a closed database into a new file, which is synced and private to its owner.

    Args:
        home: where to spill what does not fit into memory.
        source: the closed database.
        target: the new file.
        statements: run in the new file.
        storage_version: the oldest DuckDB that can read the new file.

    Raises:
        BusyError, HomeError: the source is held, or cannot be read.
    """
    import duckdb

    with in_memory(home) as connection:
        _attach(connection, source, "source")
        try:
            limit_memory(connection)
            connection.execute(
                f"attach {literal(target)} as target (storage_version {literal(storage_version)})"
            )
            connection.execute("copy from database source to target")
            connection.execute("use target")
            for statement in statements:
                connection.execute(statement)
            connection.execute("use memory")
            connection.execute("detach target")
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0]
            raise HomeError(f"cannot copy {source} to {target}: {reason}") from error
    target.chmod(0o600)
    sync(target)


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what is done within, or none of it."""
    import duckdb

    connection.execute("begin")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        with suppress(duckdb.Error):  # a transaction that failed to commit is over already
            connection.execute("rollback")
        raise


def limit_memory(connection: duckdb.DuckDBPyConnection) -> None:
    """Lower DuckDB's own limit, most of the machine's memory, to `MEMORY_BYTES`; never raise it."""
    found = connection.execute("select current_setting('memory_limit')").fetchone()
    number, unit = str(found[0] if found else "0 bytes").split()
    power = ("bytes", "KiB", "MiB", "GiB", "TiB").index(unit)
    if float(number) * 1024**power > MEMORY_BYTES:
        connection.execute(f"set global memory_limit = '{MEMORY_BYTES // 10**6}MB'")


def wal(path: Path) -> Path:
    """Return where DuckDB keeps a file's write-ahead log."""
    return path.with_name(f"{path.name}.wal")


def literal(text: str | Path) -> str:
    """Return a text as a literal of SQL, where a parameter cannot stand or is too slow.

    In DuckDB's strings a quote is doubled and nothing else has a meaning; the parser stops at a
    zero byte, which is therefore put together from its number.
    """
    quoted = str(text).replace("'", "''").replace("\0", "' || chr(0) || '")
    return f"'{quoted}'"


def as_text(values: Iterable[int | UUID]) -> str:
    """Return a list of numbers or UUIDs as a text, for DuckDB to cast.

    It takes a tenth of a millisecond to look at each element of a list.
    """
    return f"[{','.join(map(str, values))}]"


def explained(error: duckdb.Error, path: Path) -> OrbLearningError:
    """Return the error that says what to do about a DuckDB file that does not open."""
    text = str(error)
    first_line = text.partition("\n")[0]
    if "Could not set lock" in text or "Conflicting lock" in text:
        return BusyError(f"{path} is in use by another process; try again when it has finished")
    if "different configuration" in text or "Unique file handle conflict" in text:
        return BusyError(f"{path} is still open elsewhere in this process; close it first")
    if "not a valid DuckDB database file" in text:
        return HomeError(f"{path} is not a DuckDB database")
    return HomeError(f"cannot open {path}: {first_line}")
