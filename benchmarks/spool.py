"""A spool of any size, written by formatting texts: as fast as a disk takes it."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from orb_learning.events import Event, RoutingDecision, RoutingOutcome
from orb_learning.home import Home

SEGMENT_EVENTS = 50_000
_BEGIN = datetime(2026, 6, 1, tzinfo=UTC)

_MADE = {"event_id": '"{event}"', "schema_version": "1", "task_id": '"{task}"'} | dict.fromkeys(
    ("occurred_at", "captured_at"), '"{at}"'
)
_DECIDED = _MADE | {
    "metadata": '{{"branch":"main","run":{number}}}',
    "event_type": '"routing_decision"',
    "task_type": '"bug_fix"',
    "task_description": r'"fix case {number} of the \"parser\""',
    "repo": '"acme/service-{repo}"',
    "file_count": "3",
    "estimated_tokens": "1200",
    "model_tier": '"{tier}"',
    "pool_type": '"swarm"',
    "routing_confidence": "{chance}",
    "complexity_score": "{score}",
    "cost_estimate": "{cost}",
}
_ENDED = _MADE | {
    "event_type": '"routing_outcome"',
    "success": "{success}",
    "duration_seconds": "{seconds}",
    "quality_score": "{score}",
    "actual_cost": "{cost}",
    "solution_summary": '"split the parser"',
}


def _line(cls: type[Event], values: dict[str, str]) -> str:
    """Return an event's canonical line, to be formatted; what has no value is null."""
    said = ",".join(f'"{name}":{values.get(name, "null")}' for name in cls.model_fields)
    return f"{{{{{said}}}}}\n"


_DECISION = _line(RoutingDecision, _DECIDED)
_OUTCOME = _line(RoutingOutcome, _ENDED)


def write_spool(home: Home, events: int, seed: int) -> None:
    """Write canonical lines of decisions and outcomes, by turns, into a home's spool.

    Args:
        home: where; it is made if need be.
        events: how many lines.
        seed: the same one gives the same lines.
    """
    home.create()
    lines = _lines(events, random.Random(seed))  # noqa: S311 -- nothing secret is made of it
    for number in range(-(-events // SEGMENT_EVENTS)):
        with (home.spool / f"bench-{seed}-{number:06}.jsonl").open("w") as file:
            file.writelines(line for _, line in zip(range(SEGMENT_EVENTS), lines, strict=False))


def _lines(events: int, chance: random.Random) -> Iterator[str]:
    for number in range((events + 1) // 2):
        task = uuid.UUID(int=chance.getrandbits(128), version=4)
        decided = _BEGIN + timedelta(milliseconds=370 * number)
        ended = decided + timedelta(seconds=30)
        yield _DECISION.format(
            event=_id(decided, chance),
            at=_spelled(decided),
            number=number,
            task=task,
            repo=number % 40,
            tier=chance.choice(("small", "medium", "large")),
            chance=round(chance.uniform(0.1, 1), 12),
            score=chance.randrange(101),
            cost=round(chance.uniform(0.001, 2), 6),
        )
        if 2 * number + 1 < events:
            yield _OUTCOME.format(
                event=_id(ended, chance),
                at=_spelled(ended),
                task=task,
                success="true" if chance.random() < 0.8 else "false",
                seconds=round(chance.uniform(1, 300), 9),
                score=chance.randrange(101),
                cost=round(chance.uniform(0.001, 2), 6),
            )


def _id(moment: datetime, chance: random.Random) -> uuid.UUID:
    """Return a UUIDv7, ordered by time as the hooks make them."""
    milliseconds = int(moment.timestamp() * 1000)
    rest = chance.getrandbits(74)
    return uuid.UUID(
        int=milliseconds << 80 | 7 << 76 | (rest >> 62) << 64 | 2 << 62 | rest & (1 << 62) - 1
    )


def _spelled(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
