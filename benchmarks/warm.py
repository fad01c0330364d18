"""A warm refresher that is timed, and the events that it refreshes with."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
from history import UNTIL, some_repo
from report import seeded

from orb_learning.refresh import STEADY, WHOLE, Refresher

TEXTS = 200_000
TURNS = 5
NEW_DAY = datetime(UNTIL.year, UNTIL.month, UNTIL.day, tzinfo=UTC)
AS_OF = NEW_DAY + timedelta(hours=12)


@dataclass
class Turn:
    """What one refresh took.

    Attributes:
        load, models, publish: seconds.
        written: bytes that this process handed to the file system.
    """

    load: float = 0.0
    models: float = 0.0
    publish: float = 0.0
    written: int = 0

    @property
    def total(self) -> float:
        """Seconds of the whole refresh."""
        return self.load + self.models + self.publish


@dataclass
class Measured:
    """RefreshLoop of one kind, and the largest resident size during them in bytes."""

    turns: list[Turn] = field(default_factory=list)
    peak: int = 0


class Warm:
    """A refresher that notes what its steps took."""

    def __init__(self, root: Path, *, indexes: bool) -> None:
        from orb_learning import dbt_plugin

        self.refresher = Refresher(root)
        self.variables = (
            f"{{as_of: '{AS_OF:%Y-%m-%dT%H:%M:%S}', publish_past: true,"
            f" indexes: {str(indexes).lower()}}}"
        )
        self.turn = Turn()
        self.results: Any = None
        self.selection = WHOLE
        dbt_plugin.take_in = self._noted(dbt_plugin.take_in, "load")
        dbt_plugin.publish = self._noted(dbt_plugin.publish, "publish")

    def _noted(self, work: Callable[..., Any], step: str) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            begin = time.perf_counter()
            try:
                return work(*arguments, **named)
            finally:
                setattr(self.turn, step, time.perf_counter() - begin)

        return timed

    def run(self, *options: str) -> Turn:
        """Refresh once and return what it took."""
        self.turn = Turn()
        before, begin = written_bytes(), time.perf_counter()
        with self.refresher.home.locked():
            self.results = self.refresher.invoke(
                ["run", "--vars", self.variables, *self.selection, *options]
            )
        self.selection = STEADY  # as `Refresher.refresh` does
        whole = time.perf_counter() - begin
        self.turn.models = whole - self.turn.load - self.turn.publish
        self.turn.written = written_bytes() - before
        return self.turn


def written_bytes() -> int:
    """Return how many bytes this process has handed to the file system so far."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("wchar:"):
            return int(line.partition(":")[2])
    raise ValueError("this system does not count what a process writes")


@contextmanager
def peak_of(measured: Measured) -> Iterator[None]:
    """Note the largest resident size while something runs."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    yield
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            measured.peak = max(measured.peak, int(line.split()[1]) * 1024)


def capture(root: Path, new: int, late: int, seed: int | str) -> None:
    """Capture events: of new executions on the last day, and late or correcting ones.

    Args:
        root: the home.
        new: how many of new executions, each a decision and an outcome.
        late: how many that come late, spread over 30 days: half of them of new executions of those
            days, half of them another outcome of an execution that the history has of them.
        seed: other seeds make other events.
    """
    from orb_learning import Telemetry
    from orb_learning.events import RoutingDecision, RoutingOutcome

    chance = seeded(seed)
    with Telemetry(root, strict=True, max_segment_bytes=2**26) as telemetry:

        def decide(task: UUID, at: datetime) -> None:
            telemetry.capture_sync(
                RoutingDecision(
                    task_id=task,
                    occurred_at=at,
                    task_type="bug_fix",
                    task_description=f"fix case {chance.randrange(100_000)}",
                    repo=some_repo(chance),
                    model_tier=chance.choice(["small", "medium", "large"]),
                    pool_type=chance.choice(["swarm", "hive", "solo"]),
                    cost_estimate=0.1,
                )
            )

        def end(task: UUID, at: datetime) -> None:
            telemetry.capture_sync(
                RoutingOutcome(
                    task_id=task,
                    occurred_at=at,
                    success=chance.random() < 0.8,
                    duration_seconds=round(chance.uniform(1, 100), 3),
                    quality_score=chance.randrange(100),
                    actual_cost=round(chance.uniform(0, 1), 4),
                )
            )

        for _ in range(new // 2):
            task = UUID(int=chance.getrandbits(128), version=4)
            at = NEW_DAY + timedelta(seconds=chance.uniform(0, 40_000))
            decide(task, at)
            end(task, at + timedelta(seconds=30))
        for _ in range(late // 4):
            at = NEW_DAY - timedelta(days=chance.uniform(0.1, 30))
            task = UUID(int=chance.getrandbits(128), version=4)
            decide(task, at)
            end(task, at + timedelta(seconds=30))
        for task in known_tasks(root, late // 2, str(seed)):
            end(task, AS_OF)


def known_tasks(root: Path, count: int, seed: str) -> list[UUID]:
    """Return so many tasks of a history's last 30 days, others for another seed."""
    if not count:
        return []
    with duckdb.connect(str(root / "learning.db"), read_only=True) as published:
        return [
            task
            for (task,) in published.execute(
                "select task_id from executions where timestamp >= $1 and parent_task_id is null"
                " order by hash(task_id, $2) limit $3",
                [(NEW_DAY - timedelta(days=30)).replace(tzinfo=None), seed, count],
            ).fetchall()
        ]
