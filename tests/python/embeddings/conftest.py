"""Small histories, published without dbt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import duckdb
import pytest

from orb_learning import ExecutionRecord
from orb_learning.embeddings._store import CONTENT
from orb_learning.home import Home
from orb_learning.publication import Publication
from publishing import publish
from words import WordModel

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)


@pytest.fixture
def model() -> WordModel:
    return WordModel()


class Press:
    """Publishes histories as dbt's runs do, without dbt: `executions` and nothing else."""

    def __init__(self, home: Home) -> None:
        home.create()
        self.home = home
        self._warehouse = duckdb.connect(str(home.warehouse))
        self._warehouse.execute("attach ':memory:' as staging")
        self._warehouse.execute("create schema staging.ledger")
        self._warehouse.execute(
            "create table staging.ledger.loads (load_id bigint, loaded_at timestamp)"
        )
        self._warehouse.execute("create table staging.ledger.erasures (load_id bigint)")

    def publish(
        self,
        descriptions: Sequence[str],
        *,
        repo: str = "acme/api",
        each: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        """Publish one execution a description, each a day older than the one before it.

        `each` has values of a field that differ, one for each execution.
        """
        rows = [
            ExecutionRecord(
                **{
                    "task_id": UUID(int=number),
                    "timestamp": NOW - timedelta(days=number),
                    "task_type": "bug_fix",
                    "task_description": description,
                    "repo": repo,
                    "model_tier": "large",
                    "pool_type": "swarm",
                    "routing_confidence": 0.5,
                    "success": True,
                    "duration_seconds": 1.0,
                    "cost_estimate": 1.0,
                    "actual_cost": 1.0,
                    **{field: values[number] for field, values in (each or {}).items()},
                }
            )
            for number, description in enumerate(descriptions)
        ]
        self._warehouse.execute(
            """
            create or replace table executions (
                task_id uuid, timestamp timestamp, task_type varchar, task_description varchar,
                repo varchar, file_count integer, estimated_tokens integer, model_tier varchar,
                pool_type varchar, swarm_topology varchar, routing_confidence double,
                complexity_score integer, success boolean, duration_seconds double,
                quality_score integer, cost_estimate double, actual_cost double,
                error_type varchar, error_message varchar, user_accepted boolean,
                user_rating integer, peak_memory_mb double, cpu_time_seconds double,
                solution_summary varchar, metadata json, uploaded_at timestamp,
                cost_source varchar, policy_version varchar, propensity double, candidates json,
                parent_task_id uuid, attempt integer, content_hash varchar, load_id bigint
            )
            """
        )
        for row in rows:
            values = row.to_dict() | {
                "attempt": 1,
                "metadata": "{}",
                "cost_source": "reported",
                "uploaded_at": NOW.isoformat(),
                "load_id": 1,
            }
            values = {name: value for name, value in values.items() if value is not None}
            self._warehouse.execute(
                f"insert into executions ({', '.join(values)})"
                f" values ({', '.join('?' * len(values))})",
                list(values.values()),
            )
        self._warehouse.execute(f"update executions set content_hash = md5({CONTENT})")
        self.republish()

    def republish(self) -> Publication:
        return publish(self._warehouse, self.home, schema="main", as_of=NOW.isoformat())

    def change(self, description: str, to: str) -> None:
        """Load what changes the description of executions."""
        (load_id,) = self._warehouse.execute(
            "insert into staging.ledger.loads select max(load_id) + 1, timestamp '2026-03-01'"
            " from staging.ledger.loads returning load_id"
        ).fetchone()
        self._warehouse.execute(
            "insert into main_intermediate.int_attempts"
            " select task_id, ?, 1 from executions where task_description = ?",
            [load_id, description],
        )
        self._warehouse.execute(
            "update executions set task_description = ?, load_id = ? where task_description = ?",
            [to, load_id, description],
        )
        self._warehouse.execute(f"update executions set content_hash = md5({CONTENT})")

    def add(self, description: str) -> None:
        """Load one more execution with the content of one that there is."""
        self._warehouse.execute(
            "insert into staging.ledger.loads values (2, timestamp '2026-03-01')"
        )
        self._warehouse.execute("create schema main_intermediate")
        self._warehouse.execute(
            "create table main_intermediate.int_attempts as"
            " select uuid() as task_id, 2::bigint as load_id, 1::bigint as first_load_id"
        )
        self._warehouse.execute(
            "insert into executions"
            " select added.* replace (attempts.task_id as task_id, 2 as load_id)"
            " from executions as added, main_intermediate.int_attempts as attempts"
            " where added.task_description = ? limit 1",
            [description],
        )

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.home.learning_db), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def close(self) -> None:
        self._warehouse.close()


@pytest.fixture
def press(home: Home) -> Iterator[Press]:
    made = Press(home)
    yield made
    made.close()
