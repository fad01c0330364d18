"""What a crash or a bad disk leaves is put in order at the next opening, or stops with a remedy."""

from __future__ import annotations

import logging
import os
import signal
from hashlib import sha512
from typing import Any

import duckdb
import pytest

from orb_learning._database import copy_database
from orb_learning.errors import HomeError
from orb_learning.staging import LoadReport, _file, load, open_staging


@pytest.fixture
def killed_after_a_load(home, spool, pool, children) -> Any:
    """A staging file whose last load is only in the write-ahead log."""
    spool.write("a.jsonl", *(pool(number) for number in range(50)))
    load(home)

    def load_and_die() -> None:
        spool.write("b.jsonl", *(pool(number) for number in range(50, 80)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_file, "connect", _dying_connect)
            load(home)

    pid = children.start(load_and_die)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    children.kill(pid)
    return home.staging.with_name("staging.duckdb.wal")


class _Dying:
    """A connection whose process is killed instead of closing it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def close(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def _dying_connect(path: Any, _: Any, **options: Any) -> Any:
    return _Dying(duckdb.connect(str(path), **options))


def test_a_whole_log_is_replayed(killed_after_a_load, staging):
    assert killed_after_a_load.stat().st_size > 0
    assert staging.load() == LoadReport(load_id=2)
    assert len(staging.pools()) == 80
    assert not killed_after_a_load.exists()


@pytest.mark.parametrize("cut", [10, 100, 0.3, 0.5, 0.9, -1])
def test_a_torn_log_loses_no_line(killed_after_a_load, staging, cut):
    data = killed_after_a_load.read_bytes()
    end = cut if isinstance(cut, int) else int(len(data) * cut)
    killed_after_a_load.write_bytes(data[:end])

    staging.load()

    assert len(staging.pools()) == 80, "what the log lost is still in the spool"
    assert not killed_after_a_load.exists(), "a torn log that stays would stop a later opening"


@pytest.mark.parametrize("where", [0.2, 0.5, 0.8])
def test_a_damaged_log_is_put_aside(killed_after_a_load, home, staging, where, caplog):
    data = bytearray(killed_after_a_load.read_bytes())
    data[int(len(data) * where)] ^= 0xFF
    killed_after_a_load.write_bytes(data)

    with caplog.at_level(logging.WARNING):
        staging.load()

    assert len(staging.pools()) == 80
    aside = list(home.root.glob("staging.duckdb.wal.damaged-*"))
    assert len(aside) == sum("could not be replayed" in line for line in caplog.messages)


def test_a_stale_log_doubles_nothing(killed_after_a_load, home, staging):
    stale = killed_after_a_load.read_bytes()
    staging.load()
    killed_after_a_load.write_bytes(stale)

    staging.load()

    assert len(staging.pools()) == 80
    assert staging.query("select max(load_id) from ledger.loads") == [(2,)]


def test_a_log_without_its_file_is_no_new_staging(home, spool, pool, staging):
    spool.write("a.jsonl", pool(1))
    staging.load()
    home.staging.write_bytes(home.staging.read_bytes()[:5000])
    home.staging.with_name("staging.duckdb.wal").write_bytes(b"junk")
    with pytest.raises(HomeError, match="run `orb-learning restore`"):
        load(home)


def test_staging_that_contradicts_its_ledger_stops_with_the_remedy(
    home, spool, pool, staging, killed_after_a_load
):
    staging.load()
    with duckdb.connect(str(home.staging)) as connection:
        connection.execute("delete from raw.pool_created where pool_id = 'pool-0001'")
    home.staging.with_name("staging.duckdb.wal").touch()

    with pytest.raises(HomeError) as caught:
        load(home)

    assert str(caught.value) == (
        f"{home.staging} is damaged: the raw tables hold 79 rows where the ledger says 80; "
        "run `orb-learning restore`"
    )


@pytest.mark.parametrize("kind", ["loads", "segments"])
def test_a_ledger_that_does_not_add_up_is_damage(home, spool, pool, staging, kind):
    spool.write("a.jsonl", pool(1))
    staging.load()
    with duckdb.connect(str(home.staging)) as connection:
        connection.execute(f"update ledger.{kind} set lines = 7")
    with pytest.raises(HomeError, match=f"ledger.{kind} does not add up at"):
        _file.verify(home.staging)


def test_a_flipped_block_is_found_by_reading_it_back(home, spool, pool, staging):
    spool.write("a.jsonl", *(pool(number) for number in range(2000)))
    staging.load()
    data = bytearray(home.staging.read_bytes())
    for position in range(4096 * 3, len(data), 4096):
        data[position + 100] ^= 0xFF
    home.staging.write_bytes(data)
    with pytest.raises(HomeError):
        _file.verify(home.staging)


def test_one_damaged_block_of_rows_is_found_by_reading_it_back(home, spool, pool, staging):
    def text(number: int) -> str:
        return "".join(sha512(b"%d %d" % (number, part)).hexdigest() for part in range(5))

    spool.write(
        "a.jsonl", *(pool(number, metadata={"text": text(number)}) for number in range(8000))
    )
    staging.load()
    data = bytearray(home.staging.read_bytes())
    data[len(data) // 2] ^= 0xFF  # among the rows, so that the file opens as ever
    home.staging.write_bytes(data)
    with duckdb.connect(str(home.staging), read_only=True) as connection:
        assert connection.execute("select count(*) from raw.pool_created").fetchall() == [(8000,)]

    with pytest.raises(HomeError, match=r"is damaged: .* does not match stored checksum"):
        _file.verify(home.staging)


def test_a_checkpoint_that_leaves_a_log_behind_deletes_nothing(home, staging, spool, pool):
    spool.write("a.jsonl", pool(1))
    staging.load()
    with open_staging(home) as connection:
        home.staging.with_name("staging.duckdb.wal").write_bytes(b"left")
        with pytest.raises(HomeError, match="stays behind after a checkpoint"):
            _file.checkpoint(_Still(connection), home)
        home.staging.with_name("staging.duckdb.wal").unlink()


class _Still:
    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def execute(self, *arguments: Any) -> Any:
        return self._connection.execute("select 1")


def test_what_a_killed_rewriting_left_is_removed(home, staging, spool, pool):
    spool.write("a.jsonl", pool(1))
    staging.load()
    left = home.root / ".staging.duckdb-00ff"
    left.write_bytes(b"half")
    staging.load()
    assert not left.exists()


def test_a_copy_that_cannot_be_written_is_one_line(home, staging, spool, pool):
    spool.write("a.jsonl", pool(1))
    staging.load()
    with pytest.raises(HomeError, match="cannot copy"):
        copy_database(home, home.staging, home.root / "nowhere" / "copy.duckdb")
