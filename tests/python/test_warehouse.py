"""The warehouse is deleted when it is of no use, and copied when it has grown too large."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
from types import SimpleNamespace

import duckdb
import pytest

from orb_learning import _database, warehouse
from orb_learning.errors import BusyError, HomeError
from orb_learning.warehouse import (
    STORAGE_VERSION,
    drop_warehouse,
    settle_warehouse,
    shrink_warehouse,
)


@pytest.mark.parametrize("damage", ["junk", "cut", "noted", "gone"])
def test_a_warehouse_that_is_of_no_use_is_deleted(home, damage, caplog):
    home.create()
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("create table built as select range from range(100000)")
    if damage == "junk":
        home.warehouse.write_bytes(b"junk" * 10_000)
    elif damage == "cut":
        shutil.copy(home.warehouse, home.root / "whole")
        home.warehouse.write_bytes((home.root / "whole").read_bytes()[:9000])
    elif damage == "noted":
        home.warehouse_damage.touch()
    else:
        home.warehouse.unlink()
        home.warehouse.with_name("warehouse.duckdb.wal").write_bytes(b"left")

    with caplog.at_level(logging.WARNING):
        settle_warehouse(home)

    assert not home.warehouse.exists()
    assert not home.warehouse.with_name("warehouse.duckdb.wal").exists()
    assert not home.warehouse_damage.exists()
    assert any("built anew" in line for line in caplog.messages) is (damage != "gone")


def test_a_sound_warehouse_stays(home):
    home.create()
    duckdb.connect(str(home.warehouse)).close()
    settle_warehouse(home)
    assert home.warehouse.exists()


@pytest.fixture
def killed_in_a_run(home, children) -> None:
    """A warehouse with an index, whose log is as a killed run leaves it."""
    home.create()

    def build_and_die() -> None:
        connection = duckdb.connect(str(home.warehouse))
        connection.execute("create table built as select range as id from range(100)")
        connection.execute("create index by_id on built (id)")
        os.kill(os.getpid(), signal.SIGKILL)

    pid = children.start(build_and_die)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    children.kill(pid)
    assert home.warehouse.with_name("warehouse.duckdb.wal").exists()


def test_indexes_that_a_log_was_replayed_into_go(home, killed_in_a_run):
    settle_warehouse(home)
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        assert connection.sql("select count(*) from built").fetchone() == (100,)
        assert connection.sql("select * from duckdb_indexes()").fetchall() == []


def test_a_warehouse_whose_indexes_cannot_go_is_deleted(home, killed_in_a_run, monkeypatch):
    monkeypatch.setattr(warehouse, "_INDEXES", "select 'main', 'none'")
    settle_warehouse(home)
    assert not home.warehouse.exists()


def test_a_warehouse_that_is_held_is_not_deleted(home, children):
    home.create()
    said, says = os.pipe()
    stay, leave = os.pipe()

    def hold() -> None:
        connection = duckdb.connect(str(home.warehouse))
        os.write(says, b"!")
        os.read(stay, 1)  # until it is killed
        connection.close()

    pid = children.start(hold)
    assert os.read(said, 1) == b"!"
    with pytest.raises(BusyError):
        settle_warehouse(home)
    assert home.warehouse.exists()
    children.kill(pid)
    for end in (said, says, stay, leave):
        os.close(end)


@pytest.fixture
def bloated(home, monkeypatch) -> None:
    """A warehouse most of which is free, whose smallest size is noted."""
    monkeypatch.setattr(warehouse, "SMALL", 2**20)
    home.create()
    shrink_warehouse(home)
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("create schema marts")
        connection.execute("create table marts.built (id BIGINT, word VARCHAR, made TIMESTAMP)")
        connection.execute(_FILL, [0, 100_000])
        connection.execute("create view marts.few as select * from marts.built where id < 10")
        connection.execute("create index by_id on marts.built (id)")
        connection.execute("comment on table marts.built is 'built 00ff'")
    shrink_warehouse(home)
    assert json.loads(home.warehouse_size.read_text())["bytes"] == _size(home)
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute(_FILL, [100_000, 900_000])
        connection.execute("delete from marts.built where id >= 100000 and id % 7 > 0")


_FILL = """
    insert into marts.built
    select range, sha256(range::varchar), timestamp '2026-01-01' + to_seconds(range)
    from range(?, ?)
"""


def _size(home) -> int:
    return home.warehouse.stat().st_size


def _contents(home) -> list:
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        return [
            connection.sql(query).fetchall()
            for query in (
                "select schema_name, table_name, sql, comment, estimated_size from duckdb_tables()",
                "select schema_name, view_name, sql from duckdb_views() where not internal",
                "select schema_name, index_name, sql from duckdb_indexes()",
                "from marts.built",
                "from marts.few",
            )
        ]


def _of_ours(home) -> list[str]:
    return sorted(file.name for file in home.root.iterdir() if "warehouse" in file.name)


def test_a_warehouse_that_has_grown_is_copied(home, bloated, caplog):
    before, size = _contents(home), _size(home)
    with caplog.at_level(logging.INFO):
        shrink_warehouse(home)
    (tables, *rest), (stored, *others) = before, _contents(home)
    assert others == rest
    assert [row[:4] for row in stored] == [row[:4] for row in tables]
    assert stored[0][4] < tables[0][4]  # rows that were deleted are gone
    assert _size(home) < size / 2
    assert home.warehouse.stat().st_mode & 0o777 == 0o600
    assert json.loads(home.warehouse_size.read_text())["bytes"] == _size(home)
    assert f"{_size(home)} bytes instead of {size}" in caplog.text
    assert _of_ours(home) == ["warehouse.duckdb", "warehouse.size.json"]
    with duckdb.connect(str(home.warehouse)) as connection:
        assert connection.sql("select tags['storage_version'] from duckdb_databases()").fetchall()[
            0
        ] == (f"{STORAGE_VERSION}+",)


def test_a_copy_is_on_the_disk_before_it_takes_its_place_and_the_place_after(
    home, bloated, monkeypatch
):
    before = home.warehouse.stat().st_ino
    synced = []

    def note(path):
        synced.append((path, home.warehouse.stat().st_ino == before))

    monkeypatch.setattr(_database, "sync", note)
    monkeypatch.setattr(warehouse, "sync", note)
    shrink_warehouse(home)
    (fresh, fresh_was_apart), (folder, folder_still_had_the_old) = synced
    assert fresh.name.startswith(".warehouse.duckdb-") and fresh_was_apart
    assert folder == home.root and not folder_still_had_the_old


def test_a_copied_one_rests_by_what_the_copy_took(home, bloated):
    shrink_warehouse(home)
    copied = home.warehouse.stat().st_ino
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute(_FILL, [0, 900_000])
    noted = json.loads(home.warehouse_size.read_text())
    assert 0 < noted["seconds"] < 60
    home.warehouse_size.write_text(json.dumps(noted | {"seconds": 60}))
    shrink_warehouse(home)
    assert home.warehouse.stat().st_ino == copied
    home.warehouse_size.write_text(
        json.dumps(noted | {"copied_at": noted["copied_at"] - warehouse.REST * noted["seconds"]})
    )
    shrink_warehouse(home)
    assert home.warehouse.stat().st_ino != copied


def test_a_clock_that_was_set_back_does_not_keep_it_from_being_copied(home, bloated):
    noted = json.loads(home.warehouse_size.read_text())
    home.warehouse_size.write_text(json.dumps(noted | {"copied_at": 1e11, "seconds": 60}))
    size = _size(home)
    shrink_warehouse(home)
    assert _size(home) < size


def test_a_small_one_is_never_copied(home, bloated, monkeypatch):
    monkeypatch.setattr(warehouse, "SMALL", _size(home))
    before = home.warehouse.stat()
    shrink_warehouse(home)
    assert home.warehouse.stat().st_ino == before.st_ino


@pytest.mark.parametrize("put_in_order", [settle_warehouse, drop_warehouse])
def test_what_a_killed_copy_left_is_removed(home, bloated, put_in_order):
    (home.root / ".warehouse.duckdb-00ff").write_bytes(b"half")
    (home.root / ".warehouse.duckdb-00ff.wal").write_bytes(b"half")
    (home.root / ".warehouse.duckdb-00ff.tmp").mkdir()
    put_in_order(home)
    assert not [name for name in _of_ours(home) if name.startswith(".")]


def test_one_that_grew_by_less_is_left(home, bloated):
    noted = json.loads(home.warehouse_size.read_text())
    before = home.warehouse.stat()
    for factor, is_left in ((1.38, True), (1.42, False)):
        home.warehouse_size.write_text(json.dumps(noted | {"bytes": before.st_size / factor}))
        shrink_warehouse(home)
        assert (home.warehouse.stat().st_ino == before.st_ino) is is_left


def test_a_disk_without_room_is_not_filled(home, bloated, monkeypatch):
    before = home.warehouse.stat()
    free = 2 * before.st_size - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    shrink_warehouse(home)
    assert home.warehouse.stat().st_ino == before.st_ino


def test_another_users_file_stays_theirs(home, bloated, monkeypatch):
    before = home.warehouse.stat()
    monkeypatch.setattr(os, "geteuid", lambda: before.st_uid + 1)
    shrink_warehouse(home)
    assert home.warehouse.stat().st_ino == before.st_ino


def test_a_linked_one_stays_where_it_is(home, bloated, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    home.warehouse.rename(elsewhere / "large.duckdb")
    home.warehouse.symlink_to(elsewhere / "large.duckdb")
    before, size = _contents(home)[1:], _size(home)
    shrink_warehouse(home)
    assert home.warehouse.is_symlink()
    assert _size(home) < size / 2
    assert _contents(home)[1:] == before
    drop_warehouse(home)
    assert not list(elsewhere.iterdir())
    assert not _of_ours(home)


def test_none_is_not_missed(home):
    home.create()
    shrink_warehouse(home)
    assert not _of_ours(home)


@pytest.mark.parametrize("kind", [HomeError, BusyError, OSError])
def test_a_copy_that_fails_leaves_the_warehouse_and_is_not_tried_at_once(
    home, bloated, monkeypatch, caplog, kind
):
    tries = []

    def fail(home, source, target, **options):
        tries.append(target)
        target.write_bytes(b"half")
        raise kind("cannot copy: no space is left")

    before = _contents(home)
    monkeypatch.setattr(warehouse, "copy_database", fail)
    for _ in range(2):
        shrink_warehouse(home)
    assert len(tries) == 1
    assert _contents(home) == before
    assert _of_ours(home) == ["warehouse.duckdb", "warehouse.size.json"]
    assert "cannot copy: no space is left" in caplog.text


@pytest.mark.parametrize(
    "noted",
    [
        "",
        "[]",
        "{}",
        '{"bytes": "many", "copied_at": 0}',
        '{"bytes": 1}',
        "\xff",
        "[" * 100_000,
        '{"bytes": 1, "copied_at": 1' + "0" * 400 + ', "seconds": 0}',
    ],
    ids=range(8),
)
def test_a_note_that_says_nothing_is_written_again(home, bloated, noted):
    size = _size(home)
    home.warehouse_size.write_bytes(noted.encode("latin-1"))
    shrink_warehouse(home)
    assert json.loads(home.warehouse_size.read_text()) == {
        "bytes": size,
        "copied_at": 0.0,
        "seconds": 0.0,
    }
    assert _size(home) == size


def test_a_smaller_one_is_noted(home, bloated):
    home.warehouse_size.write_text(
        json.dumps({"bytes": 2 * _size(home), "copied_at": 5.0, "seconds": 7.0})
    )
    shrink_warehouse(home)
    noted = json.loads(home.warehouse_size.read_text())
    assert noted == {"bytes": _size(home), "copied_at": 5.0, "seconds": 7.0}


def test_a_note_that_cannot_be_written_is_done_without(home, bloated):
    home.warehouse_size.unlink()
    home.warehouse_size.mkdir()
    shrink_warehouse(home)
    drop_warehouse(home)
    assert not home.warehouse.exists()


def test_a_dropped_one_leaves_no_note(home, bloated):
    drop_warehouse(home)
    assert _of_ours(home) == []
