"""Erasing a task or a user leaves no trace of either, and nothing brings them back."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
from collections.abc import Callable
from typing import Any
from uuid import UUID

import duckdb
import pytest

from orb_learning import Telemetry, _faults
from orb_learning._types import pseudonym, subject_hash
from orb_learning.errors import InvalidEventError
from orb_learning.events import (
    Feedback,
    InvalidEvent,
    PoolCreated,
    RoutingDecision,
    RoutingOutcome,
    SolutionExtracted,
    TaskErased,
    UserErased,
)
from orb_learning.spool import ERASED, blank_segment
from orb_learning.upkeep import backup, migrate_down, migrate_up, request_erasure, restore, take_in

GONE = UUID("9d3a1c52-4f9b-4a9e-8f7e-0c5d4e2b1a00")
KEPT = UUID("11111111-2222-4333-8444-555555555555")
SECRET = "the very words of the erased task"
NEEDLES = (str(GONE), GONE.hex, SECRET)


def events(task: UUID, words: str, number: int = 0) -> list[Any]:
    """Return a decision, an outcome and a feedback, the same ones for the same arguments."""
    base = {"task_id": task, "occurred_at": "2026-03-01T12:00:00Z"}
    base["captured_at"] = base["occurred_at"]

    def named(kind: int) -> dict[str, Any]:
        return {**base, "event_id": UUID(int=task.int ^ (number * 8 + kind))}

    return [
        RoutingDecision(
            **named(1),
            task_type="fix",
            task_description=words,
            repo="acme/api",
            model_tier="large",
        ),
        RoutingOutcome(**named(2), success=True, metadata={"note": words}),
        Feedback(
            **named(3),
            feedback_id=named(3)["event_id"],
            feedback_type="accepted",
            comment=words,
            user_id="maria",
        ),
    ]


def everything_in(home: Any) -> str:
    """Return all rows of all databases of a home, and all lines of its spool, as one text."""
    parts = [path.read_bytes().decode("utf-8", "replace") for path in home.spool.iterdir()]
    for path in home.root.rglob("*.d*b"):
        with duckdb.connect(str(path), read_only=True) as connection:
            tables = connection.execute(
                "select '\"' || schema_name || '\".\"' || table_name || '\"' from duckdb_tables()"
            ).fetchall()
            for (table,) in tables:
                parts += [repr(row) for row in connection.execute(f"from {table}").fetchall()]
    return "\n".join(parts)


@pytest.fixture
def gone_from(home) -> Callable[[], None]:
    def check() -> None:
        found = everything_in(home)
        assert [needle for needle in NEEDLES if needle in found] == []

    return check


def test_a_task_leaves_no_row_and_no_line(home, spool, staging, gone_from):
    spool.write("a.jsonl", *events(GONE, SECRET), *events(KEPT, "other words"))
    staging.load()
    assert SECRET in everything_in(home), "the control: it can be found"

    assert request_erasure(home, tasks=[str(GONE)], reason="asked to") == 1
    staging.load()

    gone_from()
    assert staging.query("select count(*) from raw.routing_decision") == [(1,)]
    assert staging.query("select task_hash, reason from raw.task_erased") == [
        (subject_hash(str(GONE)), "asked to")
    ]
    assert staging.query("select subject, is_applied from ledger.erasures") == [("task", True)]
    assert staging.query(
        "select table_name, row_count from ledger.removals where cause = 'erasure' order by 1"
    ) == [("raw.feedback", 1), ("raw.routing_decision", 1), ("raw.routing_outcome", 1)]


def test_no_byte_of_an_erased_text_stays_in_the_staging_file(home, spool, staging):
    words = f"{SECRET} " * 40  # long and often, so that DuckDB stores it as it is
    spool.write("a.jsonl", *(event for n in range(300) for event in events(GONE, words, n)))
    spool.write("b.jsonl", *events(KEPT, "other words"))
    staging.load()
    assert SECRET.encode() in home.staging.read_bytes(), "the control: bytes can be found"

    request_erasure(home, tasks=[str(GONE)])
    staging.load()

    assert SECRET.encode() not in home.staging.read_bytes()
    assert b"acme/api" in (home.spool / "b.jsonl").read_bytes()


@pytest.mark.parametrize("order", ["before", "with", "after"])
def test_what_arrives_early_with_or_after_the_tombstone_is_gone(
    home, spool, staging, gone_from, order
):
    tombstone = TaskErased.of(GONE)
    if order == "before":
        spool.write("a.jsonl", *events(GONE, SECRET))
        staging.load()
        spool.write("b.jsonl", tombstone)
    elif order == "with":
        spool.write("a.jsonl", *events(GONE, SECRET), tombstone, *events(GONE, SECRET, 1))
    else:
        spool.write("a.jsonl", tombstone)
        staging.load()
        spool.write("b.jsonl", *events(GONE, SECRET))

    staging.load()

    gone_from()
    assert staging.query("select count(*) from raw.routing_decision") == [(0,)]
    before = home.staging.stat().st_ino
    staging.load()
    assert home.staging.stat().st_ino == before, "nothing is left to be done"


def test_what_is_blanked_is_on_disk_before_staging_says_so(home, spool, staging, disk_steps):
    """Else a power cut brings back words that nothing would look for any more."""
    spool.write("a.jsonl", *events(GONE, SECRET))
    spool.write("b.jsonl", *events(KEPT, "other words"))
    spool.write("c.jsonl", b"no json, but it names " + str(GONE).encode())
    staging.load()
    disk_steps.clear()
    request_erasure(home, tasks=[str(GONE)])
    staging.load()

    fresh = home.root / ".staging.duckdb-new"
    replaced = disk_steps.index(("replace", fresh))
    for path in (home.spool / "a.jsonl", home.spool / "c.jsonl", fresh):
        assert ("sync", path) in disk_steps[:replaced], path
    assert ("sync", home.spool / "b.jsonl") not in disk_steps, "nothing of it was blanked"
    assert ("sync", home.root) in disk_steps[replaced:]


def test_a_user_goes_with_all_they_said(home, spool, staging):
    mine, others = events(KEPT, "words")[2], events(GONE, "words")
    said = RoutingOutcome(task_id=KEPT, success=True, metadata={"user_id": "maria", "n": 1})
    spool.write("a.jsonl", mine, *others, said)
    staging.load()
    assert "maria" in everything_in(home)

    request_erasure(home, users=["maria"])
    staging.load()

    assert "maria" not in everything_in(home)
    assert staging.query("select count(*) from raw.feedback") == [(0,)]
    assert staging.query("select count(*) from raw.routing_outcome") == [(1,)]
    assert staging.query("select count(*) from raw.routing_decision") == [(1,)]


def test_an_open_segment_is_blanked_and_goes_on_being_written(home, staging, gone_from):
    with Telemetry(home.root, strict=True) as telemetry:
        for event in events(GONE, SECRET):
            telemetry.capture_sync(event)
        staging.load()
        request_erasure(home, tasks=[str(GONE)])
        staging.load()

        gone_from()
        telemetry.capture_sync(events(KEPT, "written behind what was blanked")[0])
        staging.load()

    assert staging.query("select task_description from raw.routing_decision") == [
        ("written behind what was blanked",)
    ]
    blanked = [name for name in home.spool.iterdir() if ERASED in name.read_bytes()]
    assert len(blanked) == 1


@pytest.mark.parametrize(
    "line",
    [
        json.dumps({"task_id": str(GONE), "broken": True}).encode(),
        b'{"task_id":"' + str(GONE).encode() + b'", torn',
        b"no json, but it names " + str(GONE).encode(),
        InvalidEvent(
            claimed_type="feedback",
            reason="rating: too high",
            payload=json.dumps({"task_id": str(GONE), "rating": 9, "comment": SECRET}),
        ).to_line(),
    ],
    ids=["unknown kind", "torn", "no json", "refused by a hook"],
)
@pytest.mark.parametrize("is_late", [False, True])
def test_quarantine_is_cleared_too(home, spool, staging, gone_from, line, is_late):
    if is_late:
        spool.write("0.jsonl", TaskErased.of(GONE))
        staging.load()
    spool.write("a.jsonl", line, b"another bad line")
    staging.load()
    if not is_late:
        spool.write("b.jsonl", TaskErased.of(GONE))
        staging.load()

    gone_from()
    assert staging.query("select line from ledger.quarantine") == [(b"another bad line",)]


def test_a_hosts_own_reference_is_erased_by_its_name(home, staging):
    with Telemetry(home.root) as telemetry:
        telemetry.capture_routing_outcome_sync(task_id='TICKET-77 "a"', success=True)
        telemetry.capture_feedback_sync(task_id='TICKET-77 "a"', rating=77)  # to quarantine
    staging.load()
    assert "TICKET-77" in everything_in(home)

    request_erasure(home, tasks=['TICKET-77 "a"'])
    staging.load()

    assert "TICKET-77" not in everything_in(home)


def test_a_restored_older_backup_does_not_bring_it_back(home, spool, staging, gone_from):
    spool.write("a.jsonl", *events(GONE, SECRET), *events(KEPT, "other words"))
    older = backup(home)
    spool.write("b.jsonl", TaskErased.of(GONE))
    staging.load()
    for path in home.spool.iterdir():
        path.unlink()  # as if they were pruned: only staging remembers

    restore(home, older.path)
    staging.load()
    older.path.unlink()

    gone_from()
    assert staging.query("select count(*) from raw.routing_decision") == [(1,)]


def test_a_backup_made_after_the_request_has_nothing_of_it(home, spool, gone_from):
    spool.write("a.jsonl", *events(GONE, SECRET))
    request_erasure(home, tasks=[str(GONE)])
    backup(home)
    gone_from()


@pytest.mark.parametrize("point", [name for name in _faults.POINTS if name.startswith("erase")])
def test_an_erasure_that_is_killed_is_finished_by_the_next_load(
    home, spool, staging, children, gone_from, point
):
    spool.write("a.jsonl", *events(GONE, SECRET), *events(KEPT, "other words"), b"x " + b"1")
    staging.load()
    home.warehouse.write_bytes(b"what dbt built")
    spool.write("b.jsonl", TaskErased.of(GONE))

    def load_and_die() -> None:
        _faults.arm(point)
        take_in(home)

    pid = children.start(load_and_die)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    children.kill(pid)
    staging.load()

    gone_from()
    assert not home.warehouse.exists()
    assert staging.query("select count(*) from raw.routing_decision") == [(1,)]


def test_a_line_that_cannot_be_blanked_is_said(home, spool, staging, caplog):
    spool.write("a.jsonl", *events(GONE, SECRET))
    staging.load()
    (home.spool / "a.jsonl").unlink()
    (home.spool / "a.jsonl").symlink_to(home.spool / "elsewhere")
    spool.write("b.jsonl", TaskErased.of(GONE))

    with caplog.at_level(logging.WARNING):
        staging.load()

    assert any("cannot erase from segment a.jsonl" in line for line in caplog.messages)


def test_a_segment_of_which_nothing_is_loaded_is_left_to_the_load_that_reads_it(
    home, spool, staging
):
    spool.write("a.jsonl", *events(GONE, SECRET))
    staging.load()
    spool.write("b.jsonl", TaskErased.of(GONE))
    half = events(GONE, SECRET, 1)[0].to_line()[:-20]
    (home.spool / "c.jsonl").write_bytes(half)
    with (home.spool / "c.jsonl").open() as writing:
        fcntl.flock(writing, fcntl.LOCK_EX)
        staging.load()
    assert (home.spool / "c.jsonl").read_bytes() == half


def test_what_is_not_loaded_yet_is_not_blanked(home, spool):
    lines = [event.to_line() + b"\n" for event in events(GONE, SECRET)]
    file = spool.write("a.jsonl", *events(GONE, SECRET))
    read_to = len(lines[0]) + len(lines[1])
    assert blank_segment(file, read_to, [], lambda line: True)
    assert ERASED in file.read_bytes()[:read_to]
    assert file.read_bytes()[read_to:] == lines[2]


def test_a_later_attempt_stands_for_its_whole_task(home, staging):
    home.create()
    with duckdb.connect(str(home.learning_db)) as published:
        published.execute("create table executions (task_id varchar, parent_task_id varchar)")
        published.execute("insert into executions values (?, ?)", [str(KEPT), str(GONE)])
    request_erasure(home, tasks=[str(KEPT)])
    staging.load()
    assert staging.query("select subject_hash from ledger.erasures") == [(subject_hash(str(GONE)),)]


@pytest.mark.parametrize("length", [700, 450])
def test_a_segment_that_became_shorter_is_blanked_as_far_as_it_goes(home, spool, staging, length):
    path = spool.write("a.jsonl", *events(GONE, SECRET), *events(KEPT, "other words"))
    staging.load()
    path.write_bytes(path.read_bytes()[:length])
    assert SECRET.encode() in path.read_bytes()
    spool.write("b.jsonl", TaskErased.of(GONE))
    staging.load()
    assert SECRET.encode() not in path.read_bytes()
    assert len(path.read_bytes()) == length


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing to erase"),
        ({"tasks": [" "]}, "cannot erase a task without an id"),
        ({"users": ["maria", ""]}, "cannot erase a user without an id"),
    ],
)
def test_a_request_names_somebody(home, arguments, message):
    with pytest.raises(InvalidEventError, match=message):
        request_erasure(home, **arguments)
    assert not home.spool.exists()


def test_a_tombstone_never_says_the_id(home):
    for event, value in ((TaskErased(task_id=GONE), str(GONE)), (UserErased(user_id="m"), "m")):
        assert f'"{value}"' not in event.to_line().decode()
    named = TaskErased(task_id="TICKET-7", metadata={"task_ref": "TICKET-7", "why": "asked"})
    assert named.metadata == {"why": "asked"}
    assert named == TaskErased.of("TICKET-7").model_copy(
        update={name: getattr(named, name) for name in ("event_id", "occurred_at", "metadata")}
        | {"captured_at": named.captured_at}
    )
    assert UserErased.of("m").user_hash == UserErased(user_id="m").user_hash
    assert TaskErased(task_id=GONE, metadata={"task_ref": "x"}).metadata is None


def test_going_down_and_up_again_forgets_no_erasure(home, spool, staging, gone_from):
    spool.write("a.jsonl", *events(GONE, SECRET), *events(KEPT, "other words"), b"no json: maria")
    staging.load()
    request_erasure(home, tasks=[str(GONE)], users=["maria"])

    saved = migrate_down(home, 1).backup
    migrate_up(home)
    spool.write("b.jsonl", *events(GONE, SECRET, 1), events(KEPT, "late words")[2])
    staging.load()

    gone_from()
    assert saved is not None
    assert "maria" not in everything_in(home), "not in the backup either"
    assert staging.query("select task_hash from raw.task_erased") == [(subject_hash(str(GONE)),)]
    hashes = {value for (value,) in staging.query("select user_hash from raw.user_erased")}
    assert hashes == {subject_hash("maria"), subject_hash(pseudonym("maria"))}
    assert staging.query("select count(*) from raw.routing_decision") == [(1,)]


def test_what_only_mentions_the_erased_stays_in_table_and_spool(home, spool, staging):
    older = backup(home)
    spool.write("a.jsonl", *events(GONE, SECRET))
    mentions = [
        RoutingOutcome(task_id=KEPT, success=True, metadata=metadata)
        for metadata in (
            {"follows": str(GONE)},
            {"note": f"a redo of {GONE}"},
            {"reviewer": {"user_id": "maria"}},
            {"user_id": str(GONE)},
        )
    ]
    spool.write("b.jsonl", *mentions)
    staging.load()
    before = (home.spool / "b.jsonl").read_bytes()

    request_erasure(home, tasks=[str(GONE)], users=["maria"])
    staging.load()

    count = "select count(*) from raw.routing_outcome"
    assert staging.query(count) == [(4,)]
    assert (home.spool / "b.jsonl").read_bytes() == before
    assert SECRET not in everything_in(home)
    restore(home, older.path)
    staging.load()
    assert staging.query(count) == [(4,)], "they are loaded again from the spool"


def test_a_short_id_takes_only_its_own_lines_out_of_quarantine(home, spool, staging):
    with Telemetry(home.root) as telemetry:
        for number in range(5):
            telemetry.capture_feedback_sync(
                task_id=str(KEPT), rating=90 + number, comment="other 1", user_id=f"u{number}"
            )
        telemetry.capture_feedback_sync(task_id=str(KEPT), rating=9, comment="x", user_id="1")
    staging.load()

    spool.write("bad.jsonl", b'{"schema_version":2,"attempt":1,"note":"1","user_id":"bob"}')
    staging.load()

    request_erasure(home, users=["1"])
    staging.load()

    left = staging.query("select line from ledger.quarantine")
    users = sorted(json.loads(line)["user_id"] for (line,) in left)
    assert users == ["bob", *(f"u{n}" for n in range(5))]


@pytest.mark.parametrize(("user", "left"), [("anna", 0), ("ann", 1)])
def test_a_bare_word_is_an_id_from_four_characters_on(home, spool, staging, user, left):
    spool.write("a.jsonl", f"no JSON at all, {user} said so".encode())
    staging.load()
    request_erasure(home, users=[user])
    staging.load()
    assert staging.query("select count(*) from ledger.quarantine") == [(left,)]


def test_no_byte_of_what_was_in_quarantine_stays_in_the_staging_file(home, staging):
    with Telemetry(home.root) as telemetry:
        for number in range(40):
            telemetry.capture_feedback_sync(
                task_id=str(KEPT), rating=9, comment=f"{SECRET} {number}", user_id="maria"
            )
    staging.load()
    assert SECRET.encode() in home.staging.read_bytes(), "the control: bytes can be found"

    request_erasure(home, users=["maria"])
    staging.load()

    assert SECRET.encode() not in home.staging.read_bytes()
    assert staging.query("select count(*) from ledger.quarantine") == [(0,)]


@pytest.mark.parametrize("user", ["42", "maria", "ann@example.com", "x" * 1500])
def test_a_user_goes_wherever_the_hooks_wrote_the_id(home, staging, user):
    said = 42 if user == "42" else user
    with Telemetry(home.root) as telemetry:
        telemetry.capture_feedback_sync(
            task_id=str(KEPT),
            feedback_type="accepted",
            rating=4,
            comment=f"{SECRET} 1",
            user_id=user,
        )
        telemetry.capture_feedback_sync(
            task_id=str(KEPT), rating=9, comment=f"{SECRET} 2", user_id=user
        )
        telemetry.capture_routing_outcome_sync(
            task_id=str(GONE), success=True, metadata={"user_id": said, "note": f"{SECRET} 3"}
        )
        telemetry.capture_feedback_sync(
            task_id=str(KEPT), feedback_type="accepted", rating=5, user_id="another"
        )
    staging.load()
    assert {number for number in "123" if f"{SECRET} {number}" in everything_in(home)} == set("123")

    assert request_erasure(home, users=[user]) == 1
    staging.load()

    assert SECRET not in everything_in(home)
    assert staging.query("select user_id from raw.feedback") == [("another",)]


def test_a_refused_text_that_is_cut_keeps_the_ids_it_is_found_by(home, staging):
    with Telemetry(home.root) as telemetry:
        telemetry.capture_feedback_sync(
            comment=f"{SECRET} " * 6000, rating=99, metadata={"note": "n" * 9000}, user_id="maria"
        )
    staging.load()
    assert SECRET in everything_in(home)

    request_erasure(home, users=["maria"])
    staging.load()

    assert SECRET not in everything_in(home)


def test_an_event_of_no_task_goes_with_the_task_in_its_metadata(home, spool, staging, gone_from):
    learned = SolutionExtracted(
        solution_summary=SECRET, task_context="c", success_rate=1.0, metadata={"task_id": str(GONE)}
    )
    spool.write("a.jsonl", learned, *events(KEPT, "other words"))
    staging.load()
    request_erasure(home, tasks=[str(GONE)])
    staging.load()
    gone_from()
    assert staging.query("select count(*) from raw.solution_extracted") == [(0,)]


def test_a_log_that_was_put_aside_goes_too(home, spool, staging):
    spool.write("a.jsonl", *events(GONE, SECRET))
    staging.load()
    log = home.staging.with_name("staging.duckdb.wal.damaged-20260301T120000")
    log.write_bytes(SECRET.encode())
    request_erasure(home, tasks=[str(GONE)])
    staging.load()
    assert not log.exists()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EMFILE])
def test_a_segment_that_cannot_be_written_is_tried_again(home, spool, staging, monkeypatch, number):
    review = {  # refused; read as an event it does not name her, as quarantine reads it it does
        "event_type": "feedback",
        "metadata": {"reviewer": {"user_id": "maria"}},
        "comment": f"{SECRET} 2",
        "rating": 9,
    }
    long = b'{"user_id":"maria","comment":"%s 3' % SECRET.encode() + b"!" * 300_000 + b'"}'
    spool.write("a.jsonl", *events(GONE, f"{SECRET} 1"), json.dumps(review).encode(), long)
    staging.load()
    request_erasure(home, tasks=[str(GONE)], users=["maria"])
    opened = os.open

    def refuse(path: Any, flags: int, *more: Any) -> int:
        if str(path).endswith("a.jsonl") and flags & os.O_RDWR:
            raise OSError(number, "not now")
        return opened(path, flags, *more)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        take_in(home)
    assert (home.spool / "a.jsonl").read_text().count(SECRET) == 5
    assert set(staging.query("select is_applied from ledger.erasures")) == {(False,)}
    assert staging.query("select count(*) from raw.routing_decision") == [(0,)]

    staging.load()

    assert SECRET not in everything_in(home)
    assert set(staging.query("select is_applied from ledger.erasures")) == {(True,)}


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ELOOP])
def test_a_segment_that_is_none_any_more_is_not_waited_for(
    home, spool, staging, monkeypatch, number
):
    spool.write("a.jsonl", *events(GONE, SECRET))
    staging.load()
    request_erasure(home, tasks=[str(GONE)])
    opened = os.open

    def refuse(path: Any, flags: int, *more: Any) -> int:
        if str(path).endswith("a.jsonl") and flags & os.O_RDWR:
            raise OSError(number, "no segment")
        return opened(path, flags, *more)

    monkeypatch.setattr(os, "open", refuse)
    staging.load()
    assert staging.query("select is_applied from ledger.erasures") == [(True,)]


@pytest.mark.parametrize(
    "said", [42, -1, 2**63, 2**70, 4.5, True, None, "", " x ", "Maria", ["maria"], {"is": "maria"}]
)
def test_a_row_and_its_line_are_about_the_same_user(home, staging, said):
    with Telemetry(home.root, strict=True) as telemetry:
        telemetry.capture_routing_outcome_sync(
            task_id=str(KEPT), success=True, metadata={"user_id": said, "note": SECRET}
        )
    staging.load()
    named = json.dumps(said) if not isinstance(said, str) else said
    users = [user for user in (named, "maria", "x") if user.strip()]
    request_erasure(home, users=users)
    staging.load()
    is_row_left = staging.query("select count(*) from raw.routing_outcome") == [(1,)]
    is_line_left = any(SECRET in path.read_text() for path in home.spool.iterdir())
    assert is_row_left is is_line_left
    assert is_row_left is (said in ("", None, ["maria"], {"is": "maria"}))


def test_a_pool_goes_with_the_hosts_own_reference_in_its_metadata(home, staging):
    with Telemetry(home.root, strict=True) as telemetry:
        telemetry.capture_sync(
            PoolCreated(pool_id="p", metadata={"task_id": "TICKET-7", "n": SECRET})
        )
    staging.load()
    assert SECRET in everything_in(home)
    assert request_erasure(home, tasks=["TICKET-7"]) == 1
    staging.load()
    assert SECRET not in everything_in(home)


def test_what_only_a_reason_says_goes_too(home, spool, staging):
    line = InvalidEvent(claimed_type="feedback", reason="KeyError: 'maria'", payload="{}")
    spool.write("a.jsonl", line)
    staging.load()
    request_erasure(home, users=["maria"])
    staging.load()
    assert "maria" not in everything_in(home)


@pytest.mark.parametrize("writes", range(3))
def test_a_line_is_not_said_to_be_blank_before_all_of_it_is(tmp_path, monkeypatch, writes):
    file = tmp_path / "a.jsonl"
    line = SECRET.encode() * 100_000
    file.write_bytes(line + b"\nnext\n")
    left = iter(range(writes))
    write = os.pwrite

    def die(fd: int, data: bytes, offset: int) -> int:
        if next(left, None) is None:
            raise InterruptedError
        return write(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", die)
    with pytest.raises(InterruptedError):
        blank_segment(file, len(line) + 1, [(0, len(line) + 1)], lambda _: False)
    assert not file.read_bytes().startswith(ERASED)
    monkeypatch.undo()
    assert blank_segment(file, len(line) + 1, [(0, len(line) + 1)], lambda _: False)
    assert file.read_bytes() == ERASED.ljust(len(line)) + b"\nnext\n"


def test_a_line_longer_than_any_event_is_blanked_in_pieces(home, spool, staging):
    long = b'{"task_id":"%s","comment":"' % str(GONE).encode() + b"word " * 700_000 + b'"}'
    path = spool.write("a.jsonl", long, *events(KEPT, "other words"))
    staging.load()
    request_erasure(home, tasks=[str(GONE)])
    staging.load()
    found = path.read_bytes()
    assert found.startswith(ERASED)
    assert found[: len(long)].rstrip(b" ") == ERASED
    assert found[len(long) : len(long) + 1] == b"\n"
    assert found.count(b"other words") == 3


@pytest.mark.parametrize("words_before", [0, 100_000, 200_000], ids=["begin", "middle", "end"])
def test_a_line_longer_than_any_event_goes_whole_for_what_any_part_of_it_says(
    home, spool, staging, words_before
):
    words = [b"word"] * 200_000
    words.insert(words_before, b"maria")
    long = b'{"comment":"' + b" ".join(words) + b'"}'
    path = spool.write("a.jsonl", long, *events(KEPT, "other words")[:2])
    staging.load()
    before = path.read_bytes()
    request_erasure(home, users=["maria"])
    staging.load()
    assert path.read_bytes()[len(long) :] == before[len(long) :]
    assert path.read_bytes()[: len(long)].rstrip(b" ") == ERASED


def test_a_place_that_is_gone_makes_no_segment_longer(home, spool, staging):
    path = spool.write("a.jsonl", *events(KEPT, "other words")[:1], b'{"user_id":"maria"}')
    staging.load()
    kept = path.read_bytes()[:200]
    path.write_bytes(kept)
    request_erasure(home, users=["maria"])
    staging.load()
    assert path.read_bytes() == kept


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": ["\udcff"]}, r"cannot erase the task '\\udcff': it is no text"),
        ({"users": ["\udcff"]}, r"cannot erase the user '\\udcff': it is no text"),
        ({"users": ["maria"], "reason": "\udcff"}, "cannot erase: reason: "),
    ],
)
def test_what_is_no_text_is_refused_in_one_line(home, arguments, message):
    with pytest.raises(InvalidEventError, match=message):
        request_erasure(home, **arguments)
    assert not home.spool.exists()
