"""A problem that several runs tried is named by whoever knows it, and read as it was named."""

from __future__ import annotations

import asyncio
import csv
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from orb_learning import ExecutionRecord, Telemetry, instrument_pool_manager, instrument_router
from orb_learning._types import task_uuid
from orb_learning.cli import app
from orb_learning.refresh import Refresher
from orb_learning.serving import LearningDatabase
from orb_learning.upkeep import migrate_down

from .warehouse import Warehouse

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
BEFORE = 2
"""The schema version without the field."""

WHOLE: dict[str, Any] = {
    "timestamp": NOON,
    "task_type": "bug_fix",
    "task_description": "fix the parser",
    "repo": "acme/api",
    "model_tier": "large",
    "pool_type": "swarm",
    "routing_confidence": 0.5,
    "success": True,
    "duration_seconds": 1.0,
    "cost_estimate": 1.0,
    "actual_cost": 1.0,
}


class Orchestrator:
    """Routes and executes; the router or the task names the problem."""

    def route_task(self, task: dict[str, Any]) -> dict[str, Any]:
        return {"model_tier": "large", "task_group": task.get("problem")}

    def execute_on_pool(self, pool_id: str, task: dict[str, Any]) -> dict[str, Any]:
        return {"status": "completed"}


@pytest.fixture
def warehouse(tmp_path, parsed: Refresher) -> Warehouse:
    return Warehouse(tmp_path / "home", parsed)


def published(warehouse: Warehouse) -> dict[Any, Any]:
    with duckdb.connect(str(warehouse.home.learning_db), read_only=True) as copy:
        return dict(copy.execute("select task_id, task_group from executions").fetchall())


def named(**groups: str | None) -> dict[Any, Any]:
    return {task_uuid(task): group for task, group in groups.items()}


def test_a_task_group_reaches_readers_from_whoever_names_it(warehouse, tmp_path):
    home = warehouse.home
    with Telemetry(home.root, strict=True) as telemetry:
        with telemetry.execution(task_id="block", repo="acme/api", task_group="bench/1"):
            pass
        telemetry.capture_routing_decision_sync(task_id="hook", task_group="bench/2")
        telemetry.capture_routing_outcome_sync(task_id="hook", success=True)
        record = ExecutionRecord(**WHOLE, task_id="record", task_group="bench/3")
        telemetry.record_execution_sync(record)
        telemetry.record_execution_sync(**WHOLE, task_id="alone")
        host = Orchestrator()
        instrument_router(host, telemetry)
        instrument_pool_manager(host, telemetry)
        for task in ({"id": "routed", "problem": "bench/4"}, {"id": "told", "task_group": 5}):
            host.route_task(task)
            host.execute_on_pool("pool-1", task)
    row = {name: str(value) for name, value in WHOLE.items()}
    for task, group, mapped in (
        ("imported", "task_group", []),
        ("mapped", "problem", ["--map", "task_group=problem"]),
    ):
        with (tmp_path / f"{task}.csv").open("w") as file:
            rows = csv.DictWriter(file, [*row, "task_id", group])
            rows.writeheader()
            rows.writerow({**row, "task_id": task, group: f"bench/{task}"})
        run = CliRunner().invoke(
            app, ["--home", str(home.root), "import", *mapped, str(tmp_path / f"{task}.csv")]
        )
        assert run.exit_code == 0, run.output

    warehouse.run()

    assert published(warehouse) == named(
        block="bench/1",
        hook="bench/2",
        record="bench/3",
        alone=None,
        routed="bench/4",
        told="5",
        imported="bench/imported",
        mapped="bench/mapped",
    )

    async def read() -> list[str | None]:
        async with LearningDatabase(home.root) as learning:
            found = [await learning.get_execution(task) for task in ("record", "alone")]
            return [execution.task_group for execution in found]

    assert asyncio.run(read()) == ["bench/3", None]


def test_a_home_of_the_release_before_gets_the_column_and_keeps_its_rows(warehouse):
    home = warehouse.home
    with Telemetry(home.root, strict=True) as telemetry:
        telemetry.record_execution_sync(**WHOLE, task_id="old")
    warehouse.run()
    migrate_down(home, BEFORE)
    with duckdb.connect(str(home.staging)) as staging, pytest.raises(duckdb.BinderException):
        staging.execute("select task_group from raw.execution_recorded")

    with Telemetry(home.root, strict=True) as telemetry:
        # As the release before wrote it.
        event = ExecutionRecord(**WHOLE, task_id="waiting").to_event()
        line = event.to_line().replace(b',"task_group":null', b"")
        (home.spool / "older.jsonl").write_bytes(line + b"\n")
        telemetry.capture_sync(event)
        telemetry.record_execution_sync(**WHOLE, task_id="new", task_group="bench/1")
    warehouse.run()

    assert published(warehouse) == named(old=None, waiting=None, new="bench/1")
    with duckdb.connect(str(home.staging)) as staging:
        ((rows,),) = staging.execute("select count(*) from raw.execution_recorded").fetchall()
    assert rows == 3, "a line without the field is the event that it is with a null"
