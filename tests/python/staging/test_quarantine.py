"""What was refused can be seen, and loaded as if it had never been bad."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import duckdb
import pytest

from orb_learning import Telemetry
from orb_learning.errors import HomeError, OrbLearningError
from orb_learning.events import EVENT_TYPES, InvalidEvent, TaskErased
from orb_learning.importer import import_files
from orb_learning.spool import _lines
from orb_learning.staging import (
    LoadReport,
    _batch,
    _bulk,
    _replay,
    list_quarantine,
    load,
    replay_quarantine,
)
from stores import NOON

MINUTE = timedelta(minutes=1)


@pytest.fixture
def forgetful(monkeypatch):
    """Make the loader refuse pools whose number is odd, until it is called."""
    read = _lines.read_event

    def refuse(line: bytes):
        event, spelled = read(line)
        if getattr(event, "pool_id", "0")[-1] in "13579":
            raise OrbLearningErrorOfALine("this release does not know odd pools")
        return event, spelled

    monkeypatch.setattr(_batch, "read_event", refuse)
    monkeypatch.setattr(_bulk.Bulk, "offer", lambda *_: False)
    return lambda: monkeypatch.setattr(_batch, "read_event", read)


class OrbLearningErrorOfALine(_batch.InvalidEventError):
    pass


def test_what_is_in_quarantine_is_listed_newest_first(home, spool, staging):
    spool.write("a.jsonl", b"bad 1", b"bad 2")
    staging.load()
    spool.write("b.jsonl", b"bad 3")
    staging.load()

    rows = list_quarantine(home)

    assert [row.line for row in rows] == [b"bad 3", b"bad 2", b"bad 1"]
    assert [row.load_id for row in rows] == [2, 1, 1]
    assert list_quarantine(home, limit=1) == rows[:1]
    assert list_quarantine(home, only=rows[1].quarantine_id) == rows[1:2]
    assert list_quarantine(home, only=uuid4()) == []


def test_a_refusal_came_when_a_hook_made_it_and_a_bad_line_when_it_was_loaded(home, spool, staging):
    refusal = InvalidEvent(claimed_type="feedback", reason="x", payload="{}", captured_at=NOON)
    spool.write("a.jsonl", refusal, b"bad")
    staging.load()
    ((loaded_at,),) = staging.query("select loaded_at from ledger.loads")
    assert [row.captured_at for row in list_quarantine(home)] == [
        loaded_at.replace(tzinfo=UTC),
        NOON,
    ]


def test_of_one_load_quarantine_is_listed_newest_first(home, spool, staging):
    def refusal(minutes: int) -> InvalidEvent:
        return InvalidEvent(
            claimed_type=f"{minutes}", reason="x", payload="{}", captured_at=NOON + minutes * MINUTE
        )

    spool.write("a.jsonl", refusal(1), refusal(4))
    spool.write("b.jsonl", refusal(2), refusal(3))
    staging.load()

    assert [row.claimed_type for row in list_quarantine(home)] == ["4", "3", "2", "1"]
    assert [row.claimed_type for row in list_quarantine(home, limit=2)] == ["4", "3"]


def test_what_came_at_once_is_listed_from_its_last_line_on(home, spool, staging, pool):
    spool.write("b.jsonl", b"bad 3", b"bad 4")
    spool.write("a.jsonl", pool(1), b"bad 1", b"bad 2")
    staging.load()
    with duckdb.connect(str(home.staging)) as connection:  # rows may lie in any order
        connection.execute("create temp table held as from ledger.quarantine order by line desc")
        connection.execute("delete from ledger.quarantine")
        connection.execute("insert into ledger.quarantine from held")

    listed = [row.line for row in list_quarantine(home)]
    assert listed == [b"bad 4", b"bad 3", b"bad 2", b"bad 1"]


def test_replay_makes_it_as_if_the_lines_had_never_been_bad(home, spool, staging, pool, forgetful):
    spool.write("a.jsonl", *(pool(number) for number in range(10)), b"bad for ever")
    assert staging.load() == LoadReport(1, 11, 5, 0, 6)
    forgetful()

    report = replay_quarantine(home)

    assert (report.load_id, report.loaded, report.duplicates) == (2, 5, 0)
    assert list(report.still_invalid.values()) == [
        "Invalid JSON: expected value at line 1 column 1"
    ]
    assert staging.load() == LoadReport(load_id=2)
    assert staging.pools() == [f"pool-{number:04}" for number in range(10)]
    assert staging.segments() == {"a.jsonl": (11, 10, 0, 1, True)}
    query = "select lines, loaded, quarantined from ledger.loads order by load_id"
    assert staging.query(query) == [
        (6, 5, 1),
        (5, 5, 0),
    ]


def test_a_replay_adds_to_what_its_segments_had(home, spool, staging, pool, forgetful):
    spool.write("a.jsonl", pool(0), pool(1), pool(0), pool(3))
    staging.load()
    spool.write("b.jsonl", pool(2), pool(1), b"bad for ever")
    staging.load()
    assert staging.segments() == {"a.jsonl": (4, 1, 1, 2, True), "b.jsonl": (3, 1, 0, 2, True)}
    forgetful()

    report = replay_quarantine(home)

    assert (report.load_id, report.loaded, report.duplicates) == (3, 2, 1)
    assert staging.segments() == {"a.jsonl": (4, 2, 2, 0, True), "b.jsonl": (3, 2, 0, 1, True)}
    assert staging.query(
        "select load_id, lines, loaded, duplicates, quarantined from ledger.loads order by 1"
    ) == [(1, 2, 1, 1, 0), (2, 2, 1, 0, 1), (3, 3, 2, 1, 0)]
    assert staging.query("select distinct last_load_id from ledger.segments") == [(3,)]


def test_replaying_twice_or_what_arrived_otherwise_doubles_nothing(
    home, spool, staging, pool, forgetful
):
    spool.write("a.jsonl", pool(1), pool(3))
    staging.load()
    forgetful()
    spool.write("b.jsonl", pool(1))
    staging.load()

    report = replay_quarantine(home)

    assert (report.loaded, report.duplicates) == (1, 1)
    assert replay_quarantine(home).load_id == 0
    assert staging.pools() == ["pool-0001", "pool-0003"]


def test_one_line_can_be_replayed_alone(home, spool, staging, pool, forgetful):
    spool.write("a.jsonl", pool(1), pool(3))
    staging.load()
    forgetful()
    only = list_quarantine(home)[1].quarantine_id
    assert replay_quarantine(home, only=only).loaded == 1
    assert staging.pools() == ["pool-0001"]
    with pytest.raises(HomeError, match=f"{only} is not in quarantine"):
        replay_quarantine(home, only=only)


def test_what_a_hook_refused_is_built_from_what_it_was_given(home, staging, monkeypatch):
    with Telemetry(home.root) as telemetry:
        telemetry.capture_feedback_sync(task_id="T-1", feedback_type="accepted", rating=9)
    staging.load()
    assert replay_quarantine(home).loaded == 0
    refused = list_quarantine(home)[0]
    fixed = json.loads(refused.line) | {"rating": 5}
    staging_row = json.dumps(fixed).encode()
    monkeypatch.setattr(
        "orb_learning.staging._replay.rows_in",
        lambda *_: [type(refused)(*_fields(refused, line=staging_row))],
    )

    assert replay_quarantine(home).loaded == 1

    assert staging.query("select rating, occurred_at from raw.feedback") == [
        (5, refused.captured_at.replace(tzinfo=None))
    ]


def test_a_home_that_is_not_there_has_no_quarantine_and_is_not_made(home):
    assert list_quarantine(home) == []
    assert not home.root.exists()


def test_what_the_host_said_of_the_time_stays_when_it_is_replayed(home, staging):
    with Telemetry(home.root) as telemetry:
        telemetry.capture_routing_outcome_sync(
            task_id="T-1", status="green", occurred_at="2026-03-01T12:00:00Z"
        )
    staging.load()
    assert replay_quarantine(home, status_words={"green": True}).loaded == 1
    assert staging.query("select occurred_at from raw.routing_outcome") == [
        (datetime(2026, 3, 1, 12),)
    ]


def test_what_an_import_refused_waits_for_a_mended_file(home, staging, tmp_path):
    file = tmp_path / "runs.csv"
    file.write_text(
        "task_type,task_description,repo,model_tier,pool_type,routing_confidence,success,timestamp\n"
        "fix,the login,acme/api,small,solo,0.5,true,2026-03-01T12:00:00Z,and more\n"
    )
    with Telemetry(home.root) as telemetry:
        assert import_files(telemetry, [file]).rejected == 1
    staging.load()
    (reason,) = replay_quarantine(home).still_invalid.values()
    assert reason == "an import refused it: import its file again, mended or as its reason says"
    assert staging.query("select count(*) from raw.execution_recorded") == [(0,)]


def _fields(row, **changes):
    return [changes.get(name, getattr(row, name)) for name in row.__slots__]


@pytest.mark.parametrize(
    ("claimed_type", "payload", "reason"),
    [
        ("feedback", '{"cut', "what the hook was given is not kept whole"),
        ("feedback", "[1]", "what the hook was given has no fields"),
        ("nonsense", "{}", "nonsense is no kind of event"),
        ("feedback", '{"given": 7}', "expected a mapping or an object with fields, not int"),
    ],
)
def test_what_cannot_be_built_stays_with_the_reason(
    home, spool, staging, claimed_type, payload, reason
):
    event = InvalidEvent(claimed_type=claimed_type, reason="x", payload=payload)
    spool.write("a.jsonl", event)
    staging.load()
    (said,) = replay_quarantine(home).still_invalid.values()
    assert reason in said
    assert staging.load().lines == 0


def test_a_line_that_spells_a_refusal_is_no_event(home, spool, staging, monkeypatch):
    refusal = InvalidEvent(claimed_type="feedback", reason="x", payload="{}")
    spool.write("a.jsonl", b"bad")
    staging.load()
    monkeypatch.setattr(
        "orb_learning.staging._replay.read_event", lambda line: (refusal, refusal.to_line())
    )
    (said,) = replay_quarantine(home).still_invalid.values()
    assert said == "a invalid_event is loaded by no table"


def test_what_duckdb_refuses_stays(home, spool, staging, pool, forgetful, monkeypatch):
    spool.write("a.jsonl", pool(1), pool(3))
    staging.load()
    forgetful()
    row = _batch.Batch.row

    def spoil(self, spelled, segment):
        return row(self, spelled, segment).replace("pool-0003", "pool-\\ud800")

    monkeypatch.setattr(_batch.Batch, "row", spoil)
    assert replay_quarantine(home).loaded == 1
    assert len(list_quarantine(home)) == 1
    staging.load()


def test_a_replay_that_fails_changes_nothing(home, spool, staging, pool, forgetful, monkeypatch):
    spool.write("a.jsonl", pool(1))
    staging.load()
    forgetful()
    with monkeypatch.context() as patch:
        patch.setattr(_replay, "faults", lambda _: ["something is off"])
        with pytest.raises(OrbLearningError, match="something is off; nothing was replayed"):
            replay_quarantine(home)
    assert staging.pools() == []
    assert len(list_quarantine(home)) == 1


def test_a_replayed_line_of_an_erased_task_is_erased(home, spool, staging, forgetful):
    task = UUID("9d3a1c52-4f9b-4a9e-8f7e-0c5d4e2b1a00")
    line = EVENT_TYPES["pool_execution_start"](task_id=task, pool_id="pool-1")
    spool.write("a.jsonl", line)
    staging.load()
    forgetful()
    assert replay_quarantine(home).loaded == 1
    spool.write("b.jsonl", TaskErased.of(task))
    load(home)
    assert staging.query("select count(*) from raw.pool_execution_start") == [(0,)]
