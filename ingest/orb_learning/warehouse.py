"""The warehouse's file: what dbt builds from staging, which may be deleted at any time.

DuckDB gives no space back while it is wanted again: a checkpoint writes what changed beside what it
replaces, and rows that were deleted stay in groups of which others live. A file that has grown by
`GROWTH` since it was last small is copied, which leaves both behind.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from orb_learning._database import connect, copy_database, explained, wal
from orb_learning._faults import crash_point
from orb_learning._files import replacing, sync
from orb_learning._spill import own_spill
from orb_learning.errors import BusyError, HomeError
from orb_learning.home import Home

if TYPE_CHECKING:
    import duckdb

STORAGE_VERSION = "v1.4.0"
"""The oldest DuckDB that can read a new warehouse or publication: an older one's form of text
columns takes a third longer to write and more room."""

GROWTH = 1.4
"""How many times its smallest size a warehouse may have before it is copied."""

SMALL = 16 * 2**20
"""A file of no more bytes is never copied: one checkpoint may double it."""

REST = 100
"""A file that was copied is left alone for so many times what the copy took: some histories grow it
at every refresh."""

ROOM = 2
"""How many times the file's size must be free on its disk: hooks write there meanwhile."""

logger = logging.getLogger("orb_learning.warehouse")


def drop_warehouse(home: Home) -> None:
    """Delete what dbt built; the next run builds it again from staging."""
    _delete_copies(home)
    file = home.warehouse.resolve()
    for gone in (file, wal(file), home.warehouse, wal(home.warehouse)):
        gone.unlink(missing_ok=True)
    shutil.rmtree(own_spill(home.warehouse), ignore_errors=True)
    with suppress(OSError):  # without the warehouse it says nothing
        home.warehouse_size.unlink()


def settle_warehouse(home: Home) -> None:
    """Delete a warehouse that does not open, or that is known to be damaged.

    Where a run was killed its indexes go, which the next run makes again: DuckDB 1.5 replays its
    log into an index so that a later deletion of the same rows fails.

    Raises:
        BusyError: another process holds it.
    """
    _delete_copies(home)
    if home.warehouse_damage.exists():
        logger.warning("the last run found %s damaged; it is built anew", home.warehouse)
        drop_warehouse(home)
        home.warehouse_damage.unlink()
    if not home.warehouse.exists():
        wal(home.warehouse).unlink(missing_ok=True)
        return
    was_killed = wal(home.warehouse).exists()
    try:
        with connect(home.warehouse, home) as connection:
            if was_killed:
                _drop_indexes(connection, home)
    except BusyError:
        raise
    except HomeError as error:
        # Its text: who keeps the record would keep dbt's frames and the connection in them.
        logger.warning("%s; it is built anew", str(error))
        drop_warehouse(home)


def _drop_indexes(connection: duckdb.DuckDBPyConnection, home: Home) -> None:
    import duckdb

    try:
        for schema, index in connection.execute(_INDEXES).fetchall():
            connection.execute(f'drop index "{schema}"."{index}"')
    except duckdb.Error as error:
        raise explained(error, home.warehouse) from error


_INDEXES = "select schema_name, index_name from duckdb_indexes()"


def shrink_warehouse(home: Home, storage_version: str = STORAGE_VERSION) -> None:
    """Copy a closed warehouse that has grown much; a failure leaves it as it is.

    Args:
        home: whose warehouse; the caller holds its lock.
        storage_version: the oldest DuckDB that can read the copy.
    """
    file = home.warehouse.resolve()
    try:
        found = file.stat()
    except OSError:
        return  # there is none yet
    noted = _noted(home)
    if not noted or found.st_size < noted["bytes"]:
        _note(home, **{**(noted or _NO_COPY), "bytes": found.st_size})
        return
    now = time.time()
    is_resting = 0 <= now - noted["copied_at"] < REST * noted["seconds"]  # clocks may be set back
    if (
        found.st_size <= max(GROWTH * noted["bytes"], SMALL)
        or is_resting
        or found.st_uid != os.geteuid()  # the copy would be this user's
        or shutil.disk_usage(file.parent).free < ROOM * found.st_size
    ):
        return
    try:
        with replacing(file) as fresh:
            copy_database(home, file, fresh, storage_version=storage_version)
            copied = fresh.stat().st_size
            crash_point("warehouse.copied")
        sync(file.parent)
    except (BusyError, HomeError, OSError) as error:
        logger.warning("%s keeps its %d bytes: %s", file, found.st_size, error)
        _note(home, bytes=noted["bytes"], copied_at=now, seconds=max(time.time() - now, 36))
    else:
        logger.info("%s was written anew: %d bytes instead of %d", file, copied, found.st_size)
        _note(home, bytes=copied, copied_at=now, seconds=time.time() - now)


def _delete_copies(home: Home) -> None:
    """Delete what a copy that was killed has left."""
    file = home.warehouse.resolve()
    for left in file.parent.glob(f".{file.name}-*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


_NO_COPY = {"copied_at": 0.0, "seconds": 0.0}


def _noted(home: Home) -> dict[str, float]:
    """Return the warehouse's smallest size since it was copied, when that was and what it took."""
    try:
        noted = json.loads(home.warehouse_size.read_bytes())
        return {name: float(noted[name]) for name in ("bytes", *_NO_COPY)}
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return {}


def _note(home: Home, **noted: float) -> None:
    with suppress(OSError), replacing(home.warehouse_size) as fresh:
        fresh.write_text(json.dumps(noted))  # without it the file is at worst copied later
