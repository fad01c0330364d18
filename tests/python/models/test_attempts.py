"""What several runs, corrections and clocks of one task come to, from the hooks to the mart."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest

from orb_learning import ExecutionRecord, Telemetry, instrument_pool_manager, instrument_router
from orb_learning._types import task_uuid
from orb_learning.events import Event, PoolExecutionComplete, RoutingDecision
from orb_learning.importer import import_files
from orb_learning.refresh import Refresher
from orb_learning.upkeep import read_status

from .warehouse import Warehouse

NOON = datetime(2026, 6, 14, 12, tzinfo=UTC)
WHOLE: dict[str, Any] = {
    "task_type": "fix",
    "task_description": "fix it",
    "repo": "acme/api",
    "model_tier": "large",
    "pool_type": "swarm",
    "routing_confidence": 0.5,
    "duration_seconds": 10.0,
    "cost_estimate": 1.0,
    "actual_cost": 0.5,
}


@pytest.fixture
def warehouse(tmp_path, parsed: Refresher) -> Warehouse:
    return Warehouse(tmp_path / "home", parsed)


def attempts(warehouse: Warehouse, *columns: str) -> list[tuple[Any, ...]]:
    """Refresh, and return what is published of every attempt, by repository and number."""
    warehouse.run()
    chosen = ", ".join(columns or ("repo", "attempt", "success"))
    with duckdb.connect(str(warehouse.home.learning_db), read_only=True) as copy:
        return copy.execute(
            f"select {chosen} from executions order by repo, attempt, timestamp"
        ).fetchall()


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def test_whole_executions_with_different_beginnings_are_attempts(warehouse, tmp_path):
    """From the hook, from a record, and from a file."""
    with Telemetry(warehouse.home.root, strict=True) as telemetry:
        for number in (2, 0, 1):  # an earlier run may come later
            run = WHOLE | {"timestamp": at(number), "success": number == 2}
            telemetry.record_execution_sync(run, task_id="hook", repo="a")
            telemetry.capture_sync(ExecutionRecord(task_id="record", **run | {"repo": "b"}))
        file = tmp_path / "runs.jsonl"
        rows = [
            WHOLE | {"timestamp": at(n).isoformat(), "success": n == 2, "task_id": "t", "repo": "c"}
            for n in range(3)
        ]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        for _ in range(2):  # the same file again changes nothing
            import_files(telemetry, [file])

    assert attempts(warehouse) == [
        (repo, number, number == 3) for repo in "abc" for number in (1, 2, 3)
    ]


def test_a_named_attempt_decides_and_a_time_that_nobody_gave_tells_nothing_apart(warehouse):
    with Telemetry(warehouse.home.root, strict=True) as telemetry:
        for number in (3, 1):
            telemetry.record_execution_sync(
                WHOLE, task_id="named", repo="a", attempt=number, timestamp=NOON, success=True
            )
        for success in (False, True):
            telemetry.capture_sync(ExecutionRecord(task_id="now", success=success, **WHOLE))

    shown = attempts(warehouse)
    assert shown == [("a", 1, True), ("a", 3, True), ("acme/api", 1, True)]


def test_a_correction_may_name_the_attempt_that_its_run_is(warehouse):
    with Telemetry(warehouse.home.root, strict=True) as telemetry:
        for minute, cost, number in ((0, 1, None), (1, 2, None), (1, 3, 2), (2, 4, None)):
            run = WHOLE | {"timestamp": at(minute), "actual_cost": cost, "attempt": number}
            telemetry.record_execution_sync(run, task_id="t", success=True)
    shown = attempts(warehouse, "attempt", "actual_cost")
    assert shown == [(1, 1.0), (2, 3.0), (3, 4.0)]


def test_a_record_without_a_time_tells_nothing_apart_whatever_is_added_to_it(warehouse):
    with Telemetry(warehouse.home.root, strict=True) as telemetry:
        for success in (False, True):
            record = ExecutionRecord(task_id="now", success=success, **WHOLE)
            telemetry.record_execution_sync(record, solution_summary="x")
    assert attempts(warehouse, "attempt", "success") == [(1, True)]


def test_hooks_and_a_whole_execution_of_the_same_run_stay_one(warehouse):
    with Telemetry(warehouse.home.root, strict=True) as telemetry:
        for number in range(2):
            begun = at(number)
            telemetry.capture_routing_decision_sync(
                task_id="t", task_type="fix", repo="a", model_tier="small", occurred_at=begun
            )
            telemetry.capture_pool_execution_complete_sync(
                task_id="t", success=number == 1, occurred_at=begun + timedelta(seconds=9)
            )
            telemetry.record_execution_sync(
                WHOLE, task_id="t", repo="a", timestamp=begun, success=number == 1
            )
        telemetry.capture_routing_decision_sync(
            task_id="late", task_type="fix", repo="b", model_tier="small", occurred_at=at(60)
        )
        telemetry.record_execution_sync(
            WHOLE, task_id="late", repo="b", timestamp=NOON, success=True
        )

    shown = attempts(warehouse, "repo", "attempt", "success", "model_tier")
    assert shown == [
        ("a", 1, False, "large"),
        ("a", 2, True, "large"),
        ("b", 1, True, "large"),  # it ended before anything was decided
    ]


@pytest.mark.parametrize("with_decision", [False, True])
def test_a_correction_is_whole_and_the_latest_captured_wins(warehouse, with_decision):
    failed = WHOLE | {"task_id": "t", "success": False, "timestamp": NOON, "actual_cost": 9.0}
    failed |= {"duration_seconds": 1000.0, "quality_score": 5, "error_type": "timeout"}
    mended = WHOLE | {"task_id": "t", "success": True, "timestamp": NOON, "actual_cost": 0.5}
    with Telemetry(warehouse.home.root, strict=True) as telemetry:
        if with_decision:
            for minute in (0, 5):
                telemetry.capture_routing_decision_sync(
                    task_id="t", task_type="x", repo="a", model_tier="m", occurred_at=at(minute)
                )
        first = telemetry.record_execution_sync(failed)
        telemetry.record_execution_sync(mended)
        telemetry.capture_sync(first)  # an older line again wins nothing

    columns = ("success", "actual_cost", "duration_seconds", "quality_score", "error_type")
    (shown,) = attempts(warehouse, *columns)
    assert shown == (True, 0.5, 10.0, None, None)


def test_metadata_merges_by_key_between_kinds_of_events(warehouse):
    with Telemetry(warehouse.home.root, strict=True) as telemetry:
        for task in ("ticket-7", "00000000-0000-0000-0000-000000000007"):
            telemetry.capture_routing_decision_sync(
                task_id=task, repo="a", metadata={"trace": "abc", "step": 1, "deep": {"x": 1}}
            )
            telemetry.capture_pool_execution_complete_sync(task_id=task, success=True)
            telemetry.capture_routing_outcome_sync(
                task_id=task, success=True, metadata={"step": 2, "deep": {"y": None}, "none": None}
            )

    found = [json.loads(text) for (text,) in attempts(warehouse, "metadata")]
    merged = {"trace": "abc", "step": 2, "deep": {"y": None}, "none": None}
    assert sorted(found, key=len) == [merged, {"task_ref": "ticket-7", **merged}]


def retried(skew: float) -> list[Event]:
    """Return three quick attempts whose outcomes another host's clock dates."""
    told: list[Event] = []
    for number in range(3):
        begun = NOON + timedelta(seconds=0.3 * number)
        ended = begun + timedelta(seconds=0.1 + skew)
        frame = {"task_id": task_uuid("t"), "captured_at": begun}
        decision = RoutingDecision(
            task_type="x", repo="a", model_tier="m", occurred_at=begun, **frame
        )
        outcome = PoolExecutionComplete(
            success=number == 2, actual_cost=number, occurred_at=ended, **frame
        )
        told += [decision, outcome]
    return told


@pytest.mark.parametrize("skew", [0, -0.5, 0.5, -5, 5])
def test_quick_attempts_survive_clocks_that_disagree(warehouse, skew):
    warehouse.write(retried(skew))
    assert attempts(warehouse, "attempt", "success", "actual_cost") == [
        (1, False, 0.0),
        (2, False, 1.0),
        (3, True, 2.0),
    ]
    assert read_status(warehouse.home).ambiguous_tasks == 0


def test_what_clocks_alone_cannot_tell_is_marked_and_counted(warehouse):
    told = retried(0.35)
    warehouse.write(told[:-1])
    marked = [marked for (marked,) in attempts(warehouse, "attempt_is_ambiguous")]
    assert marked.count(True) == 2, "of one task"
    assert read_status(warehouse.home).ambiguous_tasks == 1

    warehouse.write(told[-1:])
    assert attempts(warehouse, "attempt_is_ambiguous") == [(False,)] * 3


def test_the_skew_is_a_var(warehouse):
    warehouse.write(retried(-1.5))
    assert len(attempts(warehouse)) == 3
    warehouse.run("--full-refresh", max_clock_skew_seconds=0)
    with duckdb.connect(str(warehouse.home.learning_db), read_only=True) as copy:
        assert copy.execute("select count(*) from executions").fetchall() == [(1,)]


class Host:
    """Routes and executes on another host, whose clock is an hour behind."""

    def route_task(self, task: dict[str, Any]) -> dict[str, Any]:
        return {"model_tier": "small"}

    def execute_on_pool(self, pool_id: str, task: dict[str, Any]) -> dict[str, Any]:
        return {"success": task["ok"], "occurred_at": "ignored"}


def test_hooks_blocks_and_instruments_name_the_decision(warehouse):
    host = Host()
    with Telemetry(warehouse.home.root, strict=True) as telemetry:
        instrument_router(host, telemetry)
        instrument_pool_manager(host, telemetry)
        for number in range(2):
            decision = telemetry.capture_routing_decision_sync(task_id="hooks", repo="a")
            outcome = telemetry.capture_pool_execution_complete_sync(
                task_id="hooks", success=number == 1, occurred_at=NOON
            )
            assert outcome.decision_id == decision.event_id
            with telemetry.execution(task_id="block", repo="b") as run:
                run.success = number == 1
                run.occurred_at = NOON
        other = telemetry.capture_routing_outcome_sync(task_id="another", success=True)
        assert other.decision_id is None
        task = {"id": "watched", "repo": "c", "ok": True}
        host.route_task(task)
        host.execute_on_pool("p1", task)

    told = duckdb.connect().execute(
        "select event_type, task_id, event_id, decision_id from read_json($path, columns={"
        "event_type: 'text', task_id: 'uuid', event_id: 'uuid', decision_id: 'uuid'})",
        {"path": f"{warehouse.home.spool}/*.jsonl"},
    )
    rows = told.fetchall()
    decided = {row[2] for row in rows if row[0] == "routing_decision"}
    named = [row for row in rows if row[3] is not None]
    assert len(named) == 6  # two outcomes of hooks and of blocks, a start and its end
    assert all(row[3] in decided for row in named)
    shown = [row for row in attempts(warehouse) if row[0] in "abc"]
    assert shown == [
        ("a", 1, False),
        ("a", 2, True),
        ("b", 1, False),
        ("b", 2, True),
        ("c", 1, True),
    ]
