"""What happens beside the tasks: pools come and go, policies change, solutions are distilled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from orb_learning.demo._clock import Timeline
from orb_learning.demo._tasks import Result, Task
from orb_learning.demo._world import POLICY_CHANGES, POOLS
from orb_learning.events import Event, PoolClosed, PoolCreated
from orb_learning.records import QualityPolicy, SolutionRecord

_EXTRACTED = 15
_MIN_USES = 5


def pool_events(timeline: Timeline) -> Iterator[Event]:
    """Return the beginnings and ends of the pools."""
    for pool in POOLS:
        yield PoolCreated(
            event_id=timeline.new_id(f"created/{pool.name}"),
            occurred_at=timeline.at(pool.opens),
            pool_id=pool.name,
            pool_type=pool.pool_type,
        )
        if pool.closing_reason:
            yield PoolClosed(
                event_id=timeline.new_id(f"closed/{pool.name}"),
                # It takes no new work from `closes` on and first ends what it has begun.
                occurred_at=timeline.at(pool.closes) + timedelta(hours=1),
                pool_id=pool.name,
                pool_type=pool.pool_type,
                reason=pool.closing_reason,
            )


def policy_events(timeline: Timeline) -> Iterator[Event]:
    """Return the quality policies, from the first ones to their changes."""
    for change in POLICY_CHANGES:
        name = f"policy/{change.repo}/{change.at}"
        policy = QualityPolicy(
            policy_id=timeline.new_id(name),
            repo=change.repo,
            project_maturity=change.maturity,
            coverage_threshold=change.coverage_threshold,
            strictness_level=change.strictness,
            last_adjusted=timeline.at(change.at),
            adjustment_reason=change.reason,
        )
        # A record's event would get an id of its own each time, and no run would repeat another.
        yield policy.to_event().model_copy(update={"event_id": timeline.new_id(f"{name}/event")})


class SolutionLog:
    """Counts what solved which tasks, and distils the commonest solutions at the end."""

    def __init__(self, timeline: Timeline) -> None:
        """Begin with no uses."""
        self._timeline = timeline
        self._extracted_at = timeline.until - timedelta(minutes=10)
        self._uses: Counter[tuple[str, str]] = Counter()
        self._successes: Counter[tuple[str, str]] = Counter()
        self._repos: dict[tuple[str, str], set[str]] = {}

    def add(self, task: Task, result: Result, at: datetime) -> None:
        """Count one use, if a solution is known and the extraction comes after it."""
        if result.solution_summary is None or at >= self._extracted_at:
            return
        solution = (task.task_type.name, result.solution_summary)
        self._uses[solution] += 1
        self._successes[solution] += result.success
        self._repos.setdefault(solution, set()).add(task.repo)

    def events(self) -> Iterator[Event]:
        """Return the extracted solutions."""
        commonest = sorted(self._uses, key=lambda solution: (-self._uses[solution], solution))
        for solution in commonest[:_EXTRACTED]:
            uses = self._uses[solution]
            if uses < _MIN_USES:
                return
            task_context, summary = solution
            name = f"solution/{task_context}/{summary}"
            record = SolutionRecord(
                pattern_id=self._timeline.new_id(name),
                extracted_at=self._extracted_at,
                task_context=task_context,
                solution_summary=summary,
                success_rate=self._successes[solution] / uses,
                usage_count=uses,
                repos_used_in=sorted(self._repos[solution]),
            )
            event_id = self._timeline.new_id(f"{name}/event")
            yield record.to_event().model_copy(update={"event_id": event_id})
