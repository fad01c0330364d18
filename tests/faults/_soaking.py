"""What works during a soak: producers, a refresher, readers; each in a process of its own."""

from __future__ import annotations

import asyncio
import os
import random
import struct
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import duckdb

from orb_learning import Telemetry
from orb_learning.errors import OrbLearningError
from orb_learning.home import Home
from orb_learning.refresh import Refresher
from orb_learning.serving import LearningDatabase

from ._homes import new_uuid, read_staging

STORED, QUARANTINED, REFUSED = 1, 2, 3
_NOTE = struct.Struct("=16s16sB")


def produce(home: Home, notes: Path, seed: int, per_second: float, stop: Path) -> None:
    """Capture outcomes, some of them invalid; note each after its hook has returned."""
    chance = random.Random(seed)
    telemetry = Telemetry(home.root, max_segment_bytes=200_000)
    fd = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    before = telemetry.stats()
    while not stop.exists():
        for _ in range(10):
            task = new_uuid(chance)
            event = telemetry.capture_routing_outcome_sync(
                task_id=task,
                success=chance.random() < 0.8,
                duration_seconds="long" if chance.random() < 0.02 else chance.random() * 99,
                solution_summary="s" * chance.choice((0, 20, 400, 4000)),
            )
            now = telemetry.stats()
            if event is not None:
                note = _NOTE.pack(event.event_id.bytes, task.bytes, STORED)
            elif now.quarantined > before.quarantined:
                note = _NOTE.pack(bytes(16), task.bytes, QUARANTINED)
            else:
                note = _NOTE.pack(bytes(16), task.bytes, REFUSED)
            os.write(fd, note)
            before = now
        time.sleep(10 / per_second * chance.uniform(0.5, 1.5))
    telemetry.close()


def refresh_on(
    home: Home, parsed: Refresher, notes: Path, every_seconds: float, stop: Path
) -> None:
    """Refresh again and again, and note how each ended."""
    refresher = Refresher(home.root)
    refresher._manifest = parsed._manifest
    with notes.open("a", buffering=1) as file:
        while not stop.exists():
            due = time.monotonic() + every_seconds
            try:
                report = refresher.refresh()
                file.write(f"published {report.seconds:.1f}\n")
            except OrbLearningError as error:
                file.write(f"failed {type(error).__name__}: {str(error)[:300]!r}\n")
            while time.monotonic() < due and not stop.exists():
                time.sleep(0.2)


def read_on(home: Home, stop: Path) -> tuple[int, list[str]]:
    """Ask until told to stop; return how many reads there were, and what went wrong."""

    async def read() -> tuple[int, list[str]]:
        reads, most, errors = 0, 0, []
        async with LearningDatabase(home.root, timeout_seconds=60, threads=1) as learning:
            while not stop.exists():  # noqa: ASYNC240
                try:
                    await learning.get_tier_performance()
                    answer = await learning.query(
                        "select count(*), count(distinct task_id), (select count(*) from tasks)"
                        " from executions"
                    )
                    ((rows, distinct, tasks),) = answer.rows
                    if not most <= rows == distinct == tasks:
                        errors.append(f"{rows} rows, {distinct} of them distinct, {tasks} tasks")
                    most = rows
                    reads += 2
                except Exception as error:
                    errors.append(f"{type(error).__name__}: {error}")
                await asyncio.sleep(0.05)
        return reads, errors

    return asyncio.run(read())


@dataclass(frozen=True)
class Told:
    """What all producers noted."""

    stored: dict[UUID, UUID]
    quarantined: int
    refused: int


def told(notes: list[Path]) -> Told:
    stored, kinds = {}, Counter[int]()
    for path in notes:
        data = path.read_bytes() if path.exists() else b""
        for event, task, kind in _NOTE.iter_unpack(data[: len(data) // _NOTE.size * _NOTE.size]):
            kinds[kind] += 1
            if kind == STORED:
                stored[UUID(bytes=event)] = UUID(bytes=task)
    return Told(stored, kinds[QUARANTINED], kinds[REFUSED])


@dataclass(frozen=True)
class Verdict:
    """What of the acknowledged events is where, at the end."""

    lost: int
    doubled: int
    published: int
    rows: int
    quarantined: int
    torn: int
    unbalanced: list[str]


def verify(home: Home, stored: dict[UUID, UUID]) -> Verdict:
    """Compare staging and the publication with what was acknowledged."""
    staged = read_staging(home)
    with duckdb.connect(str(home.learning_db), read_only=True) as reader:
        counts = Counter(
            dict(reader.execute("select task_id, count(*) from executions group by 1").fetchall())
        )
    kept = staged.ids.keys() | {identity for identity, _, _ in staged.quarantined}
    lost = sum(event not in kept or task not in counts for event, task in stored.items())
    torn = sum(reason.startswith("torn: ") for _, _, reason in staged.quarantined)
    doubled = (staged.ids.total() - len(staged.ids)) + (counts.total() - len(counts))
    return Verdict(
        lost,
        doubled,
        len(counts),
        staged.ids.total(),
        len(staged.quarantined),
        torn,
        staged.unbalanced,
    )
