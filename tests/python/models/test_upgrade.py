"""A home of the release before is what it was: nothing doubles, and what it says is said."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orb_learning import ExecutionRecord, Telemetry
from orb_learning.events import Event, RoutingDecision, RoutingOutcome
from orb_learning.importer import import_files
from orb_learning.refresh import Refresher
from orb_learning.upkeep import migrate_down

from .warehouse import Warehouse

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
BEFORE = 3
"""The schema version of the release before."""
LATER = ("decision_id", "timestamp_source", "duration_source")
SPELLED = {"file_count": 0, "estimated_tokens": 0, "complexity_score": 50}
"""What the release before wrote where nobody said anything."""

RUN: dict[str, Any] = {
    "timestamp": "2026-06-15T12:00:00Z",
    "task_type": "fix",
    "task_description": "repair the parser",
    "repo": "acme/api",
    "model_tier": "large",
    "pool_type": "swarm",
    "routing_confidence": 0.8,
    "success": True,
}
ROWS = [
    {**RUN, "task_id": "timed", "duration_seconds": 10, "actual_cost": 2, "file_count": 4},
    {**RUN, "task_id": "untimed"},
    {**RUN, "task_id": "failed", "success": False, "cost_estimate": 1, "duration_seconds": 0},
]


@pytest.fixture
def warehouse(tmp_path, parsed: Refresher) -> Warehouse:
    return Warehouse(tmp_path / "home", parsed)


def as_before(event: Event) -> bytes:
    """Return the line that the release before wrote of the same fact."""
    line = json.loads(event.to_line())
    for name in LATER:
        line.pop(name, None)
    for name, value in SPELLED.items():
        if name in line and line[name] is None:
            line[name] = value
    return json.dumps(line, separators=(",", ":")).encode()


def shown(warehouse: Warehouse, columns: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(warehouse.home.learning_db), read_only=True) as copy:
        return copy.execute(f"select {columns} from executions order by all").fetchall()


def write(file: Path, rows: Iterable[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def imported(warehouse: Warehouse, file: Path) -> None:
    with Telemetry(warehouse.home.root, strict=True) as telemetry:
        report = import_files(telemetry, [file], assume_utc=True)
    assert report.rejected == 0, report.reasons


def hooked() -> list[Event]:
    """Return what hooks wrote of one run."""
    decision = RoutingDecision(
        task_id="7a3c8a52-90a4-4d1e-9f67-0d1f0a9b4a01",
        occurred_at=NOON,
        task_type="fix",
        repo="acme/api",
        model_tier="small",
    )
    outcome = RoutingOutcome(
        task_id=decision.task_id, occurred_at=NOON, success=True, duration_seconds=3
    )
    return [decision, outcome]


def said(warehouse: Warehouse) -> dict[Any, Any]:
    columns = "metadata ->> 'task_ref', duration_source, file_count, complexity_score, defaulted"
    return {name: rest for name, *rest in shown(warehouse, columns)}


def test_the_same_file_and_records_again_double_nothing(warehouse, tmp_path, events_in):
    file = write(tmp_path / "runs.jsonl", ROWS)
    record = ExecutionRecord(
        **RUN, task_id="record", duration_seconds=5, cost_estimate=1, actual_cost=1
    )

    def tell() -> None:
        imported(warehouse, file)
        with Telemetry(warehouse.home.root, strict=True) as telemetry:
            telemetry.record_execution_sync(record)

    tell()
    before = [*events_in(warehouse.home.spool), *hooked()]
    for segment in warehouse.home.spool.glob("*.jsonl"):
        segment.unlink()
    lines = b"".join(as_before(event) + b"\n" for event in before)
    (warehouse.home.spool / "before.jsonl").write_bytes(lines)
    warehouse.run()
    migrate_down(warehouse.home, BEFORE)
    warehouse.run()

    costs = ["cost_estimate", "actual_cost"]
    unsaid = ["task_description", "pool_type", "routing_confidence", *costs]
    assert said(warehouse) == {
        None: ["reported", 0, 50, unsaid],
        "failed": ["reported", 0, 50, ["actual_cost"]],
        "record": ["reported", 0, 50, []],
        "timed": ["reported", 4, 50, ["cost_estimate"]],
        "untimed": ["unknown", 0, 50, ["duration_seconds", *costs]],
    }

    tell()
    warehouse.run()
    counts = ["file_count", "estimated_tokens"]
    assert said(warehouse) == {
        None: ["reported", 0, 50, unsaid],
        "failed": ["reported", 0, 50, [*counts, "complexity_score", "actual_cost"]],
        "record": ["reported", 0, 50, [*counts, "complexity_score"]],
        "timed": ["reported", 4, 50, ["estimated_tokens", "complexity_score", "cost_estimate"]],
        "untimed": ["unknown", 0, 50, [*counts, "complexity_score", "duration_seconds", *costs]],
    }, "one execution each, the latest captured"


def test_exported_executions_come_back_as_they_were(warehouse, tmp_path, parsed):
    with Telemetry(warehouse.home.root, strict=True) as telemetry:
        for event in hooked():
            telemetry.capture_sync(event)
        with telemetry.execution(task_id="block", repo="acme/api", complexity_score=50):
            pass
        telemetry.capture_routing_outcome_sync(task_id="orphan", success=False)
    imported(warehouse, write(tmp_path / "runs.jsonl", ROWS))
    warehouse.run()
    old = shown(warehouse, "* exclude (load_id, uploaded_at)")
    assert {row[0] for row in shown(warehouse, "duration_source")} == {
        "reported",
        "measured",
        "unknown",
    }

    for form in ("parquet", "csv", "json"):
        file = tmp_path / f"executions.{form}"
        with duckdb.connect(str(warehouse.home.learning_db), read_only=True) as copy:
            copy.execute(f"copy executions to '{file}' (format {form})")
        again = Warehouse(tmp_path / form, parsed)
        imported(again, file)
        again.run()
        assert shown(again, "* exclude (load_id, uploaded_at)") == old, form
