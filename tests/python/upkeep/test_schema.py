"""A home's schema goes up, down and up again, and a copy is made before data may be lost."""

from __future__ import annotations

import duckdb
import pytest

from orb_learning.errors import MigrationError
from orb_learning.staging import known_migrations
from orb_learning.upkeep import migrate_down, migrate_up, reset

SHIPPED = known_migrations()
NEWEST = SHIPPED[-1].version


@pytest.fixture
def built(home, spool, pool, staging):
    spool.write("a.jsonl", pool(1), b"bad")
    staging.load()
    home.warehouse.write_bytes(b"built")
    return home


def test_a_plan_changes_nothing(built):
    before = built.staging.read_bytes()
    assert migrate_down(built, 0, is_plan=True).taken_back == SHIPPED[::-1]
    assert migrate_up(built, is_plan=True).applied == []
    plan = reset(built, is_plan=True)
    assert (plan.taken_back, plan.applied, plan.backup) == (SHIPPED[::-1], SHIPPED, None)
    assert built.staging.read_bytes() == before
    assert built.warehouse.exists()
    assert not built.backups.exists()


def test_a_plan_of_steps_to_come_drops_no_warehouse(built):
    migrate_down(built, NEWEST - 1)
    built.warehouse.write_bytes(b"built")
    assert migrate_up(built, is_plan=True).applied == SHIPPED[-1:]
    assert built.warehouse.exists()
    migrate_up(built)
    assert not built.warehouse.exists()


def test_a_plan_of_a_new_home_is_everything(home):
    assert migrate_up(home, is_plan=True).applied == SHIPPED
    assert migrate_up(home, 1).applied == SHIPPED[:1]
    assert migrate_up(home, is_plan=True).applied == SHIPPED[1:]


def test_going_down_makes_a_backup_and_going_up_again_loses_no_row(built, staging):
    report = migrate_down(built, NEWEST - 1)

    assert report.taken_back == SHIPPED[-1:]
    assert report.backup is not None
    assert report.backup.parent == built.backups
    with duckdb.connect(str(report.backup), read_only=True) as copy:
        assert copy.execute("select count(*) from raw.pool_created").fetchall() == [(1,)]
    assert not built.warehouse.exists()
    assert migrate_down(built, NEWEST - 1).backup is None, "there is nothing to take back"

    assert migrate_up(built).applied == SHIPPED[-1:]
    assert migrate_up(built).applied == [], "there is nothing to add"
    assert staging.load().lines == 0
    assert staging.pools() == ["pool-0001"]
    assert len(staging.reasons()) == 1


def test_a_reset_begins_again_from_the_spool(built, staging):
    report = reset(built)
    assert (report.taken_back, report.applied) == (SHIPPED[::-1], SHIPPED)
    assert staging.query("select count(*) from raw.pool_created") == [(0,)]
    assert staging.load().lines == 2
    assert staging.pools() == ["pool-0001"]


@pytest.mark.parametrize("version", [-1, NEWEST + 1])
def test_a_version_that_is_not_known_is_refused(built, version):
    for act in (migrate_up, migrate_down):
        with pytest.raises(MigrationError, match=f"there is no schema version {version}; this"):
            act(built, version)


def test_a_home_that_is_not_at_the_newest_version_goes_down_without_a_load(home):
    home.create()
    migrate_up(home, 1)
    report = migrate_down(home, 0)
    assert report.taken_back == SHIPPED[:1]
    assert report.backup is not None
    assert migrate_up(home, is_plan=True).applied == SHIPPED
