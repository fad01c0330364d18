"""The orchestrator: routes tasks to pools, tries failed ones again, and says what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from orb_learning._telemetry import Telemetry
from orb_learning.demo._announce import Announcer
from orb_learning.demo._background import SolutionLog, policy_events, pool_events
from orb_learning.demo._clock import Timeline, around
from orb_learning.demo._feedback import FEEDBACK_SHARE, feedback_call
from orb_learning.demo._learning import Advised, Learner
from orb_learning.demo._outbox import Outbox
from orb_learning.demo._pools import Ending, WorkerPool
from orb_learning.demo._router import ModelRouter
from orb_learning.demo._tasks import TIME_LIMIT_SECONDS, Task, draw_result, draw_task
from orb_learning.demo._world import POOLS, PoolKind, Tier

MAX_ATTEMPTS = 3

_WORKERS = 16
_RETRIED = 0.8
_PROGRESS_STEP = 100
_BATCHES = 4
_UNTAUGHT_BATCHES = 2


@dataclass(slots=True)
class Tally:
    """What has happened so far; see `SimulationReport`."""

    tasks: int = 0
    attempts: int = 0
    failures: int = 0
    feedback: int = 0
    pending: int = 0


class Orchestrator:
    """A small agent orchestrator in simulated time.

    Workers take tasks off a queue and see each through to its end. They run concurrently, but
    each task's figures come from its own source of chance, so that their order changes nothing.
    """

    def __init__(
        self, telemetry: Telemetry, timeline: Timeline, seed: int, learner: Learner | None = None
    ) -> None:
        """Make an orchestrator that calls these hooks, and asks the learner if there is one."""
        self._learner = learner
        self._telemetry = telemetry
        self._timeline = timeline
        self._seed = seed
        self.outbox = Outbox(telemetry, timeline.until)
        self._announcer = Announcer(telemetry, self.outbox)
        self._router = ModelRouter(POOLS, timeline)
        self._pools = {kind.name: WorkerPool(kind, self._announcer) for kind in POOLS}
        self._solutions = SolutionLog(timeline)
        self.tally = Tally()

    async def run(self, tasks: int, on_progress: Callable[[int], None] | None) -> None:
        """Simulate the whole period."""
        for event in (*pool_events(self._timeline), *policy_events(self._timeline)):
            self.outbox.schedule(partial(self._telemetry.capture, event), event.occurred_at)
        for batch in range(_BATCHES):
            if self._learner and batch >= _UNTAUGHT_BATCHES:
                await self._learner.learn(self._timeline.at(batch / _BATCHES))
            indexes = range(batch * tasks // _BATCHES, (batch + 1) * tasks // _BATCHES)
            await self._run_batch(indexes, on_progress)
        if on_progress and (rest := tasks % _PROGRESS_STEP):
            on_progress(rest)
        for event in self._solutions.events():
            self.outbox.schedule(partial(self._telemetry.capture, event), event.occurred_at)
        await self.outbox.deliver()

    async def _run_batch(
        self, indexes: Sequence[int], on_progress: Callable[[int], None] | None
    ) -> None:
        queue: asyncio.Queue[Task | None] = asyncio.Queue(maxsize=_WORKERS)
        async with asyncio.TaskGroup() as group:
            for _ in range(_WORKERS):
                group.create_task(self._work(queue, on_progress))
            for index in indexes:
                task = draw_task(self._seed, index, self._timeline)
                await self.outbox.deliver(task.routed_at)
                await queue.put(task)
            for _ in range(_WORKERS):
                await queue.put(None)

    async def _work(
        self, queue: asyncio.Queue[Task | None], on_progress: Callable[[int], None] | None
    ) -> None:
        while (task := await queue.get()) is not None:
            await self._see_through(task)
            self.tally.tasks += 1
            if on_progress and self.tally.tasks % _PROGRESS_STEP == 0:
                on_progress(_PROGRESS_STEP)

    async def _see_through(self, task: Task) -> None:
        if self._can_be_recorded_whole(task):
            ending: Ending | None = await self._run_unwatched(task)
        else:
            ending = await self._try_repeatedly(task)
        if ending is not None and task.rng.random() < FEEDBACK_SHARE:
            call, at = feedback_call(self._telemetry, task, ending.result, ending.at)
            self.tally.feedback += self.outbox.schedule(call, at)

    async def _try_repeatedly(self, task: Task) -> Ending | None:
        """Try a task until it succeeds or is given up; None if that lies beyond what is known."""
        at = task.routed_at
        failed_on: Tier | None = None
        advised = self._learner.advise(task) if self._learner else None
        for attempt in range(1, MAX_ATTEMPTS + 1):
            if at >= self._timeline.until:
                return None
            if advised:
                routing, tier, pool = self._router.follow(task, at, advised, attempt)
            else:
                routing, tier, pool = self._router.route_task(task, at, failed_on)
            await self._announcer.decision(task, attempt, routing, at)
            ending = await self._run_in_pool(task, attempt, tier, pool, at)
            if ending is None:
                self.tally.attempts += 1
                self.tally.pending += 1
                return None
            self._count(task, ending)
            if ending.result.success or not self._tries_again(task, attempt, advised):
                break
            failed_on = tier
            at = ending.at + timedelta(seconds=around(task.rng, 60, 0.5))
        return ending

    def _tries_again(self, task: Task, attempt: int, advised: Advised | None) -> bool:
        if advised:
            return attempt < len(advised.tiers)
        return task.rng.random() < _RETRIED

    async def _run_in_pool(
        self, task: Task, attempt: int, tier: Tier, pool: PoolKind, at: datetime
    ) -> Ending | None:
        """Run an attempt; None if nothing within the simulated time says how it ended."""
        ending = await self._pools[pool.name].execute(task, attempt, tier, at)
        if ending is None:
            return None
        learned_at = ending.at + timedelta(seconds=task.rng.uniform(0.01, 2))
        if pool.uses_bus:
            announced = await self._announcer.bus_message(
                task, attempt, pool, ending.result, learned_at
            )
        else:
            announced = await self._announcer.outcome(task, attempt, ending.result, learned_at)
        if not (announced or ending.is_announced):
            return None
        return Ending(ending.result, learned_at, is_announced=True)

    def _can_be_recorded_whole(self, task: Task) -> bool:
        latest_end = task.routed_at + timedelta(seconds=TIME_LIMIT_SECONDS)
        return task.is_recorded_whole and latest_end < self._timeline.until

    async def _run_unwatched(self, task: Task) -> Ending:
        """Run a task once, with nothing but a record at its end to tell of it."""
        routing, tier, pool = self._router.route_task(task, task.routed_at)
        result = draw_result(task, 1, tier, pool)
        ended_at = task.routed_at + timedelta(seconds=result.duration_seconds)
        announced = await self._announcer.whole_execution(task, routing, result, ended_at)
        ending = Ending(result, ended_at, announced)
        self._count(task, ending)
        return ending

    def _count(self, task: Task, ending: Ending) -> None:
        self.tally.attempts += 1
        self.tally.failures += not ending.result.success
        self._solutions.add(task, ending.result, ending.at)
