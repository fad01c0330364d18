"""F9 and F10: the same events again, and clocks that jump."""

from __future__ import annotations

import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orb_learning import Telemetry
from orb_learning.events import PoolExecutionStart, RoutingDecision, RoutingOutcome
from orb_learning.home import Home
from orb_learning.upkeep import take_in

from . import _building
from ._homes import audit, new_uuid, outcome_line, pool_line, settle, write_segment
from ._result import Result

HISTORIES = 150
"""Tasks with a clock of their own that one run of the models shares."""


def repeating(seed: int, folder: Path) -> Result:
    """Bring the same lines back: copied, renamed, cut otherwise, restored under the old name."""
    chance = random.Random(seed)
    result = Result(trials=1, faults=1)
    home = Home(folder / "home")
    events = [new_uuid(chance) for _ in range(chance.randrange(1, 80))]
    lines = [pool_line(event) if event.int % 2 else outcome_line(event) for event in events]
    bad = [b"bad %d" % number for number in range(chance.randrange(3))]
    path = write_segment(home, "m.jsonl", lines + bad)
    written = len(lines) + len(bad)
    kinds = chance.sample(
        ("copy", "cut", "shuffled", "restored", "doubled"), chance.randrange(1, 5)
    )
    repeated_bad = 0
    for kind in kinds:
        if chance.random() < 0.6:
            settle(result, "a load between", lambda: take_in(home))
        if kind == "copy":
            shutil.copy(path, home.spool / f"{chance.choice('az')}-copy.jsonl")
            repeated_bad += len(bad)
            written += len(lines) + len(bad)
        elif kind == "cut":
            at = chance.randrange(len(lines) + 1)
            write_segment(home, "b-cut.jsonl", lines[:at], b"\n" if at else b"")
            write_segment(home, "y-cut.jsonl", lines[at:], b"\n" if lines[at:] else b"")
            written += len(lines)
        elif kind == "shuffled":
            write_segment(home, "x-shuffled.jsonl", chance.sample(lines, len(lines)))
            written += len(lines)
        elif kind == "doubled":
            write_segment(home, "d-doubled.jsonl", [line for line in lines for _ in range(2)])
            written += 2 * len(lines)
        else:
            settle(result, "a load before", lambda: take_in(home))
            data = path.read_bytes()
            path.unlink()
            settle(result, "a load without the segment", lambda: take_in(home))
            path.write_bytes(data)
    settle(result, "the last load", lambda: take_in(home))
    settle(result, "one load more", lambda: take_in(home))
    found = audit(result, home, set(events), "repeated lines", also=set())
    if found is not None:
        result.lose(written - found.lines, "repeated lines were not read")
        result.double(found.lines - written, "lines were read twice")
        duplicates = written - len(events) - len(bad) - repeated_bad
        if found.duplicates != duplicates:
            result.fail(f"{found.duplicates} counted as duplicates instead of {duplicates}")
    return result


class _Clock:
    """A host's clock: mostly it ticks, at times it jumps or stands."""

    JUMPS = (
        timedelta(seconds=-1),
        timedelta(days=-1),
        timedelta(0),
        timedelta(hours=1),
        timedelta(hours=-1),
        timedelta(days=400),
    )
    PLACES = (
        datetime(1970, 1, 2, tzinfo=UTC),
        datetime(2100, 2, 28, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2026, 3, 8, 6, 59, 59, tzinfo=UTC),  # New York skips an hour
        datetime(2026, 10, 25, 0, 59, 59, tzinfo=UTC),  # Berlin repeats one
        datetime(2026, 6, 14, 23, 59, 59, tzinfo=UTC),
    )

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._now = chance.choice(self.PLACES)

    def now(self) -> datetime:
        draw = self._chance.random()
        if draw < 0.3:
            self._now += self._chance.choice(self.JUMPS)
        elif draw < 0.4:
            self._now = self._chance.choice(self.PLACES)
        else:
            self._now += timedelta(microseconds=self._chance.randrange(5_000_000))
        return max(self._now, self.PLACES[0])


def jumping(seed: int, folder: Path) -> Result:
    """Many tasks whose clocks jump between their events: all load, no duration is below zero."""
    chance = random.Random(seed)
    result = Result(trials=HISTORIES, faults=HISTORIES)
    warehouse = _building.fresh(folder / "home", result)
    owed = set(_building.TEMPLATE_TASKS)  # each is the id of its task's one event, too
    tasks = set(_building.TEMPLATE_TASKS)

    def write() -> None:
        with Telemetry(warehouse.home.root, strict=True) as telemetry:
            for _ in range(HISTORIES // 2):
                clock, task = _Clock(chance), new_uuid(chance)
                tasks.add(task)
                kinds = (RoutingDecision, PoolExecutionStart, RoutingOutcome)
                for kind in chance.sample(kinds, 3):
                    event = new_uuid(chance)
                    owed.add(event)
                    base = {"event_id": event, "task_id": task}
                    base |= {"occurred_at": clock.now(), "captured_at": clock.now()}
                    if kind is RoutingOutcome:
                        base |= {"success": True}
                    if kind is RoutingDecision:
                        base |= {"task_type": "fix", "repo": "r", "model_tier": "small"}
                    telemetry.capture_sync(kind.model_validate(base))

    for _ in range(2):
        write()
        settle(result, "a run", warehouse.run)
    audit(result, warehouse.home, owed, "jumping clocks", also=set())
    below = settle(
        result,
        "durations",
        lambda: warehouse.query("select count(*) from executions where duration_seconds < 0"),
    )
    if below != [(0,)]:
        result.fail(f"durations below zero: {below}")
    _building.check_tasks(result, warehouse, tasks, "jumping clocks")
    _building.check_full_refresh(result, warehouse, "jumping clocks")
    return result
