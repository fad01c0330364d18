"""The recorded statements build what dbt builds."""

from __future__ import annotations

from pathlib import Path

import duckdb

from orb_learning import Telemetry
from orb_learning.events import TaskErased
from orb_learning.home import Home
from orb_learning.refresh import Refresher

from .drivers import Compiled, Dbt, Recorded
from .strategies import TASKS, random_events


def everything(home: Home) -> dict[str, list[tuple[object, ...]]]:
    """Return all tables that a run built, without the moment of the load."""
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        names = connection.execute(
            "select schema_name || '.' || table_name from duckdb_tables() order by 1"
        ).fetchall()
        return {
            name: connection.execute(
                f"select columns(c -> c != 'uploaded_at') from {name} order by all"
            ).fetchall()
            for (name,) in names
        }


def test_the_recorded_statements_build_the_tables_that_dbt_builds(
    memory: Path, parsed: Refresher, recorded: Recorded
) -> None:
    told = random_events(60)
    dbt = Dbt(memory / "same" / "dbt", parsed)
    compiled = Compiled(memory / "same" / "compiled", recorded)
    for days, part in ((0, told[:30]), (-7, told[30:]), (40, [TaskErased(task_id=TASKS[0])])):
        for driver in (dbt, compiled):
            with Telemetry(driver.home.root, strict=True) as telemetry:
                for event in part:
                    telemetry.capture_sync(event)
            driver.run(days)
        built, replayed = everything(dbt.home), everything(compiled.home)
        assert built.keys() == replayed.keys()
        assert built["main.executions"]
        for name, rows in built.items():
            assert replayed[name] == rows, name
