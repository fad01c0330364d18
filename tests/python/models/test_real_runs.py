"""42,140 real runs in at one end: every figure of the marts equals one plain query's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orb_learning import Telemetry
from orb_learning.importer import import_files
from orb_learning.publication import current
from orb_learning.refresh import Refresher
from orb_learning.serving import build_report
from orb_learning.upkeep import take_in

from .counting import counted
from .warehouse import Warehouse

DATA = Path(__file__).parents[4] / "shared" / "data"
FILES = [DATA / "openhands_runs.jsonl.gz", DATA / "metr_runs.jsonl.gz"]

pytestmark = pytest.mark.skipif(
    not all(path.exists() for path in FILES),
    reason=f"the real runs are not part of the project; put them into {DATA}",
)

# Averages may differ in their last bits: the plain query adds in the order it reads.
TOLERANCE = 1e-9

RUNS = """
create table runs as
select *, coalesce(actual_cost, cost_estimate) as cost
from read_json($files, format = 'newline_delimited', columns = {
    timestamp: 'TIMESTAMPTZ', task_type: 'VARCHAR', repo: 'VARCHAR', model_tier: 'VARCHAR',
    pool_type: 'VARCHAR', success: 'BOOLEAN', duration_seconds: 'DOUBLE',
    quality_score: 'INTEGER', cost_estimate: 'DOUBLE', actual_cost: 'DOUBLE',
    solution_summary: 'VARCHAR'
})
"""

PLAIN = {
    "tier_performance": """
        select repo, model_tier, task_type, timestamp::date as date, count(*),
            sum(success::int), avg(duration_seconds), avg(cost), avg(quality_score),
            quantile_cont(duration_seconds, 0.95), count(duration_seconds), sum(duration_seconds),
            count(cost), sum(cost),
            count(quality_score), sum(quality_score), avg(success::int)
        from runs
        where timestamp >= $day::date - 30 and timestamp < $day::date + 1
        group by all
    """,
    "pool_performance": """
        select pool_type, repo, date_trunc('hour', timestamp)::timestamp, count(*),
            sum(success::int), avg(duration_seconds), avg(cost), avg(success::int),
            count(duration_seconds), sum(duration_seconds),
            count(cost), sum(cost), count(quality_score), sum(quality_score)
        from runs
        where timestamp >= $day::date - 7 and timestamp < $day::date + 1
        group by all
    """,
    "quality_trend": """
        select repo, timestamp::date as date, count(*), count(quality_score), sum(success::int),
            avg(quality_score), avg(success::int), avg(cost),
            count(duration_seconds), sum(duration_seconds),
            count(cost), sum(cost),
            sum(quality_score)
        from runs
        where timestamp >= $day::date - 90 and timestamp < $day::date + 1
        group by all
    """,
    "solution_patterns": """
        select solution_summary, repo, list_sort(list_distinct(list(task_type))), count(*),
            sum(success::int), avg(quality_score), min(timestamp)::timestamp,
            max(timestamp)::timestamp, avg(success::int)
        from runs
        where timestamp >= $day::date - 90 and timestamp < $day::date + 1
            and solution_summary is not null
        group by solution_summary, repo
        having count(*) >= 5
    """,
}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory, parsed: Refresher) -> Warehouse:
    built = Warehouse(tmp_path_factory.mktemp("real") / "home", parsed)
    with Telemetry(built.home.root, strict=True) as telemetry:
        report = import_files(telemetry, FILES)
    assert (report.rows, report.rejected) == (42_140, 0)
    return built


@pytest.fixture(scope="module")
def runs() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    connection.execute(RUNS, {"files": [str(path) for path in FILES]})
    return connection


@pytest.mark.parametrize("day", ["2026-06-15", "2026-02-01", "2025-03-10"])
def test_every_figure_of_the_marts_equals_a_plain_query_over_the_files(
    warehouse: Warehouse, runs: duckdb.DuckDBPyConnection, day: str
) -> None:
    warehouse.run(as_of=day, publish_past="true")

    report = build_report(warehouse.home, as_of=day)

    assert report.summary.executions == 42_140
    assert report.summary.unknown_costs == 6_848
    marts = {mart.name: (mart.columns, mart.rows) for mart in report.marts}
    for name, (columns, rows) in marts.items():
        expected = runs.execute(PLAIN[name], {"day": day}).fetchall()
        keys = sum(1 for column in columns if column in KEYS)
        found, wanted = _by_key(rows, keys), _by_key(expected, keys)
        assert len(found) == len(wanted), name
        for row, plain in zip(found, wanted, strict=True):
            for column, value, other in zip(columns, row, plain, strict=True):
                if other is not None and column.startswith(("avg_", "total_d", "total_c", "succ")):
                    # Each addend is rounded to a billionth.
                    addends = plain[keys] if column.startswith("total_") else 1
                    near = pytest.approx(other, rel=TOLERANCE, abs=addends * TOLERANCE)
                    assert value == near, column
                else:
                    assert value == other, (name, column, row, plain)


def _by_key(rows: list[tuple[Any, ...]], keys: int) -> list[tuple[Any, ...]]:
    return sorted(rows, key=lambda row: str(row[:keys]))


KEYS = {"repo", "model_tier", "task_type", "date", "pool_type", "hour", "solution_summary"}


def test_importing_the_same_files_again_changes_nothing(warehouse: Warehouse) -> None:
    warehouse.run()
    before = warehouse.tables()
    with Telemetry(warehouse.home.root, strict=True) as telemetry:
        import_files(telemetry, FILES)

    report = take_in(warehouse.home)
    warehouse.run()

    assert (report.loaded, report.duplicates) == (0, 42_140)
    assert warehouse.tables() == before


def test_a_thousand_new_events_write_their_own_rows(warehouse: Warehouse, tmp_path: Path) -> None:
    shutil.copytree(warehouse.home.root, tmp_path / "home", symlinks=True)
    warehouse = Warehouse(tmp_path / "home", warehouse.refresher)
    warehouse.run()
    with Telemetry(warehouse.home.root, strict=True) as telemetry:
        for index in range(1_000):
            telemetry.capture_routing_outcome_sync(
                task_id=f"new-{index}", success=True, timestamp="2026-06-14T00:00:00Z"
            )
    with counted() as work:
        warehouse.run()

    # Each row is written twice, to a temporary table and to the model's own.
    by_task = ("int_attempts", "executions", "tasks")
    assert {model: work.written[model] for model in by_task} == dict.fromkeys(by_task, 2 * 1_000)
    assert sum(work.written.values()) - work.written["publication"] < 12_000
    assert current(warehouse.home).rows["executions"] == 42_140 + 1_000
