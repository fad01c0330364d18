"""Simulated time and chance: when tasks arrive, and every id and random number there is."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random
from uuid import UUID, uuid5


def chance(seed: int, name: object) -> Random:
    """Return a source of chance of its own for each name, the same for the same seed."""
    return Random(f"{seed}/{name}")  # noqa: S311 - invented figures, not secrets


def around(rng: Random, median: float, spread: float) -> float:
    """Return a lognormal number with that median; `spread` is the logarithm's deviation."""
    return median * rng.lognormvariate(0.0, spread)


class Timeline:
    """The simulated period, in which working hours are busier than nights and weekends."""

    def __init__(self, until: datetime, days: int, tasks: int, namespace: UUID) -> None:
        """Lay out the arrivals of `tasks` tasks over the `days` days before `until`.

        Args:
            until: aware, in UTC.
            days: at least 1.
            tasks: at least 1.
            namespace: of the ids of all that happens in this simulation.
        """
        self.start = until - timedelta(days=days)
        self.until = until
        self._tasks = tasks
        self._namespace = namespace
        hours = (self.start + timedelta(hours=hour) for hour in range(days * 24))
        self._work_done = list(accumulate(map(_busyness, hours)))

    def arrival(self, index: int, rng: Random) -> datetime:
        """Return when the task is routed; a later index never means an earlier time."""
        # Below 1, so that rounding can never push the last task to the end of the period.
        share = (index + 0.999 * rng.random()) / self._tasks
        work = share * self._work_done[-1]
        hour = bisect_right(self._work_done, work)
        before = self._work_done[hour - 1] if hour else 0.0
        within = (work - before) / (self._work_done[hour] - before)
        return self.start + timedelta(hours=hour + within)

    def at(self, share: float) -> datetime:
        """Return the moment at which a share, 0..1, of the period has passed."""
        return self.start + (self.until - self.start) * share

    def share_passed(self, moment: datetime) -> float:
        """Return the share, 0..1, of the period that has passed at a moment."""
        return (moment - self.start) / (self.until - self.start)

    def new_id(self, name: str) -> UUID:
        """Return the id of what has this name; no other simulation or day shares it."""
        return uuid5(self._namespace, name)


def _busyness(hour: datetime) -> float:
    by_day = 0.3 if hour.weekday() >= 5 else 1.0
    return by_day * (1.0 if 7 <= hour.hour < 18 else 0.2)
