"""The warehouse's file: what dbt builds from staging, which may be deleted at any time.

DuckDB gives no space back while it is wanted again: a checkpoint writes what changed beside what it
replaces, and rows that were deleted stay in groups of which others live. A file that has grown by
`GROWTH` since it was last small is copied, which leaves both behind.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from orb_learning._database import connect, copy_database, explained, sync, wal
from orb_learning._faults import crash_point
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

logger = logging.getLogger("orb_learning.warehouse")


def drop_warehouse(home: Home) -> None:
    """Delete what dbt built; the next run builds it again from staging."""
    for file in (home.warehouse, wal(home.warehouse), home.warehouse_size):
        file.unlink(missing_ok=True)


def settle_warehouse(home: Home) -> None:
    """Delete a warehouse that does not open, or that is known to be damaged; copy a bloated one.

    Where a run was killed its indexes go, which the next run makes again: DuckDB 1.5 replays its
    log into an index so that a later deletion of the same rows fails.

    Raises:
        BusyError: another process holds it.
    """
    for left in home.root.glob(f".{home.warehouse.name}-*"):  # of a copy that was killed
        left.unlink(missing_ok=True)
    if home.warehouse_damage.exists():
        logger.warning("the last run found %s damaged; it is built anew", home.warehouse)
        drop_warehouse(home)
        home.warehouse_damage.unlink()
    if not home.warehouse.exists():
        wal(home.warehouse).unlink(missing_ok=True)
        return
    was_killed = wal(home.warehouse).exists()
    try:
        with connect(home.warehouse) as connection:
            if was_killed:
                _drop_indexes(connection, home)
    except BusyError:
        raise
    except HomeError as error:
        # Its text: who keeps the record would keep dbt's frames and the connection in them.
        logger.warning("%s; it is built anew", str(error))
        drop_warehouse(home)
    else:
        _shrink(home)


def _drop_indexes(connection: duckdb.DuckDBPyConnection, home: Home) -> None:
    import duckdb

    try:
        for schema, index in connection.execute(_INDEXES).fetchall():
            connection.execute(f'drop index "{schema}"."{index}"')
    except duckdb.Error as error:
        raise explained(error, home.warehouse) from error


_INDEXES = "select schema_name, index_name from duckdb_indexes()"


def _shrink(home: Home) -> None:
    """Copy a warehouse that has grown much; a failure leaves it as it is."""
    size = home.warehouse.stat().st_size
    noted = _noted(home)
    if not noted or size < noted["bytes"]:
        _note(home, **{**(noted or _NO_COPY), "bytes": size})
        return
    now = time.time()
    is_resting = 0 <= now - noted["copied_at"] < REST * noted["seconds"]  # clocks may be set back
    if size <= max(GROWTH * noted["bytes"], SMALL) or is_resting:
        return
    fresh = home.warehouse.with_name(f".{home.warehouse.name}-{secrets.token_hex(4)}")
    try:
        copy_database(home.warehouse, fresh, storage_version=STORAGE_VERSION)
        copied = fresh.stat().st_size
        crash_point("warehouse.copied")
        fresh.replace(home.warehouse)
        sync(home.root)
    except (HomeError, OSError) as error:
        logger.warning("%s keeps its %d bytes: %s", home.warehouse, size, error)
    else:
        logger.info("%s was written anew: %d bytes instead of %d", home.warehouse, copied, size)
        _note(home, bytes=copied, copied_at=now, seconds=time.time() - now)
    finally:
        for left in (fresh, wal(fresh)):
            left.unlink(missing_ok=True)


_NO_COPY = {"copied_at": 0.0, "seconds": 0.0}


def _noted(home: Home) -> dict[str, float]:
    """Return the warehouse's smallest size since it was copied, when that was and what it took."""
    try:
        noted = json.loads(home.warehouse_size.read_bytes())
        return {name: float(noted[name]) for name in ("bytes", *_NO_COPY)}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _note(home: Home, **noted: float) -> None:
    with suppress(OSError):  # without it the file is at worst copied later
        home.warehouse_size.write_text(json.dumps(noted))
