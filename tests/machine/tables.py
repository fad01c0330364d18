"""Which columns of which marts are compared, and how."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import duckdb

MIN_USES = 2
"""`pattern_min_uses` of all runs here: few events, and still patterns."""

COLUMNS = {
    "executions": [
        "task_id", "attempt", "timestamp", "task_type", "repo", "model_tier", "pool_type",
        "success", "duration_seconds", "known_duration_seconds", "quality_score", "actual_cost",
        "known_cost", "cost_source",
        "user_accepted", "user_rating", "solution_summary", "error_type", "metadata",
        "attempt_is_ambiguous",
    ],
    "pending_executions": ["task_id"],
    "feedback": ["feedback_id", "task_id", "timestamp", "feedback_type", "rating"],
    "tasks": [
        "task_id", "attempts", "success", "total_cost", "total_duration_seconds", "tiers_tried",
        "final_tier", "task_type", "repo", "first_routed_at", "last_routed_at",
    ],
    "tier_performance": [
        "repo", "model_tier", "task_type", "date", "total_executions", "successful_count",
        "avg_duration", "avg_cost", "avg_quality", "p95_duration", "timed",
        "total_duration_seconds", "costed", "total_cost", "scored", "total_quality",
        "success_rate",
    ],
    "pool_performance": [
        "pool_type", "repo", "hour", "total_tasks", "successful_tasks", "avg_duration",
        "avg_cost", "success_rate", "timed", "total_duration_seconds", "costed", "total_cost",
        "scored", "total_quality",
    ],
    "quality_trend": [
        "repo", "date", "executions", "scored", "successful", "avg_quality", "success_rate",
        "avg_cost", "timed", "total_duration_seconds", "costed", "total_cost", "total_quality",
    ],
    "solution_patterns": [
        "solution_summary", "repo", "task_types", "usage_count", "success_count", "avg_quality",
        "first_seen", "last_seen", "success_rate",
    ],
}  # fmt: skip

Tables = dict[str, list[tuple[Any, ...]]]


def read(connection: duckdb.DuckDBPyConnection) -> Tables:
    """Return the compared columns of every mart."""
    return {
        table: connection.execute(f"select {', '.join(columns)} from {table}").fetchall()
        for table, columns in COLUMNS.items()
    }


def assert_same(found: Tables, expected: Tables, when: str) -> None:
    """Compare all marts, whatever the order of their rows."""
    for table, rows in expected.items():
        ours, theirs = _in_order(found[table]), _in_order(rows)
        assert len(ours) == len(theirs), f"{when}, {table}: {ours} instead of {theirs}"
        for row, wanted in zip(ours, theirs, strict=True):
            for column, value, other in zip(COLUMNS[table], row, wanted, strict=True):
                assert _equal(column, value, other), (
                    f"{when}, {table}.{column}: {value} instead of {other} in {row}"
                )


def _in_order(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    # Only what is compared exactly may decide the order.
    return sorted(rows, key=lambda row: [str(v) for v in row if not isinstance(v, float)])


def _equal(column: str, value: Any, other: Any) -> bool:
    """Sums and averages may differ in their last bits, all else may not."""
    if column == "metadata":
        return bool(json.loads(value) == other)
    if isinstance(other, float) and column.startswith(("avg_", "total_", "p95_", "success_rate")):
        return value is not None and math.isclose(value, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(value == other)
