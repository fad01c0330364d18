"""Events of a few tasks that compete, repeat, move and contradict each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from orb_learning.events import (
    Event,
    ExecutionRecorded,
    Feedback,
    Outcome,
    PoolExecutionComplete,
    PoolExecutionStart,
    RoutingDecision,
    RoutingOutcome,
    TaskCompleted,
)

NOW = datetime(2026, 6, 15, tzinfo=UTC)
TASKS = [UUID(int=number) for number in range(1, 9)]
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
DAYS = [0, 0, 0, 1, 6, 7, 8, 29, 30, 31, 89, 90, 91]
"""Around the edges of every window, and few, so that many moments are equal."""
SKEWED_DAYS = [-3650, -400, -1, 400, 3650]

moments = st.builds(
    lambda days, hours: NOW - timedelta(days=days, hours=hours),
    st.sampled_from(DAYS),
    st.sampled_from([-23, 0, 1, 12]),
)
skewed_moments = st.builds(lambda days: NOW - timedelta(days=days), st.sampled_from(SKEWED_DAYS))
captured = st.integers(0, 2).map(lambda seconds: NOW + timedelta(seconds=seconds))
tasks = st.sampled_from(TASKS)
attempts = st.sampled_from([None, None, None, None, 1, 2, 3])
metadata = st.sampled_from([None, {"a": 1, "b": {"x": 1}}, {"b": {"y": None}}, {"c": "é\n"}, {}])
links = st.sampled_from([None, None, None, *(UUID(int=number) for number in range(4))])
"""Which of the task's decisions an event names, once it is emitted; `linked` looks it up."""


def varied(**choices: list[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """One of many combinations of values, drawn at once: drawn one by one they are too much."""
    chance = Random(20261130)
    combinations = [
        {name: chance.choice(values) for name, values in choices.items()} for _ in range(200)
    ]
    return st.sampled_from(combinations)


routing = varied(
    task_type=["fix", "feature"],
    repo=["a", "b"],
    model_tier=["small", "large"],
    cost_estimate=[None, 0.1, 0.3],
    task_description=[None, "split it", "é"],
    file_count=[None, 0, 3],
    estimated_tokens=[None, 0, 900],
    routing_confidence=[None, 0.5, 0.75],
    complexity_score=[None, 50, 70],
    policy_version=[None, "p1", "p2"],
    propensity=[None, 0.25, 1.0],
    candidates=[None, {"small": 0.25, "large": 0.75}],
    task_group=[None, "bench/1", "bench/2"],
)
pool = varied(pool_type=[None, "unknown", "local", "k8s"], swarm_topology=[None, "mesh", "star"])
outcome = varied(
    success=[True, False],
    duration_seconds=[None, 0, 0.1, 0.7, 1e6 / 3],
    duration_source=[None, "measured"],
    quality_score=[None, 60, 91],
    cost_estimate=[None, 0, 0.2],
    actual_cost=[None, 0, 0.1, 0.7],
    solution_summary=[None, "cache it", "retry it"],
    error_type=[None, "timeout"],
    error_message=[None, "too slow"],
    peak_memory_mb=[None, 512.5],
    cpu_time_seconds=[None, 2.5],
)
judgement = varied(
    feedback_id=[UUID(int=number << 64) for number in range(1, 6)],
    feedback_type=[
        "thumbs_up", "thumbs_down", "accepted", "rejected", "rating", "comment", "own word",
    ],
    rating=[None, 1, 2, 3, 4, 5],
    comment=[None, "good"],
    user_id=[None, "ada", "bob"],
)  # fmt: skip

accepted = varied(
    timestamp_source=[None, None, "captured"],
    user_accepted=[None, True, False],
    user_rating=[None, 1, 2, 3, 4, 5],
)


@st.composite
def events(
    draw: st.DrawFn,
    occurred: st.SearchStrategy[datetime] = moments,
    about: st.SearchStrategy[UUID] = tasks,
) -> Event:
    """One event of one task; its `event_id` is given by whoever emits it."""
    kind: Any = draw(st.sampled_from(KINDS))
    values: dict[str, Any] = {
        "task_id": draw(about),
        "occurred_at": draw(occurred),
        "captured_at": draw(captured),
        "attempt": draw(attempts),
        "metadata": draw(metadata),
    }
    if issubclass(kind, Outcome | PoolExecutionStart):
        values["decision_id"] = draw(links)
    if kind in (RoutingDecision, ExecutionRecorded):
        values |= draw(routing)
    if "pool_type" in kind.model_fields:
        values |= draw(pool)
    if kind is Feedback:
        values |= draw(judgement)
    if issubclass(kind, Outcome):
        values |= draw(outcome)
    if kind is ExecutionRecorded:
        values |= {
            "timestamp": draw(occurred),
            **draw(accepted),
        }
    event: Event = kind(**{n: v for n, v in values.items() if n in kind.model_fields})
    return event


def random_events(number: int) -> list[Event]:
    """Return as many random events, the same ones each time."""
    found: list[Event] = []

    @seed(20261125)
    @settings(
        max_examples=2,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        found[:] = [data.draw(events()) for _ in range(number)]

    draw()  # the first example is the simplest, of equal events
    named: list[Event] = []
    for serial, event in enumerate(found, 1):
        named.append(linked(event.model_copy(update={"event_id": UUID(int=serial)}), named))
    return named


def linked(event: Event, told: list[Event]) -> Event:
    """Return an event that names, if it names any, a decision that was told of its task."""
    given: Any = event
    if getattr(event, "decision_id", None) is None:
        return event
    decisions = [
        other.event_id
        for other in told
        if isinstance(other, RoutingDecision) and other.task_id == given.task_id
    ]
    named = decisions[given.decision_id.int % len(decisions)] if decisions else event.event_id
    return event.model_copy(update={"decision_id": named})
