"""The worker pools: each runs a few attempts at a time and reports on them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from orb_learning.demo._announce import Announcer
from orb_learning.demo._tasks import Result, Task, draw_result
from orb_learning.demo._world import PoolKind, Tier

_LOST = 0.003


@dataclass(frozen=True, slots=True)
class Ending:
    """How and when an attempt ended in its pool.

    Attributes:
        is_announced: whether the pool announced it, within the simulated time.
    """

    result: Result
    at: datetime
    is_announced: bool


class WorkerPool:
    """Runs attempts, as many at a time as it has workers."""

    def __init__(self, kind: PoolKind, announcer: Announcer) -> None:
        """Make a pool of this kind."""
        self.kind = kind
        self._announcer = announcer
        self._workers = asyncio.Semaphore(kind.workers)

    async def execute(
        self, task: Task, attempt: int, tier: Tier, routed_at: datetime
    ) -> Ending | None:
        """Run an attempt; None if its worker vanished and nobody will ever know more."""
        rng = task.rng
        async with self._workers:
            started_at = routed_at + timedelta(seconds=rng.expovariate(1 / self.kind.wait_seconds))
            if self.kind.reports_start:
                await self._announcer.start(task, attempt, self.kind, started_at)
            await asyncio.sleep(0)  # where a worker would wait for the model
            if rng.random() < _LOST:
                return None
            result = draw_result(task, attempt, tier, self.kind)
            ended_at = started_at + timedelta(seconds=result.duration_seconds)
            announced = False
            if self.kind.reports_completion:
                announced = await self._announcer.completion(
                    task, attempt, self.kind, result, ended_at
                )
        return Ending(result, ended_at, announced)
