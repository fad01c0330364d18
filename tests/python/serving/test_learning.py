"""The read API, on publications that dbt and the publish step have really made."""

from __future__ import annotations

import asyncio
import gc
import shutil
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import duckdb
import pytest

from orb_learning import ExecutionRecord, Telemetry
from orb_learning.errors import (
    HomeError,
    InvalidEventError,
    InvalidQueryError,
    NotPublishedError,
    QueryTimeoutError,
)
from orb_learning.home import Home
from orb_learning.publication import KEPT, Publication
from orb_learning.serving import LearningDatabase, _learning, build_report
from orb_learning.serving import _publications as publications
from orb_learning.serving import _queries as queries
from orb_learning.serving._arguments import of_repo
from orb_learning.serving._results import fetch
from orb_learning.serving._rows import Execution
from publishing import publish

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TASK = UUID("0198a3a0-0000-7000-8000-000000000001")


def execution(number: int, **changes: Any) -> ExecutionRecord:
    values: dict[str, Any] = {
        "task_id": UUID(int=TASK.int + number),
        "timestamp": NOW - timedelta(days=number % 3, minutes=number),
        "task_type": "refactor",
        "task_description": f"split the parser, part {number}",
        "repo": f"acme/{'api' if number % 2 else 'web'}",
        "model_tier": "large",
        "pool_type": "swarm",
        "routing_confidence": 0.8,
        "success": number % 4 != 0,
        "duration_seconds": float(number),
        "quality_score": 50 + number,
        "cost_estimate": 0.5,
        "actual_cost": 0.25,
        "solution_summary": "extract the tokenizer",
        "metadata": {"branch": "main"},
        "candidates": {"small": 0.25, "large": 0.75},
    }
    return ExecutionRecord(**(values | changes))


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory: pytest.TempPathFactory, refresh: Callable[..., None]) -> Home:
    """A home with 40 executions, loaded, built and published."""
    root = tmp_path_factory.mktemp("serving") / "home"
    with Telemetry(root, strict=True) as telemetry:
        for number in range(40):
            telemetry.record_execution_sync(execution(number))
        telemetry.capture_feedback_sync(TASK, feedback_type="thumbs_up", rating=4)
    refresh(root, as_of=NOW.isoformat())
    return Home.locate(root)


def ask(
    home: Home, question: Callable[[LearningDatabase], Coroutine[Any, Any, Any]], **how: Any
) -> Any:
    async def run() -> Any:
        async with LearningDatabase(home.root, **how) as learning:
            return await question(learning)

    return asyncio.run(run())


def test_tiers_come_by_day_the_newest_first(refreshed):
    rows = ask(refreshed, lambda db: db.get_tier_performance("acme/api"))
    assert [row.date for row in rows] == sorted((row.date for row in rows), reverse=True)
    assert {row.repo for row in rows} == {"acme/api"}
    assert sum(row.total_executions for row in rows) == 20
    assert rows[0].model_dump()["model_tier"] == "large"
    assert rows[0].avg_cost == 0.25


def test_pools_solutions_and_quality_are_read(refreshed):
    async def read(db: LearningDatabase) -> None:
        pools = await db.get_pool_performance()
        assert sum(row.total_tasks for row in pools) == 40
        assert all(row.hour.tzinfo is UTC for row in pools)
        (api, web) = sorted(await db.get_solution_patterns(), key=lambda row: row.repo)
        assert (api.usage_count, api.success_count, api.success_rate) == (20, 20, 1.0)
        assert (web.usage_count, web.success_count, web.task_types) == (20, 10, ["refactor"])
        assert await db.get_solution_patterns(min_usage=21) == []
        assert len(await db.get_solution_patterns(limit=1)) == 1
        trend = await db.get_quality_trend("acme/web")
        assert sum(day.executions for day in trend) == sum(day.scored for day in trend) == 20
        assert [day.date for day in trend] == sorted(day.date for day in trend)
        assert {day.avg_cost for day in trend} == {0.25}

    ask(refreshed, read)


def test_a_later_attempt_has_an_id_of_its_own(refresh, tmp_path):
    root = tmp_path / "home"
    with Telemetry(root, strict=True) as telemetry:
        for minute in (0, 2):
            at = (NOW + timedelta(minutes=minute)).isoformat()
            telemetry.capture_routing_decision_sync(
                task_id=TASK, task_type="fix", model_tier="small", timestamp=at
            )
            at = (NOW + timedelta(minutes=minute + 1)).isoformat()
            telemetry.capture_routing_outcome_sync(task_id=TASK, success=minute > 0, timestamp=at)
    refresh(root)

    async def read(db: LearningDatabase) -> None:
        (later,) = (await db.query("select task_id from executions where attempt = 2")).rows[0]
        first, second = await db.get_execution(TASK), await db.get_execution(later)
        assert (first.attempt, second.attempt, second.parent_task_id) == (1, 2, TASK)

    ask(Home.locate(root), read)


def test_an_execution_is_looked_for_when_its_task_was_routed(refreshed, tmp_path):
    """Of two rows of one id (there never are) the one outside that time is not read."""
    home = Home(tmp_path / "home")
    home.create()
    with duckdb.connect(str(home.warehouse)) as warehouse:
        warehouse.execute(f"attach '{refreshed.staging}' as staging (read_only)")
        warehouse.execute(f"attach '{refreshed.learning_db}' as made (read_only)")
        for table in ("executions", "tasks"):
            warehouse.execute(f"create table {table} as from made.{table}")
        warehouse.execute(
            "insert into executions select * replace (timestamp - interval 9 day as timestamp,"
            f" 'elsewhere' as repo) from executions where task_id = '{TASK}'"
        )
        warehouse.execute(
            "create or replace table executions as from executions order by timestamp"
        )
        publish(warehouse, home, schema="main", as_of="2026-03-01T12:00:00+00:00")

    assert ask(home, lambda db: db.get_execution(TASK)).repo == "acme/web"


def test_one_execution_is_read_whole(refreshed):
    found = ask(refreshed, lambda db: db.get_execution(str(TASK)))
    assert (found.task_id, found.user_accepted, found.user_rating) == (TASK, True, 4)
    assert (found.metadata, found.candidates) == (
        {"branch": "main"},
        {"small": 0.25, "large": 0.75},
    )
    assert found.timestamp == NOW
    assert found.uploaded_at.tzinfo is UTC
    assert ask(refreshed, lambda db: db.get_execution("ticket-7")) is None


LATER = {
    "executions": {
        *("task_group", "known_duration_seconds", "duration_source", "known_cost", "defaulted"),
        "attempt_is_ambiguous",
    },
    "tier_performance": {
        *("timed", "total_duration_seconds", "costed", "total_cost", "scored", "total_quality"),
        "success_rate",
    },
    "pool_performance": {
        *("timed", "total_duration_seconds", "costed", "total_cost", "scored", "total_quality"),
    },
    "quality_trend": {"timed", "total_duration_seconds", "costed", "total_cost", "total_quality"},
}
"""The columns that the first release did not publish."""


def test_a_publication_of_the_first_release_is_read(refreshed, tmp_path):
    root = Path(shutil.copytree(refreshed.root, tmp_path / "home", symlinks=True))
    database = Home(root).learning_db.resolve()
    database.chmod(0o600)
    with duckdb.connect(str(database)) as first:
        for table, columns in LATER.items():
            kept = ", ".join(sorted(columns))
            first.execute(
                f"create or replace table {table} as select * exclude ({kept}) from {table}"
            )

    async def read(db: LearningDatabase) -> list[Any]:
        return [
            await db.get_execution(TASK),
            (await db.get_tier_performance())[0],
            (await db.get_pool_performance())[0],
            (await db.get_quality_trend())[0],
        ]

    for row, columns in zip(ask(Home(root), read), LATER.values(), strict=True):
        assert {name for name in columns if getattr(row, name) is not None} == set()
    report = build_report(Home(root))
    (tiers,) = [mart for mart in report.marts if mart.name == "tier_performance"]
    assert tiers.rows[0][tiers.columns.index("timed")] is None


def test_what_an_older_release_did_not_publish_is_null(refreshed, monkeypatch):
    class LaterExecution(Execution):
        colour: str | None = None

    monkeypatch.setattr(_learning, "Execution", LaterExecution)
    found = ask(refreshed, lambda db: db.get_execution(TASK))
    assert (found.task_id, found.colour) == (TASK, None)


@pytest.mark.parametrize("repo", ["nowhere", "", "' or 1=1 --", "acme/%", "\0", "x" * 100_000])
def test_an_unknown_repository_has_no_rows(refreshed, repo):
    async def read(db: LearningDatabase) -> list[Any]:
        return [
            *await db.get_tier_performance(repo),
            *await db.get_pool_performance(repo),
            *await db.get_solution_patterns(repo),
            *await db.get_quality_trend(repo),
        ]

    assert ask(refreshed, read) == []


def test_a_repository_is_found_in_whatever_form_its_name_is_asked_for():
    assert of_repo("cafe\u0301") == of_repo("caf\u00e9") == "repo = 'caf\u00e9'"


@pytest.mark.parametrize(
    ("question", "fault"),
    [
        (lambda db: db.get_tier_performance(days_back=-1), "days_back: expected a whole number"),
        (lambda db: db.get_tier_performance(days_back="1; drop table executions"), "days_back"),
        (lambda db: db.get_pool_performance(days_back=True), "days_back"),
        (lambda db: db.get_quality_trend(days_back=2**70), "days_back"),
        (lambda db: db.get_solution_patterns(limit=-1), "limit"),
        (lambda db: db.get_solution_patterns(min_usage=1.5), "min_usage"),
        (lambda db: db.get_tier_performance(7), "repo: expected a text, not int"),
        (lambda db: db.get_tier_performance("\ud800"), "repo: the text has half a character"),
        (lambda db: db.get_execution(""), "task_id: a task id needs"),
        (lambda db: db.query("select nothing"), "nothing"),
        (lambda db: db.query("select ?"), "parameter"),
        (lambda db: db.query("select * from executions where repo = ?", [object()]), "object"),
        (lambda db: db.query("select 1; select 2"), "expected one SELECT, not SELECT, SELECT"),
        (lambda db: db.query(""), "expected one SELECT, not nothing"),
        (lambda db: db.query("selec 1"), "syntax error"),
        (lambda db: db.query(7), "sql: expected a text, not int"),
        (lambda db: db.query("select '\ud800'"), "sql: the text has half a character"),
        (lambda db: db.query("select ?", ["\ud800"]), "a parameter is no value of SQL"),
        (lambda db: db.query("explain drop table executions"), "expected one SELECT, not DROP"),
        (lambda db: db.query("explain analyze create table memory.t (n int)"), "not CREATE"),
    ],
)
def test_a_bad_question_gets_a_clear_error(refreshed, question, fault):
    with pytest.raises(InvalidQueryError, match=fault):
        ask(refreshed, question)


def test_a_limit_of_nothing_gives_nothing(refreshed):
    assert ask(refreshed, lambda db: db.get_solution_patterns(limit=0)) == []


@pytest.mark.parametrize(
    "sql",
    [
        "delete from executions",
        "drop table executions",
        "create table mine (n int)",
        "insert into feedback select * from feedback",
        "update executions set repo = 'x'",
        "select * from read_text('/etc/hostname')",
        "select * from read_csv('/etc/passwd')",
        "select * from glob('/*')",
        "select * from '/etc/passwd'",
        "attach '/tmp/orb-learning-test.db'",
        "copy executions to '/tmp/orb-learning-test.csv'",
        "export database '/tmp/orb-learning-test'",
        "install httpfs",
        "set memory_limit = '64GB'",
        "set threads = 64",
        "set enable_external_access = true",
        "reset lock_configuration",
        "create secret mine (type s3)",
        "select getenv('HOME')",
        "select * from sql",
        "create table memory.mine (n int)",
        "create temp table mine (n int)",
        "detach learning",
        "use memory",
        "pragma memory_limit = '64GB'",
        "call pragma_version()",
        "load json",
        "checkpoint",
    ],
)
def test_a_query_can_neither_write_nor_leave_its_file(refreshed, sql):
    before = ask(refreshed, lambda db: db.query("select count(*) from executions"))
    with pytest.raises(InvalidQueryError):
        ask(refreshed, lambda db: db.query(sql))
    assert ask(refreshed, lambda db: db.query("select count(*) from executions")) == before


def test_a_query_takes_parameters_and_gives_rows(refreshed):
    async def read(db: LearningDatabase) -> None:
        by_place = await db.query(
            "select count(*) as n from executions where repo = ?", ["acme/api"]
        )
        assert (by_place.columns, by_place.rows) == (("n",), [(20,)])
        by_name = await db.query("select $x + 1 as y, $x as x", {"x": 1})
        assert by_name.to_dicts() == [{"y": 2, "x": 1}]
        assert by_name.publication_id == (await db.initialize()).id
        assert (await db.query("select current_setting('TimeZone')")).rows == [("UTC",)]

    ask(refreshed, read)


@pytest.mark.parametrize(
    "prefix",
    [
        "explain",
        "-- why\nEXPLAIN",
        "/* why */ explain analyze",
        "explain/**/",
        "explain(format json)",
        "explain (analyze, format json)",
        "explain/* explain */ analyze --\n",
    ],
)
def test_a_query_can_be_explained(refreshed, prefix):
    sql = f"{prefix} select count(*) from executions"
    assert ask(refreshed, lambda db: db.query(sql)).columns == ("explain_key", "explain_value")


@pytest.mark.parametrize("limit", ["8 bananas", "\ud800"])
def test_a_memory_limit_that_is_none_is_refused(refreshed, limit):
    with pytest.raises(InvalidQueryError, match="memory_limit"):
        ask(refreshed, lambda db: db.initialize(), memory_limit=limit)


@pytest.mark.parametrize("model", [5, object(), b"all-minilm"])
def test_an_embedding_model_that_is_none_is_refused(refreshed, model):
    with pytest.raises(InvalidQueryError, match="embedding_model: expected"):
        LearningDatabase(refreshed.root, embedding_model=model)


@pytest.mark.parametrize(("form", "library"), [("to_df", "pandas"), ("to_arrow", "pyarrow")])
def test_frames_need_their_library_and_say_so(refreshed, form, library):
    result = ask(refreshed, lambda db: db.query("select repo from executions order by all limit 2"))
    try:
        __import__(library)
    except ImportError:
        with pytest.raises(InvalidQueryError, match=f"pip install {library}"):
            getattr(result, form)()
    else:
        assert len(getattr(result, form)()) == 2


def test_a_query_that_takes_too_long_is_interrupted(refreshed):
    endless = "select count(*) from range(10000000) a, range(10000000) b"

    async def read(db: LearningDatabase) -> Any:
        with pytest.raises(QueryTimeoutError, match=r"longer than 0\.1 s"):
            await db.query(endless)
        db._runner._timeout = 60.0  # however busy the machine is
        return await db.query("select 1")

    assert ask(refreshed, read, timeout_seconds=0.1).rows == [(1,)]


def test_a_caller_that_gives_up_stops_its_query(refreshed, caplog):
    endless = "select count(*) from range(10000000) a, range(10000000) b"

    async def read(db: LearningDatabase) -> Any:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(db.query(endless), 0.05)
        return await db.query("select 1")  # its only thread is free again

    assert ask(refreshed, read, pool_size=1).rows == [(1,)]
    gc.collect()
    assert caplog.text == "", "no error is left that nobody asked for"


def test_a_call_that_waits_too_long_for_a_thread_is_told_so(refreshed):
    endless = "select count(*) from range(10000000) a, range(10000000) b"

    async def read(db: LearningDatabase) -> None:
        outcomes = await asyncio.gather(
            *(db.query(endless) for _ in range(3)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [QueryTimeoutError] * 3

    ask(refreshed, read, pool_size=1, timeout_seconds=0.1)


def test_before_the_first_publication_the_error_says_how_to_make_one(tmp_path):
    with pytest.raises(NotPublishedError, match="run `orb-learning refresh`"):
        ask(Home.locate(tmp_path), lambda db: db.initialize())


@pytest.mark.usefixtures("parsed_already")
def test_what_is_stored_is_seen_after_the_next_refresh(tmp_path):
    async def use(db: LearningDatabase) -> None:
        task_id = await db.store_execution(execution(1, repo="new"))
        with pytest.raises(NotPublishedError):
            await db.get_execution(task_id)
        publication = await db.refresh()
        assert publication.rows["executions"] == 1
        assert (await db.get_execution(task_id)).repo == "new"
        other = await db.store_execution(execution(2))
        assert await db.get_execution(other) is None
        await db.refresh()
        assert await db.get_execution(other) is not None
        broken = execution(3)
        broken.metadata["a"] = object()
        with pytest.raises(InvalidEventError):
            await db.store_execution(broken)

    async def run() -> None:
        learning = LearningDatabase(tmp_path / "home")
        try:
            await use(learning)
        finally:
            await learning.close()
            await learning.close()

    asyncio.run(run())


class Press:
    """Publishes, again and again, two tables that always agree within one publication."""

    def __init__(self, home: Home) -> None:
        home.create()
        self.home = home
        self.run = 0
        self._warehouse = duckdb.connect(str(home.warehouse))
        self._warehouse.execute("attach ':memory:' as staging")
        self._warehouse.execute("create schema staging.ledger")
        self._warehouse.execute(
            "create table staging.ledger.loads (load_id bigint, loaded_at timestamp)"
        )
        self._warehouse.execute("create table staging.ledger.erasures (load_id bigint)")

    def publish(self) -> None:
        self.run += 1
        for table in ("first", "second"):
            self._warehouse.execute(
                f"create or replace table {table} as select {self.run} as run from range(1000)"
            )
        publish(self._warehouse, self.home, schema="main", as_of=NOW.isoformat())

    def close(self) -> None:
        self._warehouse.close()


@pytest.fixture
def press(home: Home) -> Iterator[Press]:
    made = Press(home)
    made.publish()
    yield made
    made.close()


def test_a_new_publication_is_read_from_the_next_call_on(press):
    async def read(db: LearningDatabase) -> None:
        for run in (1, 2, 3):
            assert (await db.query("select distinct run from first")).rows == [(run,)]
            press.publish()

    ask(press.home, read)


def test_readers_beside_twenty_publications_see_each_whole_and_never_an_error(press):
    seen: set[int] = set()
    was_read, is_over = threading.Event(), threading.Event()

    def publish_twenty() -> None:
        for _ in range(20):
            was_read.wait(10)
            was_read.clear()
            press.publish()
        is_over.set()

    async def read(db: LearningDatabase) -> None:
        async def reader() -> None:
            while not is_over.is_set():
                result = await db.query(
                    "select (select min(run) from first), (select max(run) from second)"
                )
                ((first, second),) = result.rows
                assert first == second
                seen.add(first)
                was_read.set()

        await asyncio.gather(*(reader() for _ in range(16)))
        assert (await db.query("select max(run) from first")).rows == [(21,)]

    writer = threading.Thread(target=publish_twenty)
    writer.start()
    ask(press.home, read)
    writer.join()
    assert len(seen) > 1


def test_a_result_can_be_read_again_after_newer_publications(press):
    async def read(db: LearningDatabase) -> None:
        result = await db.query("select distinct run from first")
        for _ in range(5):
            press.publish()
        await db.query("select 1")
        assert result._again(fetch) == [(1,)]

    ask(press.home, read)


def test_a_result_that_is_read_again_keeps_the_time_limit(press):
    sql = "select count(*) from range($rows) a, range($rows) b, range($rows) c"
    params = {"rows": 2}

    async def read(db: LearningDatabase) -> None:
        result = await db.query(sql, params)
        params["rows"] = 10**7
        db._runner._timeout = 0.2
        with pytest.raises(QueryTimeoutError, match=r"longer than 0\.2 s"):
            result._again(fetch)
        params["rows"] = 2
        db._runner._timeout = 60.0
        assert result._again(fetch) == [(8,)]

    ask(press.home, read, timeout_seconds=60)


def test_a_damaged_publication_is_an_error_that_names_it(press):
    database = press.home.current / "learning.db"
    database.chmod(0o600)
    database.write_bytes(b"x" * 10_000)
    with pytest.raises(HomeError, match=r"learning\.db"):
        ask(press.home, lambda db: db.initialize())


def test_a_publication_that_goes_while_it_is_opened_is_looked_for_again(press, monkeypatch):
    first = press.home.current.readlink().name
    real = publications.current
    stale = [real(press.home)]

    def current(home: Home) -> Publication:
        if stale:
            for _ in range(KEPT):
                press.publish()
            return stale.pop()
        return real(home)

    monkeypatch.setattr(publications, "current", current)
    assert ask(press.home, lambda db: db.initialize()).id != first
    assert not (press.home.published / first).exists()


def test_a_publication_that_is_taken_away_for_good_is_said_so(press):
    async def read(db: LearningDatabase) -> None:
        await db.query("select 1")
        press.home.current.unlink()
        with pytest.raises(NotPublishedError, match="nothing is published"):
            await db.query("select 1")

    ask(press.home, read)


def test_a_publication_that_always_goes_is_an_error(press, monkeypatch):
    gone = replace(publications.current(press.home), id="20260101T000000000000-abcd")
    monkeypatch.setattr(publications, "current", lambda home: gone)
    with pytest.raises(HomeError, match="cannot open"):
        ask(press.home, lambda db: db.initialize())


def test_other_code_of_the_process_may_have_the_file_open(refreshed):
    async def read(db: LearningDatabase) -> None:
        with duckdb.connect(str(refreshed.learning_db), read_only=True) as mine:
            assert mine.execute("select count(*) from executions").fetchall() == [(40,)]
            async with LearningDatabase(refreshed.root, memory_limit="512MB") as other:
                assert (await other.query("select count(*) from executions")).rows == [(40,)]
                assert (await db.query("select count(*) from executions")).rows == [(40,)]

    ask(refreshed, read)


@pytest.mark.parametrize(
    "name", ["pool_size", "threads", "timeout_seconds", "max_rows", "max_bytes"]
)
@pytest.mark.parametrize("size", [0, -1, "4", None, float("nan")])
def test_sizes_of_nothing_are_refused(tmp_path, name, size):
    with pytest.raises(InvalidQueryError, match=f"{name}: expected a .*number"):
        LearningDatabase(tmp_path, **{name: size})


def test_closing_refuses_what_waits_and_finishes_what_runs(refreshed):
    slow = "select count(*) from range(20000) a, range(10000) b"

    async def read() -> None:
        learning = LearningDatabase(refreshed.root, pool_size=1)
        asked = [asyncio.create_task(learning.query(slow)) for _ in range(3)]
        await asyncio.sleep(0)
        await learning.close()
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes[1:]} == {InvalidQueryError}

    asyncio.run(read())


def test_each_statement_of_a_call_is_interrupted_once_its_time_is_over(refreshed):
    """The time may end between two statements, where there is nothing to interrupt."""
    endless = "select count(*) from range(10000000) a, range(10000000) b"
    is_over = threading.Event()

    class Slow:
        publication = None

        def cursor(self) -> Any:
            return duckdb.connect()

    def work(_: Any, cursor: duckdb.DuckDBPyConnection) -> None:
        assert is_over.wait(60)
        cursor.execute(endless)

    async def run() -> None:
        runner = queries.Runner(1, 0.1)
        asyncio.get_running_loop().call_later(0.2, is_over.set)
        with pytest.raises(QueryTimeoutError):
            await runner.run(Slow, work)
        is_over.clear()
        begun = asyncio.create_task(runner.run(Slow, lambda *_: is_over.wait(60)))
        await asyncio.sleep(0)  # it has the thread
        with pytest.raises(QueryTimeoutError):  # it waits for the thread, and not for its end
            await runner.run(Slow, lambda *_: None)
        assert not begun.done()
        is_over.set()
        with pytest.raises(QueryTimeoutError):
            await begun
        runner.close()

    asyncio.run(run())


def test_refreshes_do_not_overlap_though_a_caller_gives_up(tmp_path):
    running, most, begun, ends = [], [], threading.Event(), threading.Event()

    class Slow:
        def refresh(self) -> Any:
            running.append(1)
            most.append(len(running))
            begun.set()
            assert ends.wait(10)
            running.pop()
            return SimpleNamespace(publication="made")

    async def run(learning: LearningDatabase) -> Any:
        begun.clear()
        ends.clear()
        given_up = asyncio.create_task(learning.refresh())
        await asyncio.to_thread(begun.wait, 10)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        asyncio.get_running_loop().call_later(0.05, ends.set)
        return await learning.refresh()

    learning = LearningDatabase(tmp_path)
    learning._refresher = Slow()
    assert asyncio.run(run(learning)) == "made"
    assert asyncio.run(run(learning)) == "made", "another loop has its turn too"
    assert most == [1] * 4


@pytest.mark.parametrize(
    "sql",
    [
        "from enable_logging(level = 'trace')",
        "select * from (select 1) as x, \"Enable_Logging\"(storage = 'stdout')",
        "with a as (from disable_logging()) select 1",
        "explain from enable_profiling()",
        "from query('from enable_logging()')",
        "from arrow_scan(1, 2, 3)",
        "select (select count(*) from pandas_scan(1))",
    ],
)
def test_a_query_cannot_change_what_others_get(refreshed, sql):
    async def read(db: LearningDatabase) -> None:
        with pytest.raises(InvalidQueryError, match="not among the functions that may be a table"):
            await db.query(sql)
        settings = "select name, value from duckdb_settings() where name = 'enable_logging'"
        assert (await db.query(settings)).rows == [("enable_logging", "0")]

    ask(refreshed, read)


def test_a_parameter_that_holds_itself_is_refused(refreshed):
    endless: list[Any] = []
    endless.append({"again": endless})
    for params in ([endless], {"x": endless}, endless):
        with pytest.raises(InvalidQueryError, match="nested deeper than"):
            ask(refreshed, lambda db, params=params: db.query("select $x", params))


def test_a_value_that_python_cannot_hold_is_said_so(refreshed):
    with pytest.raises(InvalidQueryError, match="Python cannot hold"):
        ask(refreshed, lambda db: db.query("select interval '1000000000 months'"))


def test_what_is_nested_too_deep_to_be_looked_at_is_refused(refreshed):
    for depth, fault in ((700, "nested too deep"), (2000, "depth")):
        sql = f"select {'abs(' * depth}1{')' * depth}"
        with pytest.raises(InvalidQueryError, match=fault):
            ask(refreshed, lambda db, sql=sql: db.query(sql))


def test_a_call_that_is_stopped_before_it_begins_does_nothing():
    call = queries._Call(lambda: None, lambda *_: pytest.fail("it began"), 0.5)
    call.stop()
    with pytest.raises(QueryTimeoutError):
        call()


def test_asking_after_closing_says_so(refreshed):
    async def read() -> None:
        learning = LearningDatabase(refreshed.root)
        await learning.initialize()
        await learning.close()
        with pytest.raises(InvalidQueryError, match="is closed"):
            await learning.store_execution(execution(1))
        with pytest.raises(InvalidQueryError, match="is closed"):
            await learning.get_execution(TASK)
        with pytest.raises(InvalidQueryError, match="is closed"):
            await learning.initialize()

    asyncio.run(read())
