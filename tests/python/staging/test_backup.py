"""A backup is whole and read back; a restore loses only what was nowhere else."""

from __future__ import annotations

import stat
from pathlib import Path

import duckdb
import pytest

from orb_learning import Telemetry
from orb_learning.errors import HomeError, MigrationError
from orb_learning.staging import _backup, backup, load, open_staging_file, restore


@pytest.fixture
def saved(home, spool, pool):
    spool.write("a.jsonl", pool(1), pool(2), b"bad")
    return backup(home)


def test_a_backup_loads_first_and_says_what_it_holds(home, saved, staging):
    assert saved.path.parent == home.backups
    assert (saved.load_id, saved.events) == (1, 2)
    assert stat.S_IMODE(saved.path.stat().st_mode) == 0o600
    assert [path.name for path in home.backups.iterdir()] == [saved.path.name]
    with duckdb.connect(str(saved.path), read_only=True) as copy:
        assert copy.execute("select count(*) from raw.pool_created").fetchall() == [(2,)]
    assert staging.pools() == ["pool-0001", "pool-0002"]


def test_hooks_go_on_while_a_backup_is_made(home, spool, pool, staging, tmp_path):
    spool.write("a.jsonl", pool(1))
    with Telemetry(home.root, strict=True) as telemetry, home.locked():
        made = backup(home, tmp_path / "elsewhere")
        telemetry.capture_sync(pool(2))
    assert made.path.parent == tmp_path / "elsewhere"
    assert made.events == 1
    assert staging.load().loaded == 1


def test_what_was_loaded_since_is_loaded_again(home, spool, pool, staging, saved):
    home.warehouse.write_bytes(b"built from what is replaced")
    spool.write("b.jsonl", pool(3))
    staging.load()
    home.staging.write_bytes(b"not a database any more" * 1000)

    restored = restore(home)

    assert (restored.path, restored.load_id, restored.events) == (home.staging, 1, 2)
    assert not home.warehouse.exists()
    staging.load()
    assert staging.pools() == ["pool-0001", "pool-0002", "pool-0003"]
    assert staging.reasons() == staging.reasons()
    (replaced,) = home.backups.glob("replaced-*.duckdb")
    assert replaced.read_bytes().startswith(b"not a database")


def test_a_restore_takes_the_write_ahead_log_away_too(home, saved, staging):
    home.staging.with_name("staging.duckdb.wal").write_bytes(b"of the replaced file")
    restore(home, saved.path)
    assert not home.staging.with_name("staging.duckdb.wal").exists()
    assert staging.load().lines == 0


def test_a_restore_into_an_empty_home(home, saved, tmp_path):
    other = type(home)(tmp_path / "other")
    restore(other, saved.path)
    assert load(other).load_id == 1


def test_a_damaged_backup_changes_nothing(home, saved, staging):
    before = home.staging.read_bytes()
    data = bytearray(saved.path.read_bytes())
    data[8192:] = bytes(byte ^ 0x5A for byte in data[8192:])
    saved.path.chmod(0o600)
    saved.path.write_bytes(data)
    with pytest.raises(HomeError):
        restore(home)
    assert home.staging.read_bytes() == before
    assert not list(home.root.glob(".staging*"))


def test_without_a_backup_the_message_says_where_it_looked(home):
    with pytest.raises(HomeError, match="there is no backup in"):
        restore(home)


def test_what_is_no_staging_file_is_refused(home, tmp_path, saved):
    other = tmp_path / "other.duckdb"
    with duckdb.connect(str(other)) as connection:
        connection.execute("create schema raw; create table raw.routing_decision (a INTEGER)")
        connection.execute("create schema ledger; create table ledger.loads (a INTEGER)")
    with pytest.raises((HomeError, MigrationError)):
        restore(home, other)
    assert load(home).load_id == 1


def test_a_backup_of_an_older_schema_is_migrated(home, saved, staging):
    with duckdb.connect(str(saved.path)) as connection:
        from orb_learning.staging import downgrade

        downgrade(connection, 1)
    restore(home, saved.path)
    assert staging.pools() == ["pool-0001", "pool-0002"]


def test_a_backup_that_contradicts_itself_is_not_kept(home, spool, pool, staging):
    spool.write("a.jsonl", pool(1))
    staging.load()
    with open_staging_file(home) as connection:
        connection.execute("update ledger.segments set lines = 9")
    with pytest.raises(HomeError, match=r"is damaged: ledger\.segments does not add up"):
        backup(home)
    assert list(home.backups.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_one_line(home, spool, pool, tmp_path):
    spool.write("a.jsonl", pool(1))
    (tmp_path / "file").touch()
    with pytest.raises(HomeError, match=r"cannot make .*; name another"):
        backup(home, tmp_path / "file" / "backups")


def test_a_backup_that_cannot_be_finished_is_removed(home, spool, pool, monkeypatch, tmp_path):
    spool.write("a.jsonl", pool(1))
    target = tmp_path / "backups"

    def fail(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(_backup, "sync", fail)
    with pytest.raises(HomeError, match=r"cannot write .*: Input/output error"):
        backup(home, target)
    assert not [path for path in target.iterdir() if path.name.startswith(".")]


def test_a_disk_that_fails_during_the_copy_leaves_nothing(home, spool, pool, monkeypatch):
    spool.write("a.jsonl", pool(1))

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_backup, "copy_database", fail)
    with pytest.raises(OSError, match="No space left"):
        backup(home)
    assert list(home.backups.iterdir()) == []


def test_a_backup_whose_restoring_fails_changes_nothing(home, saved, staging, monkeypatch):
    before = home.staging.read_bytes()

    def fail(*_: object) -> None:
        raise duckdb.IOException("no\nway")

    monkeypatch.setattr(_backup, "_keep_erasures", fail)
    with pytest.raises(HomeError, match=r"cannot restore .*: no; nothing was changed"):
        restore(home)
    monkeypatch.setattr(_backup, "_keep_erasures", lambda *_: None)
    monkeypatch.setattr(_backup, "faults", lambda _: ["something is off"])
    with pytest.raises(HomeError, match="something is off; take another backup"):
        restore(home)
    assert home.staging.read_bytes() == before


def test_a_copy_that_differs_from_its_source_does_not_count(home, spool, pool, monkeypatch):
    spool.write("a.jsonl", pool(1), pool(2))
    copy = _backup.copy_database

    def change(source: Path, target: Path) -> None:
        copy(
            source, target, "update raw.pool_created set pool_id = 'other' where pool_type is null"
        )

    monkeypatch.setattr(_backup, "copy_database", change)
    with pytest.raises(HomeError, match=r"does not hold what was copied into its raw.pool_created"):
        backup(home)
    assert list(home.backups.iterdir()) == []


def test_erasures_of_an_unreadable_file_are_said_to_be_lost(home, saved, caplog):
    home.staging.write_bytes(b"junk" * 5000)
    restore(home)
    assert any("what was erased since the backup cannot be read" in m for m in caplog.messages)
