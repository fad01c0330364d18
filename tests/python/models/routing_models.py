"""The models of evidence and advice on runs in memory, without dbt but for what it compiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from orb_learning.refresh import Refresher
from orb_learning.serving import Recommender
from orb_learning.serving._publications import OnePublication

from .routing_oracle import Run
from .warehouse import Warehouse

MODELS = {
    "int_execution_days": "main_intermediate",
    "int_task_groups": "main_intermediate",
    "int_usual_costs": "main_intermediate",
    "int_arm_days": "main_intermediate",
    "int_arm_retries": "main_intermediate",
    "int_arm_group_pairs": "main_intermediate",
    "int_arm_sums": "main_intermediate",
    "int_arm_success": "main_intermediate",
    "int_arm_means": "main_intermediate",
    "arm_evidence": "main",
    "arm_pair_evidence": "main",
    "int_arm_choices": "main_intermediate",
    "routing_recommendations": "main",
    "escalation_plans": "main",
}
"""In an order in which each comes after those that it reads."""

PUBLISHED = [name for name, schema in MODELS.items() if schema == "main"]

EXECUTIONS = """
    task_id uuid, parent_task_id uuid, timestamp timestamp, date date, repo varchar,
    task_type varchar, model_tier varchar, pool_type varchar, attempt integer, success boolean,
    cost_source varchar, actual_cost double, known_duration_seconds double, quality_score integer,
    task_group varchar, load_id bigint
"""
ATTEMPTS = """
    task_id uuid, attempt integer, success boolean, ended_at timestamp, model_tier varchar,
    pool_type varchar
"""

Rows = list[dict[str, Any]]


class RoutingModels:
    """What dbt makes of the models, compiled once for a day and its vars."""

    def __init__(self, root: Path, parsed: Refresher, as_of: date, **variables: Any) -> None:
        warehouse = Warehouse(root, parsed)
        given = ", ".join(f"{name}: {value}" for name, value in variables.items())
        text = f"{{as_of: '{as_of}'{', ' + given if given else ''}}}"
        warehouse.refresher.invoke(["compile", "--select", *MODELS, "--vars", text])
        compiled = {path.stem: path for path in root.glob("target/compiled/*/models/*/*.sql")}
        self._selects = {name: compiled[name].read_text() for name in MODELS}

    def learn(self, runs: Iterable[Run]) -> Learned:
        """Return the tables that these runs give."""
        return Learned(self._selects, runs)


class Learned:
    """The tables that some runs give."""

    def __init__(self, selects: dict[str, str], runs: Iterable[Run]) -> None:
        self._selects = selects
        self._connection = duckdb.connect(config={"threads": 1})
        run = self._connection.execute
        for database in ("warehouse", "learning"):
            run(f"attach ':memory:' as {database}")
        run("use warehouse")
        run("create schema main_intermediate")
        run(f"create table main.executions ({EXECUTIONS})")
        run(f"create table main_intermediate.int_attempts ({ATTEMPTS})")
        for name, schema in MODELS.items():
            run(f"create table {schema}.{name} as select * from ({selects[name]}) limit 0")
        for name in PUBLISHED:
            run(f"create table learning.{name} as from warehouse.main.{name}")
        self.rows: list[Run] = []
        self.add(runs)

    def add(self, runs: Iterable[Run]) -> None:
        """Take in more runs, and build every table anew."""
        self.rows += (added := list(runs))
        self._insert("main.executions", map(_execution, added))
        self._insert("main_intermediate.int_attempts", map(_attempt, added))
        self.build()

    def _insert(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        # By columns: row by row DuckDB takes a hundred times as long.
        columns = [list(column) for column in zip(*rows, strict=True)]
        if columns:
            values = ", ".join(["unnest(?)"] * len(columns))
            self._connection.execute(f"insert into {table} select {values}", columns)

    def remove(self, run: Run) -> None:
        """Forget a task, and build every table anew."""
        self.rows = [row for row in self.rows if row.task != run.task]
        for table in ("main.executions", "main_intermediate.int_attempts"):
            self._connection.execute(f"delete from {table} where task_id = $1", [run.task])
        self.build()

    def believe(self, level: str, arm: str, success: float, cost: float, variance: float) -> None:
        """Put other figures of an arm in place of what was learned, and advise anew."""
        self._connection.execute(
            "update main.arm_evidence set success = $1, cost = $2, success_variance = $3,"
            " cost_variance = 0 where level = $4 and arm = $5",
            [success, cost, variance, level, arm],
        )
        names = list(MODELS)
        self.build(names[names.index("arm_evidence") + 1 :])

    def build(self, names: Iterable[str] = MODELS) -> None:
        for name in names:
            self._connection.execute(f"delete from {MODELS[name]}.{name}")
            self._connection.execute(f"insert into {MODELS[name]}.{name} {self._selects[name]}")
        for name in PUBLISHED:
            self._connection.execute(f"delete from learning.{name}")
            self._connection.execute(f"insert into learning.{name} from warehouse.main.{name}")

    def __getitem__(self, table: str) -> Rows:
        return rows_of(self._connection, f"{MODELS[table]}.{table}")

    def recommender(self) -> Recommender:
        """Return a recommender that has these tables for the publication in force."""
        return Recommender(publications=OnePublication(self._connection))

    def close(self) -> None:
        self._connection.close()


def rows_of(connection: duckdb.DuckDBPyConnection, table: str) -> Rows:
    """Return a table's rows as mappings, in one order whatever theirs is."""
    found = connection.execute(f"from {table} order by all")
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _execution(run: Run) -> Sequence[Any]:
    source = "reported" if run.cost is not None else "unknown"
    source = "estimate" if run.cost is None and run.estimate is not None else source
    name = run.task if run.attempt == 1 else type(run.task)(int=run.task.int + (run.attempt << 100))
    return (
        name, None if run.attempt == 1 else run.task, run.at, run.at.date(), run.repo,
        run.task_type, run.arm or "unknown", "solo", run.attempt, run.success, source,
        (run.estimate or 0.0) if run.cost is None else run.cost,
        run.duration, run.quality, run.group, 1,
    )  # fmt: skip


def _attempt(run: Run) -> Sequence[Any]:
    return run.task, run.attempt, run.success, run.ended_at, run.arm or "unknown", "solo"
