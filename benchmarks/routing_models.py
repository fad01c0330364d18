"""What the models make of a log: by dbt, or by the statements that it compiled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

import duckdb
from report import alone
from routing_data import DAY, TaskSet, read_tasks

from orb_learning import Telemetry
from orb_learning.home import Home
from orb_learning.importer import import_files
from orb_learning.refresh import Refresher
from orb_learning.serving import Recommendation, Recommender
from orb_learning.serving._publications import OnePublication

BEFORE = ("int_execution_days", "int_task_groups")
READ = (
    "int_usual_costs",
    "int_arm_days",
    "int_arm_retries",
    "int_arm_group_pairs",
    "int_arm_sums",
    "int_arm_success",
    "int_arm_means",
    "arm_evidence",
    "arm_pair_evidence",
)
"""What a recommender's answers come from, in an order in which they can be built."""

ANSWERS = ("int_arm_choices", "escalation_plans", "routing_recommendations")
"""The same answers in SQL; of these the recommender reads which vars they were made with."""

FOREVER = {"evidence_window_days": None, "evidence_half_life_days": None}


def build(home: Home, tasks: TaskSet) -> None:
    """Import the runs of a task set into an empty home, and let dbt build and publish."""
    file = home.root / "runs.jsonl"
    home.root.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in tasks.rows))
    with Telemetry(home.root, strict=True) as telemetry:
        import_files(telemetry, [file])
    Refresher(home.root).invoke(["run", *_variables(FOREVER)])


def _variables(others: Mapping[str, Any]) -> list[str]:
    return ["--vars", json.dumps({"as_of": DAY, "publish_past": True, **others})]


@dataclass(frozen=True)
class Run:
    """One try of a task by an arm.

    Attributes:
        task: the task's name.
        attempt: which try it is.
        first_arm: the arm of the first.
        days: when, after the day that all runs were set to.
    """

    task: str
    arm: str
    attempt: int = 1
    first_arm: str = ""
    days: int = 0


_SHAPE = json.dumps(
    [{"task": "text", "arm": "text", "attempt": "int", "first_arm": "text", "days": "int"}]
)


class Learner:
    """Builds the models of any part of a home's runs by dbt's own statements, in memory."""

    def __init__(self, home: Home, variables: Mapping[str, Any] = FOREVER) -> None:
        """Let dbt compile, and read the home's executions.

        Args:
            home: where dbt has built the models of all runs.
            variables: the project's, where they are not its defaults.
        """
        wanted = (*BEFORE, *READ, *ANSWERS)
        with redirect_stdout(StringIO()):  # dbt shows the last one
            compiled = Refresher(home.root).invoke(
                ["compile", "--full-refresh", "--select", *wanted, *_variables(variables)]
            )
        self._models = {
            result.node.name: (
                "view" if result.node.config.materialized == "view" else "table",
                result.node.relation_name.replace('"warehouse"', "learning"),
                result.node.compiled_code.replace('"warehouse"', "learning"),
            )
            for result in compiled
            if result.node.name in wanted
        }
        self._home = home
        self._connection = duckdb.connect(config={"threads": 1})
        with self._built():
            self._connection.execute(
                """
                create temp table runs as from warehouse.main.executions;
                attach ':memory:' as learning;
                create schema learning.main_intermediate;
                create table learning.main_intermediate.int_attempts as
                from warehouse.main_intermediate.int_attempts limit 0;
                -- Of these only the vars are read.
                create table learning.main.routing_recommendations as
                from warehouse.main.routing_recommendations where level = 'everything';
                """
            )

    def learn(self, runs: Iterable[Run], days: int = 0) -> Recommender:
        """Build the models of some runs, as of some days after the first, and return who knows."""
        self._fill(list(runs))
        self._build((*BEFORE, *READ), days)
        recommender = Recommender(publications=OnePublication(self._connection))
        recommender.evidence()  # before the tables hold another log
        return recommender

    def differences(self, tasks: TaskSet) -> dict[str, int]:
        """Build the models of all runs, and count the rows that dbt built otherwise, by model."""
        self._fill([Run(row["task_group"], row["model_tier"]) for row in tasks.rows])
        self._build(tuple(self._models), 0)
        found = {}
        with self._built():
            for name, (_, relation, _) in self._models.items():
                both = (relation, relation.replace("learning.", "warehouse."))
                ((found[name],),) = self._connection.execute(
                    "select count(*) from ((from {0} except all from {1})"
                    " union all (from {1} except all from {0}))".format(*both)
                ).fetchall()
        return found

    def disagreements(self, recommender: Recommender) -> tuple[int, int]:
        """Count the cells that dbt has an answer for, and those that a recommender has another."""
        with self._built():
            chosen = self._connection.execute(
                "select task_type, repo, [arm], success from warehouse.main.routing_recommendations"
            ).fetchall()
            planned = self._connection.execute(
                "select task_type, null, arms, success from warehouse.main.escalation_plans"
            ).fetchall()
        answers = [
            *((row, recommender.recommend(row[0] or "any", row[1])) for row in chosen),
            *((row, recommender.recommend_escalation(row[0] or "any")) for row in planned),
        ]
        others = 0
        for (_, _, arms, success), answer in answers:
            given = [answer.arm] if isinstance(answer, Recommendation) else list(answer.arms)
            others += given != arms or abs((answer.success or 0) - success) > 1e-9
        return len(answers), others

    @contextmanager
    def _built(self) -> Iterator[None]:
        """Attach what dbt built, and no longer than it is read: dbt opens the file alone."""
        self._connection.execute(f"attach '{self._home.warehouse}' as warehouse (read_only)")
        yield
        self._connection.execute("detach warehouse")

    def _build(self, models: Sequence[str], days: int) -> None:
        as_of = date.fromisoformat(DAY) + timedelta(days=days)
        for name in models:
            kind, relation, sql = self._models[name]
            sql = sql.replace(f"date '{DAY}'", f"date '{as_of}'")
            self._connection.execute(f"create or replace {kind} {relation} as {sql}")

    def _fill(self, runs: Sequence[Run]) -> None:
        self._connection.execute(
            f"""
            create or replace table learning.main.executions as
            with asked as (
                select unnest(from_json($runs, $shape), recursive := true)
            )
            select
                runs.* replace (
                    asked.attempt as attempt,
                    date '{DAY}' + asked.days as date,
                    timestamp '{DAY}' + to_days(asked.days) + to_hours(asked.attempt - 1)
                        as timestamp,
                    first_runs.task_id as parent_task_id
                )
            from asked
            inner join runs on asked.task = runs.task_group and asked.arm = runs.model_tier
            left join runs as first_runs
                on asked.task = first_runs.task_group
                and asked.first_arm = first_runs.model_tier
            """,
            {"runs": json.dumps([asdict(run) for run in runs]), "shape": _SHAPE},
        )
        self._connection.execute(
            """
            delete from learning.main_intermediate.int_attempts;
            insert into learning.main_intermediate.int_attempts by name
            select
                coalesce(parent_task_id, task_id) as task_id,
                attempt,
                success,
                model_tier,
                pool_type,
                timestamp + interval 30 minutes as ended_at
            from learning.main.executions
            """
        )


@dataclass(frozen=True)
class Wanted:
    """What the benchmark is asked for.

    Attributes:
        folder: where homes are kept.
        sizes: executions of the histories that refreshes are timed on.
        seeds: how often each part is run.
    """

    folder: Path
    sizes: list[int]
    seeds: dict[str, int]

    @cached_property
    def tasks(self) -> TaskSet:
        """The task set."""
        return read_tasks()

    @cached_property
    def home(self) -> Home:
        """A home in which dbt has built the models of all its runs."""
        home = Home(self.folder / "routing")
        if not home.current.exists():
            alone(build, home, self.tasks)
        return home

    @cached_property
    def learner(self) -> Learner:
        """What builds the models of parts of them."""
        return Learner(self.home)
