"""The write-ahead log: what a crash, a torn log and a log put back do to a database file."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

IS_2 = int(duckdb.__version__.partition(".")[0]) >= 2
OTHER_TIME = "WAL checkpoint iteration does not match the database file"
OTHER_FILE = "WAL does not match database file"


def wal_of(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def rows(path: Path, *, read_only: bool = False) -> list[int]:
    with duckdb.connect(str(path), read_only=read_only) as connection:
        return [row for (row,) in connection.execute("select i from t order by i").fetchall()]


def make(path: Path) -> Path:
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table t (i int); create table k (i int primary key, s text)")
    assert not wal_of(path).exists()
    return path


@pytest.fixture
def crashed(tmp_path, run_and_kill):
    """A database whose rows 1 and 2, a commit each, are in its log alone."""
    path = make(tmp_path / "crashed.db")
    run_and_kill(path, "insert into t values (1)", "insert into t values (2)")
    return path


@pytest.fixture
def first_commit_torn(crashed):
    """A database whose log ends within its first commit."""
    log = wal_of(crashed).read_bytes()
    wal_of(crashed).write_bytes(log[: len(log) - 150])
    return crashed


def test_a_commit_is_durable_after_a_kill(crashed):
    """Loading is exactly once because rows and ledger are there once `commit` has returned."""
    assert rows(crashed) == [1, 2]


def test_what_is_not_committed_is_gone_after_a_kill(tmp_path, run_and_kill):
    """A load that died is repeated from the ledger's position, so none of it may stay."""
    path = make(tmp_path / "open.db")
    run_and_kill(path, "insert into t values (1)", "begin", "insert into t values (2)")
    assert rows(path) == [1]


def test_closing_after_recovery_leaves_no_log(crashed):
    """Staging is one file between two loads, so that a backup of one file is a backup."""
    rows(crashed)
    assert not wal_of(crashed).exists()
    assert rows(crashed) == [1, 2]


def test_a_log_with_a_torn_tail_opens_and_loses_only_that_commit(crashed):
    """A load after a crash opens staging without anyone's help."""
    log = wal_of(crashed).read_bytes()
    wal_of(crashed).write_bytes(log[:-10])
    assert rows(crashed) == [1]
    assert not wal_of(crashed).exists()


def test_a_log_torn_within_its_first_commit_stays_beside_the_file(first_commit_torn):
    """This left-over is what the hole in 2.0's recovery grows from (see the next two)."""
    assert rows(first_commit_torn) == []
    assert wal_of(first_commit_torn).exists()


def test_a_left_over_log_and_a_commit_above_a_lowered_threshold(first_commit_torn):
    """Why `checkpoint_threshold` is never lowered and DuckDB 2.0 is not the default.

    The commit goes into the file past the log, which stays: 2.0 then refuses the file, 1.5 finds
    no whole commit in the log and opens.
    """
    with duckdb.connect(str(first_commit_torn)) as connection:
        connection.execute("set checkpoint_threshold = '1MB'")
        connection.execute("insert into k select range, repeat('x', 200) from range(20000)")
    assert wal_of(first_commit_torn).exists()
    if IS_2:
        with pytest.raises(duckdb.IOException, match=OTHER_TIME):
            rows(first_commit_torn)
        wal_of(first_commit_torn).unlink()
    assert rows(first_commit_torn) == []
    with duckdb.connect(str(first_commit_torn)) as connection:
        assert connection.execute("select count(*) from k").fetchall() == [(20000,)]


def test_a_write_and_a_checkpoint_clear_a_left_over_log(first_commit_torn):
    """The way out of the hole; a checkpoint alone is not enough."""
    with duckdb.connect(str(first_commit_torn)) as connection:
        connection.execute("checkpoint")
        assert wal_of(first_commit_torn).exists()
        connection.execute("create or replace table probe (i int)")
        connection.execute("drop table probe")
        connection.execute("checkpoint")
        assert not wal_of(first_commit_torn).exists()
    assert rows(first_commit_torn) == []


def test_a_stale_log_put_back_beside_the_newer_file(crashed):
    """Whoever restores a file must take its log away: 1.5 replays it and doubles rows unnoticed."""
    log = wal_of(crashed).read_bytes()
    assert rows(crashed) == [1, 2]
    wal_of(crashed).write_bytes(log)
    if IS_2:
        with pytest.raises(duckdb.IOException, match=OTHER_TIME):
            rows(crashed)
    else:
        assert rows(crashed, read_only=True) == [1, 1, 2, 2]
        assert rows(crashed) == [1, 1, 2, 2]
        assert not wal_of(crashed).exists()
        assert rows(crashed) == [1, 1, 2, 2]


def test_a_stale_log_that_is_torn_too(crashed):
    """As above: 1.5 doubles the rows of the commits that are whole in it."""
    log = wal_of(crashed).read_bytes()
    assert rows(crashed) == [1, 2]
    wal_of(crashed).write_bytes(log[:-10])
    if IS_2:
        with pytest.raises(duckdb.IOException, match=OTHER_TIME):
            rows(crashed)
    else:
        assert rows(crashed) == [1, 1, 2]


def test_a_newer_log_beside_an_older_file(crashed, tmp_path, run_and_kill):
    """Restoring a backup of the file alone, over a crashed one: 1.5 skips commits unnoticed."""
    backup = tmp_path / "backup.db"
    backup.write_bytes(crashed.read_bytes())
    assert rows(crashed) == [1, 2]
    run_and_kill(crashed, "insert into t values (3)")
    wal_of(backup).write_bytes(wal_of(crashed).read_bytes())
    if IS_2:
        with pytest.raises(duckdb.IOException, match=OTHER_TIME):
            rows(backup)
    else:
        assert rows(backup) == [3]


def test_a_log_of_another_database(crashed, tmp_path):
    """A file put in another's place: 1.5 plays that one's log into it."""
    other = make(tmp_path / "other.db")
    wal_of(other).write_bytes(wal_of(crashed).read_bytes())
    if IS_2:
        with pytest.raises(duckdb.IOException, match=OTHER_FILE):
            rows(other)
    else:
        assert rows(other) == [1, 2]


def test_what_is_no_log_is_ignored(tmp_path):
    """A publication is checked for a log beside it, because nobody is told of this one."""
    path = make(tmp_path / "junk.db")
    wal_of(path).write_bytes(b"junk" * 50)
    assert rows(path) == []
    assert wal_of(path).exists()


def test_a_flipped_byte_in_the_log_is_reported(crashed):
    """Damage, unlike a torn tail, must not pass for an end: staging then says so."""
    log = bytearray(wal_of(crashed).read_bytes())
    log[-10] ^= 0xFF
    wal_of(crashed).write_bytes(log)
    with pytest.raises(duckdb.Error, match=r"Corrupt WAL file: entry at byte position \d+"):
        rows(crashed)


def test_a_plain_copy_without_the_log_lacks_the_commit(crashed, tmp_path):
    """Publications are made through DuckDB, and a backup is of a closed file."""
    copy = tmp_path / "copy.db"
    copy.write_bytes(crashed.read_bytes())
    assert rows(copy) == []
