"""The demonstration's loop: what was simulated so far is learned from, and its router asks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from orb_learning._database import connect
from orb_learning.demo._tasks import Task
from orb_learning.home import Home
from orb_learning.publication import DATABASE, current
from orb_learning.refresh import Refresher
from orb_learning.serving import Recommender

EXPLORE = 0.1
"""How often the first arm is drawn from those that may be as good."""

USD_PER_SUCCESS = 2.4
"""What the demonstration holds a solved task to be worth; its tasks cost cents."""


@dataclass(frozen=True, slots=True)
class Advised:
    """What the recommender says of one task.

    Attributes:
        tiers: names of tiers in the order to try them.
        candidates: how likely each tier was to be the first.
        policy_version: the rule.
    """

    tiers: tuple[str, ...]
    candidates: dict[str, float]
    policy_version: str


class Learner:
    """Refreshes the home that the simulation writes to, and answers from it."""

    def __init__(self, root: Path) -> None:
        """Answer nothing before the first `learn`.

        Args:
            root: the home that the hooks write to.
        """
        self._refresher = Refresher(root)
        self._recommender = Recommender(root)
        self._has_learned = False

    async def learn(self, now: datetime) -> None:
        """Load, build and publish what has happened by a moment of the simulated time."""
        day = now.date().isoformat()
        await asyncio.to_thread(self._refresher.refresh, as_of=day, publish=True, with_tests=False)
        self._has_learned = True

    def advise(self, task: Task) -> Advised | None:
        """Return in which order to try tiers; None where too little is known.

        The draw is the task's own, so that equal seeds give equal histories.
        """
        if not self._has_learned:
            return None
        asked = (task.task_type.name, task.repo)
        best = self._recommender.recommend_escalation(*asked, success_value_usd=USD_PER_SUCCESS)
        odds = self._recommender.recommend_escalation(
            *asked, success_value_usd=USD_PER_SUCCESS, explore=EXPLORE
        )
        if not best.arms:
            return None
        first = task.rng.choices(list(odds.candidates), list(odds.candidates.values()))[0]
        others = tuple(arm for arm in best.arms if arm != first)
        tiers = best.arms if first == best.arms[0] else (first, *others)
        return Advised(tiers, dict(odds.candidates), odds.policy_version or "")

    def close(self) -> None:
        """Let go of the home."""
        self._recommender.close()


@dataclass(frozen=True, slots=True)
class Week:
    """How the tasks of one week turned out.

    Attributes:
        first_day: its Monday.
        tasks: that were routed in it.
        advised: of these the share whose router followed the recommender, 0..1.
        success_rate: 0..1, after all tries.
        mean_cost: USD a task, all its tries together, where it is known; None where it is not.
        mean_tries: attempts a task.
    """

    first_day: date
    tasks: int
    advised: float
    success_rate: float
    mean_cost: float | None
    mean_tries: float


def weeks_of(home: Home) -> list[Week]:
    """Return how the published tasks turned out, by week."""
    with connect(home.published / current(home).id / DATABASE, read_only=True) as connection:
        found = connection.execute(
            """
            select
                cast(date_trunc('week', tasks.first_routed_at) as date) as week,
                count(*),
                avg(cast(coalesce(first_try.policy_version like 'escalation/%', false) as integer)),
                avg(cast(tasks.success as integer)),
                avg(tasks.total_cost),
                avg(tasks.attempts)
            from tasks
            inner join executions as first_try on tasks.task_id = first_try.task_id
            group by week
            order by week
            """
        ).fetchall()
    return [Week(*row) for row in found]
