"""What a report opens with, and which rows of marts it shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from orb_learning.errors import InvalidQueryError
from orb_learning.home import Home
from orb_learning.publication import current
from orb_learning.serving import Filters, Period, build_report
from orb_learning.serving._evidence import ArmEvidence
from orb_learning.serving._overview import WEEKS, read_overview
from orb_learning.serving._report import MartRows

DAY = date(2026, 6, 15)


# -- answers ----------------------------------------------------------------------------------


def test_each_kind_of_task_has_its_answer_and_its_arms(advised: Path) -> None:
    found = build_report(Home(advised)).overview
    assert found is not None
    docs, bug_fix = sorted(found.answers, key=lambda answer: answer.task_type, reverse=True)
    assert found.answers[0] == bug_fix  # of more runs
    for answer, runs in ((bug_fix, 80), (docs, 40)):
        assert answer.plan.arms == ("small", "large")
        assert [arm.evidence.arm for arm in answer.arms] == ["small", "large", "new"]
        assert [arm.runs for arm in answer.arms][:2] == [runs, runs]
        assert answer.runs_missing == 0
        for arm in answer.arms:
            assert len(arm.weeks) == WEEKS
            assert [week for week in arm.weeks if week is not None]


def test_what_is_missing_of_an_arm_is_counted(advised: Path) -> None:
    for tier, missing in (("new", 7), ("never seen", 10)):
        found = build_report(Home(advised), filters=Filters("acme/api", "bug_fix", tier)).overview
        assert found is not None
        (answer,) = found.answers
        assert (answer.plan.arms, answer.runs_missing) == ((), missing)


# -- rows of marts ----------------------------------------------------------------------------


@pytest.fixture
def rows(advised: Path) -> Callable[..., MartRows]:
    def rows(mart: str, sort: str | None = None, **filters: object) -> MartRows:
        found = build_report(
            Home(advised), marts=(mart,), sort=sort, filters=replace(Filters(), **filters)
        )
        return found.marts[0]

    return rows


def test_a_marts_rows_may_be_of_some_executions(rows: Callable[..., MartRows]) -> None:
    whole = rows("tier_performance")
    tier, kind = (whole.columns.index(name) for name in ("model_tier", "task_type"))
    some = rows("tier_performance", tier="small", task_type="bug_fix")
    assert some.rows == [
        row for row in whole.rows if (row[tier], row[kind]) == ("small", "bug_fix")
    ]
    assert 0 < some.total == len(some.rows) < whole.total
    assert rows("tier_performance", repo="nobody/here").total == 0


def test_the_last_days_of_a_mart_include_the_day_it_ends_at(
    rows: Callable[..., MartRows], advised: Path
) -> None:
    last = date.fromisoformat(current(Home(advised)).as_of[:10])
    for mart, column in (("tier_performance", "date"), ("pool_performance", "hour")):
        place = rows(mart).columns.index(column)
        whole = {str(row[place])[:10] for row in rows(mart).rows}
        for days in (1, 2):
            wanted = {str(last - timedelta(back)) for back in range(days)}
            assert {str(row[place])[:10] for row in rows(mart, days=days).rows} == whole & wanted


def test_a_mart_is_sorted_by_any_column_either_way(rows: Callable[..., MartRows]) -> None:
    place = rows("tier_performance").columns.index("avg_cost")
    up, down = (
        [row[place] for row in rows("tier_performance", sort).rows]
        for sort in ("avg_cost", "-avg_cost")
    )
    assert up == sorted(up) != down == sorted(down, reverse=True)
    tier = rows("tier_performance").columns.index("model_tier")
    by_tier = sorted(rows("tier_performance").rows, key=lambda row: str(row[tier]))
    assert rows("tier_performance", "model_tier").rows == by_tier  # of one tier as without sorting
    with pytest.raises(
        InvalidQueryError, match="cannot sort tier_performance by cost: it has repo"
    ):
        rows("tier_performance", "cost")


def test_a_mart_without_the_column_is_refused_if_it_is_named_and_else_left_out(
    rows: Callable[..., MartRows], advised: Path
) -> None:
    with pytest.raises(InvalidQueryError, match="pool_performance has no model_tier: leave"):
        rows("pool_performance", tier="small")
    every = build_report(Home(advised), filters=Filters(tier="small"))
    assert [mart.name for mart in every.marts] == ["tier_performance"]


# -- how things go ----------------------------------------------------------------------------


EXECUTIONS = """
    date date, success boolean, cost_source varchar, actual_cost double, quality_score integer,
    repo varchar, task_type varchar, model_tier varchar, pool_type varchar
"""


@pytest.fixture
def learning(home: Home) -> duckdb.DuckDBPyConnection:
    """A publication made by hand, without any row yet."""
    home.create()
    connection = duckdb.connect()
    connection.execute(f"attach '{home.root / 'hand.db'}' as learning; use learning")
    columns = ", ".join(
        f"{name} {'varchar' if kind.startswith('str') else 'double'}"
        for name, kind in ArmEvidence.__annotations__.items()
    )
    connection.execute(f"create table executions ({EXECUTIONS})")
    connection.execute(
        f"create table arm_evidence (level varchar, repo varchar, task_type varchar, runs bigint,"
        f" last_seen timestamp, {columns})"
    )
    return connection


def run(connection: duckdb.DuckDBPyConnection, days_ago: int, **said: object) -> None:
    values = {
        "date": DAY - timedelta(days_ago), "success": True, "cost_source": "reported",
        "actual_cost": 1.0, "quality_score": 80, "repo": "acme/api", "task_type": "fix",
        "model_tier": "small", "pool_type": "solo",
    } | said  # fmt: skip
    connection.execute(
        f"insert into executions values ({', '.join('?' * len(values))})", list(values.values())
    )


def test_a_period_is_beside_the_one_before_and_no_mean_is_of_means(
    learning: duckdb.DuckDBPyConnection, advised: Path
) -> None:
    publication = replace(current(Home(advised)), as_of=f"{DAY}T12:00:00")
    for days_ago, success, source, cost, quality in (
        (0, True, "reported", 1.0, 90), (0, True, "reported", 1.0, None),
        (0, True, "reported", 1.0, 60), (29, False, "unknown", 0.0, None),
        (30, True, "estimate", 4.0, 50), (59, False, "reported", 2.0, 70),
        (60, False, "reported", 99.0, 1), (-1, False, "reported", 99.0, 1),
    ):  # fmt: skip
        run(
            learning, days_ago, success=success, cost_source=source, actual_cost=cost,
            quality_score=quality,
        )  # fmt: skip
    run(learning, 3, repo="acme/web", success=False, actual_cost=50.0, model_tier="large")

    found = read_overview(learning, publication, Filters(repo="acme/api"))
    assert found is not None
    assert (found.days, found.now) == (30, Period(4, 0.75, 1.0, 75.0))
    assert found.before == Period(2, 0.5, 3.0, 60.0)

    week = read_overview(learning, publication, Filters(days=7, tier="large"))
    assert week is not None
    assert (week.now, week.before) == (Period(1, 0.0, 50.0, 80.0), Period(0, None, None, None))


def test_kinds_come_by_runs_arms_by_success_and_weeks_end_with_the_day(
    learning: duckdb.DuckDBPyConnection, advised: Path
) -> None:
    publication = replace(current(Home(advised)), as_of=f"{DAY}T12:00:00")
    learning.execute(
        "create table arm_pair_evidence (task_type varchar, failed_arm varchar, next_arm varchar,"
        " runs bigint, effective_tries double, dependence varchar, log_odds_drop double,"
        " cost_factor double);"
        "create table routing_recommendations as select 'everything' as level,"
        " 'model_tier' as arm_kind, $day as as_of, 40.0 as success_value_usd,"
        " 'safe_gain/1 value=40 window=90 half_life=60 min=10,5' as policy_version",
        {"day": DAY},
    )
    for level, kind in (("everything", None), ("task_type", "docs"), ("task_type", "fix")):
        for arm, success in (("alpha", 0.5), ("omega", 0.9)):
            learning.execute(
                "insert into arm_evidence by name select $level as level, $kind as task_type,"
                " $arm as arm, $arm as model_tier, $runs as runs, $success as success,"
                " 3 as first_tries, 3 as costed, false as is_comparable, $day as last_seen",
                {
                    "level": level, "kind": kind, "arm": arm, "success": success, "day": DAY,
                    "runs": 5 if kind == "fix" else 2,
                },
            )  # fmt: skip
    for days_ago, success in (
        (-1, False),
        (0, True),
        (6, False),
        (7, True),
        (55, True),
        (56, False),
    ):
        run(learning, days_ago, success=success, model_tier="omega")

    found = read_overview(learning, publication, Filters())
    assert found is not None
    assert [answer.task_type for answer in found.answers] == ["fix", "docs"]
    fix, _ = found.answers
    assert [arm.evidence.arm for arm in fix.arms] == ["omega", "alpha"]
    omega, alpha = fix.arms
    assert (omega.runs, omega.weeks) == (4, (1.0, *[None] * (WEEKS - 3), 1.0, 0.5))
    assert (alpha.runs, alpha.weeks) == (0, (None,) * WEEKS)
    assert fix.runs_missing == 7


def test_what_was_not_run_for_long_and_what_is_old_is_stale(
    learning: duckdb.DuckDBPyConnection, advised: Path
) -> None:
    publication = replace(
        current(Home(advised)), as_of=f"{DAY}T12:00:00", published_at="2026-06-01T00:00:00+00:00"
    )
    for arm, days_ago in (("recent", 30), ("quiet", 31), ("quieter", 80)):
        learning.execute(
            "insert into arm_evidence by name select 'everything' as level, 1 as runs,"
            " $arm as arm, $day - to_days($ago) as last_seen",
            {"arm": arm, "day": DAY, "ago": days_ago},
        )
    found = read_overview(learning, publication, Filters())
    assert found is not None
    assert re.fullmatch(r"published \d+ days ago; run `orb-learning refresh`", found.stale[0])
    assert found.stale[1:] == [
        "quieter was last run 80 days ago",
        "quiet was last run 31 days ago",
    ]


def test_a_publication_of_an_earlier_release_has_no_answers(
    learning: duckdb.DuckDBPyConnection, advised: Path
) -> None:
    learning.execute("drop table arm_evidence")
    assert read_overview(learning, current(Home(advised)), Filters()) is None
