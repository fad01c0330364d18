"""A refresh touches what is new and not what is old: rows are counted, not seconds."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from orb_learning import Telemetry
from orb_learning.events import RoutingDecision, RoutingOutcome
from orb_learning.publication import current
from orb_learning.refresh import Refresher
from orb_learning.staging import open_staging

from .counting import Work, counted
from .warehouse import Warehouse

EXECUTIONS = 150_000
DAYS = 90
LAST_DAY = datetime(2026, 6, 30, tzinfo=UTC)
AS_OF = "2026-06-30T23:00:00"


def history(warehouse: Warehouse) -> None:
    with open_staging(warehouse.home) as staging:
        for kind, seconds in (("routing_decision", 0), ("routing_outcome", 30)):
            fields = (
                "'fix' as task_type, 'acme/' || i % 40 as repo, 0 as file_count,"
                " 0 as estimated_tokens, ['small', 'large'][1 + i % 2] as model_tier,"
                " 'solo' as pool_type, 50 as complexity_score"
                if seconds == 0
                else "i % 5 > 0 as success, 30.0 as duration_seconds,"
                " 'solution ' || i % 500 as solution_summary"
            )
            staging.execute(
                f"""
                insert into raw.{kind} by name
                select md5('{kind} ' || i)::uuid as event_id, 1 as schema_version,
                    timestamp '2026-06-30' - interval {DAYS} day
                    + to_microseconds(i * {DAYS * 86_400_000_000 // EXECUTIONS})
                    + interval {seconds} second as occurred_at,
                    occurred_at as captured_at, md5('task ' || i)::uuid as task_id,
                    md5('hash {kind} ' || i)::uuid as event_hash, 1 as load_id, {fields}
                from range({EXECUTIONS}) as numbers (i)
                """
            )
        staging.execute(
            "insert into ledger.loads values (1, now() at time zone 'UTC', 'test', $1, $1, 0, 0)",
            [2 * EXECUTIONS],
        )


def capture(warehouse: Warehouse, count: int, days: float, seed: int) -> None:
    """Capture new executions, spread evenly over the last days."""
    with Telemetry(warehouse.home.root, strict=True) as telemetry:
        for number in range(count):
            # In no order, as hosts make them: keys that lie together would be found by zone maps.
            task = UUID(hashlib.md5(f"{seed} {number}".encode()).hexdigest())
            at = LAST_DAY + timedelta(hours=20) - timedelta(days=days * number / count)
            telemetry.capture_sync(
                RoutingDecision(
                    task_id=task,
                    occurred_at=at,
                    task_type="fix",
                    repo="acme/1",
                    model_tier="small",
                    pool_type="solo",
                )
            )
            telemetry.capture_sync(RoutingOutcome(task_id=task, occurred_at=at, success=True))


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory, parsed: Refresher) -> Warehouse:
    made = Warehouse(tmp_path_factory.mktemp("counted") / "home", parsed)
    history(made)
    for number in range(4):
        capture(made, 10, 0.5, seed=100 + number)
        run(made, "steady" if number else "refresh")
    return made


def run(warehouse: Warehouse, selector: str = "steady") -> Work:
    with counted() as work:
        warehouse.refresher.invoke(
            ["run", "--selector", selector, "--vars", f"{{as_of: '{AS_OF}', indexes: false}}"]
        )
    return work


BY_TASK = ("int_attempts", "executions", "tasks")
BY_DAY = (
    "int_solution_days", "pool_performance", "quality_trend", "tier_performance",
    "int_arm_days", "int_arm_retries",
)  # fmt: skip
CELLS = 40 + 1 + 1
"""Of a repository and the task type, of the type, and of everything, each with two arms."""
ADVICE = {
    "int_arm_sums": 2 * CELLS, "arm_evidence": 2 * CELLS, "int_arm_choices": CELLS,
    "routing_recommendations": CELLS, "escalation_plans": 2,
}  # fmt: skip
"""Rows of what is believed and advised, which age changes every day."""
PATTERNS = 1_000
"""Pairs of a solution and a repository in the history; built whole, as the days are counted."""
ROW_GROUP = 122_880
"""Rows that DuckDB skips or reads together."""

STEADY = {
    *BY_TASK, *BY_DAY, "int_execution_days", "solution_patterns", "pending_executions",
    "feedback", "pools", "quality_policies", "solutions", "publication",
    *ADVICE, "int_usual_costs", "int_task_groups", "int_arm_group_pairs", "arm_pair_evidence",
}  # fmt: skip


def test_new_events_touch_their_tasks_and_their_day(warm: Warehouse) -> None:
    capture(warm, 500, 0.5, seed=1)
    work = run(warm)

    assert set(work.read) | set(work.written) == STEADY, "the models that ran"
    # Each row is written twice, to a temporary table and to the model's own.
    assert {model: work.written[model] for model in BY_TASK} == dict.fromkeys(BY_TASK, 2 * 500)
    assert sum(work.written[model] for model in BY_DAY) < 100
    assert work.written["int_execution_days"] == DAYS + 1
    assert work.written["solution_patterns"] == PATTERNS
    assert sum(work.written.values()) - work.written["publication"] < 4_000 + PATTERNS
    for model in ("executions", "tasks"):
        assert work.read[model] < 20_000, model
    # Ids lie in no order, so whether a task is known is asked of all keys.
    assert work.read["int_attempts"] < EXECUTIONS + 10_000
    for model in BY_DAY:
        assert work.read[model] < 2 * ROW_GROUP, model
    assert work.read["int_execution_days"] < EXECUTIONS + 10_000
    assert {model: work.written[model] for model in ADVICE} == ADVICE
    for model in (*ADVICE, "int_arm_group_pairs", "arm_pair_evidence"):
        executions = EXECUTIONS if model == "routing_recommendations" else 0
        assert work.read[model] < executions + 10_000, model
    # The publication gets the changed rows, and small marts anew; comparing reads keys alone.
    assert work.written["publication"] < 40_000
    assert work.read["publication"] < 7 * EXECUTIONS


def test_late_events_touch_the_days_they_belong_to(warm: Warehouse) -> None:
    capture(warm, 500, 30, seed=2)
    work = run(warm)
    days = 31
    groups = {"tier_performance": 80, "quality_trend": 40, "pool_performance": 0}
    assert {model: work.written[model] for model in BY_TASK} == dict.fromkeys(BY_TASK, 2 * 500)
    for model, groups_a_day in groups.items():
        if groups_a_day:
            assert 0 < work.written[model] <= 2 * days * (groups_a_day + 2), model
    assert work.read["int_attempts"] < EXECUTIONS + 20_000
    for model in BY_DAY:
        assert work.read[model] < 3 * ROW_GROUP, model
    assert sum(work.written.values()) - work.written["publication"] < 100_000


def test_nothing_new_touches_nothing(warm: Warehouse) -> None:
    before = current(warm.home)
    run(warm)
    work = run(warm)
    assert dict(+work.written) == {
        "int_execution_days": DAYS + 1, "solution_patterns": PATTERNS, **ADVICE,
    }  # fmt: skip
    for model in BY_DAY:  # which days they hold, and no execution
        assert work.read[model] < 2 * ROW_GROUP, model
    assert work.read["publication"] < 60_000
    assert current(warm.home).load_id == before.load_id
