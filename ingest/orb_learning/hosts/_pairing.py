"""Waiting for both halves of an execution: the decision and the outcome."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from orb_learning.events import ExecutionRecorded, Outcome, RoutingDecision

MAX_PENDING = 10_000
"""Tasks whose other half is waited for; beyond it the oldest is given up."""

MAX_PENDING_SECONDS = 3600.0

Decided = RoutingDecision | ExecutionRecorded


@dataclass(slots=True)
class _Half:
    since: float
    decision: Decided | None = None
    outcome: Outcome | None = None

    @property
    def pair(self) -> tuple[Decided, Outcome] | None:
        if self.decision is None or self.outcome is None:
            return None
        return self.decision, self.outcome


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
        _pairings.add(self)

    def __len__(self) -> int:
        return len(self._halves)

    def add(self, event: RoutingDecision | Outcome) -> tuple[Decided, Outcome] | None:
        """Return the pair that this event completes; each pair is returned once.

        After a pair, further outcomes of its attempt say nothing new, and a further decision
        begins the next. A whole execution is an outcome that brings its decision with it.
        """
        with self._lock:
            now = self._clock()
            self._forget_before(now - self._seconds)
            half = self._halves.get(event.task_id)
            if half is not None and half.pair and not isinstance(event, RoutingDecision):
                return None
            if half is None or half.pair:
                half = self._begin(event.task_id, now)
            if isinstance(event, RoutingDecision):
                half.decision = event
            else:
                half.outcome = event
                if half.decision is None and isinstance(event, ExecutionRecorded):
                    half.decision = event
            return half.pair

    def _begin(self, task_id: UUID, now: float) -> _Half:
        self._halves.pop(task_id, None)
        while self._halves and len(self._halves) >= self._most:
            self._halves.popitem(last=False)
        half = self._halves[task_id] = _Half(now)
        return half

    def _forget_before(self, moment: float) -> None:
        while self._halves:
            oldest = next(iter(self._halves.values()))
            if oldest.since > moment:
                return
            self._halves.popitem(last=False)

    def _after_fork_in_child(self) -> None:
        # Another thread of the parent may have held the lock; here nobody will let go of it.
        self._lock = threading.RLock()


_pairings: weakref.WeakSet[Pairing] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for pairing in list(_pairings):
        pairing._after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
