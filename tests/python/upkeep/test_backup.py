"""A backup is whole and read back; a restore loses only what was nowhere else."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest

from orb_learning import Telemetry
from orb_learning._types import subject_hash
from orb_learning.errors import BusyError, HomeError, MigrationError
from orb_learning.events import RoutingOutcome
from orb_learning.home import Home
from orb_learning.staging import open_staging_file
from orb_learning.upkeep import (
    _backup,
    backup,
    migrate_down,
    migrate_up,
    request_erasure,
    reset,
    restore,
    take_in,
)


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


def test_a_backup_is_on_disk_before_it_gets_its_name(home, spool, pool, disk_steps):
    spool.write("a.jsonl", pool(1))
    take_in(home)
    disk_steps.clear()
    made = backup(home)
    closed, named, folder = disk_steps[-3:]
    assert (closed, folder) == (("sync", named[1]), ("sync", home.backups))
    assert (named[0], named[1].name) == ("replace", made.path.name)


@pytest.mark.parametrize("can_link", [True, False])
def test_a_restored_file_is_on_disk_before_it_takes_the_others_place(
    home, saved, disk_steps, monkeypatch, can_link
):
    def refuse(*_: object) -> None:
        raise OSError(1, "not on this file system")

    if not can_link:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    disk_steps.clear()
    restore(home)
    (placed,) = [step for step in disk_steps if step[0] == "replace" and ".staging" in step[1].name]
    before, after = (disk_steps[: disk_steps.index(placed)], disk_steps[-1])
    assert ("sync", placed[1]) in before
    assert after == ("sync", home.root)
    (replaced,) = home.backups.glob("replaced-*.duckdb")
    assert (("sync", replaced) in before) is not can_link, "a link is of a file that was"


def test_a_backup_counts_events_and_not_what_left_quarantine(home, spool, pool, staging):
    spool.write("a.jsonl", pool(1), pool(2), b'no JSON "maria"')
    staging.load()
    request_erasure(home, users=["maria"])
    made = backup(home)
    assert staging.query("select sum(row_count) from ledger.removals") == [(1,)]
    ((tombstones,),) = staging.query("select count(*) from raw.user_erased")
    assert made.events == 2 + tombstones


def test_a_warehouse_is_gone_before_staging_is_replaced(home, saved, monkeypatch):
    replaced = home.staging.stat().st_ino
    home.warehouse.write_bytes(b"of newer loads")
    drop = _backup.drop_warehouse
    dropped = []

    def watched(root: Home) -> None:
        dropped.append(home.staging.stat().st_ino)
        drop(root)

    monkeypatch.setattr(_backup, "drop_warehouse", watched)
    restore(home, saved.path)
    assert dropped[0] == replaced
    assert home.staging.stat().st_ino != replaced
    assert not home.warehouse.exists()


def test_a_restore_into_an_empty_home(home, saved, tmp_path):
    other = type(home)(tmp_path / "other")
    restore(other, saved.path)
    assert take_in(other).load_id == 1


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
    assert take_in(home).load_id == 1


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

    def change(*places: Any) -> None:
        copy(*places, "update raw.pool_created set pool_id = 'other' where pool_type is null")

    monkeypatch.setattr(_backup, "copy_database", change)
    with pytest.raises(HomeError, match=r"does not hold what was copied into its raw.pool_created"):
        backup(home)
    assert list(home.backups.iterdir()) == []


def test_erasures_of_an_unreadable_file_are_said_to_be_lost(home, saved, caplog):
    home.staging.write_bytes(b"junk" * 5000)
    restore(home)
    assert any("what was erased cannot be read" in m for m in caplog.messages)


def test_what_any_backup_knows_of_erasures_is_in_force_after_a_restore(
    home, saved, spool, pool, staging
):
    request_erasure(home, users=["maria"])
    newer = backup(home)
    for path in (home.staging, *home.spool.iterdir()):
        path.unlink()
    restore(home, saved.path)
    assert staging.query("select subject from ledger.erasures") == [("user",)] * 2
    staging.load()
    assert staging.query("select count(*) from raw.user_erased") == [(2,)], "and can be told again"
    assert newer.path.exists()


def test_what_a_replaced_file_knows_of_erasures_is_in_force_after_a_restore(home, saved, staging):
    request_erasure(home, users=["maria"])
    take_in(home)
    restore(home, saved.path)
    for path in (home.staging, *home.spool.iterdir()):
        path.unlink()
    assert [path.name[:9] for path in home.backups.glob("*.duckdb") if path != saved.path] == [
        "replaced-"
    ]
    restore(home, saved.path)
    assert staging.query("select distinct subject from ledger.erasures") == [("user",)]


@pytest.mark.parametrize(
    "way", ["reset", "down to 1", "down to 1, reset", "restored, down to 1 and up"]
)
def test_no_change_of_schema_forgets_an_erasure(home, spool, staging, way):
    said = {"task_id": UUID(int=7), "metadata": {"user_id": "maria"}}
    spool.write("a.jsonl", RoutingOutcome(**said, success=True))
    older = backup(home)
    request_erasure(home, users=["maria"])
    take_in(home)
    for path in home.spool.iterdir():
        path.unlink()  # as if they were pruned: only staging remembers

    if way == "reset":
        reset(home)
    elif way == "down to 1":
        migrate_down(home, 1)
    elif way == "down to 1, reset":
        migrate_down(home, 1)
        reset(home)
    else:
        restore(home, older.path)
        migrate_down(home, 1)
        migrate_up(home)
    for path in home.backups.glob("*.duckdb"):
        if path != older.path:
            path.unlink()
    restore(home, older.path)
    spool.write("b.jsonl", RoutingOutcome(**said, success=False))
    staging.load()

    assert staging.query("select count(*) from raw.routing_outcome") == [(0,)]
    known = set(staging.query("select subject, subject_hash from ledger.erasures"))
    assert {("user", subject_hash("maria")), ("task", subject_hash(str(UUID(int=7))))} < known


def test_a_staging_that_another_process_holds_is_not_replaced(home, saved, children):
    ready, told = os.pipe()

    def hold() -> None:
        with duckdb.connect(str(home.staging)):
            os.write(told, b".")
            os.read(os.pipe()[0], 1)

    pid = children.start(hold)
    os.read(ready, 1)
    before = home.staging.stat().st_ino
    with pytest.raises(BusyError):
        restore(home)
    children.kill(pid)
    assert home.staging.stat().st_ino == before
    assert [path.name for path in home.backups.iterdir()] == [saved.path.name]


def test_a_database_that_is_no_staging_is_refused(home, saved, tmp_path):
    other = tmp_path / "other.duckdb"
    with duckdb.connect(str(other)) as connection:
        connection.execute("create table t as select 1")
    before = home.staging.stat().st_ino
    with pytest.raises(HomeError, match="is no backup of a staging file; nothing was changed"):
        restore(home, other)
    assert home.staging.stat().st_ino == before


def test_a_restore_replaces_what_is_no_staging_yet(home, saved, staging):
    home.staging.unlink()
    with duckdb.connect(str(home.staging)) as connection:
        connection.execute("create table t as select 1")
    restore(home, saved.path)
    assert staging.load().load_id == 1


def test_a_pipe_is_no_backup(home, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(HomeError, match="is no file; name the backup to restore"):
        restore(home, tmp_path / "pipe")


def test_backups_may_lie_on_another_file_system(home, saved, staging, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", fail)
    before = home.staging.read_bytes()
    restore(home, saved.path)
    (kept,) = home.backups.glob("replaced-*.duckdb")
    assert kept.read_bytes() == before
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert staging.load().lines == 0


def test_where_the_replaced_file_cannot_be_kept_nothing_is_changed(home, saved, monkeypatch):
    home.warehouse.write_bytes(b"built")
    before = home.staging.stat().st_ino

    def fail(*_: object) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(_backup, "_keep", fail)
    with pytest.raises(HomeError, match=r"cannot keep the replaced file as .*Permission denied"):
        restore(home)
    assert home.warehouse.exists()
    assert home.staging.stat().st_ino == before


def test_a_copy_is_closed_to_others_from_its_first_byte_on(
    home, spool, pool, monkeypatch, tmp_path
):
    spool.write("a.jsonl", pool(1))
    tmp_path.chmod(0o755)
    modes = []
    copy = _backup.copy_database

    def looked_at(home: Home, source: Path, target: Path) -> None:
        modes.append(stat.S_IMODE(target.parent.stat().st_mode))
        copy(home, source, target)

    monkeypatch.setattr(_backup, "copy_database", looked_at)
    made = backup(home, tmp_path)
    assert modes == [0o700]
    assert list(tmp_path.glob("*staging*")) == [made.path]


@pytest.mark.parametrize(("hours", "is_left"), [(1, True), (48, False)])
def test_copies_that_were_killed_are_cleared_away(home, spool, pool, tmp_path, hours, is_left):
    spool.write("a.jsonl", pool(1))
    left = [
        folder / ".staging-20260301T120000000000-1a2b3c4d" for folder in (home.backups, tmp_path)
    ]
    for folder in left:
        folder.mkdir(parents=True)
        (folder / "staging.duckdb").write_bytes(b"half")
        os.utime(folder, (time.time() - hours * 3600,) * 2)
    theirs = tmp_path / ".staging-env"
    theirs.mkdir()
    os.utime(theirs, (time.time() - hours * 3600,) * 2)
    backup(home)
    backup(home, tmp_path)
    assert [folder.exists() for folder in (*left, theirs)] == [False, is_left, True]


def test_the_homes_own_folder_may_be_named_as_it_is_seen_from_here(home, spool, pool, monkeypatch):
    spool.write("a.jsonl", pool(1))
    monkeypatch.chdir(home.root.parent)
    made = backup(home, Path(home.root.name) / "backups")
    assert made.path.parent == home.backups


def test_a_replaced_file_that_stays_is_no_second_name_of_it(home, saved, monkeypatch):
    def fail(path: Path, target: Path) -> Path:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="Input/output error"):
        restore(home)
    assert home.staging.stat().st_nlink == 1


@pytest.mark.parametrize("where", ["spool", "published/mine", "."])
def test_a_backup_does_not_go_among_the_homes_own_files(home, spool, pool, where):
    spool.write("a.jsonl", pool(1))
    with pytest.raises(HomeError, match="is the home's own; name a directory outside"):
        backup(home, home.root / where)
