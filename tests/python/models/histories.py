"""Random histories of tasks: late, repeated, corrected, retried, moving, erased, in any order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from orb_learning.events import (
    Event,
    ExecutionRecorded,
    Feedback,
    PoolExecutionComplete,
    PoolExecutionStart,
    RoutingDecision,
    RoutingOutcome,
    TaskCompleted,
    TaskErased,
)

NOW = datetime(2026, 6, 15, tzinfo=UTC)
TIERS = ("small", "medium", "large")
GROUPS = (None, None, "bench/1", "bench/2", "bench/3")
"""Groups of runs; those of several histories are in one, and move from one to another."""
KINDS = (
    RoutingDecision,
    RoutingDecision,
    RoutingOutcome,
    RoutingOutcome,
    PoolExecutionStart,
    PoolExecutionComplete,
    TaskCompleted,
    ExecutionRecorded,
    Feedback,
)


@dataclass(frozen=True, repr=False)
class History:
    """Events of a few tasks, each with the loads that bring it; more than one is a duplicate."""

    events: tuple[tuple[Event, tuple[int, ...]], ...]


@st.composite
def times(draw: st.DrawFn) -> datetime:
    """Few distinct moments, so that many are equal, around the edges of every window."""
    days = draw(st.sampled_from([0, 0, 0, 1, 1, 6, 7, 8, 29, 30, 31, 89, 90, 91]))
    return NOW - timedelta(days=days, hours=draw(st.sampled_from([0, 1, 12])))


@st.composite
def histories(draw: st.DrawFn, number: int, loads: int) -> History:
    """One history in repositories of its own, cut into loads."""
    repos = [f"{number}-a", f"{number}-b"]
    events = []
    serial = 0
    for task in range(draw(st.integers(1, 3))):
        task_id = UUID(int=(number << 32) + task)
        for _ in range(draw(st.integers(1, 7))):
            # Now and then two events share an id and differ in content.
            serial += draw(st.integers(0, 9)) > 0
            event = draw(_event(task_id, UUID(int=(number << 32) + serial), repos))
            events.append((event, tuple(draw(st.sets(st.integers(0, loads - 1), min_size=1)))))
    return History(tuple(draw(st.permutations(events))))


@st.composite
def _event(draw: st.DrawFn, task_id: UUID, event_id: UUID, repos: list[str]) -> Event:
    base: dict[str, Any] = {
        "event_id": event_id,
        "task_id": task_id,
        "occurred_at": draw(times()),
        "captured_at": NOW + timedelta(seconds=draw(st.integers(0, 2))),
    }
    if draw(st.integers(0, 24)) == 0:
        return TaskErased(**base)
    kind = draw(st.sampled_from(KINDS))
    base["attempt"] = draw(st.sampled_from([None, None, None, 1, 2, 3]))
    if kind is Feedback:
        return Feedback(
            **base,
            feedback_id=event_id,
            feedback_type=draw(st.sampled_from(["thumbs_up", "rejected", "rating"])),
            rating=draw(st.none() | st.integers(1, 5)),
        )
    if kind is PoolExecutionStart:
        return PoolExecutionStart(**base, pool_type=draw(st.sampled_from([None, "local", "k8s"])))
    if kind in (RoutingDecision, ExecutionRecorded):
        base |= {
            "task_type": draw(st.sampled_from(["bug_fix", "feature"])),
            "task_description": draw(st.sampled_from(["this", "that"])),
            "repo": draw(st.sampled_from(repos)),
            "model_tier": draw(st.sampled_from(TIERS)),
            "routing_confidence": 0.5,
            "cost_estimate": draw(st.sampled_from([None, 0.1, 0.3])),
            "task_group": draw(st.sampled_from(GROUPS)),
        }
    if kind is RoutingDecision:
        return RoutingDecision(**base, metadata=draw(st.sampled_from([None, {"note": 1}])))
    if kind is ExecutionRecorded:
        base |= {"pool_type": "local", "timestamp": draw(times())}
    return kind(
        **base,
        success=draw(st.booleans()),
        duration_seconds=draw(st.sampled_from([None, 0.1, 0.7, 1e6 / 3])),
        quality_score=draw(st.sampled_from([None, 60, 91])),
        actual_cost=draw(st.sampled_from([None, 0.1, 0.7])),
        solution_summary=draw(st.sampled_from([None, "cache it", "retry it"])),
    )
