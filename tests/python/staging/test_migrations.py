"""The staging schema's versions: up, down, and up again, each step whole or not at all."""

from __future__ import annotations

import duckdb
import pytest

from orb_learning.errors import MigrationError
from orb_learning.staging import (
    LoadReport,
    Migration,
    MigrationState,
    _migrations,
    downgrade,
    known_migrations,
    open_staging_file,
    status,
    upgrade,
    validate,
)

SHIPPED = known_migrations()
NEWEST = SHIPPED[-1].version

ONE = Migration(1, "one", "create table t1 (a INTEGER)", "drop table t1")
TWO = Migration(2, "two", "create table t2 (a INTEGER); insert into t2 values (1)", "drop table t2")
THREE = Migration(3, "three", "alter table t2 add column b INTEGER", "alter table t2 drop column b")


@pytest.fixture
def connection():
    with duckdb.connect() as opened:
        yield opened


@pytest.fixture
def know(monkeypatch):
    """Return a function that makes a release ship these migrations."""

    def these(*migrations: Migration) -> None:
        monkeypatch.setattr(_migrations, "known_migrations", lambda: list(migrations))

    return these


def tables(connection: duckdb.DuckDBPyConnection) -> set[str]:
    found = connection.execute("select schema_name || '.' || table_name from duckdb_tables()")
    return {name for (name,) in found.fetchall()}


def versions(connection: duckdb.DuckDBPyConnection) -> list[int]:
    found = connection.execute("select version from ledger.migrations order by 1")
    return [version for (version,) in found.fetchall()]


def states(connection: duckdb.DuckDBPyConnection) -> list[tuple[int, str]]:
    return [(state.version, state.state) for state in status(connection)]


def test_the_shipped_migrations_are_numbered_without_a_gap():
    assert [migration.version for migration in SHIPPED] == list(range(1, NEWEST + 1))
    assert SHIPPED[0].name == "raw_events"
    for migration in SHIPPED:
        assert migration.up.strip()
        assert migration.down.strip()


def test_the_shipped_migrations_go_up_and_down_and_up_again(connection):
    assert states(connection) == [(version, "pending") for version in range(1, NEWEST + 1)]
    assert upgrade(connection) == SHIPPED
    whole = tables(connection)
    assert states(connection) == [(version, "applied") for version in range(1, NEWEST + 1)]
    assert upgrade(connection) == []

    assert downgrade(connection, 0) == SHIPPED[::-1]
    assert tables(connection) == {"ledger.migrations"}
    assert versions(connection) == []
    assert downgrade(connection, 0) == []

    assert upgrade(connection) == SHIPPED
    assert tables(connection) == whole


def test_a_spool_loads_again_after_its_data_was_taken_down(home, spool, staging, pool):
    spool.write("a.jsonl", pool(1), b"bad")
    staging.load()
    with open_staging_file(home) as opened:
        downgrade(opened, 0)
    assert staging.load() == LoadReport(1, 2, 1, 0, 1)


def test_a_status_has_one_row_for_every_version(connection):
    upgrade(connection)
    connection.execute("insert into ledger.migrations values (9000, 'later', 'x', now())")
    connection.execute("update ledger.migrations set checksum = 'x' where version = 1")
    found = status(connection)
    assert found[0] == MigrationState(1, "raw_events", "changed")
    assert found[-1] == MigrationState(9000, "later", "unknown")


def test_an_empty_database_is_valid(connection):
    validate(connection)
    assert tables(connection) == set()
    assert downgrade(connection, 0) == []


def test_upgrading_may_stop_at_a_version(connection, know):
    know(ONE, TWO, THREE)
    assert upgrade(connection, to=2) == [ONE, TWO]
    assert states(connection) == [(1, "applied"), (2, "applied"), (3, "pending")]
    assert upgrade(connection, to=1) == [], "it never goes down"
    assert upgrade(connection) == [THREE]


def test_downgrading_goes_from_the_newest_and_stops_at_a_version(connection, know):
    know(ONE, TWO, THREE)
    upgrade(connection)
    assert downgrade(connection, 3) == []
    assert downgrade(connection, 1) == [THREE, TWO]
    assert versions(connection) == [1]
    assert tables(connection) == {"ledger.migrations", "main.t1"}


@pytest.mark.parametrize(
    "script",
    [
        "create table half (a INTEGER); selekt",
        "create table half (a INTEGER); insert into half values ('no number')",
        "create table half (a INTEGER); drop table t1; select\n\n* from nowhere",
        "create table half (a INTEGER); insert into ledger.migrations values (2, '', '', now())",
        "create table half (a INTEGER); rollback; select * from nowhere",
    ],
)
def test_a_step_that_fails_is_taken_back_whole(connection, know, script):
    know(ONE, Migration(2, "broken", script, ""), THREE)

    with pytest.raises(MigrationError) as caught:
        upgrade(connection)

    assert str(caught.value).startswith("migration 0002 (broken) failed and was rolled back: ")
    assert "\n" not in str(caught.value)
    assert tables(connection) == {"ledger.migrations", "main.t1"}
    assert versions(connection) == [1]

    know(ONE, TWO, THREE)
    assert upgrade(connection) == [TWO, THREE]


def test_a_step_down_that_fails_is_taken_back_whole(connection, know):
    know(ONE, Migration(2, "two", TWO.up, "drop table t2; drop table t3"))
    upgrade(connection)

    with pytest.raises(MigrationError, match=r"migration 0002 \(two\) failed"):
        downgrade(connection, 0)

    assert versions(connection) == [1, 2]
    assert tables(connection) == {"ledger.migrations", "main.t1", "main.t2"}


@pytest.mark.parametrize("act", [upgrade, lambda connection: downgrade(connection, 0), validate])
def test_nothing_is_done_to_a_schema_that_is_not_this_releases(connection, know, act):
    know(ONE, TWO, THREE)
    upgrade(connection)
    know(ONE, TWO)
    with pytest.raises(MigrationError, match=r"schema version 3 \(three\), which this release"):
        act(connection)

    know(ONE, TWO, Migration(3, "three", THREE.up + " -- edited", THREE.down))
    with pytest.raises(MigrationError, match=r"migration 0003 \(three\) was edited"):
        act(connection)
    know(ONE, TWO, Migration(3, "three", THREE.up, THREE.down + " -- edited"))
    with pytest.raises(MigrationError, match=r"migration 0003 \(three\) was edited"):
        act(connection)
    assert versions(connection) == [1, 2, 3]
