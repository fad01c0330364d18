"""What the tests of queries share: a small publication, and a way to ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import duckdb
import pytest

from orb_learning.home import Home
from orb_learning.publication import publish
from orb_learning.serving import LearningDatabase, QueryResult


@pytest.fixture(scope="package")
def published(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a publication of one table, without dbt."""
    home = Home(tmp_path_factory.mktemp("queries") / "home")
    home.create()
    with duckdb.connect(str(home.warehouse)) as warehouse:
        warehouse.execute("attach ':memory:' as staging")
        warehouse.execute("create schema staging.ledger")
        warehouse.execute("create table staging.ledger.loads (load_id bigint, loaded_at timestamp)")
        warehouse.execute("create table staging.ledger.erasures (load_id bigint)")
        warehouse.execute("create table facts as select range as n, 'api' as repo from range(9)")
        publish(warehouse, home, schema="main", as_of="2026-03-01T12:00:00+00:00")
    return home


@pytest.fixture
def asked(published: Home) -> Callable[..., QueryResult]:
    """Return what asks the publication something, by a reader of its own."""

    def ask(sql: str, params: Any = None, *, limit: int | None = None, **how: Any) -> QueryResult:
        async def run() -> QueryResult:
            async with LearningDatabase(published.root, **how) as learning:
                return await learning.query(sql, params, limit=limit)

        return asyncio.run(run())

    return ask
