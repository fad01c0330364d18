"""`orb-learning report`: what to use, how things go and what is stale, on one screen."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from orb_learning.cli._app import app
from orb_learning.errors import InvalidQueryError
from orb_learning.home import Home
from orb_learning.publication import current
from orb_learning.serving import Filters, Period, build_report
from orb_learning.serving._evidence import ArmEvidence
from orb_learning.serving._overview import WEEKS, read_overview
from orb_learning.serving._report import MartRows

DAY = date(2026, 6, 15)


@pytest.fixture
def report(advised: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.setenv("COLUMNS", "80")

    def report(*arguments: object) -> str:
        ran = CliRunner().invoke(app, ["--home", str(advised), "report", *map(str, arguments)])
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    return report


def test_a_report_opens_with_what_to_try_for_each_kind_of_task(report: Callable[..., str]) -> None:
    shown = report()
    answers = re.findall(
        r"^(\S+): try small, then large: \d+ % ± \d+ for [\d.]+ USD a$", shown, re.MULTILINE
    ) + re.findall(r"^(\S+): try small, then large: .* task$", shown, re.MULTILINE)
    assert sorted(answers) == ["bug_fix", "docs\\x1b[31m"]
    assert len(shown.splitlines()) <= 24
    assert max(map(cell_len, shown.splitlines())) <= 80


def test_each_arm_has_its_figures_and_its_weeks(report: Callable[..., str]) -> None:
    shown = report("--task-type", "bug_fix")
    small, large, new = (
        next(line for line in shown.splitlines() if line.startswith(f"{arm} "))
        for arm in ("small", "large", "new")
    )
    for line, runs in ((small, 80), (large, 80), (new, 2)):
        found = re.fullmatch(
            rf"\w+ +\d+% \(\d+ to \d+\) +[\d.]+ \([\d.]+ to [\d.]+\) +{runs} ([ ▁▂▃▄▅▆▇█]+)", line
        )
        assert found, line
        assert len(found[1].rstrip()) in range(WEEKS - 1, WEEKS + 1)
    assert "docs" not in shown


def test_where_there_is_no_answer_it_says_how_many_runs_are_missing(
    report: Callable[..., str],
) -> None:
    shown = report("--tier", "new")
    assert "bug_fix: not enough data: about 7 more runs of one arm" in shown
    assert "small" not in shown


def test_of_a_repository_that_nobody_knows_nothing_is_said(report: Callable[..., str]) -> None:
    shown = report("--repo", "acme/other")
    assert "Nothing of that is known" in shown
    assert "0 runs (0), success - (-), USD a run - (-), quality - (-)" in " ".join(shown.split())


def test_more_kinds_of_task_are_counted(report: Callable[..., str]) -> None:
    shown = report("--limit", 1)
    assert "1 more kinds of task: --limit or --task-type" in shown
    assert "docs" not in shown


def test_where_output_is_ascii_weeks_are_digits(advised: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "80"}
    ran = subprocess.run(
        [sys.executable, "-m", "orb_learning", "--home", str(advised), "report"],
        env=environment, capture_output=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, b"")
    shown = ran.stdout.decode("ascii")
    assert "+/-" in shown
    assert re.search(r"^large .* 80 +[0-9]+$", shown, re.MULTILINE)


def test_an_answer_in_markdown_is_text_and_nothing_else(report: Callable[..., str]) -> None:
    shown = report("--format", "markdown")
    assert "| docs\\\\x1b\\[31m: try small, then large: " in shown
    assert "| --- | --- | --- | --- | --- |" in shown


def test_the_answers_in_json_are_those_of_the_recommender(
    report: Callable[..., str], advised: Path
) -> None:
    overview = json.loads(report("--format", "json"))["overview"]
    with_kinds = {answer["task_type"]: answer for answer in overview["answers"]}
    ran = CliRunner().invoke(
        app, ["--home", str(advised), "recommend", "bug_fix", "--json"], catch_exceptions=False
    )
    advice = json.loads(ran.stdout)
    assert with_kinds["bug_fix"]["plan"] == advice["escalation"]
    assert with_kinds["bug_fix"]["single"] == advice["recommendation"]
    assert overview["now"]["executions"] == 120 * 2 + 3


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
