"""Warehouses made by hand and published as the dbt plugin does it, for tests of several folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

import duckdb

from orb_learning import Telemetry, publication
from orb_learning.embeddings import SimilarityCompanion
from orb_learning.home import Home
from orb_learning.publication import Keyed, Publication
from orb_learning.staging import load

ATTEMPTS = "main_intermediate.int_attempts"
KEYED = {
    "executions": Keyed(
        "coalesce(parent_task_id, task_id)", "timestamp", ATTEMPTS, "task_id", "first_load_id"
    ),
    "tasks": Keyed("task_id", "first_routed_at", ATTEMPTS, "task_id", "first_load_id"),
    "feedback": Keyed("feedback_id", "timestamp", "staging.raw.feedback", "feedback_id"),
}
"""As the models say it."""

AS_OF = "2026-03-01T12:00:00+00:00"


@contextmanager
def warehouse_of(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a home's warehouse as dbt does, with staging attached and one load in it."""
    if not home.staging.exists():
        with Telemetry(home.root, strict=True) as telemetry:
            telemetry.capture_feedback_sync("task", feedback_type="thumbs_up")
        load(home)
    with duckdb.connect(str(home.warehouse)) as connection:
        staging = str(home.staging).replace("'", "''")
        connection.execute(f"attach '{staging}' as staging (read_only)")
        yield connection


def publish(
    warehouse: duckdb.DuckDBPyConnection, home: Home, *, schema: str = "main", as_of: str = AS_OF
) -> Publication:
    return publication.publish(
        warehouse,
        home,
        schema=schema,
        as_of=as_of,
        keyed=KEYED,
        companion=SimilarityCompanion(home),
    )


def fill(connection: duckdb.DuckDBPyConnection, run: int, rows: int = 100) -> None:
    for table in ("first", "second"):
        connection.execute(
            f"create or replace table {table} as select {run} as run, range as n from range({rows})"
        )


def published(home: Home) -> list[str]:
    return sorted(entry.name for entry in home.published.iterdir() if entry.name != "current")


TABLES = """
create or replace table executions (
    success BOOLEAN, actual_cost DOUBLE, cost_source VARCHAR, repo VARCHAR, timestamp TIMESTAMP,
    content_hash VARCHAR, task_id UUID, parent_task_id UUID, attempt_is_ambiguous BOOLEAN
);
create or replace table tasks (task_id UUID);
create or replace table pending_executions (task_id UUID);
create or replace table tier_performance (
    repo VARCHAR, model_tier VARCHAR, task_type VARCHAR, date DATE, total_executions BIGINT,
    successful_count BIGINT, avg_duration DOUBLE, avg_cost DOUBLE, avg_quality DOUBLE,
    p95_duration DOUBLE, timed BIGINT, total_duration_seconds DOUBLE, costed BIGINT,
    total_cost DOUBLE, scored BIGINT, total_quality BIGINT, success_rate DOUBLE,
    not_for_the_report BIGINT
);
create or replace table pool_performance (
    not_for_the_report BIGINT, pool_type VARCHAR, repo VARCHAR, hour TIMESTAMP, total_tasks BIGINT,
    successful_tasks BIGINT, avg_duration DOUBLE, avg_cost DOUBLE, success_rate DOUBLE,
    timed BIGINT, total_duration_seconds DOUBLE, costed BIGINT, total_cost DOUBLE, scored BIGINT,
    total_quality BIGINT
);
create or replace table quality_trend (
    repo VARCHAR, date DATE, executions BIGINT, scored BIGINT, successful BIGINT,
    avg_quality DOUBLE, success_rate DOUBLE, avg_cost DOUBLE, timed BIGINT,
    total_duration_seconds DOUBLE, costed BIGINT, total_cost DOUBLE, total_quality BIGINT
);
create or replace table solution_patterns (
    solution_summary VARCHAR, repo VARCHAR, task_types VARCHAR[], usage_count BIGINT,
    success_count BIGINT, avg_quality DOUBLE, first_seen TIMESTAMP, last_seen TIMESTAMP,
    success_rate DOUBLE
);
"""

EXECUTIONS = [(True, 1.5, "reported"), (True, 0.25, "estimate"), (False, 0.0, "unknown")]

# fmt: off
TIERS = [
    (
        "acme/api",
        "small",
        "fix",
        date(2026, 2, 28),
        9,
        7,
        10.0,
        0.5,
        80.0,
        20.0,
        9,
        90.0,
        4,
        2.0,
        5,
        400,
        0.78,
    ),
    (
        "acme/api",
        "large",
        "fix",
        date(2026, 3, 1),
        1234,
        1000,
        61.25,
        None,
        None,
        99.5,
        1234,
        75582.5,
        0,
        None,
        0,
        None,
        0.81,
    ),
    (
        "acme/web",
        "small",
        "fix",
        date(2026, 3, 1),
        3,
        3,
        1.0,
        0.0,
        100.0,
        1.0,
        3,
        3.0,
        3,
        0.0,
        3,
        300,
        1.0,
    ),
    (
        "acme/api",
        "small",
        "fix",
        date(2026, 3, 1),
        3,
        0,
        1.0,
        0.0,
        0.0,
        1.0,
        3,
        3.0,
        3,
        0.0,
        3,
        0,
        0.0,
    ),
]

POOLS = [
    (
        "swarm",
        "acme/api",
        datetime(2026, 3, 1, 11),
        4,
        3,
        12.5,
        0.125,
        0.75,
        4,
        50.0,
        4,
        0.5,
        2,
        150,
    ),
    (
        "single",
        "acme/api",
        datetime(2026, 3, 1, 12),
        1,
        1,
        2.0,
        None,
        1.0,
        1,
        2.0,
        0,
        None,
        0,
        None,
    ),
]

TREND = [
    ("acme/api", date(2026, 2, 28), 4, 2, 3, 75.5, 0.75, 0.25, 4, 40.0, 4, 1.0, 151),
    ("acme/api", date(2026, 3, 1), 2, 0, 2, None, 1.0, None, 0, None, 0, None, None),
]
# fmt: on

PATTERNS = [
    (
        "add [tests]",
        "acme/api",
        ["fix"],
        5,
        4,
        70.0,
        datetime(2026, 1, 1),
        datetime(2026, 2, 1),
        0.8,
    ),
    (
        'say "no", then\nyes',
        "acme/web",
        ["docs", "fix"],
        6,
        6,
        None,
        datetime(2026, 1, 2, 3, 4, 5),
        datetime(2026, 2, 3),
        1.0,
    ),
]


def publish_marts(
    home: Home,
    executions: Iterable[tuple[Any, ...]] = EXECUTIONS,
    *,
    as_of: str = AS_OF,
    empty: bool = False,
) -> Publication:
    """Publish small marts made by hand."""
    with warehouse_of(home) as connection:
        connection.execute(TABLES)
        rest = ("acme/api", datetime(2026, 3, 1), "a", None, None, False)
        _insert(connection, "executions", [] if empty else [(*row, *rest) for row in executions])
        for table, rows in (
            ("tier_performance", [(*row, 1) for row in TIERS]),
            ("pool_performance", [(1, *row) for row in POOLS]),
            ("quality_trend", TREND),
            ("solution_patterns", PATTERNS),
            ("tasks", [("7a3c8a52-90a4-4d1e-9f67-0d1f0a9b4a01",)] * 2),
            ("pending_executions", [("7a3c8a52-90a4-4d1e-9f67-0d1f0a9b4a02",)]),
        ):
            _insert(connection, table, [] if empty else rows)
        return publish(connection, home, schema="main", as_of=as_of)


def _insert(
    connection: duckdb.DuckDBPyConnection, table: str, rows: Iterable[tuple[Any, ...]]
) -> None:
    for row in rows:
        marks = ", ".join("?" for _ in row)
        connection.execute(f"insert into {table} values ({marks})", list(row))
