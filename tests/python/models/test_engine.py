"""The materializations of `macros/engine`: one transaction, no other name, and no silent change."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from orb_learning.dbt_plugin import freeze_garbage_collector
from orb_learning.errors import RefreshError
from orb_learning.events import PoolCreated
from orb_learning.publication import current
from orb_learning.refresh import Refresher

from .warehouse import Warehouse


@pytest.fixture
def warehouse(tmp_path: Path, parsed: Refresher) -> Warehouse:
    built = Warehouse(tmp_path / "home", parsed)
    built.run()
    return built


def execute(warehouse: Warehouse, *statements: str) -> list[tuple[str, ...]]:
    with duckdb.connect(str(warehouse.home.warehouse)) as connection:
        for statement in statements:
            found = connection.execute(statement).fetchall()
    return found


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("add column more INTEGER", "more INTEGER instead of nothing"),
        ("drop column avg_cost", "nothing instead of avg_cost DOUBLE"),
        ("alter avg_cost type VARCHAR", "avg_cost VARCHAR instead of avg_cost DOUBLE"),
        ("rename avg_cost to cost", "cost DOUBLE instead of avg_cost DOUBLE"),
    ],
)
def test_rows_are_not_put_into_a_table_of_other_columns(
    warehouse: Warehouse, change: str, told: str
) -> None:
    before = warehouse.tables()
    execute(warehouse, f"alter table main.pool_performance {change}")
    standing = current(warehouse.home).id

    with pytest.raises(RefreshError) as caught:
        warehouse.run()

    text = str(caught.value)
    assert f"pool_performance has other columns than its model: {told}; run dbt once" in text
    assert current(warehouse.home).id == standing
    warehouse.run("--full-refresh")
    assert warehouse.tables() == before


def test_a_model_without_a_contract_is_asked_as_dbt_does(warehouse: Warehouse) -> None:
    execute(warehouse, "alter table main_intermediate.int_attempts add column more INTEGER")
    with pytest.raises(RefreshError, match="out of sync"):
        warehouse.run()


def test_a_table_that_cannot_be_built_keeps_its_rows(warehouse: Warehouse) -> None:
    warehouse.write([PoolCreated(pool_id="kept", pool_type="solo")])
    warehouse.run()
    with duckdb.connect(str(warehouse.home.staging)) as staging:
        staging.execute("alter table raw.pool_created alter pool_id drop not null")
        staging.execute("update raw.pool_created set pool_id = null")

    with pytest.raises(RefreshError, match="NOT NULL constraint failed"):
        warehouse.run()

    assert execute(warehouse, "select pool_id, pool_type from main.pools") == [("kept", "solo")]


def test_a_view_that_cannot_be_made_keeps_the_table_in_its_place(warehouse: Warehouse) -> None:
    execute(
        warehouse,
        "drop view main_staging.stg_feedback",
        "create table main_staging.stg_feedback as select 1 as kept",
    )
    with duckdb.connect(str(warehouse.home.staging)) as staging:
        staging.execute("alter table raw.feedback drop column feedback_type")

    with pytest.raises(RefreshError, match="feedback_type"):
        warehouse.run()

    assert execute(warehouse, "from main_staging.stg_feedback") == [(1,)]


@pytest.mark.parametrize(
    ("name", "stands", "kind"),
    [
        ("main.pools", "view", "BASE TABLE"),
        ("main_staging.stg_feedback", "table", "VIEW"),
    ],
)
def test_what_stands_in_a_models_place_is_replaced(
    warehouse: Warehouse, name: str, stands: str, kind: str
) -> None:
    before = warehouse.tables()
    schema, _, table = name.partition(".")
    execute(
        warehouse,
        f"drop {'view' if kind == 'VIEW' else 'table'} {name}",
        f"create {stands} {name} as select 1 as other",
    )

    warehouse.run()

    assert warehouse.tables() == before
    assert execute(
        warehouse,
        "select table_type from information_schema.tables"
        f" where table_schema = '{schema}' and table_name = '{table}'",
    ) == [(kind,)]


def test_no_other_name_is_left(warehouse: Warehouse) -> None:
    names = "select table_schema, table_name from information_schema.tables order by all"
    before = execute(warehouse, names)
    warehouse.run()
    warehouse.run("--full-refresh")
    assert execute(warehouse, names) == before
    assert not [name for _, name in before if "__dbt" in name]


@pytest.fixture
def unfrozen() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize(("program", "spared"), [("bin/dbt", True), ("bin/router", False)])
def test_only_a_process_that_is_one_command_is_kept_from_the_collector(
    warehouse: Warehouse,
    unfrozen: None,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    spared: bool,
) -> None:
    monkeypatch.setattr(sys, "argv", [program, "run"])
    warehouse.refresher.invoke(["show", "--inline", "select 1 as one"])
    assert (gc.get_freeze_count() > 0) is spared


def test_a_process_without_a_name_is_left_alone(
    unfrozen: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [])
    freeze_garbage_collector()
    assert gc.get_freeze_count() == 0
