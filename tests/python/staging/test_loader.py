"""Loading: every line once, whatever the segments are called and whenever they are read."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import struct
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orb_learning import Telemetry
from orb_learning.errors import HomeError, OrbLearningError
from orb_learning.events import EVENT_TYPES, Event
from orb_learning.home import Home
from orb_learning.spool import SpoolWriter, open_segment
from orb_learning.staging import LoadReport, _columns, _commit, _loader, load

ODD_FOLDERS = [
    "with spaces",
    'it\'s "quoted"',
    "[abc]*{1,2}",
    "a[1]",
    "semi;colon -- drop",
    "$HOME",
    "ünïcödé 😀",
    "new\nline",
]


def test_a_home_without_a_spool_has_nothing_to_load(staging):
    assert staging.load() == LoadReport()
    assert staging.load() == LoadReport()
    assert staging.query("from ledger.loads") == []
    assert staging.segments() == {}


@settings(max_examples=5)
@given(data=st.data())
def test_every_event_is_stored_as_it_was_captured(tmp_path_factory, values_of, data):
    home = Home(tmp_path_factory.mktemp("home"))
    events = [
        cls(**values)
        for cls in EVENT_TYPES.values()
        for values in data.draw(st.lists(values_of(cls), min_size=1, max_size=3))
    ]
    events = list({event.event_id: event for event in events}.values())
    home.create()
    (home.spool / "a.jsonl").write_bytes(b"".join(event.to_line() + b"\n" for event in events))

    loaded = load(home)
    erases = any(event.event_type.endswith("_erased") for event in events)
    assert loaded == LoadReport(1, len(events), len(events), must_erase=erases)

    with duckdb.connect(str(home.staging), read_only=True) as connection:
        stored = {
            event.event_id: event
            for cls in EVENT_TYPES.values()
            for event in _events_in(connection, cls)
        }
    assert stored == {event.event_id: _stored(event) for event in events}


def _events_in(connection: duckdb.DuckDBPyConnection, cls: type[Event]) -> list[Event]:
    fields = ", ".join(f'"{name}"' for name in cls.model_fields if name != "event_type")
    result = connection.execute(f"select {fields} from raw.{cls.type_name}")
    columns = [(name, str(kind)) for name, kind, *_ in result.description]
    return [
        cls(
            **{
                name: _value(kind, value)
                for (name, kind), value in zip(columns, row, strict=True)
                if value is not None
            }
        )
        for row in result.fetchall()
    ]


def _value(kind: str, value: Any) -> Any:
    if kind == "JSON":
        return json.loads(value)
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def _stored(event: Event) -> Event:
    """Return the event with its embedding in the 32 bits a number that staging keeps."""
    if not (embedding := getattr(event, "embedding", None)):
        return event
    rounded = struct.unpack("384f", struct.pack("384f", *embedding))
    return event.model_copy(update={"embedding": list(rounded)})


def test_loading_twice_changes_nothing(spool, staging, pool):
    spool.write("a.jsonl", pool(1), pool(2))

    assert staging.load() == LoadReport(1, 2, 2)
    assert staging.load() == LoadReport(load_id=1)

    assert staging.pools() == ["pool-0001", "pool-0002"]
    assert staging.segments() == {"a.jsonl": (2, 2, 0, 0, True)}
    assert staging.query("select load_id, lines from ledger.loads") == [(1, 2)]


def test_every_load_that_reads_a_line_has_the_next_id_and_its_rows_carry_it(spool, staging, pool):
    for number in (1, 2, 3):
        spool.write(f"{number}.jsonl", pool(number))
        assert staging.load() == LoadReport(number, 1, 1)
        assert staging.load() == LoadReport(number)

    assert staging.query("select pool_id, load_id from raw.pool_created order by all") == [
        ("pool-0001", 1),
        ("pool-0002", 2),
        ("pool-0003", 3),
    ]
    assert staging.query(
        "select segment, first_load_id, last_load_id from ledger.segments order by all"
    ) == [("1.jsonl", 1, 1), ("2.jsonl", 2, 2), ("3.jsonl", 3, 3)]


def test_a_load_notes_when_and_by_which_release_it_was_made(spool, staging, pool):
    before = datetime.now(UTC).replace(tzinfo=None)
    spool.write("a.jsonl", pool(1))
    staging.load()

    ((loaded_at, release),) = staging.query("select loaded_at, release from ledger.loads")
    assert before <= loaded_at <= datetime.now(UTC).replace(tzinfo=None)
    assert release == "0.1.0"


def test_a_load_resumes_within_a_segment_that_grew(spool, staging, pool, hold):
    file = spool.write("a.jsonl", pool(1))
    hold(file)
    assert staging.load() == LoadReport(1, 1, 1)

    spool.write("a.jsonl", pool(2), pool(3))
    assert staging.load() == LoadReport(2, 2, 2)

    assert staging.segments() == {"a.jsonl": (3, 3, 0, 0, False)}
    assert staging.query("select bytes_read from ledger.segments") == [(file.stat().st_size,)]
    assert staging.query("select first_load_id, last_load_id from ledger.segments") == [(1, 2)]


def test_a_line_that_is_still_being_written_waits_for_its_end(spool, staging, pool, hold):
    line = pool(2).to_line()
    file = spool.write("a.jsonl", pool(1))
    hold(file)
    spool.write("a.jsonl", line[:40], end=b"")
    assert staging.load() == LoadReport(1, 1, 1)
    assert staging.load() == LoadReport(load_id=1)

    spool.write("a.jsonl", line[40:])
    assert staging.load() == LoadReport(2, 1, 1)
    assert staging.pools() == ["pool-0001", "pool-0002"]


def test_a_segment_is_complete_once_its_writer_is_gone_and_is_not_opened_again(
    home, staging, pool, monkeypatch
):
    writer = SpoolWriter(home.spool)
    writer.append(pool(1).to_line())
    staging.load()
    (name,) = staging.segments()
    assert staging.segments() == {name: (1, 1, 0, 0, False)}

    writer.close()
    assert staging.load() == LoadReport(load_id=1)
    assert staging.segments() == {name: (1, 1, 0, 0, True)}

    opened = []
    monkeypatch.setattr(_loader, "open_segment", lambda _, name: opened.append(name))
    assert staging.load() == LoadReport(load_id=1)
    assert opened == []


def test_what_is_written_and_ended_while_a_load_begins_is_not_forgotten(
    home, staging, pool, monkeypatch
):
    writer = SpoolWriter(home.spool)
    writer.append(pool(1).to_line())

    late = [pool(2).to_line()]

    def open_late(*where: Any) -> Any:
        if late:
            writer.append(late.pop())
            writer.close()
        return open_segment(*where)

    monkeypatch.setattr(_loader, "open_segment", open_late)
    assert staging.load() == LoadReport(1, 1, 1)
    assert staging.load() == LoadReport(2, 1, 1)
    assert staging.pools() == ["pool-0001", "pool-0002"]


def test_loading_while_a_writer_appends_loads_every_event_once(home, staging, children):
    reader, writer = os.pipe()
    stop_reader, stop_writer = os.pipe()
    # The writer can never be further ahead of what was read here than 256 ids.
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)

    def capture_until_told() -> None:
        os.set_blocking(stop_reader, False)
        with Telemetry(home.root, strict=True, max_segment_bytes=20_000) as telemetry:
            while True:
                event = telemetry.capture_feedback_sync("task", feedback_type="thumbs_up")
                os.write(writer, event.event_id.bytes)
                try:
                    os.read(stop_reader, 1)
                    return
                except BlockingIOError:
                    continue

    pid = children.start(capture_until_told)
    os.close(writer)
    captured = b""
    loads = 0
    with os.fdopen(reader, "rb", buffering=16) as pipe:
        for _ in range(8):
            captured += pipe.read(16 * 300)
            loads += staging.load().lines > 0
        os.write(stop_writer, b"!")
        captured += pipe.read()
    children.join(pid)
    os.close(stop_reader)
    os.close(stop_writer)
    staging.load()

    owed = [UUID(bytes=captured[at : at + 16]) for at in range(0, len(captured), 16)]
    stored = [event_id for (event_id,) in staging.query("select event_id from raw.feedback")]
    assert loads == 8, "the writer was never at rest"
    assert sorted(stored) == sorted(owed)
    assert all(complete for *_, complete in staging.segments().values())


def test_the_ledger_decides_what_is_new_and_not_the_file(spool, staging, pool):
    file = spool.write("a.jsonl", pool(1), pool(2), pool(3))
    staging.load()

    file.rename(spool.folder / "b.jsonl")
    assert staging.load() == LoadReport(2, 3, 0, 3)
    assert staging.segments() == {"a.jsonl": (3, 3, 0, 0, True), "b.jsonl": (3, 0, 3, 0, True)}

    (spool.folder / "b.jsonl").unlink()
    assert staging.load() == LoadReport(load_id=2)

    spool.write("a.jsonl", pool(1), pool(2), pool(3), pool(4))
    assert staging.load() == LoadReport(load_id=2), "a.jsonl is complete"
    assert staging.pools() == ["pool-0001", "pool-0002", "pool-0003"]


def test_a_segment_that_shrank_is_read_no_further(spool, staging, pool, hold):
    file = spool.write("a.jsonl", pool(1), pool(2))
    hold(file)
    staging.load()
    file.write_bytes(pool(3).to_line() + b"\n")

    assert staging.load() == LoadReport(load_id=1)


def test_an_event_is_one_event_however_often_it_was_written(spool, staging, pool):
    spool.write("a.jsonl", pool(1), pool(2), pool(1))
    spool.write("b.jsonl", pool(2), pool(1))
    assert staging.load() == LoadReport(1, 5, 2, 3)

    spool.write("c.jsonl", pool(1), pool(3))
    assert staging.load() == LoadReport(2, 2, 1, 1)

    assert staging.segments() == {
        "a.jsonl": (3, 2, 1, 0, True),
        "b.jsonl": (2, 0, 2, 0, True),
        "c.jsonl": (2, 1, 1, 0, True),
    }
    assert staging.query("select pool_id, load_id from raw.pool_created order by all") == [
        ("pool-0001", 1),
        ("pool-0002", 1),
        ("pool-0003", 2),
    ]


def test_one_id_with_different_contents_is_two_events(spool, staging, pool):
    spool.write("a.jsonl", pool(1, pool_id="one"), pool(1, pool_id="two"))
    assert staging.load() == LoadReport(1, 2, 2)
    spool.write("b.jsonl", pool(1, pool_id="three"), pool(1, pool_id="two"))
    assert staging.load() == LoadReport(2, 2, 1, 1)
    assert staging.pools() == ["one", "three", "two"]


def test_one_content_with_different_ids_is_two_events(spool, staging, pool):
    spool.write("a.jsonl", pool(1, pool_id="same"), pool(2, pool_id="same"))
    assert staging.load() == LoadReport(1, 2, 2)


def test_the_moment_of_capture_alone_makes_no_other_event(spool, staging, pool):
    first = pool(1)
    later = pool(1, captured_at=first.captured_at + timedelta(seconds=1))
    spool.write("a.jsonl", first, later)
    assert staging.load() == LoadReport(1, 2, 1, 1)
    spool.write("b.jsonl", later)
    assert staging.load() == LoadReport(2, 1, 0, 1)
    assert staging.query("select captured_at from raw.pool_created") == [
        (first.captured_at.replace(tzinfo=None),)
    ]


def test_another_spelling_of_a_line_makes_no_other_event(spool, staging, pool):
    event = pool(1, metadata={"a": 1, "b": "ß"})
    values = json.loads(event.to_line())
    spool.write(
        "a.jsonl",
        event,
        json.dumps(values, indent=None, separators=(" , ", " : ")).encode(),
        json.dumps(dict(reversed(values.items())), ensure_ascii=True).encode(),
        event.to_line().replace(b"12:00:00Z", b"13:00:00+01:00"),
    )
    assert staging.load() == LoadReport(1, 4, 1, 3)


def test_a_long_backlog_becomes_several_loads(home, spool, staging, pool, monkeypatch):
    monkeypatch.setattr(_loader, "MAX_LOAD_LINES", 4)
    spool.write("a.jsonl", *(pool(number) for number in range(6)))
    spool.write("b.jsonl", *(pool(number) for number in range(4, 10)))
    progress = []

    shares: list[tuple[int, int]] = []
    report = load(home, progress.append, lambda *share: shares.append(share))

    assert report == LoadReport(3, 12, 10, 2)
    assert progress == [4, 4, 4]
    assert [done for done, _ in shares] == sorted({done for done, _ in shares})
    whole = sum(file.stat().st_size for file in (home.spool / "a.jsonl", home.spool / "b.jsonl"))
    assert (shares[0], len(shares), shares[-1]) == ((0, whole), 4, (whole, whole))
    assert staging.query("select lines, loaded, duplicates from ledger.loads order by load_id") == [
        (4, 4, 0),
        (4, 2, 2),
        (4, 4, 0),
    ]
    assert staging.segments() == {"a.jsonl": (6, 6, 0, 0, True), "b.jsonl": (6, 4, 2, 0, True)}
    assert staging.load() == LoadReport(load_id=3)
    shares.clear()
    load(home, on_share=lambda *share: shares.append(share))
    assert shares == [(0, 0)], "only what is not loaded counts"


@pytest.mark.parametrize(("less", "taken"), [(0, [2, 2]), (-1, [4]), (1, [2, 2])])
def test_a_load_ends_where_it_has_just_as_many_bytes_as_it_may(
    home, spool, pool, monkeypatch, less, taken
):
    first = spool.write("a.jsonl", pool(1), pool(2))
    spool.write("b.jsonl", pool(3), pool(4))
    monkeypatch.setattr(_loader, "MAX_LOAD_BYTES", first.stat().st_size - less)
    progress = []
    load(home, on_progress=progress.append)
    assert progress == taken


def test_counts_of_several_loads_add_up_and_the_id_is_the_last(home, spool, pool, monkeypatch):
    monkeypatch.setattr(_loader, "MAX_LOAD_LINES", 3)
    spool.write("a.jsonl", pool(1), pool(1), b"bad", pool(2), pool(1), b"worse", pool(3))
    assert load(home) == LoadReport(3, 7, 3, 2, 2)


def test_many_rows_go_to_duckdb_in_pieces(spool, staging, pool, monkeypatch):
    monkeypatch.setattr(_commit, "_CHUNK_ROWS", 3)
    spool.write("a.jsonl", *(pool(number).to_line() + b" " for number in range(10)))
    assert staging.load() == LoadReport(1, 10, 10)


@pytest.mark.parametrize("folder", ODD_FOLDERS)
def test_a_home_may_have_any_name(tmp_path, pool, folder):
    home = Home.locate(tmp_path / folder)
    home.create()
    (home.spool / "a.jsonl").write_bytes(pool(1).to_line() + b"\n")

    assert load(home) == LoadReport(1, 1, 1)
    assert load(home) == LoadReport(load_id=1)
    assert [file.name for file in tmp_path.iterdir()] == [folder]


def test_a_name_that_duckdb_cannot_take_is_refused_before_anything_is_made(tmp_path):
    home = Home.locate(tmp_path / "what?")
    with pytest.raises(HomeError, match=r"cannot open a path with # or \? in it; rename it"):
        load(home)


def test_the_log_says_how_much_was_loaded_and_nothing_of_it(spool, staging, pool, caplog):
    caplog.set_level(logging.INFO, "orb_learning.staging")
    staging.load()
    spool.write("a.jsonl", pool(1), pool(1), b"secret")
    staging.load()
    assert caplog.messages == ["load 1: 3 lines, 1 loaded, 1 duplicates, 1 quarantined"]


def test_rows_that_duckdb_refuses_are_found_and_their_neighbours_load(
    spool, staging, pool, monkeypatch
):
    columns = _columns.raw_columns

    def narrowed(cls: type[Event]) -> dict[str, str]:
        return {**columns(cls), "pool_type": "TINYINT"}

    monkeypatch.setattr(_columns, "raw_columns", narrowed)
    refused = {3, 4, 17, 99}
    spool.write(
        "a.jsonl",
        *(pool(number, pool_type="odd" if number in refused else "7") for number in range(50)),
    )
    spool.write(
        "b.jsonl",
        *(pool(number, pool_type="odd" if number in refused else "7") for number in range(50, 100)),
    )

    assert staging.load() == LoadReport(1, 100, 96, 0, 4)

    assert staging.segments() == {"a.jsonl": (50, 47, 0, 3, True), "b.jsonl": (50, 49, 0, 1, True)}
    kept = [f"pool-{number:04}" for number in range(100) if number not in refused]
    assert staging.pools() == kept
    for reason in staging.reasons():
        assert reason.startswith("DuckDB cannot store it: ")
        assert "odd" in reason
        assert "\n" not in reason
    assert [
        json.loads(line)["pool_id"]
        for (line,) in staging.query("select line from ledger.quarantine order by 1")
    ] == [f"pool-{number:04}" for number in sorted(refused)]


def test_a_fault_that_is_not_the_rows_own_keeps_the_whole_load_back(
    home, spool, staging, pool, monkeypatch
):
    spool.write("a.jsonl", pool(1), pool(2))
    staging.load()
    spool.write("b.jsonl", pool(3).to_line() + b" ")

    def fail(*_: object) -> None:
        raise duckdb.IOException("IO Error: No space left on device\nand more")

    with monkeypatch.context() as patch:
        patch.setattr(_commit, "_insert_chunk", fail)
        with pytest.raises(HomeError) as caught:
            load(home)
    assert str(caught.value) == f"cannot use {home.staging}: IO Error: No space left on device"

    assert staging.load() == LoadReport(2, 1, 1)


def test_a_transaction_that_duckdb_ended_itself_reports_why(
    home, spool, staging, pool, monkeypatch
):
    spool.write("a.jsonl", pool(1))

    def fail_to_commit(connection: duckdb.DuckDBPyConnection, *_: object) -> None:
        connection.execute("rollback")
        raise duckdb.IOException("IO Error: disk full")

    with monkeypatch.context() as patch:
        patch.setattr(_commit, "write_ledger", fail_to_commit)
        with pytest.raises(HomeError, match="IO Error: disk full"):
            load(home)

    assert staging.load() == LoadReport(1, 1, 1)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("delete from batch.pool_created", "a.jsonl: 2 lines read but 0 accounted for"),
        (
            "insert into batch.pool_created select * replace (position + 2 as position)"
            " from batch.pool_created",
            "a.jsonl: 2 lines read but 4 accounted for",
        ),
    ],
)
def test_lines_that_are_not_accounted_for_stop_the_load(
    home, spool, staging, pool, monkeypatch, query, message
):
    spool.write("a.jsonl", pool(1), pool(2))
    fill = _commit.fill_tables

    def fill_wrongly(connection: duckdb.DuckDBPyConnection, *rest: Any) -> None:
        fill(connection, *rest)
        connection.execute(query)

    with monkeypatch.context() as patch:
        patch.setattr(_commit, "fill_tables", fill_wrongly)
        with pytest.raises(OrbLearningError, match=message):
            load(home)

    assert staging.load() == LoadReport(1, 2, 2), "nothing of the failed load was kept"


def test_rows_that_are_not_where_they_were_written_stop_the_load(
    home, spool, staging, pool, monkeypatch
):
    spool.write("a.jsonl", pool(1), pool(2))

    class Forgetful:
        """A connection that loses what is written to raw tables."""

        def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
            self._connection = connection

        def execute(self, query: str, *rest: Any) -> Any:
            result = self._connection.execute(query, *rest)
            if query.startswith("insert into raw."):
                self._connection.execute("delete from raw.pool_created")
            return result

    insert = _commit.insert_new
    with monkeypatch.context() as patch:
        patch.setattr(
            _commit, "insert_new", lambda connection, *rest: insert(Forgetful(connection), *rest)
        )
        with pytest.raises(OrbLearningError, match=r"raw\.pool_created does not hold the rows"):
            load(home)

    assert staging.load() == LoadReport(1, 2, 2)
