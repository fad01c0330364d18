"""What the marts must hold, from the events, in plain Python that shares nothing with the SQL."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from statistics import quantiles
from typing import Any
from uuid import UUID

from orb_learning.events import Event, TaskEvent

from .tables import COLUMNS, MIN_USES

FIELDS = [
    "task_type", "task_description", "repo", "file_count", "estimated_tokens", "model_tier",
    "pool_type", "swarm_topology", "routing_confidence", "complexity_score", "success",
    "duration_seconds", "quality_score", "cost_estimate", "actual_cost", "error_type",
    "error_message", "user_accepted", "user_rating", "peak_memory_mb", "cpu_time_seconds",
    "solution_summary", "policy_version", "propensity", "candidates", "task_group",
]  # fmt: skip
STAND_INS = {
    "task_type": "unknown", "task_description": "", "repo": "unknown", "file_count": 0,
    "estimated_tokens": 0, "model_tier": "unknown", "pool_type": "unknown",
    "routing_confidence": 0.5, "complexity_score": 50, "duration_seconds": 0.0,
    "cost_estimate": 0.0, "actual_cost": 0.0,
}  # fmt: skip
RANKS = [
    "routing_decision", "pool_execution_start", "task_completed", "pool_execution_complete",
    "routing_outcome", "execution_recorded", "feedback",
]  # fmt: skip
SKEW = timedelta(seconds=5)
ACCEPTED = {"thumbs_up": True, "accepted": True, "thumbs_down": False, "rejected": False}


@dataclass
class Attempt:
    """What all events of one attempt say together, and when its steps happened."""

    task: UUID
    number: int
    said: dict[str, Any] = field(default_factory=dict)
    at: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    is_ambiguous: bool = False

    @property
    def id(self) -> UUID:
        text = f"{self.task}/attempt/{self.number}"
        return self.task if self.number == 1 else UUID(hashlib.md5(text.encode()).hexdigest())


def order(event: Event) -> tuple[Any, ...]:
    line = event.model_dump_json(exclude={"captured_at"}).encode()
    return event.occurred_at, event.captured_at, event.event_id.int, hashlib.md5(line).hexdigest()


def facts(event: Any) -> dict[str, Any]:
    kind = event.event_type
    if kind == "feedback":
        said = {"user_accepted": ACCEPTED.get(event.feedback_type), "user_rating": event.rating}
    else:
        said = {name: getattr(event, name, None) for name in FIELDS}
        for name in ("task_type", "repo", "model_tier", "pool_type"):
            said[name] = None if said[name] == "unknown" else said[name]
        if said["duration_seconds"] is not None:
            said["duration_source"] = event.duration_source or "reported"
    return {name: value for name, value in said.items() if value is not None}


def whole(event: Any) -> bool:
    """Tell whether an event says a whole execution and when it began."""
    return event.event_type == "execution_recorded" and event.timestamp_source is None


def recency(event: Any) -> tuple[Any, ...]:
    occurred_at, captured_at, *ids = order(event)
    return captured_at, occurred_at, *ids


def in_turn(told: list[Any]) -> tuple[list[Any], set[Any]]:
    """Return a task's events in the order in which they tell of its attempts.

    Returns:
        the events, and the order of those whose attempt only clocks tell.
    """
    doubtful: set[Any] = set()
    decisions = [event for event in told if event.event_type == "routing_decision"]

    def by_clock(event: Any) -> tuple[Any, ...]:
        occurred_at, *rest = order(event)
        return event.timestamp if whole(event) and not decisions else occurred_at, *rest

    told = sorted(told, key=by_clock)
    decisions.sort(key=by_clock)
    # A decision that was told twice is one, and stands where it was told last.
    known = {decision.event_id: decision for decision in decisions}
    anchors: dict[Any, Any] = {
        order(event): known[event.decision_id]
        for event in told
        if getattr(event, "decision_id", None) in known
    }
    if not anchors and len(decisions) > 1 and not any(e.attempt for e in told):
        ends = Counter(e.event_type for e in told if getattr(e, "success", None) is not None)
        agree = bool(ends) and max(ends.values()) == len(decisions)
        for kind in {*ends, "pool_execution_start"}:
            ours = [event for event in told if event.event_type == kind]
            moments = [event.occurred_at for event in (*ours, *decisions)]
            if max(moments) - min(moments) <= 2 * SKEW:
                if not agree and kind in ends:
                    doubtful |= {order(event) for event in ours}
                elif agree and len(ours) == len(decisions):
                    anchors |= zip(map(order, ours), decisions, strict=True)
    anchors |= {order(decision): known[decision.event_id] for decision in decisions}

    def place(event: Any) -> tuple[Any, ...]:
        follows = event.event_type != "routing_decision"
        return by_clock(anchors.get(order(event), event)), follows, by_clock(event)

    return sorted(told, key=place), doubtful


def attempts(task: UUID, events: Iterable[Any]) -> list[Attempt]:
    """Number a task's events by walking through them, then let the strongest source speak last."""
    newest: dict[object, Any] = {}
    for event in sorted(events, key=recency):
        newest[(event.timestamp, event.attempt) if whole(event) else order(event)] = event
    sequence, doubtful = in_turn([*newest.values()])
    given: dict[Any, int] = {}
    for event in sequence:
        if whole(event) and event.attempt:
            given[event.timestamp] = max(event.attempt, given.get(event.timestamp, 0))

    def named(event: Any) -> int | None:
        return event.attempt or (given.get(event.timestamp) if whole(event) else None)

    has_decisions = any(event.event_type == "routing_decision" for event in sequence)
    begins: dict[Any, Any] = {}
    for event in sorted(sequence, key=lambda event: named(event) is None):
        if whole(event) and not has_decisions:
            begins.setdefault(event.timestamp, event)
    current, begun, ended_since = 1, False, False
    numbered: defaultdict[int, list[Any]] = defaultdict(list)
    for event in sequence:
        is_decision = event.event_type == "routing_decision"
        if is_decision or any(event is run for run in begins.values()):
            if number := named(event):
                current = number
            elif begun and (ended_since or not is_decision):
                current += 1
            begun = True
            ended_since = not is_decision
        elif getattr(event, "success", None) is not None:
            ended_since = True
        numbered[named(event) or current].append(event)
    found = []
    for number, members in numbered.items():
        attempt = Attempt(task, number)
        runs = [event for event in members if event.event_type == "execution_recorded"]
        last = max(runs, key=recency, default=None)
        metadata: dict[str, Any] = {}
        place = sequence.index
        for event in sorted(members, key=lambda e: (RANKS.index(e.event_type), place(e))):
            if event.event_type == "execution_recorded" and event is not last:
                continue
            attempt.is_ambiguous |= order(event) in doubtful
            attempt.said |= facts(event)
            attempt.at[event.event_type] = event.occurred_at
            if event.metadata is not None and event.event_type != "feedback":
                metadata[event.event_type] = event.metadata
            if getattr(event, "success", None) is not None:
                attempt.at["end"] = event.occurred_at
            if whole(event):
                attempt.at["routed"] = event.timestamp
        for kind in RANKS:
            attempt.metadata |= metadata.get(kind, {})
        found.append(attempt)
    return found


def execution(attempt: Attempt) -> dict[str, Any]:
    said, at = attempt.said, attempt.at
    begun, ended = at.get("pool_execution_start"), at["end"]
    between = (ended - begun) / timedelta(microseconds=1) / 1e6 if begun else None
    known = said.get("duration_seconds", between if between is None or between >= 0 else None)
    if known is not None:
        said = {"duration_source": "measured", **said, "duration_seconds": known}
    duration = known or 0.0
    moment = at.get("routed") or at.get("routing_decision") or begun
    moment = moment or ended - timedelta(microseconds=round(duration * 1e6))
    cost = said.get("actual_cost", said.get("cost_estimate"))
    origin = "estimate" if "cost_estimate" in said else "unknown"
    shown = {**dict.fromkeys(FIELDS), **STAND_INS, **said}
    text = {
        "type": shown["task_type"], "task": shown["task_description"], "repo": shown["repo"],
        "tier": shown["model_tier"], "pool": shown["pool_type"],
        "topology": shown["swarm_topology"], "success": str(shown["success"]).lower(),
        "solution": shown["solution_summary"],
    }  # fmt: skip
    alike = " | ".join(f"{name}: {value}" for name, value in text.items() if value is not None)
    return {
        **shown,
        "defaulted": [name for name in STAND_INS if name not in said],
        "parent_task_id": attempt.task if attempt.number > 1 else None,
        "content_hash": hashlib.md5(alike.encode()).hexdigest(),
        "duration_source": said.get("duration_source", "unknown"),
        "task": attempt.task,
        "task_id": attempt.id,
        "attempt": attempt.number,
        "metadata": attempt.metadata,
        "attempt_is_ambiguous": attempt.is_ambiguous,
        "timestamp": moment.replace(tzinfo=None),
        "date": moment.date(),
        "known_duration_seconds": known,
        "known_cost": cost,
        "cost": cost,
        "actual_cost": cost or 0.0,
        "cost_source": "reported" if "actual_cost" in said else origin,
    }


def pending(attempt: Attempt) -> tuple[Any, ...]:
    begun = attempt.at.get("pool_execution_start")
    moment = attempt.at.get("routing_decision", begun).replace(tzinfo=None)
    begun = begun and begun.replace(tzinfo=None)
    named = [
        attempt.said.get(name, "unknown")
        for name in ("task_type", "repo", "model_tier", "pool_type")
    ]
    parent = attempt.task if attempt.number > 1 else None
    estimate = attempt.said.get("cost_estimate")
    return (attempt.id, parent, attempt.number, moment, begun, *named, estimate)


def mean(values: Iterable[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def total(values: Iterable[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def sums(group: list[dict[str, Any]]) -> tuple[Any, ...]:
    """Return how many durations and costs are known, and their sums."""
    names = "known_duration_seconds", "known_cost"
    columns = [[run[name] for run in group] for name in names]
    return tuple(
        figure
        for column in columns
        for figure in (sum(value is not None for value in column), total(column))
    )


def scores(group: list[dict[str, Any]]) -> tuple[Any, ...]:
    given = [run["quality_score"] for run in group if run["quality_score"] is not None]
    return len(given), sum(given) if given else None


def p95(values: list[float | None]) -> float | None:
    values = [value for value in values if value is not None]
    if not values:
        return None
    return quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]


def grouped(rows: Iterable[dict[str, Any]], *names: str) -> Iterable[tuple[Any, list[Any]]]:
    groups: defaultdict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in names)].append(row)
    return groups.items()


def expected(events: Collection[Event], erased: Collection[UUID], today: date) -> dict[str, Any]:
    """Return every mart's rows, in the columns of `COLUMNS`, in no particular order."""
    about: defaultdict[UUID, dict[bytes, Any]] = defaultdict(dict)
    for event in events:
        if isinstance(event, TaskEvent) and event.task_id not in erased:
            about[event.task_id][event.to_line()] = event
    all_attempts = [
        attempt for task, told in about.items() for attempt in attempts(task, told.values())
    ]
    runs = [execution(attempt) for attempt in all_attempts if "success" in attempt.said]
    for run in runs:
        run["hour"] = run["timestamp"].replace(minute=0, second=0, microsecond=0)
    said = [e for told in about.values() for e in told.values() if e.event_type == "feedback"]
    latest = {e.feedback_id: e for e in sorted(said, key=order)}

    def within(days: int) -> list[dict[str, Any]]:
        return [run for run in runs if timedelta() <= today - run["date"] <= timedelta(days)]

    def of(group: list[Any], name: str) -> list[Any]:
        return [run[name] for run in group]

    tasks = []
    for (task,), group in grouped(sorted(runs, key=lambda run: run["attempt"]), "task"):
        costs = [run["cost"] for run in group if run["cost"] is not None]
        tiers, times = of(group, "model_tier"), of(group, "timestamp")
        totals = sum(costs) if costs else None, total(of(group, "known_duration_seconds"))
        ends = tiers, tiers[-1], group[0]["task_type"], group[0]["repo"], min(times), max(times)
        tasks.append((task, len(group), group[-1]["success"], *totals, *ends))
    patterns = []
    for key, group in grouped(within(90), "solution_summary", "repo"):
        if key[0] is not None and len(group) >= MIN_USES:
            good, times = of(group, "success"), of(group, "timestamp")
            kinds, score = sorted(set(of(group, "task_type"))), mean(of(group, "quality_score"))
            counts = len(group), sum(good), score, min(times), max(times), mean(good)
            patterns.append((*key, kinds, *counts))
    return {
        "executions": [tuple(run[name] for name in COLUMNS["executions"]) for run in runs],
        "pending_executions": [
            pending(attempt)
            for attempt in all_attempts
            if "success" not in attempt.said
            and attempt.at.keys() & {"routing_decision", "pool_execution_start"}
        ],
        "feedback": [
            (id_, e.task_id, e.occurred_at.replace(tzinfo=None), e.feedback_type, e.rating,
             e.comment, e.user_id)
            for id_, e in latest.items()
        ],
        "tasks": tasks,
        "tier_performance": [
            (*key, len(g), sum(of(g, "success")), mean(of(g, "known_duration_seconds")),
             mean(of(g, "cost")), mean(of(g, "quality_score")),
             p95(of(g, "known_duration_seconds")), *sums(g), *scores(g), mean(of(g, "success")))
            for key, g in grouped(within(30), "repo", "model_tier", "task_type", "date")
        ],
        "pool_performance": [
            (*key, key[2].date(), len(g), sum(of(g, "success")),
             mean(of(g, "known_duration_seconds")), mean(of(g, "cost")), mean(of(g, "success")),
             *sums(g), *scores(g))
            for key, g in grouped(within(7), "pool_type", "repo", "hour")
        ],
        "quality_trend": [
            (*key, len(g), sum(q is not None for q in of(g, "quality_score")),
             sum(of(g, "success")), mean(of(g, "quality_score")), mean(of(g, "success")),
             mean(of(g, "cost")), *sums(g), scores(g)[1])
            for key, g in grouped(within(90), "repo", "date")
        ],
        "solution_patterns": patterns,
    }  # fmt: skip
