"""The loader: from spool segments to raw tables, exactly once.

A load reads whole lines beyond what the ledger says is read, validates each as the class that
captured it would, and commits the rows together with the ledger's new position. Whatever happens in
between, the ledger decides what is new.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from orb_learning._faults import crash_point
from orb_learning.errors import HomeError, printable
from orb_learning.home import Home
from orb_learning.spool import MAX_READ_BYTES, Block, Line, open_segment, segment_sizes
from orb_learning.staging._batch import Batch, LoadReport, Place, Progress, attach
from orb_learning.staging._bulk import Bulk, bulk_file
from orb_learning.staging._commit import commit
from orb_learning.staging._erasure import must_apply
from orb_learning.staging._file import open_staging
from orb_learning.staging._floor import lift_future_floor
from orb_learning.staging._ledger import next_load_id

if TYPE_CHECKING:
    import duckdb

MAX_LOAD_LINES = 200_000
"""Lines one load may take; a longer backlog becomes several loads, each a transaction."""
MAX_LOAD_BYTES = 64 * 1024 * 1024
"""Bytes after which a load takes no more lines: what it holds in memory is several times that."""

logger = logging.getLogger("orb_learning.staging")


def load(
    home: Home,
    on_progress: Callable[[int], None] | None = None,
    on_share: Callable[[int, int], None] | None = None,
    *,
    _only_python: bool = False,
) -> LoadReport:
    """Load every whole line that the spool holds now and that is not loaded yet.

    Args:
        home: the home whose spool is read.
        on_progress: called after each load with the number of lines it took.
        on_share: called before the first load and after each with how many bytes of the spool are
            loaded, of how many that were not.
        _only_python: let no line be validated in DuckDB, to test that it makes no difference.

    Raises:
        BusyError, HomeError, MigrationError: see `open_staging`.
        HomeError: the system refused to read, write or delete a file; nothing is lost, and what was
            not loaded is by the next load.
    """
    try:
        return _load(home, on_progress, on_share, only_python=_only_python)
    except OSError as error:
        raise HomeError(f"cannot load into {home.root}: {error}") from error


def _load(
    home: Home,
    on_progress: Callable[[int], None] | None,
    on_share: Callable[[int, int], None] | None,
    *,
    only_python: bool,
) -> LoadReport:
    total = LoadReport()
    done = left = 0
    with home.locked(), open_staging(home) as connection:
        crash_point("load.opened")
        # What hooks write from here on waits for the next load, or a busy host would keep
        # this one from ever ending.
        sizes = segment_sizes(home.spool)
        attach(connection)
        if on_share:
            left = _bytes_left(connection, sizes)
            on_share(done, left)
        while True:
            batch = _read_batch(connection, home, sizes, only_python)
            crash_point("load.read")
            if not batch.taken:
                break
            report = commit(connection, home, batch)
            total = total.and_then(report)
            if on_progress:
                on_progress(report.lines)
            if on_share:
                done += batch.size
                on_share(done, left)
        _mark_complete(connection, batch.segments)
        lift_future_floor(connection, home)
        crash_point("load.completed")
        if not total.load_id:
            total = LoadReport(batch.load_id - 1)
        total = replace(total, must_erase=must_apply(connection))
    if total.lines:
        logger.info(
            "load %d: %d lines, %d loaded, %d duplicates, %d quarantined",
            total.load_id,
            total.lines,
            total.loaded,
            total.duplicates,
            total.quarantined,
        )
    return total


def _bytes_left(connection: duckdb.DuckDBPyConnection, sizes: dict[str, int]) -> int:
    read = dict(connection.execute("select segment, bytes_read from ledger.segments").fetchall())
    return sum(max(size - read.get(name, 0), 0) for name, size in sizes.items())


def _read_batch(
    connection: duckdb.DuckDBPyConnection, home: Home, sizes: dict[str, int], only_python: bool
) -> Batch:
    batch = Batch(next_load_id(connection))
    with bulk_file() as bulk:
        _read_segments(connection, home, sizes, batch, None if only_python else bulk)
        bulk.insert_into(connection, batch)
    return batch


def _read_segments(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    sizes: dict[str, int],
    batch: Batch,
    bulk: Bulk | None,
) -> None:
    ledger = dict(
        connection.execute(
            "select segment, (bytes_read, is_complete) from ledger.segments"
        ).fetchall()
    )
    for name, size in sizes.items():
        bytes_read, is_complete = ledger.get(name, (0, False))
        if is_complete:
            continue
        segment = open_segment(home.spool, name)
        if segment is None:
            logger.warning(
                "ignored %s in the spool: it is not a regular file of ours", printable(name)
            )
            continue
        try:
            if segment.size > MAX_READ_BYTES:
                logger.warning(
                    "ignored %s in the spool: %d bytes are more than any writer of ours leaves",
                    printable(name),
                    segment.size,
                )
                continue
            progress = Progress(name, bytes_read)
            batch.begin(progress)
            for part in segment.blocks(bytes_read, size):
                _take(batch, bulk, part)
                if batch.taken >= MAX_LOAD_LINES or batch.size >= MAX_LOAD_BYTES:
                    return
            progress.is_complete = segment.is_sealed and progress.read_to >= segment.size
        finally:
            segment.close()


def _take(batch: Batch, bulk: Bulk | None, part: Block | Line) -> None:
    if isinstance(part, Line):
        batch.validate(part, batch.take(1, part.length))
        return
    block = part.head(MAX_LOAD_LINES - batch.taken)
    first = batch.take(block.lines, block.size)
    if bulk and bulk.offer(block, first):
        return
    for position, line in enumerate(block, first.position):
        batch.validate(line, Place(position, first.segment))


def _mark_complete(connection: duckdb.DuckDBPyConnection, segments: list[Progress]) -> None:
    for progress in segments:
        if progress.is_complete:
            connection.execute(
                "update ledger.segments set is_complete = true where segment = ?", [progress.name]
            )
