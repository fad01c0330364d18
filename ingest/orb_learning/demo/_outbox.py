"""The way from the orchestrator to the hooks: it delays events, reorders them and repeats some."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from random import Random

from orb_learning._telemetry import Telemetry
from orb_learning.demo._clock import around
from orb_learning.events import Event

HookCall = Callable[[], Awaitable[Event | None]]
"""A hook with all its arguments, ready to be awaited."""

_LATE = 0.01
_SLOW = 0.03
_REPEATED = 0.01


class Outbox:
    """Calls the hooks at once or later, by the simulated clock.

    Attributes:
        late_events: events that arrived hours or days after they occurred.
        duplicates_sent: events that were sent a second time.
    """

    def __init__(self, telemetry: Telemetry, until: datetime) -> None:
        """Make an outbox for what occurs before `until`."""
        self._telemetry = telemetry
        self._until = until
        self._held: list[tuple[datetime, int, HookCall]] = []
        self._held_before = 0
        self.late_events = 0
        self.duplicates_sent = 0

    async def send(self, call: HookCall, at: datetime, rng: Random) -> bool:
        """Send what occurs at a moment, and tell whether it occurs within the simulated time."""
        if at >= self._until:
            return False
        fate = rng.random()
        if fate < _LATE:
            self.late_events += 1
            self._hold(call, at + timedelta(hours=around(rng, 8, 1)))
        elif fate < _LATE + _SLOW:
            self._hold(call, at + timedelta(minutes=around(rng, 10, 1)))
        else:
            event = await call()
            if event is not None and fate > 1 - _REPEATED:
                self.duplicates_sent += 1
                again = partial(self._telemetry.capture, event)
                self._hold(again, at + timedelta(minutes=around(rng, 30, 2)))
        return True

    def schedule(self, call: HookCall, at: datetime) -> bool:
        """Send at its time what occurs at a moment to come; see `send` for what is returned."""
        if at >= self._until:
            return False
        self._hold(call, at)
        return True

    async def deliver(self, now: datetime | None = None) -> None:
        """Send what is due by now, or all that is held."""
        while self._held and (now is None or self._held[0][0] <= now):
            _, _, call = heapq.heappop(self._held)
            await call()

    def _hold(self, call: HookCall, due: datetime) -> None:
        self._held_before += 1
        heapq.heappush(self._held, (due, self._held_before, call))
