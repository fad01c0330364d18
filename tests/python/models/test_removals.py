"""What is erased or pruned is in no table and no publication after the next run."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import duckdb
import pytest

from orb_learning.errors import ProjectError, RefreshError
from orb_learning.events import Event, Feedback, RoutingDecision, RoutingOutcome
from orb_learning.publication import current
from orb_learning.refresh import Refresher
from orb_learning.staging import lower_floor
from orb_learning.upkeep import prune, request_erasure

from .warehouse import Warehouse

TODAY = date(2026, 6, 15)
NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
TASKS = [UUID(int=number) for number in range(1, 7)]


def history(number: int, days_ago: int, attempt: int | None = None) -> list[Event]:
    base = {
        "task_id": TASKS[number],
        "attempt": attempt,
        "occurred_at": NOON - timedelta(days=days_ago),
    }
    return [
        RoutingDecision(
            **base,
            task_type="fix",
            task_description=f"words of task {number}",
            repo="acme/api",
            model_tier="large",
        ),
        RoutingOutcome(**base, success=True, solution_summary=f"solution {number}"),
        Feedback(**base, feedback_type="accepted", rating=5, user_id="maria"),
    ]


@pytest.fixture
def warehouse(parsed: Refresher, tmp_path) -> Warehouse:
    built = Warehouse(tmp_path / "home", parsed)
    built.write([*history(0, 1), *history(1, 1), *history(2, 40), *history(3, 100)])
    built.run(pattern_min_uses=1)
    return built


def published(warehouse: Warehouse, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(warehouse.home.learning_db), read_only=True) as copy:
        return copy.execute(query).fetchall()


def everything_published(warehouse: Warehouse) -> str:
    rows = []
    for path in warehouse.home.published.glob("2*/learning.db"):
        with duckdb.connect(str(path), read_only=True) as copy:
            for (table,) in copy.execute("select table_name from duckdb_tables()").fetchall():
                rows += copy.execute(f'from "{table}"').fetchall()
    return repr(rows)


def test_an_erased_task_is_in_no_publication_and_no_rebuild_brings_it_back(warehouse):
    warehouse.run(pattern_min_uses=1)  # a second publication that has it
    assert "words of task 0" in everything_published(warehouse)

    request_erasure(warehouse.home, tasks=[str(TASKS[0])])
    warehouse.write(history(0, 1))
    warehouse.run(pattern_min_uses=1)

    for needle in (str(TASKS[0]), repr(TASKS[0]), "words of task 0", "solution 0"):
        assert needle not in everything_published(warehouse)
        assert needle not in repr(warehouse.tables())
    assert current(warehouse.home).rows["executions"] == 3
    warehouse.run("--full-refresh", pattern_min_uses=1)
    assert current(warehouse.home).rows["executions"] == 3


def test_a_later_attempt_is_erased_with_its_whole_task(warehouse):
    warehouse.write(history(1, 0, attempt=2))
    warehouse.run()
    query = "select task_id from executions where parent_task_id is not null"
    ((attempt,),) = published(warehouse, query)

    request_erasure(warehouse.home, tasks=[str(attempt)])
    warehouse.run()

    left = published(warehouse, "select task_id from executions order by timestamp")
    assert left == [(TASKS[3],), (TASKS[2],), (TASKS[0],)]


def test_an_erased_users_feedback_no_longer_counts(warehouse):
    assert published(warehouse, "select distinct user_rating from executions") == [(5,)]
    request_erasure(warehouse.home, users=["maria"])
    warehouse.run()
    assert published(warehouse, "select count(*) from feedback") == [(0,)]
    assert published(warehouse, "select distinct user_rating from executions") == [(None,)]


def test_what_is_pruned_is_gone_and_the_rest_equals_a_full_refresh(warehouse):
    prune(warehouse.home, raw_days=90, derived_days=30, today=TODAY, is_sure=True)
    warehouse.run()
    left = published(warehouse, "select task_id from executions order by 1")
    assert left == [(TASKS[0],), (TASKS[1],)]
    assert published(warehouse, "select count(*) from feedback") == [(2,)]

    # Late, and one of them a day too late; so are decisions that nothing came of.
    waiting = [
        decision.model_copy(update={"task_id": UUID(int=days), "event_id": UUID(int=days)})
        for days in (30, 31)
        for decision in history(0, days)[:1]
    ]
    warehouse.write([*history(4, 31), *history(5, 30), *waiting])
    warehouse.run()
    built = warehouse.tables()
    rows = current(warehouse.home).rows
    assert (rows["executions"], rows["feedback"], rows["pending_executions"]) == (3, 3, 1)
    assert published(warehouse, "select max(task_id) from executions") == [(TASKS[5],)]
    warehouse.run("--full-refresh")
    assert warehouse.tables() == built


def test_what_a_floor_in_the_future_hides_is_back_with_the_next_run(warehouse):
    prune(warehouse.home, raw_days=100_000, today=date(2200, 6, 15), is_sure=True)
    warehouse.write(history(4, 2))
    warehouse.run()
    assert current(warehouse.home).rows["executions"] == 5
    built = warehouse.tables()
    warehouse.run("--full-refresh")
    assert warehouse.tables() == built


def test_what_a_lowered_floor_shows_again_equals_a_full_refresh_also_of_an_earlier_day(warehouse):
    prune(warehouse.home, raw_days=200, derived_days=30, today=TODAY, is_sure=True)
    warehouse.run()
    assert current(warehouse.home).rows["executions"] == 2

    lower_floor(warehouse.home, TODAY - timedelta(days=40))
    warehouse.run()
    assert current(warehouse.home).rows["executions"] == 3
    warehouse.run(as_of="2026-05-10")
    built = warehouse.tables()
    warehouse.run("--full-refresh", as_of="2026-05-10")
    assert warehouse.tables() == built
    assert len(built["main.executions"]) == 3


def test_a_warehouse_with_damaged_blocks_is_built_anew(warehouse, parsed):
    before = warehouse.tables()
    data = bytearray(warehouse.home.warehouse.read_bytes())
    for position in range(4096 * 3, len(data), 4096):
        data[position + 99] ^= 0xFF
    warehouse.home.warehouse.write_bytes(data)
    refresher = Refresher(warehouse.home.root)
    refresher._manifest = parsed._manifest

    report = refresher.refresh(as_of="2026-06-15")

    assert report.publication.rows["executions"] == 4
    assert warehouse.tables()["main.executions"] == before["main.executions"]


def test_a_warm_process_makes_views_and_artifacts_once_for_each_warehouse(warehouse):
    refresher = warehouse.refresher
    artifact = warehouse.home.root / "target" / "run_results.json"

    def is_whole() -> bool:
        artifact.unlink(missing_ok=True)
        refresher.refresh(as_of="2026-06-15", with_tests=False)
        return artifact.exists()

    assert is_whole()
    warehouse.write(history(4, 2))
    assert not is_whole()
    assert published(warehouse, "select count(*) from tasks") == [(5,)]

    request_erasure(warehouse.home, tasks=[str(TASKS[0])])  # which drops the warehouse
    assert is_whole()
    assert published(warehouse, "select count(*) from tasks") == [(4,)]
    assert not is_whole()

    warehouse.home.warehouse.unlink()
    assert is_whole()
    assert not is_whole()
    with pytest.raises(ProjectError, match="as_of must be a date"):
        refresher.refresh(as_of="tomorrow", with_tests=False)
    assert not is_whole(), "nothing was run"
    aside = warehouse.home.staging.rename(warehouse.home.root / "aside")
    warehouse.home.staging.mkdir()
    with pytest.raises(RefreshError):
        refresher.refresh(as_of="2026-06-15", with_tests=False)
    warehouse.home.staging.rmdir()
    aside.rename(warehouse.home.staging)
    assert is_whole(), "what a failed run left is made anew"
    assert published(warehouse, "select count(*) from tasks") == [(4,)]
