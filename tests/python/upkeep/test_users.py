"""Erasing a user takes their tasks, whatever of them comes when, and costs no more than it must."""

from __future__ import annotations

import json
import os
import unicodedata
from typing import Any
from uuid import UUID

import pytest
from test_erasure import everything_in

from orb_learning import Telemetry, _faults, instrument_pool_manager, instrument_router
from orb_learning._types import folded_user, pseudonym, subject_hash, with_task_uuid
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
from orb_learning.importer import FieldMap, import_files
from orb_learning.staging import Found
from orb_learning.upkeep import backup, preview_erasure, request_erasure, restore, take_in

TASK = UUID("9d3a1c52-4f9b-4a9e-8f7e-0c5d4e2b1a00")
OTHER = UUID("11111111-2222-4333-8444-555555555555")
PRIVATE = "ALICE-PRIVATE"


def decision(task: object = TASK, user: str | None = "alice", **more: Any) -> RoutingDecision:
    said = {"user_id": user} if user else {}
    return RoutingDecision(
        task_id=task,
        task_type="support",
        task_description=f"{PRIVATE}: refund me" if user == "alice" else "theirs",
        repo="acme/api",
        model_tier="large",
        metadata=said,
        **more,
    )


def outcome(task: object = TASK, words: str = PRIVATE) -> RoutingOutcome:
    """Return an outcome that names nobody."""
    said = {"task_id": task, "success": False, "error_message": f"{words}: no order"}
    return RoutingOutcome(**with_task_uuid(said))


def feedback(task: object = TASK, user: str = "alice") -> Feedback:
    words = PRIVATE if user == "alice" else "theirs"
    return Feedback(task_id=task, feedback_type="accepted", comment=words, user_id=user)


def kinds(staging: Any) -> list[str]:
    return [
        kind
        for kind in ("routing_decision", "routing_outcome", "feedback")
        for _ in staging.query(f"from raw.{kind}")
    ]


@pytest.fixture
def files(home):
    """Return which files warehouse and staging are; another one is another file."""
    home.create()
    home.warehouse.write_bytes(b"what dbt built")

    def inodes() -> tuple[int | None, int | None]:
        return tuple(
            path.stat().st_ino if path.exists() else None for path in (home.warehouse, home.staging)
        )

    return inodes


@pytest.mark.parametrize("loads", ["dot", "tdo", "d.o.t", "o.d.t", "o.t.d", "t.o.d", "t.d.o"])
def test_a_task_goes_whole_whatever_comes_when(home, spool, staging, loads):
    lines = {"d": decision(), "o": outcome(), "t": UserErased.of("alice")}
    for number, load in enumerate(loads.split(".")):
        spool.write(f"{number}.jsonl", *(lines[event] for event in load), outcome(OTHER, "theirs"))
        staging.load()
    found = everything_in(home)
    assert PRIVATE not in found
    assert str(TASK) not in found
    assert kinds(staging) == ["routing_outcome"] * len(loads.split("."))
    assert PRIVATE.encode() not in home.staging.read_bytes()


def test_a_hosts_two_lines_are_erased_with_a_bus_and_a_block(home, staging):
    class Router:
        def route_task(self, task):
            return {"model_tier": "large"}

    class Manager:
        def execute_on_pool(self, pool_id, task):
            words = task["description"]
            return {"success": False, "error": words, "solution_summary": words}

    router, manager = Router(), Manager()
    with Telemetry(home.root) as telemetry:
        instrument_router(router, telemetry)
        instrument_pool_manager(manager, telemetry)
        for name, user in (("task-1", "alice"), ("task-2", "bob")):
            words = PRIVATE if user == "alice" else "theirs"
            task = {"id": name, "type": "support", "description": words, "user_id": user}
            router.route_task(task)
            manager.execute_on_pool("p1", task)
            telemetry.record(
                PoolCreated,
                {"pool_id": words, "pool_type": "t", "metadata": {"task_id": name}},
                {},
            )
        with telemetry.execution(
            task_type="x", repo="y", model_tier="l", metadata={"user_id": "alice"}
        ) as run:
            run.solution_summary = PRIVATE
    request_erasure(home, users=["alice"])
    staging.load()

    assert PRIVATE not in everything_in(home)
    assert staging.query("select metadata ->> 'task_ref' from raw.routing_decision") == [
        ("task-2",)
    ]
    assert staging.query("select pool_id from raw.pool_created") == [("theirs",)]


def test_feedback_goes_alone_and_a_task_takes_its_feedback(home, spool, staging):
    spool.write("a.jsonl", decision(), feedback(TASK, "bob"))
    spool.write("b.jsonl", decision(OTHER, "bob"), outcome(OTHER, "theirs"), feedback(OTHER))
    request_erasure(home, users=["alice"])
    staging.load()
    assert kinds(staging) == ["routing_decision", "routing_outcome"]
    assert staging.query("select task_id from raw.routing_decision") == [(OTHER,)]
    assert staging.query("select subject from ledger.erasures where subject = 'task'") == [
        ("task",)
    ]


def test_an_event_of_no_task_says_whose_a_task_is(home, spool, staging):
    said = {"user_id": "alice", "task_id": "Ticket-7"}
    spool.write(
        "a.jsonl",
        PoolCreated(pool_id="p", pool_type="t", metadata=said),
        outcome("Ticket-7"),
        SolutionExtracted(
            solution_summary=PRIVATE,
            task_context=PRIVATE,
            success_rate=1.0,
            metadata={"task_id": "ticket-7"},
        ),
    )
    spool.write("b.jsonl", UserErased.of("alice"))
    staging.load()
    assert PRIVATE not in everything_in(home)


@pytest.mark.parametrize("is_late", [False, True])
def test_a_refused_event_says_whose_a_task_is(home, spool, staging, is_late):
    refused = InvalidEvent(
        claimed_type="routing_decision",
        reason="model_tier: Field required",
        payload=json.dumps({"task_id": "t-1", "words": "OTHERS", "metadata": {"user_id": "alice"}}),
    )
    its_feedback = InvalidEvent(
        claimed_type="feedback",
        reason="rating: too much",
        payload=json.dumps({"task_id": "t-2", "user_id": "alice"}),
    )
    tombstone = UserErased.of("alice")
    first, then = (
        ([tombstone], [refused, its_feedback])
        if is_late
        else ([refused, its_feedback], [tombstone])
    )
    spool.write("a.jsonl", *first)
    staging.load()
    spool.write("b.jsonl", *then, outcome("t-1"), outcome("t-2", "theirs"), outcome("OTHERS", "x"))
    staging.load()
    found = everything_in(home)
    assert PRIVATE not in found
    assert "theirs" in found
    assert len(staging.query("from raw.routing_outcome")) == 2
    assert staging.query("from ledger.quarantine") == []


@pytest.mark.parametrize(
    "torn",
    [
        f'{{"task_id": "{OTHER}", "task_description": "please call alice back", "metada',
        f'alice: "task_id": "{OTHER}"',
        f'{{"task_id": "{OTHER}", "user_id": "alice", "event_ty',
        json.dumps({"event_type": "feedback", "task_id": str(OTHER), "user_id": "alice", "x": 1}),
    ],
)
def test_what_is_torn_takes_nobody_elses_task(home, spool, staging, torn):
    spool.write("a.jsonl", decision(OTHER, "bob"), outcome(OTHER, "theirs"), torn.encode())
    found = preview_erasure(home, users=["alice"])
    assert found == Found(quarantined=1)
    request_erasure(home, users=["alice"])
    staging.load()
    assert kinds(staging) == ["routing_decision", "routing_outcome"]
    assert staging.query("from ledger.quarantine") == []


def test_a_refused_text_takes_nobody_elses_task(home, staging):
    with Telemetry(home.root) as telemetry:
        telemetry.capture_routing_decision_sync(
            task_id="B", task_type="x", repo="y", model_tier="l", metadata={"user_id": "bob"}
        )
        telemetry.capture_routing_outcome_sync("ask alice about it", task_id="B", success="green")
    request_erasure(home, users=["alice"])
    staging.load()
    assert kinds(staging) == ["routing_decision"]


@pytest.mark.parametrize("user", ["alice", "alice@example.com"])
@pytest.mark.parametrize("form", ["json", "csv"])
def test_a_refused_row_is_its_mapped_users(home, staging, tmp_path, user, form):
    good = "2026-11-01T12:00:00Z"
    rows = [("t-1", good, "bob", "yes", "-"), ("t-2", "no time", user, "yes", PRIVATE)]
    rows += [("t-2", good, "", "yes", PRIVATE)]
    names = ("id", "timestamp", "who", "success", "description")
    same = {"task_type": "x", "repo": "y", "model_tier": "m"}
    found = [{**same, **dict(zip(names, row, strict=True))} for row in rows]
    if form == "json":
        text = "\n".join(map(json.dumps, found))
    else:
        lines = [",".join(row.values()) for row in found]
        lines[1] += ",and more"
        text = "\n".join([",".join(found[0]), *lines])
    file = tmp_path / "runs"
    file.write_text(text)
    with Telemetry(home.root) as telemetry:
        report = import_files(telemetry, [file], field_map=FieldMap(["user_id=who"]))
    assert (report.recorded, report.rejected) == (2, 1)
    assert preview_erasure(home, users=[user]) == Found(tasks=1, events=1, quarantined=1)
    request_erasure(home, users=[user])
    staging.load()
    assert PRIVATE not in everything_in(home)
    assert len(staging.query("from raw.execution_recorded")) == 1


def test_a_mapped_user_wins_over_the_one_in_the_metadata(home, tmp_path, events_in):
    row = {"timestamp": "2026-11-01T12:00:00Z", "task_type": "x", "repo": "y", "model_tier": "m"}
    file = tmp_path / "runs"
    file.write_text(json.dumps({**row, "metadata": {"user_id": "bob"}, "who": "alice", "ok": True}))
    with Telemetry(home.root) as telemetry:
        import_files(telemetry, [file], field_map=FieldMap(["user_id=who"]))
    users = [event.metadata["user_id"] for event in events_in(home.spool)]
    assert users == ["alice"]


def test_a_killed_backup_keeps_no_text(home, spool, staging):
    spool.write("a.jsonl", decision(), outcome())
    staging.load()
    left = home.backups / ".staging-20260301T120000000000-00000000"
    left.mkdir(parents=True)
    (left / "staging.duckdb.wal").write_text(PRIVATE)
    request_erasure(home, users=["alice"])
    staging.load()
    assert not left.exists()


def test_what_is_found_is_counted_before(home, spool, staging):
    spool.write("a.jsonl", decision(), outcome(), outcome(), feedback(TASK, "bob"))
    spool.write("b.jsonl", decision(OTHER), decision(OTHER, "bob"), feedback(OTHER, "bob"))
    spool.write("c.jsonl", decision(UUID(int=5), "bob"), feedback(UUID(int=5)), b'x "alice"')
    found = Found(tasks=2, shared_tasks=1, events=8, feedback=1, quarantined=1)
    assert preview_erasure(home, users=["alice"]) == found
    assert PRIVATE in everything_in(home)
    assert preview_erasure(home, tasks=[str(TASK)]) == Found(tasks=1, events=4)
    assert not preview_erasure(home, users=["carol"])
    request_erasure(home, users=["alice"])
    staging.load()
    assert not preview_erasure(home, users=["alice"])
    removed = staging.query("select sum(row_count) from ledger.removals")
    assert removed == [(found.events + found.quarantined,)]


def test_nothing_is_made_to_look_into_a_home_that_is_not_there(home):
    assert not preview_erasure(home, users=["alice"])
    assert not home.root.exists()


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("Ann.Smith@Example.com", "ann.smith@example.COM"),
        ("jos\u00e9@example.com", unicodedata.normalize("NFD", "Jos\u00e9@example.com")),
        ("ann\uff20example.com", "ann@example.com"),
        (unicodedata.normalize("NFD", "Jos\u00e9 P\u00e9rez"), "Jos\u00e9 P\u00e9rez"),
        ("Jos\u00e9 P\u00e9rez", unicodedata.normalize("NFD", "Jos\u00e9 P\u00e9rez")),
    ],
)
@pytest.mark.parametrize("way", ["hook", "line"])
def test_a_users_id_is_found_in_any_spelling(home, spool, staging, said, asked, way):
    if way == "hook":
        with Telemetry(home.root) as telemetry:
            telemetry.capture_routing_decision_sync(
                task_id=TASK, task_type="x", repo="y", model_tier="l", metadata={"user_id": said}
            )
    else:
        spool.write("a.jsonl", decision(user=said))
    spool.write("b.jsonl", feedback(OTHER, said))
    staging.load()
    request_erasure(home, users=[asked])
    staging.load()
    assert kinds(staging) == []
    assert said not in everything_in(home)


@pytest.mark.parametrize("said", ["Ann@Example.com", "ANN@example.com", "ann@EXAMPLE.COM"])
def test_a_pseudonym_of_an_earlier_release_is_found(home, spool, staging, said):
    spool.write("a.jsonl", feedback(OTHER, pseudonym(said)))
    staging.load()
    request_erasure(home, users=["ann@example.com"])
    staging.load()
    assert kinds(staging) == []


def test_users_who_differ_in_case_are_two(home, spool, staging):
    spool.write("a.jsonl", feedback(OTHER, "Ann"), feedback(OTHER, "ann"))
    request_erasure(home, users=["Ann"])
    staging.load()
    assert staging.query("select user_id from raw.feedback") == [("ann",)]
    assert folded_user("Ann@B.c") == "ann@b.c"


def test_an_erased_user_who_comes_back_costs_a_deletion(home, spool, staging, files):
    spool.write("a.jsonl", outcome(OTHER, "theirs"), UserErased.of("alice"))
    staging.load()
    before = files()
    for number in range(3):
        task = UUID(int=number)
        spool.write(f"{number}.jsonl", decision(task), outcome(task), outcome(OTHER, "theirs"))
        spool.write(f"{number}.jsonl", b"no JSON 'alice' " + PRIVATE.encode(), feedback(OTHER))
        staging.load()
        spool.write(f"{number}-later.jsonl", outcome(task))  # after its decision
        staging.load()
    assert files() == before
    home.warehouse.unlink()  # it stayed, and is no database
    assert PRIVATE not in everything_in(home)
    assert PRIVATE.encode() not in home.staging.read_bytes()
    assert kinds(staging) == ["routing_outcome"] * 4
    assert set(staging.query("select load_id, is_applied from ledger.erasures")) == {(0, True)}


def test_what_a_warehouse_held_drops_it(home, spool, staging, files):
    spool.write("a.jsonl", UserErased.of("alice"), outcome())
    staging.load()
    before = files()
    spool.write("b.jsonl", decision())  # only now the outcome is known to be hers
    staging.load()
    assert files()[0] is None
    assert files()[1] != before[1]
    assert kinds(staging) == []
    assert PRIVATE.encode() not in home.staging.read_bytes()


def test_a_line_in_quarantine_about_a_late_task_goes(home, spool, staging, files):
    spool.write("a.jsonl", UserErased.of("alice"), f"no JSON {TASK} {PRIVATE}".encode())
    staging.load()
    assert staging.query("select count(*) from ledger.quarantine") == [(1,)]
    spool.write("b.jsonl", decision())
    staging.load()
    assert PRIVATE not in everything_in(home)
    assert PRIVATE.encode() not in home.staging.read_bytes()


def test_a_tombstone_of_nobody_drops_nothing(home, spool, staging, files):
    spool.write("a.jsonl", outcome(OTHER, "theirs"))
    staging.load()
    before = files()
    spool.write("b.jsonl", UserErased.of("alice"), TaskErased.of(TASK))
    staging.load()
    assert files() == before
    assert set(staging.query("select load_id, is_applied from ledger.erasures")) == {(0, True)}


@pytest.mark.parametrize("point", ["load.noted", "load.blanked", "load.committed"])
def test_a_late_line_is_gone_when_the_load_is_killed(home, spool, staging, children, point):
    spool.write("a.jsonl", UserErased.of("alice"), outcome(OTHER, "theirs"))
    staging.load()
    spool.write("b.jsonl", decision(), outcome(), outcome(OTHER, "theirs"))

    def load_and_die() -> None:
        _faults.arm(point)
        take_in(home)

    pid = children.start(load_and_die)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    children.kill(pid)
    staging.load()
    assert PRIVATE not in everything_in(home)
    assert kinds(staging) == ["routing_outcome"] * 2


def test_a_late_line_that_cannot_be_blanked_is_tried_again(home, spool, staging, monkeypatch):
    spool.write("a.jsonl", UserErased.of("alice"))
    staging.load()
    spool.write("b.jsonl", decision())
    opened = os.open

    def refuse(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if str(path).endswith("b.jsonl") and flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    staging.load()
    assert kinds(staging) == []
    assert PRIVATE in everything_in(home)
    monkeypatch.undo()
    staging.load()
    assert PRIVATE not in everything_in(home)


def test_an_erasure_of_a_restored_backup_finds_tasks_too(home, spool, staging):
    spool.write("a.jsonl", decision(), outcome())
    staging.load()
    older = backup(home)
    request_erasure(home, users=["alice"])
    staging.load()
    for path in home.spool.iterdir():
        path.unlink()
    restore(home, older.path)
    staging.load()
    assert kinds(staging) == []
    assert subject_hash(str(TASK)) in {
        value for (value,) in staging.query("select subject_hash from ledger.erasures")
    }
