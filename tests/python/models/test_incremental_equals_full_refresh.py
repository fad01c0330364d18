"""Rule 3: any history, cut into any loads and runs, gives what one full refresh gives."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from orb_learning.events import TaskErased
from orb_learning.refresh import Refresher

from .histories import NOW, History, histories
from .warehouse import LOAD_COLUMNS, Warehouse

HISTORIES = 24
"""Histories that share a warehouse, each in repositories of its own."""

LOADS = 4
VARS = {"pattern_min_uses": 2, "evidence_min_tries": 1, "evidence_min_costs": 1}
"""Few events, and still patterns and advice."""

ADVICE = ("arm_evidence", "arm_pair_evidence", "routing_recommendations", "escalation_plans")
PARTIAL_SELECTIONS = (
    "int_attempts",
    "int_attempts executions",
    "executions tier_performance",
    "tasks feedback pool_performance",
    "int_execution_days solution_patterns",
    "int_execution_days quality_trend",
    "executions int_execution_days",
    "executions int_task_groups",
    "int_task_groups int_arm_group_pairs",
    "int_execution_days int_arm_days int_arm_sums",
    "int_arm_retries arm_pair_evidence escalation_plans",
    "int_usual_costs arm_evidence routing_recommendations",
)
"""What a kill between two models, or a person in a hurry, leaves half built."""


class Histories(list[History]):
    """Histories of one example, with a name instead of pages of events in a failure's report."""

    def __repr__(self) -> str:
        return f"<{len(self)} histories>"


@st.composite
def warehouses(draw: st.DrawFn) -> Histories:
    return Histories(draw(histories(number, LOADS)) for number in range(1, HISTORIES + 1))


runs = st.lists(
    st.tuples(st.none() | st.sampled_from(PARTIAL_SELECTIONS), st.integers(-40, 3)),
    min_size=LOADS,
    max_size=LOADS,
)


@pytest.mark.parametrize("part", range(3))
def test_any_history_in_any_loads_and_runs_equals_one_full_refresh(
    part: int,
    parsed: Refresher,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> None:
    examples = 34 if request.config.getoption("--long") else 3
    erases = part == 2
    tried = partial = 0
    advised: set[str] = set()

    @seed(20261123 + part)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate] if examples == 3 else [Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(told=warehouses(), plan=runs)
    def equal(told: list[History], plan: list[tuple[str | None, int]]) -> None:
        nonlocal tried, partial
        tried += len(told)
        loads = [_events(told, load, erases) for load in range(LOADS)]
        folder = tmp_path_factory.mktemp("equality")
        incremental = Warehouse(folder / "incremental", parsed)
        is_built = False
        for load, (selection, shift) in enumerate(plan):
            incremental.write(loads[load])
            if any(isinstance(event, TaskErased) for event in loads[load]):
                is_built = False  # an erasure has the warehouse built anew
            as_of = (NOW + timedelta(days=shift)).isoformat()
            # A part can only be rebuilt where the whole has been built before.
            selected = ("--select", selection) if selection and is_built else ()
            partial += bool(selected)
            is_built = True
            incremental.run(*selected, as_of=as_of, **VARS)
        incremental.run(**VARS)
        built = incremental.tables()
        advised.update(name for name in ADVICE if built[f"main.{name}"])
        kept = {row[0]: row for row in built["main_intermediate.int_arm_group_pairs"]}
        assert kept.keys() == {row[0] for row in built["main_intermediate.int_task_groups"]}
        for tasks_at_a_time in (1_000_000, 5):
            incremental.run("--full-refresh", full_build_tasks=tasks_at_a_time, **VARS)
            rebuilt = incremental.tables()
            assert built.keys() == rebuilt.keys()
            for name, rows in rebuilt.items():
                assert built[name] == rows, (name, tasks_at_a_time)

        at_once = Warehouse(folder / "at-once", parsed)
        at_once.write(event for events in reversed(loads) for event in reversed(events))
        at_once.run(**VARS)
        expected = incremental.tables(without=LOAD_COLUMNS)
        for name, rows in at_once.tables(without=LOAD_COLUMNS).items():
            assert expected[name] == rows, name

    equal()
    assert tried >= 66, tried
    assert partial or erases
    assert advised == {*ADVICE}


def _events(told: list[History], load: int, erases: bool) -> list[object]:
    """Return a load's events; among so many there is nearly always an erasure, or none."""
    return [event for event in _of_load(told, load) if erases or not isinstance(event, TaskErased)]


def _of_load(told: list[History], load: int) -> Iterator[object]:
    for history in told:
        for event, loads in history.events:
            if load in loads:
                yield event
