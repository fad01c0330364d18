"""Which columns of which marts are compared, and how: all but those that tell of loads."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import duckdb

MIN_USES = 2
FEW = f"pattern_min_uses: {MIN_USES}, evidence_min_tries: 1, evidence_min_costs: 1"
"""Vars of all runs here: few events, and still patterns and advice."""

LOADS = ("load_id", "uploaded_at", "day_fingerprint")
"""What tells of loads, of which the oracle knows nothing."""

COLUMNS = {
    "executions": [
        "task_id", "timestamp", "task_type", "task_description", "repo", "file_count",
        "estimated_tokens", "model_tier", "pool_type", "swarm_topology", "routing_confidence",
        "complexity_score", "success", "duration_seconds", "known_duration_seconds",
        "duration_source", "quality_score", "cost_estimate", "actual_cost", "known_cost",
        "error_type", "error_message", "user_accepted", "user_rating", "peak_memory_mb",
        "cpu_time_seconds", "solution_summary", "metadata", "cost_source", "policy_version",
        "propensity", "candidates", "task_group", "defaulted", "parent_task_id", "attempt",
        "attempt_is_ambiguous", "content_hash", "date",
    ],
    "pending_executions": [
        "task_id", "parent_task_id", "attempt", "timestamp", "started_at", "task_type", "repo",
        "model_tier", "pool_type", "cost_estimate",
    ],
    "feedback": [
        "feedback_id", "task_id", "timestamp", "feedback_type", "rating", "comment", "user_id",
    ],
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
        "pool_type", "repo", "hour", "date", "total_tasks", "successful_tasks", "avg_duration",
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
    if column in ("metadata", "candidates") and value is not None:
        return bool(json.loads(value) == other)
    if isinstance(other, float) and column.startswith(("avg_", "total_", "p95_", "success_rate")):
        return value is not None and math.isclose(value, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(value == other)
