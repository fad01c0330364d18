"""Opening staging: whatever is wrong with the file is one clear line."""

from __future__ import annotations

import os
import stat
from typing import Any

import duckdb
import pytest

from orb_learning._database import connect
from orb_learning.errors import BusyError, HomeError, MigrationError
from orb_learning.home import LOCK_TIMEOUT_VARIABLE
from orb_learning.staging import LoadReport, _file, load, open_staging, open_staging_file
from orb_learning.upkeep import backup, request_erasure, take_in


@pytest.fixture
def lock_staging(home, children):
    """Return a function that makes a child open staging and hold it."""
    stay, leave = os.pipe()

    def start() -> int:
        reader, writer = os.pipe()

        def hold() -> None:
            connection = duckdb.connect(str(home.staging))
            os.write(writer, b"!")
            os.read(stay, 1)
            connection.close()

        pid = children.start(hold)
        os.close(writer)
        assert os.read(reader, 1) == b"!", "the child holds staging"
        os.close(reader)
        return pid

    yield start
    os.close(stay)
    os.close(leave)


def message_of(caught: pytest.ExceptionInfo[BaseException]) -> str:
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_new_staging_file_is_private_and_has_every_table(home):
    before = os.umask(0)
    try:
        with open_staging(home) as connection:
            tables = connection.execute(
                "select count(*) from duckdb_tables() where schema_name in ('raw', 'ledger')"
            ).fetchall()
    finally:
        os.umask(before)
    assert tables == [(21,)]
    assert stat.S_IMODE(home.staging.stat().st_mode) == 0o600


def test_a_file_that_is_no_database_is_left_as_it_is(home):
    home.create()
    home.staging.write_text("this is not a database, but it is long enough to be one" * 100)
    before = home.staging.read_bytes()

    with pytest.raises(HomeError) as caught:
        load(home)

    assert message_of(caught) == (
        f"{home.staging} is not a DuckDB database; run `orb-learning restore`"
    )
    assert home.staging.read_bytes() == before


def test_a_folder_in_place_of_the_file_is_one_line(home):
    home.create()
    home.staging.mkdir()
    with pytest.raises(HomeError) as caught:
        load(home)
    assert message_of(caught).startswith(f"cannot open {home.staging}: IO Error: ")


def test_a_damaged_database_is_one_line(home, spool, staging, pool):
    spool.write("a.jsonl", *(pool(number) for number in range(500)))
    staging.load()
    data = bytearray(home.staging.read_bytes())
    data[4096:] = bytes(byte ^ 0x5A for byte in data[4096:])
    home.staging.write_bytes(data)

    with pytest.raises(HomeError) as caught:
        load(home)
    assert message_of(caught).startswith(f"cannot open {home.staging}: ")


def test_a_file_that_another_process_holds_is_busy(home, spool, staging, pool, lock_staging):
    spool.write("a.jsonl", pool(1))
    staging.load()
    pid = lock_staging()
    spool.write("b.jsonl", pool(2))

    with pytest.raises(BusyError) as caught:
        load(home)
    assert message_of(caught) == (
        f"{home.staging} is in use by another process; try again when it has finished"
    )
    os.kill(pid, 0)


def test_a_file_is_free_when_its_holder_is_killed(
    home, spool, staging, pool, children, lock_staging
):
    spool.write("a.jsonl", pool(1))
    staging.load()
    children.kill(lock_staging())
    assert staging.load() == LoadReport(load_id=1)


def test_a_file_that_is_open_to_read_in_this_process_is_busy(home, staging):
    staging.load()
    with duckdb.connect(str(home.staging), read_only=True), pytest.raises(BusyError) as caught:
        load(home)
    assert message_of(caught) == f"{home.staging} is still open elsewhere in this process; " + (
        "close it first"
    )


def test_a_second_loader_waits_its_turn_and_says_for_whom(home, children, monkeypatch):
    monkeypatch.setenv(LOCK_TIMEOUT_VARIABLE, "0")

    def load_too() -> None:
        with pytest.raises(BusyError, match=f"process {os.getppid()} still holds"):
            load(home)

    with home.locked():
        children.run(load_too)


def test_a_schema_newer_than_this_release_is_left_as_it_is(home, staging):
    staging.load()
    with open_staging_file(home) as connection:
        connection.execute(
            "insert into ledger.migrations values (9000, 'from_the_future', 'x', now())"
        )

    with pytest.raises(MigrationError) as caught:
        load(home)
    assert message_of(caught) == (
        "staging has schema version 9000 (from_the_future), which this release does not know; "
        "upgrade orb-learning"
    )


def test_a_migration_that_was_edited_after_it_ran_is_refused(home, staging):
    staging.load()
    with open_staging_file(home) as connection:
        connection.execute("update ledger.migrations set checksum = 'another'")

    with pytest.raises(MigrationError) as caught:
        load(home)
    assert message_of(caught) == (
        "migration 0001 (raw_events) was edited after it was applied; "
        "restore the file and add a new migration instead"
    )


def test_an_error_of_the_database_while_it_is_used_is_one_line(home):
    with pytest.raises(HomeError) as caught, open_staging(home) as connection:
        connection.execute("select\n  nothing\nfrom\n  nowhere")
    assert message_of(caught).startswith(f"cannot use {home.staging}: Catalog Error: ")


def test_an_error_of_the_caller_is_the_callers(home):
    with pytest.raises(ZeroDivisionError), open_staging(home):
        _ = 1 / 0
    with open_staging(home):
        pass


def test_reading_never_makes_a_file(home):
    home.create()
    with pytest.raises(HomeError, match=f"cannot open {home.staging}"):
        connect(home.staging, read_only=True)
    assert not home.staging.exists()


def test_a_rewritten_file_that_contradicts_itself_does_not_take_the_others_place(
    home, spool, pool, monkeypatch
):
    spool.write("a.jsonl", pool(1))
    load(home)
    before = home.staging.read_bytes()
    copy = _file.copy_database

    def copy_wrongly(*arguments: Any) -> None:
        copy(*arguments, "update ledger.loads set lines = 9")

    monkeypatch.setattr(_file, "copy_database", copy_wrongly)
    with home.locked(), pytest.raises(HomeError, match=r"ledger\.loads does not add up at 1"):
        _file.rewrite(home)
    assert home.staging.read_bytes() == before
    assert not list(home.root.glob(".staging*"))


def test_a_backup_is_private_whatever_the_umask(home, spool, pool):
    spool.write("a.jsonl", pool(1))
    before = os.umask(0)
    try:
        made = backup(home)
    finally:
        os.umask(before)
    assert made.events == 1
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.backups.stat().st_mode) == 0o700


def test_what_is_erased_is_in_no_file_but_the_backups_made_before(home, telemetry):
    telemetry.capture_feedback_sync(
        "ticket-7", feedback_type="comment", comment="the marked words", user_id="joe"
    )
    telemetry.capture_feedback_sync(
        "ticket-7", feedback_type=["no word"], comment="the marked words"
    )
    telemetry.capture_feedback_sync("ticket-8", feedback_type="comment", comment="other words")
    older = backup(home).path

    request_erasure(home, tasks=["ticket-7"])
    take_in(home)

    def holders(words: str) -> set[str]:
        files = [path for path in home.root.rglob("*") if path.is_file()]
        found = [path for path in files if words.encode() in path.read_bytes()]
        return {str(path.relative_to(home.root).parts[0]) for path in found}

    assert holders("the marked words") == {"backups"}
    assert b"the marked words" in older.read_bytes()
    assert holders("other words") == {"backups", "spool", "staging.duckdb"}


def test_a_file_that_this_user_may_not_open_is_not_called_damaged(home, spool, pool, monkeypatch):
    spool.write("a.jsonl", pool(1))
    load(home)
    log = home.staging.with_name("staging.duckdb.wal")
    log.write_bytes(b"what a crash left")
    monkeypatch.setattr(os, "access", lambda path, _: path != home.staging)
    with pytest.raises(HomeError, match=r"its mode or owner keeps this user out$"):
        load(home)
    assert log.exists()
