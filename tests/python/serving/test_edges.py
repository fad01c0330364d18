"""What stands exactly on the edge that a reader asks for, or on the default one, and its order.

The publication is of a day long past, so that nothing here may count from today.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from datetime import date, timedelta
from typing import Any

import pytest

from orb_learning.errors import InvalidQueryError, NotPublishedError
from orb_learning.home import Home
from orb_learning.serving import LearningDatabase, build_report
from orb_learning.serving._arguments import MAX_CAP, MAX_DAYS, MAX_THREADS
from publishing import AS_OF, TABLES, publish, warehouse_of

LAST = date.fromisoformat(AS_OF[:10])
DAYS = (0, 1, 6, 7, 8, 29, 30, 31, 90, 91)
Question = Callable[[LearningDatabase], Coroutine[Any, Any, Any]]

TIES = """
insert into tier_performance by name
select
    repo, model_tier, task_type, date '2026-03-01' as date, uses as total_executions,
    0 as successful_count, 0 as timed, 0 as costed, 0 as scored, 0.5 as success_rate
from (values
    ('b', 'x', 'y', 2), ('a', 'y', 'x', 2), ('a', 'x', 'y', 2), ('a', 'x', 'x', 2),
    ('z', 'z', 'z', 3)
) as rows (repo, model_tier, task_type, uses);
insert into pool_performance by name
select
    pool_type, repo, timestamp '2026-03-01 09:00' as hour, date '2026-03-01' as date,
    uses as total_tasks, 0 as successful_tasks, 0 as timed, 0 as costed, 0 as scored,
    0.5 as success_rate
from (values ('b', 'a', 2), ('a', 'b', 2), ('a', 'a', 2), ('z', 'z', 3))
as rows (pool_type, repo, uses);
insert into quality_trend by name
select
    repo, date '2026-03-01' - days as date, uses as executions, 0 as scored, 0 as successful,
    0.5 as success_rate, 0 as timed, 0 as costed
from (values ('b', 0, 2), ('a', 0, 2), ('z', 0, 3), ('a', 1, 9), ('z', 1, 9))
as rows (repo, days, uses);
insert into solution_patterns
select
    solution, repo, ['fix'], uses, 1, null, timestamp '2026-02-01', timestamp '2026-02-02', rate
from (values
    ('b', 'a', 5, 0.5), ('a', 'b', 5, 0.5), ('a', 'a', 5, 0.5), ('z', 'z', 6, 0.5),
    ('zz', 'a', 4, 0.9), ('few', 'a', 4, 0.25)
) as rows (solution, repo, uses, rate);
"""
"""Rows that only the last column of an order tells apart; from the last to the first."""


def made(root: Any, *statements: str) -> Home:
    home = Home(root / "home")
    with warehouse_of(home) as warehouse:
        warehouse.execute(TABLES)
        warehouse.execute("alter table pool_performance add column date date")
        for statement in statements:
            warehouse.execute(statement)
        publish(warehouse, home)
    return home


@pytest.fixture(scope="module")
def by_day(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One row in every mart for each of some days before the publication's."""
    columns = "'a' as repo, 0 as timed, 0 as costed, 0 as scored, 0.5 as success_rate, days.date"
    days = ", ".join(f"(date '{LAST - timedelta(days)}')" for days in DAYS)
    others = {
        "tier_performance": "'m' as model_tier, 't' as task_type, 1 as total_executions,"
        " 0 as successful_count",
        "pool_performance": "'p' as pool_type, cast(days.date as timestamp) as hour,"
        " 1 as total_tasks, 0 as successful_tasks",
        "quality_trend": "1 as executions, 0 as successful",
    }
    return made(
        tmp_path_factory.mktemp("by_day"),
        *(
            f"insert into {mart} by name"
            f" select {columns}, {rest} from (values {days}) as days (date)"
            for mart, rest in others.items()
        ),
    )


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return made(tmp_path_factory.mktemp("tied"), TIES)


def ask(home: Home, question: Question, **how: Any) -> Any:
    async def run() -> Any:
        async with LearningDatabase(home.root, **how) as learning:
            return await question(learning)

    return asyncio.run(run())


def ages(rows: list[Any]) -> list[int]:
    """Return how many days before the publication's day each row is, the newest first."""
    days = [row.date if hasattr(row, "date") else row.hour.date() for row in rows]
    return sorted((LAST - day).days for day in days)


@pytest.mark.parametrize(
    ("name", "default"),
    [("get_tier_performance", 30), ("get_pool_performance", 7), ("get_quality_trend", 30)],
)
def test_days_back_counts_from_the_publications_as_of_and_includes_the_last_of_them(
    by_day, name, default
):
    async def read(db: LearningDatabase) -> None:
        question = getattr(db, name)
        for asked in (0, 1, 7, 30, 31):
            assert ages(await question(days_back=asked)) == [day for day in DAYS if day <= asked]
        assert ages(await question(days_back=MAX_DAYS)) == list(DAYS)
        assert ages(await question()) == [day for day in DAYS if day <= default]

    ask(by_day, read)


def test_rows_that_are_equal_so_far_come_in_the_order_of_the_next_column(tied):
    async def read(db: LearningDatabase) -> None:
        tiers = await db.get_tier_performance()
        assert ["".join((row.repo, row.model_tier, row.task_type)) for row in tiers] == [
            "zzz", "axx", "axy", "ayx", "bxy"
        ]  # fmt: skip
        pools = await db.get_pool_performance()
        assert [row.pool_type + row.repo for row in pools] == ["zz", "aa", "ab", "ba"]
        trend = await db.get_quality_trend()
        assert [(row.repo, (LAST - row.date).days) for row in trend] == [
            ("a", 1), ("a", 0), ("b", 0), ("z", 1), ("z", 0)
        ]  # fmt: skip
        patterns = await db.get_solution_patterns(min_usage=4)
        assert [row.solution_summary + row.repo for row in patterns] == [
            "zza", "zz", "aa", "ab", "ba", "fewa"
        ]  # fmt: skip

    ask(tied, read)
    marts = {mart.name: [row[:3] for row in mart.rows] for mart in build_report(tied).marts}
    assert [(row[0], (LAST - row[1]).days) for row in marts["quality_trend"]] == [
        ("z", 0), ("a", 0), ("b", 0), ("a", 1), ("z", 1)
    ]  # fmt: skip


def test_a_pattern_with_just_the_uses_asked_for_is_one(tied):
    async def read(db: LearningDatabase) -> None:
        async def uses(**how: Any) -> list[int]:
            return [row.usage_count for row in await db.get_solution_patterns(**how)]

        assert await uses(min_usage=5) == [6, 5, 5, 5]
        assert await uses(min_usage=6) == [6]
        assert await uses(min_usage=7) == []
        assert await uses() == [6, 5, 5, 5], "5 by default"
        assert await uses(min_usage=0) == [4, 6, 5, 5, 5, 4]
        assert await uses(limit=2) == [6, 5]

    ask(tied, read)


def test_what_may_be_left_out_is_what_the_docs_say():
    """A reader counts on these; the rows of the other tests are too few for them."""
    found = {
        name: {
            argument: parameter.default
            for argument, parameter in inspect.signature(
                getattr(LearningDatabase, name)
            ).parameters.items()
            if isinstance(parameter.default, int | float | str)
        }
        for name in ("__init__", "get_solution_patterns", "find_similar_executions")
    }
    assert found == {
        "__init__": {
            "pool_size": 4,
            "timeout_seconds": 10.0,
            "memory_limit": "1GB",
            "threads": 2,
            "max_rows": 1_000_000,
            "max_bytes": 512_000_000,
        },
        "get_solution_patterns": {"min_usage": 5, "limit": 10},
        "find_similar_executions": {"limit": 10, "days_back": 90, "threshold": 0.7},
    }


@pytest.mark.parametrize(
    ("question", "most"),
    [
        (lambda db, n: db.get_tier_performance(days_back=n), 100_000),
        (lambda db, n: db.get_solution_patterns(min_usage=n), 1_000_000),
        (lambda db, n: db.get_solution_patterns(limit=n), 1_000_000),
    ],
)
def test_a_count_may_be_the_least_and_the_most_and_no_more(tied, question, most):
    async def read(db: LearningDatabase) -> None:
        for allowed in (0, most):
            await question(db, allowed)
        for refused in (-1, most + 1):
            with pytest.raises(InvalidQueryError, match=f"from 0 to {most}, not {refused}"):
                await question(db, refused)

    ask(tied, read)


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("pool_size", MAX_THREADS),
        ("threads", MAX_THREADS),
        ("max_rows", MAX_CAP),
        ("max_bytes", MAX_CAP),
    ],
)
def test_a_size_may_be_1_and_the_most_and_no_more(tmp_path, name, most):
    for allowed in (1, most):
        LearningDatabase(tmp_path, **{name: allowed})
    for refused in (0, most + 1):
        with pytest.raises(InvalidQueryError, match=f"{name}: .* from 1 to {most}, not {refused}"):
            LearningDatabase(tmp_path, **{name: refused})


def test_a_report_is_of_the_day_and_not_of_its_month(tied):
    assert build_report(tied, as_of="2026-03-01").publication.as_of == AS_OF
    for other in ("2026-03-02", "2026-02-28", "2025-03-01"):
        with pytest.raises(NotPublishedError, match=f"end at 2026-03-01, not {other}"):
            build_report(tied, as_of=other)
