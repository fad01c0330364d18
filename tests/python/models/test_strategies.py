"""The strategy `replace_days` holds the days of the window as they are now, and no other."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import duckdb
import pytest

from orb_learning.events import ExecutionRecorded, RoutingDecision, RoutingOutcome
from orb_learning.refresh import Refresher
from orb_learning.upkeep import take_in

from .warehouse import Warehouse

PROJECT = Path(__file__).parents[3]

DAYS = (
    "{{ config(materialized='table') }} select * from (values {{ var('days') }})"
    " as days (day, fingerprint)"
)
MART = """
{{
    config(
        materialized='incremental',
        incremental_strategy='replace_days',
        days_from='days',
        window='days_held',
        day_key='day',
    )
}}
select facts.day, facts.fact, days.fingerprint as day_fingerprint
from (values {{ var('facts') }}) as facts (day, fact)
inner join {{ ref('days') }} as days on facts.day = days.day
where facts.day in ({{ changed_days(ref('days'), var('days_held'), 'day') }})
"""


@pytest.fixture
def small(tmp_path: Path) -> Refresher:
    """A project of a list of days and a model that is built from it, with a key of its own."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT / "macros", project / "macros")
    shutil.copy(PROJECT / "profiles.yml", project)
    (project / "dbt_project.yml").write_text(
        "name: orb_learning\nprofile: orb_learning\nvars: {as_of: '2026-06-15', days_held: 7}\n"
    )
    (project / "models").mkdir()
    (project / "models" / "days.sql").write_text(DAYS)
    (project / "models" / "mart.sql").write_text(MART)
    return Refresher(tmp_path / "home", project)


def rows(pairs: dict[str, int | str]) -> str:
    return ", ".join(f"(date '2026-06-{day}', {value!r})" for day, value in pairs.items())


@pytest.mark.parametrize("full_refresh", [False, True])
def test_held_days_that_are_not_as_they_are_now_go_and_what_is_selected_comes(
    small: Refresher, full_refresh: bool
) -> None:
    def built(days: dict[str, int], facts: dict[str, str], *options: str) -> dict[str, str]:
        given = json.dumps({"days": rows(dict(days)), "facts": rows(dict(facts))})
        small.invoke(["run", "--vars", given, *options])
        with duckdb.connect(str(small.home.warehouse), read_only=True) as warehouse:
            found = warehouse.execute("select strftime(day, '%d'), fact from main.mart").fetchall()
        assert len(found) == len(dict(found)), "no day stands twice"
        return dict(found)

    before = built(
        {"07": 1, "08": 1, "10": 1, "11": 1, "12": 1, "13": 1, "16": 1},
        {"07": "left", "08": "first", "10": "kept", "11": "old", "12": "gone", "13": "emptied"},
    )
    assert before == {"08": "first", "10": "kept", "11": "old", "12": "gone", "13": "emptied"}

    after = built(
        {"07": 1, "08": 1, "10": 1, "11": 2, "13": 2, "14": 1},
        {"07": "left", "08": "first", "10": "kept", "11": "new", "14": "came"},
        *(["--full-refresh"] if full_refresh else []),
    )
    assert after == {"08": "first", "10": "kept", "11": "new", "14": "came"}


def test_a_day_whose_only_execution_moves_away_is_in_no_mart(
    tmp_path: Path, parsed: Refresher
) -> None:
    def at(day: int) -> datetime:
        return datetime(2026, 6, day, 12, tzinfo=UTC)

    def days() -> list[set[int]]:
        marts = ("tier_performance", "pool_performance", "quality_trend")
        names = [f"main.{mart}" for mart in marts] + ["main_intermediate.int_solution_days"]
        with duckdb.connect(str(warehouse.home.warehouse), read_only=True) as built:
            return [
                {day for (day,) in built.execute(f"select day(date) from {name}").fetchall()}
                for name in names
            ]

    warehouse = Warehouse(tmp_path / "home", parsed)
    for task, day in ((UUID(int=1), 10), (UUID(int=2), 12)):
        warehouse.write(
            [
                RoutingDecision(
                    task_id=task, occurred_at=at(day), task_type="fix", repo="acme/api",
                    model_tier="small",
                ),
                RoutingOutcome(task_id=task, occurred_at=at(day), success=True),
            ]
        )  # fmt: skip
    warehouse.run()
    assert days() == [{10, 12}] * 4

    warehouse.write(
        [
            ExecutionRecorded(
                task_id=UUID(int=2), timestamp=at(10), task_type="fix", repo="acme/api",
                task_description="moved", model_tier="small", pool_type="solo",
                routing_confidence=0.5, success=True,
            )
        ]
    )  # fmt: skip
    warehouse.run()

    assert days() == [{10}] * 4
    incremental = warehouse.tables()
    warehouse.run("--full-refresh")
    assert warehouse.tables() == incremental


def test_two_loads_between_two_runs_come_in_both(tmp_path: Path, parsed: Refresher) -> None:
    warehouse = Warehouse(tmp_path / "home", parsed)
    told = [RoutingOutcome(task_id=UUID(int=number), success=True) for number in range(1, 4)]
    warehouse.write(told[:1])
    warehouse.run()
    for event in told[1:]:
        warehouse.write([event])
        take_in(warehouse.home)
    warehouse.run()
    found = warehouse.tables()["main.executions"]
    assert {row[0] for row in found} == {event.task_id for event in told}
