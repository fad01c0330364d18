"""The state of a home, told without changing anything."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from orb_learning import Telemetry
from orb_learning._locks import FileLock
from orb_learning.errors import HomeError
from orb_learning.events import PoolCreated
from orb_learning.home import Home
from orb_learning.refresh import ScheduleState
from orb_learning.refresh._state import write_state
from orb_learning.staging import downgrade, open_staging_file
from orb_learning.upkeep import Status, prune, read_status, request_erasure, take_in
from publishing import AS_OF, fill, publish, warehouse_of

NOTHING = {"spool": 0, "staging": 0, "warehouse": 0, "embeddings": 0, "published": 0}


def everything_in(folder: Path) -> dict[Path, tuple[int, int]]:
    return {
        entry: (entry.lstat().st_mtime_ns, entry.lstat().st_size) for entry in folder.rglob("*")
    }


def test_what_was_removed_is_not_counted_as_loaded(home):
    with Telemetry(home.root) as telemetry:
        for task in ("t", "u"):
            telemetry.capture_feedback_sync(task, feedback_type="thumbs_up")
    take_in(home)
    assert read_status(home).loaded_events == 2
    request_erasure(home, tasks=["t"])
    take_in(home)
    # The one that stays, and two tombstones: a task of a name has one of its own.
    assert read_status(home).loaded_events == 3


def test_a_home_that_is_not_there_yet_has_nothing_and_is_not_made(home):
    assert read_status(home) == Status(0, 0, None, 0, 0, None, NOTHING)
    assert not home.root.exists()


def test_a_status_tells_what_waits_and_what_was_loaded(home):
    with Telemetry(home.root) as telemetry:
        telemetry.capture_feedback_sync("t", feedback_type="thumbs_up")
        telemetry.capture_feedback_sync("t")
        waiting = read_status(home)
        assert (waiting.pending_events, waiting.last_load_id) == (2, 0)

        before = datetime.now(UTC)
        take_in(home)
        telemetry.capture_feedback_sync("t", feedback_type="thumbs_up")
        telemetry.capture_feedback_sync("u", feedback_type="thumbs_up")
        found = read_status(home)

    assert (found.pending_events, found.last_load_id) == (2, 1)
    assert (found.loaded_events, found.quarantined) == (1, 1)
    assert before <= found.last_load_at <= datetime.now(UTC)
    assert found.publication is None
    assert found.sizes == {
        "spool": sum(file.stat().st_size for file in home.spool.iterdir()),
        "staging": home.staging.stat().st_size,
        "warehouse": 0,
        "embeddings": 0,
        "published": 0,
    }


def test_a_status_tells_what_is_published_and_counts_it_once(home):
    with warehouse_of(home) as warehouse:
        fill(warehouse, 1)
        made = publish(warehouse, home, schema="main", as_of=AS_OF)

    found = read_status(home)

    assert found.publication == made
    folder = home.published / made.id
    assert found.sizes["published"] == sum(file.stat().st_size for file in folder.iterdir())
    assert found.sizes["warehouse"] == home.warehouse.stat().st_size


def test_reading_a_status_changes_nothing(home):
    with warehouse_of(home) as warehouse:
        fill(warehouse, 1)
        publish(warehouse, home, schema="main", as_of=AS_OF)
    before = everything_in(home.root)
    read_status(home)
    assert everything_in(home.root) == before


def test_what_is_no_segment_does_not_wait(home):
    home.create()
    (home.spool / "folder.jsonl").mkdir()
    (home.spool / ".hidden.jsonl").write_text("{}\n")
    (home.spool / "torn.jsonl").write_text("{}\n{")
    assert read_status(home).pending_events == 2, "a torn line will be quarantined"


def test_a_staging_file_without_its_tables_has_nothing(home):
    take_in(home)
    with open_staging_file(home) as connection:
        downgrade(connection, 0)
    found = read_status(home)
    assert (found.last_load_id, found.loaded_events, found.quarantined) == (0, 0, 0)


def test_the_last_load_is_the_newest_one_whatever_its_clock_said(home):
    with Telemetry(home.root) as telemetry:
        for task in "ab":
            telemetry.capture_feedback_sync(task, feedback_type="thumbs_up")
            take_in(home)
    with duckdb.connect(str(home.staging)) as connection:
        connection.execute("update ledger.loads set loaded_at = '2036-01-01' where load_id = 1")
    assert read_status(home).last_load_at < datetime(2036, 1, 1, tzinfo=UTC)


def test_a_schema_without_a_floor_hides_nothing(home):
    take_in(home)
    with open_staging_file(home) as connection:
        downgrade(connection, 1)
    assert read_status(home).executions_from is None


def test_a_status_counts_what_the_floor_hides(home):
    with Telemetry(home.root) as telemetry:
        for task, day in (("a", 1), ("a", 2), ("b", 3)):
            occurred_at = datetime(2026, 6, day, tzinfo=UTC)
            telemetry.capture_routing_outcome_sync(
                task_id=task, success=True, occurred_at=occurred_at
            )
        telemetry.capture_sync(
            PoolCreated(pool_id="p", occurred_at=datetime(2026, 1, 1, tzinfo=UTC))
        )
    take_in(home)
    assert (read_status(home).executions_from, read_status(home).hidden_events) == (None, 0)
    for first, hidden in ((date(2026, 6, 1), 0), (date(2026, 6, 3), 2)):
        days = (date(2026, 9, 1) - first).days
        prune(home, derived_days=days, raw_days=200, today=date(2026, 9, 1), is_sure=True)
        found = read_status(home)
        assert (found.executions_from, found.hidden_events) == (first, hidden)


def test_while_a_load_is_at_work_its_numbers_are_not_known(home, children):
    with Telemetry(home.root) as telemetry:
        telemetry.capture_feedback_sync("t", feedback_type="thumbs_up")
    take_in(home)
    told, tell = os.pipe()
    stay, leave = os.pipe()

    def hold() -> None:
        connection = duckdb.connect(str(home.staging))
        os.write(tell, b"!")
        os.read(stay, 1)
        connection.close()

    holder = children.start(hold)
    assert os.read(told, 1) == b"!"
    found = read_status(home)
    os.write(leave, b"!")
    children.join(holder)
    for fd in (told, tell, stay, leave):
        os.close(fd)

    assert found == Status(None, None, None, None, None, None, found.sizes)
    assert found.sizes["staging"] == home.staging.stat().st_size
    assert read_status(home).pending_events == 0


def test_a_status_tells_of_the_newest_scheduler_also_while_a_load_is_at_work(home):
    take_in(home)
    state = ScheduleState(os.getpid(), 60)
    write_state(home, state)
    assert (read_status(home).schedule, read_status(home).is_scheduled) == (state, False)
    lock = FileLock(home.schedule_lock)
    assert lock.acquire()
    with duckdb.connect(str(home.staging)):
        busy = read_status(home)
    lock.release()
    assert busy.last_load_id is None
    assert (busy.schedule, busy.is_scheduled) == (state, True)


def test_a_staging_file_that_is_no_database_is_an_error(home):
    home.create()
    home.staging.write_text("not a database, for longer than a header is" * 99)
    with pytest.raises(HomeError, match="is not a DuckDB database"):
        read_status(home)


def test_what_is_removed_while_it_is_measured_has_no_size(home, monkeypatch):
    home.create()
    gone = [(str(home.published), [], ["gone"])]
    monkeypatch.setattr(os, "walk", lambda path: gone if path == home.published else [])
    assert read_status(home).sizes["published"] == 0


def test_a_link_is_not_measured(tmp_path):
    home = Home(tmp_path / "home")
    home.create()
    (tmp_path / "large").write_bytes(b"x" * 9999)
    (home.published / "link").symlink_to(tmp_path / "large")
    (home.published / "to-itself").symlink_to(home.published)
    assert read_status(home).sizes == NOTHING
