"""Waiting for both halves of an execution: the decision and the outcome."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from orb_learning.events import Outcome, RoutingDecision

MAX_PENDING = 10_000
"""Tasks whose other half is waited for; beyond it the oldest is given up."""

MAX_PENDING_SECONDS = 3600.0


@dataclass(slots=True)
class _Half:
    since: float
    decision: RoutingDecision | None = None
    outcome: Outcome | None = None

    @property
    def is_paired(self) -> bool:
        return self.decision is not None and self.outcome is not None


class Pairing:
    """Remembers which tasks have had a decision or an outcome, bounded in number and in age."""

    def __init__(
        self,
        most: int = MAX_PENDING,
        seconds: float = MAX_PENDING_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember at most `most` tasks for at most `seconds` each."""
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._halves: OrderedDict[UUID, _Half] = OrderedDict()
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._halves)

    def add(self, event: RoutingDecision | Outcome) -> tuple[RoutingDecision, Outcome] | None:
        """Return the pair that this event completes; each pair is returned once.

        After a pair, further outcomes of its attempt say nothing new, and a further decision
        begins the next.
        """
        with self._lock:
            now = self._clock()
            self._forget(now)
            half = self._halves.get(event.task_id)
            if half is None or (half.is_paired and isinstance(event, RoutingDecision)):
                half = self._halves[event.task_id] = _Half(now)
                self._halves.move_to_end(event.task_id)
            elif half.is_paired:
                return None
            if isinstance(event, RoutingDecision):
                half.decision = event
            else:
                half.outcome = event
            if half.decision is not None and half.outcome is not None:
                return half.decision, half.outcome
            return None

    def _forget(self, now: float) -> None:
        while self._halves:
            oldest = next(iter(self._halves.values()))
            if len(self._halves) < self._most and now - oldest.since < self._seconds:
                return
            self._halves.popitem(last=False)
