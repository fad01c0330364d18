"""Events that cost little to write, and the audit of what became of them."""

from __future__ import annotations

import importlib
import os
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb

from orb_learning import Telemetry
from orb_learning.events import EVENT_TYPES
from orb_learning.home import Home

from ._processes import call
from ._result import Result

AT = "2026-06-14T12:00:00Z"


def new_uuid(chance: random.Random) -> UUID:
    return UUID(int=chance.getrandbits(128), version=4)


def outcome_line(
    event: UUID,
    task: UUID | None = None,
    *,
    text: str = "",
    occurred_at: str = AT,
    captured_at: str = AT,
    success: bool = True,
) -> bytes:
    """Return a valid line as a hook writes it."""
    summary = f'"{text}"' if text else "null"
    return (
        f'{{"event_id":"{event}","schema_version":1,"occurred_at":"{occurred_at}",'
        f'"captured_at":"{captured_at}","metadata":null,"task_id":"{task or event}",'
        f'"attempt":null,"success":{"true" if success else "false"},"duration_seconds":2.5,'
        '"quality_score":null,"cost_estimate":null,"actual_cost":null,"error_type":null,'
        '"error_message":null,"peak_memory_mb":null,"cpu_time_seconds":null,'
        f'"solution_summary":{summary},"event_type":"routing_outcome"}}'
    ).encode()


def pool_line(event: UUID) -> bytes:
    return (
        f'{{"event_id":"{event}","schema_version":1,"occurred_at":"{AT}","captured_at":"{AT}",'
        f'"metadata":null,"event_type":"pool_created","pool_id":"{event}","pool_type":null}}'
    ).encode()


def write_segment(home: Home, name: str, lines: Iterable[bytes], end: bytes = b"\n") -> Path:
    """Write a segment whose writer is gone."""
    home.create()
    path = home.spool / name
    path.write_bytes(b"\n".join(lines) + end)
    return path


@dataclass(frozen=True)
class Staged:
    """What staging holds, read by a process of its own.

    Attributes:
        ids: how many rows each event has, over all raw tables.
        quarantined: for each line in quarantine: its id, segment, reason.
        lines: lines that the ledger says were read.
        unbalanced: where the ledger does not add up with itself or with the tables.
        doubled: some rows of events that have more than one.
    """

    ids: Counter[UUID]
    quarantined: list[tuple[UUID, str, str]]
    lines: int
    duplicates: int
    unbalanced: list[str]
    doubled: list[tuple[Any, ...]] = field(default_factory=list)


UNBALANCED = """
select 'segment ' || segment from ledger.segments
where lines != loaded + duplicates + quarantined
union all
select 'load ' || load_id from ledger.loads
where lines != loaded + duplicates + quarantined or lines = 0
union all
select 'sum of segments' where
    (select (sum(lines), sum(loaded), sum(duplicates), sum(quarantined)) from ledger.segments)
    is distinct from
    (select (sum(lines), sum(loaded), sum(duplicates), sum(quarantined)) from ledger.loads)
union all
select 'quarantine' where (select coalesce(sum(quarantined), 0) from ledger.loads)
    != (select count(*) from ledger.quarantine)
union all
select 'load ids' where
    (select count(*) from ledger.loads) != (select coalesce(max(load_id), 0) from ledger.loads)
"""


def read_staging(home: Home) -> Staged:
    """Read staging back; only for processes that end afterwards."""
    with duckdb.connect(str(home.staging), read_only=True, config={"threads": 1}) as connection:

        def query(sql: str) -> list[tuple[Any, ...]]:
            return connection.execute(sql).fetchall()

        # A kill between two migrations leaves a schema that nothing was ever loaded into.
        if not query("select 1 from duckdb_tables() where table_name = 'user_erased'"):
            return Staged(Counter(), [], 0, 0, [])
        every = " union all ".join(f"select event_id from raw.{kind}" for kind in EVENT_TYPES)
        counted = query(f"select event_id, count(*) from ({every}) group by 1")
        ids: Counter[UUID] = Counter(dict(counted))
        totals = query("select sum(lines), sum(loaded), sum(duplicates) from ledger.loads")
        lines, loaded, duplicates = (int(total or 0) for total in totals[0])
        unbalanced = [text for (text,) in query(UNBALANCED)]
        if loaded != ids.total():
            unbalanced.append(f"{loaded} rows in the ledger, {ids.total()} in the tables")
        quarantined = query("select quarantine_id, segment, reason from ledger.quarantine")
        rows = " union all ".join(
            f"select event_id, '{kind}', load_id, event_hash, occurred_at from raw.{kind}"
            for kind in EVENT_TYPES
        )
        doubled = (
            query(f"from ({rows}) qualify count(*) over (partition by event_id) > 1 limit 4")
            if len(ids) < ids.total()
            else []
        )
        return Staged(ids, quarantined, lines, duplicates, unbalanced, doubled)


def staged(home: Home, result: Result, what: str) -> Staged | None:
    """Read staging in another process; what keeps it from being read is a broken promise."""
    ended = call(lambda: read_staging(home))
    if ended.is_hung:
        result.hang(f"{what}: reading staging")
    elif not ended.is_done:
        result.fail(f"{what}: staging cannot be read: {ended.error or 'killed'}")
    return ended.value


def audit(
    result: Result,
    home: Home,
    owed: set[UUID],
    what: str,
    *,
    also: set[UUID] | None = None,
    is_loaded: bool = True,
) -> Staged | None:
    """Compare staging with the events that were acknowledged.

    Args:
        result: where to count.
        home: whose staging.
        owed: events that must be there once, in a table or in quarantine.
        what: for notes.
        also: events that may be there; None for any.
        is_loaded: False in the middle, when events may be missing yet.
    """
    found = staged(home, result, what)
    if found is None:
        return None
    known = found.ids.keys() | {identity for identity, _, _ in found.quarantined}
    if is_loaded:
        missing = owed - known
        result.lose(len(missing), f"{what}: {sorted(missing)[:2]}")
    doubled = {event: rows for event, rows in found.ids.items() if rows > 1}
    extra = sum(doubled.values()) - len(doubled)
    result.double(extra, f"{what}: {list(doubled)[:2]}: {found.doubled}")
    if also is not None and (strange := found.ids.keys() - owed - also):
        result.fail(f"{what}: {len(strange)} events that nobody wrote: {list(strange)[:2]}")
    for text in found.unbalanced:
        result.fail(f"{what}: the ledger does not add up: {text}")
    if any(not reason for _, _, reason in found.quarantined):
        result.fail(f"{what}: a line is in quarantine without a reason")
    return found


def settle(result: Result, what: str, work: Any, seconds: float = 120.0) -> Any:
    """Run what must end well, in a process of its own, and return its value."""
    ended = call(work, seconds)
    if ended.is_hung:
        result.hang(what)
    elif not ended.is_done:
        result.fail(f"{what}: {ended.error or 'killed by a signal'}")
    return ended.value


def warm_up(folder: Path) -> None:
    """Do once what first uses cost, so that forked children need not; no database is opened."""
    for module in (
        "orb_learning.embeddings._publish",
        "orb_learning.publication._publish",
    ):
        importlib.import_module(module)
    version("orb-learning")
    with Telemetry(folder / f"warm-{os.getpid()}") as hooks:
        hooks.capture_feedback_sync("task", feedback_type="warm")
