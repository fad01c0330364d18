"""Putting what a load refuses into quarantine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orb_learning._database import as_text
from orb_learning.staging._batch import Batch, Refusal
from orb_learning.staging._erasure import Refused, is_refused_about, note_removal
from orb_learning.staging._owners import Erased

if TYPE_CHECKING:
    import duckdb

_CHUNK_BYTES = 8 * 1024 * 1024

_QUARANTINE = {
    "quarantine_id": "UUID",
    "segment": "VARCHAR",
    "byte_offset": "BIGINT",
    "byte_length": "BIGINT",
    "claimed_type": "VARCHAR",
    "reason": "VARCHAR",
    "line": "VARCHAR",
    "captured_at": "TIMESTAMP",
    "import_id": "VARCHAR",
}


def insert_refusals(
    connection: duckdb.DuckDBPyConnection, batch: Batch, erased: Erased
) -> list[Refusal]:
    """Insert the refused lines that are not known yet, and count the others as duplicates.

    Returns:
        what is not inserted, for it is about an erased subject.
    """
    if not batch.refusals:
        return []
    batch.refusals.sort(key=lambda refusal: refusal.place.position)
    known = {
        quarantine_id
        for (quarantine_id,) in connection.execute(
            "select quarantine_id from ledger.quarantine"
            " where quarantine_id in (select unnest(cast(? as uuid[])))",
            [as_text(refusal.quarantine_id for refusal in batch.refusals)],
        ).fetchall()
    }
    gone: list[Refusal] = []
    rows: list[dict[str, object]] = []
    waiting = 0
    for refusal in batch.refusals:
        progress = batch.segments[refusal.place.segment]
        if refusal.quarantine_id in known:
            progress.duplicates += 1
            continue
        known.add(refusal.quarantine_id)
        progress.quarantined += 1
        if erased and is_refused_about(_as_refused(refusal, progress.name), erased):
            gone.append(refusal)
            continue
        stored = refusal.stored
        rows.append(
            {
                "quarantine_id": str(refusal.quarantine_id),
                "segment": progress.name,
                "byte_offset": refusal.line.offset,
                "byte_length": refusal.line.length,
                # In hex, for they may hold what JSON cannot.
                "claimed_type": _hex(refusal.claimed_type),
                "reason": _hex(refusal.reason),
                "line": stored.hex(),
                "captured_at": refusal.captured_at and refusal.captured_at.isoformat(),
                "import_id": refusal.import_id,
            }
        )
        waiting += len(stored)
        if waiting > _CHUNK_BYTES:
            _insert_quarantined(connection, batch.load_id, rows)
            rows, waiting = [], 0
    if rows:
        _insert_quarantined(connection, batch.load_id, rows)
    if gone:
        note_removal(connection, "ledger.quarantine", len(gone))
    return gone


def _as_refused(refusal: Refusal, segment: str) -> Refused:
    return Refused(
        refusal.quarantine_id,
        refusal.claimed_type,
        refusal.stored,
        refusal.reason,
        refusal.import_id,
        segment,
        refusal.line.offset,
        refusal.line.length,
    )


def _hex(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "replace").hex()


def _insert_quarantined(
    connection: duckdb.DuckDBPyConnection, load_id: int, rows: list[dict[str, object]]
) -> None:
    connection.execute(
        f"""
        insert into ledger.quarantine
        select
            quarantine_id, {load_id}, segment, byte_offset, byte_length,
            decode(unhex(claimed_type)), decode(unhex(reason)), unhex(line), captured_at,
            import_id
        from (
            select unnest(item)
            from (select unnest(from_json_strict($rows, $shape)) as item) as items
        ) as refused
        """,
        {"rows": json.dumps(rows), "shape": json.dumps([_QUARANTINE])},
    )
