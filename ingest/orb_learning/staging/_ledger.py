"""The ledger: which loads there were, and how far each segment is loaded."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from orb_learning._types import utc_now
from orb_learning.staging._batch import Batch, LoadReport

if TYPE_CHECKING:
    import duckdb


def next_load_id(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the id of the load that comes next."""
    newest = connection.execute("select coalesce(max(load_id), 0) from ledger.loads").fetchone()
    return (newest[0] if newest else 0) + 1


def note_load(connection: duckdb.DuckDBPyConnection, report: LoadReport) -> None:
    """Note a load."""
    connection.execute(
        "insert into ledger.loads values (?, ?, ?, ?, ?, ?, ?)",
        [
            report.load_id,
            utc_now().replace(tzinfo=None),
            version("orb-learning"),
            report.lines,
            report.loaded,
            report.duplicates,
            report.quarantined,
        ],
    )


def write_ledger(connection: duckdb.DuckDBPyConnection, batch: Batch, report: LoadReport) -> None:
    """Note a load, and how far it has read each segment."""
    note_load(connection, report)
    for progress in batch.segments:
        if progress.size:
            connection.execute(
                """
                insert into ledger.segments values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
                on conflict (segment) do update set
                    bytes_read = excluded.bytes_read,
                    lines = segments.lines + excluded.lines,
                    loaded = segments.loaded + excluded.loaded,
                    duplicates = segments.duplicates + excluded.duplicates,
                    quarantined = segments.quarantined + excluded.quarantined,
                    is_complete = excluded.is_complete,
                    last_load_id = excluded.last_load_id
                """,
                [
                    progress.name,
                    progress.read_to,
                    progress.lines,
                    progress.loaded,
                    progress.duplicates,
                    progress.quarantined,
                    progress.is_complete,
                    batch.load_id,
                ],
            )
