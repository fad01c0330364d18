"""The staging file itself: opened, put in order after a crash, checked, and written anew.

A load's rows and the ledger's new positions are one transaction, and no segment is deleted before
what it held is in the file proper. So a write-ahead log that cannot be replayed may be put aside:
the ledger then says that its lines are not loaded, and the next load reads them again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orb_learning._database import connect, copy_database, in_memory, wal
from orb_learning._files import replacing, sync
from orb_learning._types import utc_now
from orb_learning.errors import HomeError
from orb_learning.home import Home
from orb_learning.staging import _migrations
from orb_learning.warehouse import drop_warehouse

if TYPE_CHECKING:
    import duckdb

Contents = dict[str, tuple[int, int | None]]

REMEDY = "run `orb-learning restore`"

logger = logging.getLogger("orb_learning.staging")


@contextmanager
def open_staging_file(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open staging for writing as it is, whatever its schema version.

    What a crash left in the write-ahead log is replayed and checked; a log that cannot be replayed
    is put aside.

    Raises:
        BusyError, HomeError: the file is held, damaged, or fails while it is used.
    """
    import duckdb

    with home.locked():
        connection = _open(home)
        try:
            yield connection
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0]
            raise HomeError(f"cannot use {home.staging}: {reason}") from error
        finally:
            connection.close()


@contextmanager
def look_at_staging(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open staging as it is; where there is none, an empty one in memory, and nothing is made.

    Raises:
        BusyError, HomeError: see `open_staging_file`.
    """
    with open_staging_file(home) if home.staging.exists() else in_memory() as connection:
        yield connection


@contextmanager
def open_staging(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open staging for writing, made and migrated to this release's schema.

    A migration that was applied drops the warehouse, whose tables follow the schema.

    Raises:
        BusyError, HomeError, MigrationError: the file is held, damaged, or newer than this release.
    """
    with open_staging_file(home) as connection:
        if _migrations.upgrade(connection):
            drop_warehouse(home)
        yield connection


def faults(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return what contradicts itself in staging: rows against the ledger, the ledger in itself."""
    tables = {name for (name,) in connection.execute(_TABLES).fetchall()}
    if not {"ledger.loads", "ledger.removals"} <= tables:
        return []  # not yet made, or of an older schema
    found = []
    for kind in ("loads", "segments"):
        for row in connection.execute(
            f"select columns(*)::varchar from ledger.{kind}"
            " where lines != loaded + duplicates + quarantined limit 1"
        ).fetchall():
            found.append(f"ledger.{kind} does not add up at {row[0]}")
    ((loads, distinct, newest),) = connection.execute(
        "select count(*), count(distinct load_id), coalesce(max(load_id), 0) from ledger.loads"
    ).fetchall()
    if not loads == distinct == newest:
        found.append(f"the ledger has {loads} loads, {distinct} different ones, up to {newest}")
    raw = [name for name in sorted(tables) if name.startswith("raw.")]
    counted = " + ".join(f"(select count(*) from {name})" for name in raw)
    for what, rows, column in (
        ("the raw tables", counted, "loaded"),
        ("quarantine", "(select count(*) from ledger.quarantine)", "quarantined"),
    ):
        is_quarantine = "=" if column == "quarantined" else "!="
        ((held, owed),) = connection.execute(
            f"""
            select {rows}, (
                select coalesce(sum({column}), 0) from ledger.loads
            ) - (
                select coalesce(sum(row_count), 0) from ledger.removals
                where table_name {is_quarantine} 'ledger.quarantine'
            )
            """
        ).fetchall()
        if held != owed:
            found.append(f"{what} hold {held} rows where the ledger says {owed}")
    return found


def verify(path: Path) -> Contents:
    """Check a closed staging file, or a copy of one, by reading all of it back.

    Returns:
        what each table holds: its rows, and a hash of them in any order.

    Raises:
        HomeError: it contradicts itself, or a part of it cannot be read.
    """
    import duckdb

    contents: Contents = {}
    with connect(path, read_only=True) as connection:
        try:
            wrong = faults(connection)
            for (table,) in connection.execute(_TABLES).fetchall():
                (contents[table],) = connection.execute(
                    f"select count(*), bit_xor(hash(held)) from {table} as held"
                ).fetchall()
        except duckdb.Error as error:
            wrong = [str(error).partition("\n")[0]]
    if wrong:
        raise HomeError(f"{path} is damaged: {wrong[0]}; {REMEDY}")
    return contents


def checkpoint(connection: duckdb.DuckDBPyConnection, home: Home) -> None:
    """Bring everything that is committed into the file proper, and check it.

    Raises:
        HomeError: a write-ahead log stays behind, or staging contradicts itself.
    """
    connection.execute("force checkpoint")
    log = wal(home.staging)
    if log.exists() and log.stat().st_size:
        raise HomeError(f"{log} stays behind after a checkpoint; nothing was deleted")
    if wrong := faults(connection):
        raise HomeError(f"{home.staging} is damaged: {wrong[0]}; {REMEDY}")


def rewrite(home: Home, *statements: str) -> None:
    """Write the closed staging file anew, so that nothing deleted is left in it.

    Args:
        home: whose staging; the caller holds its lock.
        statements: run in the new file before it takes the old one's place.

    Raises:
        BusyError, HomeError: the file cannot be read, or the new one is not as it should be.
    """
    with replacing(home.staging) as fresh:
        copy_database(home, home.staging, fresh, *statements)
        verify(fresh)
    sync(home.root)


def damaged_logs(home: Home) -> list[Path]:
    """Return the write-ahead logs that were put aside."""
    return list(home.root.glob(f"{home.staging.name}.wal.damaged-*"))


_TABLES = "select schema_name || '.' || table_name from duckdb_tables() where not temporary"


def _open(home: Home) -> duckdb.DuckDBPyConnection:
    if home.staging.exists() and not os.access(home.staging, os.R_OK | os.W_OK):
        raise HomeError(f"cannot open {home.staging}: its mode or owner keeps this user out")
    for left in home.root.glob(f".{home.staging.name}-*"):  # of a rewriting that was killed
        left.unlink(missing_ok=True)
    log = wal(home.staging)
    had_log = log.exists()
    if had_log and home.staging.is_file() and not _is_replayable(home):
        aside = log.with_name(f"{log.name}.damaged-{utc_now():%Y%m%dT%H%M%S}")
        log.replace(aside)
        logger.warning(
            "%s could not be replayed and is now %s; the spool's lines it held are loaded again",
            log,
            aside.name,
        )
    try:
        connection = connect(home.staging, home)
    except HomeError as error:
        raise (with_remedy(error) if home.staging.exists() else error) from error
    if had_log:
        _settle(connection, home)
    return connection


def _is_replayable(home: Home) -> bool:
    """Tell whether staging makes sense with its log; reading replays it in memory only.

    A log that is older than the file is replayed without an error, and doubles what it holds.
    """
    import duckdb

    try:
        with connect(home.staging, home, read_only=True) as connection:
            return not faults(connection)
    except (duckdb.Error, HomeError):
        return False


def _settle(connection: Any, home: Home) -> None:
    """Check what a crash left, and leave no torn log behind."""
    import duckdb

    try:
        # Only a logged write makes DuckDB give up a log whose end is torn.
        connection.execute("create or replace table main.settled (number INTEGER)")
        connection.execute("drop table main.settled")
        checkpoint(connection, home)
    except (duckdb.Error, HomeError) as error:
        connection.close()
        raise with_remedy(error) from error


def with_remedy(error: Exception) -> HomeError:
    """Return an error about the staging file that names the command that replaces it."""
    text = str(error).partition("\n")[0]
    return HomeError(text if REMEDY in text else f"{text}; {REMEDY}")
