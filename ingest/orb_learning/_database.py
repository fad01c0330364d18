"""Opening DuckDB files, with errors a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orb_learning._files import replacing, sync
from orb_learning.errors import BusyError, HomeError, OrbLearningError

if TYPE_CHECKING:
    import duckdb


MEMORY_BYTES = 3_000_000_000
"""What DuckDB may use, unless the profile says otherwise; a full build beyond it goes to disk."""


def connect(path: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file.

    Raises:
        BusyError: another process, or another part of this one, holds the file.
        HomeError: the file cannot be read as a DuckDB database, or its path has a question mark.
    """
    import duckdb

    if "?" in str(path):  # DuckDB puts the name of its write-ahead log in front of it
        raise HomeError(f"DuckDB cannot use {path}: rename what has a question mark in its name")
    try:
        if not read_only and not path.exists():
            _create(path)
        connection = duckdb.connect(str(path), read_only=read_only)
    except duckdb.Error as error:
        raise explained(error, path) from error
    except OSError as error:
        raise HomeError(f"cannot make {path}: {error.strerror}") from error
    if not read_only:
        path.chmod(0o600)
    return connection


def _create(path: Path) -> None:
    """Make an empty database that is whole from its first moment.

    DuckDB begins a file with three writes, and never opens one that was left between them.
    """
    import duckdb

    with replacing(path) as fresh:
        duckdb.connect(str(fresh)).close()


def copy_database(
    source: Path, target: Path, *statements: str, storage_version: str = "v1.0.0"
) -> None:
    """Copy a closed database into a new file, which is synced and private to its owner.

    Args:
        source: the closed database.
        target: the new file.
        statements: run in the new file.
        storage_version: the oldest DuckDB that can read the new file.

    Raises:
        BusyError, HomeError: the source is held, or cannot be read.
    """
    import duckdb

    connect(source, read_only=True).close()  # for its errors
    with duckdb.connect() as connection:
        try:
            limit_memory(connection)
            connection.execute(f"set temp_directory = {literal(f'{target}.tmp')}")
            connection.execute(f"attach {literal(source)} as source (read_only)")
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
