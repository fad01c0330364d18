"""What nobody knows is no zero: not in a mean, not in a sum, not in a percentile."""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest

from orb_learning import Telemetry
from orb_learning.importer import import_files
from orb_learning.refresh import Refresher

from .warehouse import Warehouse

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
RUN: dict[str, Any] = {
    "timestamp": NOON.isoformat(),
    "task_type": "fix",
    "task_description": "repair the parser",
    "repo": "acme/api",
    "model_tier": "large",
    "pool_type": "swarm",
    "routing_confidence": 0.8,
    "success": True,
}


@pytest.fixture
def warehouse(tmp_path, parsed: Refresher) -> Warehouse:
    return Warehouse(tmp_path / "home", parsed)


def asked(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(warehouse.home.learning_db), read_only=True) as copy:
        return copy.execute(query).fetchall()


def test_an_unknown_duration_and_an_unknown_cost_are_in_no_figure(warehouse, tmp_path):
    rows = [
        {"task_id": "a", "duration_seconds": 10, "actual_cost": 2, "quality_score": 80},
        {"task_id": "b", "success": False},
        {"task_id": "c", "duration_seconds": 20, "cost_estimate": 1, "quality_score": 91},
    ]
    file = tmp_path / "runs.jsonl"
    file.write_text("".join(json.dumps({**RUN, **row}) + "\n" for row in rows))
    with Telemetry(warehouse.home.root) as telemetry:
        import_files(telemetry, [file])
    warehouse.run()

    shown = asked(warehouse, "select avg(known_duration_seconds), avg(known_cost) from executions")
    assert shown == [(15.0, 1.5)]
    sums = (2, 30.0, 2, 3.0, 171)
    columns = "timed, total_duration_seconds, costed, total_cost, total_quality"
    for mart in ("tier_performance", "pool_performance", "quality_trend"):
        assert asked(warehouse, f"select {columns} from {mart}") == [sums]
        (rate,) = asked(warehouse, f"select success_rate, avg_cost from {mart}")
        assert rate == (2 / 3, 1.5)
    for mart in ("tier_performance", "pool_performance"):
        assert asked(warehouse, f"select avg_duration, scored from {mart}") == [(15.0, 2)]
    assert asked(warehouse, "select p95_duration, avg_quality from tier_performance") == [
        (19.5, 85.5)
    ]
    totals = "select total_duration_seconds, total_cost from tasks order by repo, 1"
    assert asked(warehouse, totals) == [(10.0, 2.0), (20.0, 1.0), (None, None)]


def test_a_start_after_its_outcome_measures_nothing(warehouse):
    with Telemetry(warehouse.home.root) as telemetry:
        for name, seconds in (("before", -3), ("after", 3), ("at once", 0)):
            telemetry.capture_pool_execution_start_sync(task_id=name, occurred_at=NOON)
            telemetry.capture_pool_execution_complete_sync(
                task_id=name, success=True, occurred_at=NOON + timedelta(seconds=seconds)
            )
    warehouse.run()
    known = "select duration_seconds, known_duration_seconds from executions order by all"
    assert asked(warehouse, known) == [(0.0, 0.0), (0.0, None), (3.0, 3.0)]
    assert asked(warehouse, "select timed, avg_duration from tier_performance") == [(2, 1.5)]


def test_a_mean_is_the_same_in_any_order_and_as_a_double_rounds(warehouse):
    chance = random.Random(20261130)
    values = [
        round(chance.uniform(0, 10 ** chance.randrange(-6, 6)), chance.choice((9, 10, 12)))
        for _ in range(300)
    ]
    with Telemetry(warehouse.home.root) as telemetry:
        for number, value in enumerate(values):
            telemetry.capture_routing_outcome_sync(
                task_id=f"t{number}", success=True, actual_cost=value, occurred_at=NOON
            )
    warehouse.run()
    # Halves away from nought, as SQL rounds.
    billionths = [math.floor(value * 1e9 + 0.5) for value in values]
    total = float(sum(billionths)) / 1e9
    assert asked(warehouse, "select total_cost, avg_cost from tier_performance") == [
        (total, total / len(values))
    ]
