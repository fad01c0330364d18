"""Which attempt an event belongs to, where the clocks of router, pools and bus disagree."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from orb_learning import Telemetry
from orb_learning.events import (
    Event,
    PoolExecutionComplete,
    PoolExecutionStart,
    RoutingDecision,
    RoutingOutcome,
    TaskCompleted,
)

from .drivers import Compiled, Recorded, attached
from .oracle import expected
from .strategies import NOW
from .tables import assert_same

TASKS = 150
PARTS = 3


@dataclass(frozen=True)
class Said:
    """One attempt as it was: what its outcomes say, and the most specific of them."""

    success: bool
    cost: float


def history(
    draw: random.Random, task: UUID, *, most: int, apart: float, skew: float, with_ids: bool
) -> tuple[list[Event], list[Said]]:
    """Return the events of a task that was tried several times, and what is true of each try."""
    told: list[Event] = []
    truth: list[Said] = []
    kinds: list[Any] = draw.choice(
        [
            [PoolExecutionComplete],
            [RoutingOutcome],
            [PoolExecutionStart, PoolExecutionComplete, RoutingOutcome],
            [TaskCompleted, PoolExecutionComplete],
        ]
    )
    clocks = {kind: timedelta(seconds=draw.uniform(-skew, skew)) for kind in kinds}
    begun = NOW - timedelta(hours=draw.randrange(1, 200))
    for number in range(draw.randint(1, most)):
        decided = begun + timedelta(seconds=apart * number)
        decision = RoutingDecision(
            event_id=UUID(int=draw.getrandbits(128)), task_id=task, task_type="fix", repo="a",
            model_tier=f"tier{number}", occurred_at=decided, captured_at=decided,
        )  # fmt: skip
        told.append(decision)
        truth.append(Said(draw.random() < 0.5, number + 1.0))
        for step, kind in enumerate(kinds, 1):
            at = decided + timedelta(seconds=apart * step / 4) + clocks[kind]
            values: dict[str, Any] = {
                "event_id": UUID(int=draw.getrandbits(128)),
                "task_id": task,
                "occurred_at": at,
                "captured_at": at,
                "decision_id": decision.event_id if with_ids else None,
            }
            if kind is not PoolExecutionStart:
                values |= {"success": truth[-1].success, "actual_cost": truth[-1].cost}
            told.append(kind(**values))
    return told, truth


def found_in(home: Any) -> dict[UUID, list[tuple[Any, ...]]]:
    attempts: defaultdict[UUID, list[tuple[Any, ...]]] = defaultdict(list)
    with attached(warehouse=home.warehouse) as connection:
        rows = connection.execute(
            "select coalesce(parent_task_id, task_id), attempt, model_tier, success, actual_cost"
            " from executions order by 1, 2"
        ).fetchall()
    for task, *row in rows:
        attempts[task].append(tuple(row))
    return attempts


@pytest.fixture
def shown(memory: Path, recorded: Recorded, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Tell histories load by load, and compare each attempt with what is true of it."""

    def show(**how: Any) -> None:
        draw = random.Random(request.config.getoption("seed"))
        tasks = [UUID(int=draw.getrandbits(128)) for _ in range(TASKS)]
        histories = {task: history(draw, task, **how) for task in tasks}
        told = [event for events, _ in histories.values() for event in events]
        draw.shuffle(told)
        compiled = Compiled(memory / request.node.name, recorded)
        for part in range(PARTS):
            with Telemetry(compiled.home.root, strict=True) as telemetry:
                for event in told[part::PARTS]:
                    telemetry.capture_sync(event)
            compiled.run(publishes=False)
            so_far = [event for earlier in range(part + 1) for event in told[earlier::PARTS]]
            assert_same(compiled.tables(), expected(so_far, [], NOW.date()), f"load {part + 1}")
        found = found_in(compiled.home)
        for task, (_, truth) in histories.items():
            assert found[task] == [
                (number, f"tier{number - 1}", said.success, said.cost)
                for number, said in enumerate(truth, 1)
            ]

    return show


def test_with_ids_attempts_are_exact_at_any_skew(shown):
    shown(most=8, apart=0.3, skew=5000.0, with_ids=True)


def test_without_ids_quick_attempts_are_exact_within_the_skew(shown):
    shown(most=8, apart=0.3, skew=5.0, with_ids=False)


def test_without_ids_slow_attempts_are_told_by_the_clocks(shown):
    shown(most=5, apart=60.0, skew=5.0, with_ids=False)
