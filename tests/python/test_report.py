"""The report: what the current publication says, and no other."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import duckdb
import pytest

from orb_learning import report
from orb_learning.errors import HomeError, NotPublishedError
from orb_learning.home import Home
from orb_learning.publication import Publication, publish
from orb_learning.report import MARTS, Summary, build_report
from test_publication import AS_OF, warehouse_of

TABLES = """
create or replace table executions (
    success BOOLEAN, actual_cost DOUBLE, cost_source VARCHAR, repo VARCHAR, timestamp TIMESTAMP,
    content_hash VARCHAR
);
create or replace table tasks (task_id UUID);
create or replace table pending_executions (task_id UUID);
create or replace table tier_performance (
    repo VARCHAR, model_tier VARCHAR, task_type VARCHAR, date DATE, total_executions BIGINT,
    successful_count BIGINT, avg_duration DOUBLE, avg_cost DOUBLE, avg_quality DOUBLE,
    p95_duration DOUBLE, not_for_the_report BIGINT
);
create or replace table pool_performance (
    not_for_the_report BIGINT, pool_type VARCHAR, repo VARCHAR, hour TIMESTAMP, total_tasks BIGINT,
    successful_tasks BIGINT, avg_duration DOUBLE, avg_cost DOUBLE, success_rate DOUBLE
);
create or replace table solution_patterns (
    solution_summary VARCHAR, repo VARCHAR, task_types VARCHAR[], usage_count BIGINT,
    success_count BIGINT, avg_quality DOUBLE, first_seen TIMESTAMP, last_seen TIMESTAMP,
    success_rate DOUBLE
);
"""

EXECUTIONS = [(True, 1.5, "reported"), (True, 0.25, "estimate"), (False, 0.0, "unknown")]

TIERS = [
    ("acme/api", "small", "fix", date(2026, 2, 28), 9, 7, 10.0, 0.5, 80.0, 20.0),
    ("acme/api", "large", "fix", date(2026, 3, 1), 1234, 1000, 61.25, None, None, 99.5),
    ("acme/web", "small", "fix", date(2026, 3, 1), 3, 3, 1.0, 0.0, 100.0, 1.0),
    ("acme/api", "small", "fix", date(2026, 3, 1), 3, 0, 1.0, 0.0, 0.0, 1.0),
]

POOLS = [
    ("swarm", "acme/api", datetime(2026, 3, 1, 11), 4, 3, 12.5, 0.125, 0.75),
    ("single", "acme/api", datetime(2026, 3, 1, 12), 1, 1, 2.0, None, 1.0),
]

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
        rest = ("acme/api", datetime(2026, 3, 1), "a")
        _insert(connection, "executions", [] if empty else [(*row, *rest) for row in executions])
        for table, rows in (
            ("tier_performance", [(*row, 1) for row in TIERS]),
            ("pool_performance", [(1, *row) for row in POOLS]),
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


def test_a_report_sums_up_what_happened(home):
    made = publish_marts(home)
    found = build_report(home)
    assert found.publication == made
    assert found.summary == Summary(
        executions=3,
        tasks=2,
        pending=1,
        success_rate=pytest.approx(2 / 3),
        known_cost=1.75,
        unknown_costs=1,
    )


def test_what_nobody_knows_is_none_and_not_zero(home):
    publish_marts(home, [(False, 0.0, "unknown")])
    assert build_report(home).summary.known_cost is None

    publish_marts(home, empty=True)
    found = build_report(home)
    assert found.summary == Summary(0, 0, 0, None, None, 0)
    assert [(mart.rows, mart.total) for mart in found.marts] == [([], 0)] * 3


def test_each_mart_shows_its_public_columns_with_the_most_telling_rows_first(home):
    publish_marts(home)
    tiers, pools, patterns = build_report(home).marts
    assert [mart.columns for mart in (tiers, pools, patterns)] == [
        columns for columns, _ in MARTS.values()
    ]
    assert tiers.rows == [TIERS[1], TIERS[3], TIERS[2], TIERS[0]]
    assert pools.rows == POOLS[::-1]
    assert patterns.rows == PATTERNS[::-1]


def test_a_report_may_be_of_some_marts_and_some_rows(home):
    publish_marts(home)
    found = build_report(home, marts=("pool_performance", "tier_performance"), limit=1)
    assert [(mart.name, mart.rows, mart.total) for mart in found.marts] == [
        ("pool_performance", POOLS[1:], 2),
        ("tier_performance", [TIERS[1]], 4),
    ]


@pytest.mark.parametrize("as_of", ["2026-03-01", "2026-03-01T23:59:59+00:00"])
def test_a_report_may_insist_on_the_day_that_is_published(home, as_of):
    publish_marts(home)
    assert build_report(home, as_of=as_of).publication.as_of == AS_OF


def test_a_report_of_another_day_says_how_to_get_it(home):
    publish_marts(home)
    with pytest.raises(NotPublishedError) as caught:
        build_report(home, as_of="2026-02-28T12:00")
    assert str(caught.value) == (
        "the published marts end at 2026-03-01, not 2026-02-28; "
        "run: dbt build --vars '{as_of: 2026-02-28}'"
    )


def test_there_is_no_report_before_a_publication(home):
    with pytest.raises(NotPublishedError, match="nothing is published in"):
        build_report(home)


def test_a_report_reads_one_publication_even_if_another_follows_meanwhile(home, monkeypatch):
    first = publish_marts(home)
    publish_marts(home, empty=True)
    monkeypatch.setattr(report, "current", lambda _: first)
    assert build_report(home).summary.executions == 3


def test_a_publication_that_is_damaged_is_one_line(home):
    made = publish_marts(home)
    database = home.published / made.id / "learning.db"
    database.chmod(0o600)
    database.write_text("not a database, for longer than a header is" * 99)
    with pytest.raises(HomeError) as caught:
        build_report(home)
    assert str(caught.value).startswith(f"{database} is not a DuckDB database")
