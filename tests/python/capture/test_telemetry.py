"""The hooks: every form a host may use, and what becomes of what cannot be accepted."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import math
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from orb_learning import ExecutionRecord, FeedbackRecord, QualityPolicy, SolutionRecord, Telemetry
from orb_learning._types import task_uuid
from orb_learning.capture import MAX_PAYLOAD_CHARACTERS, CaptureStats
from orb_learning.capture._build import MAX_REASON_CHARACTERS
from orb_learning.errors import InvalidEventError, OrbLearningError, SpoolWriteError
from orb_learning.events import (
    Event,
    ExecutionRecorded,
    Feedback,
    InvalidEvent,
    PoolClosed,
    PoolCreated,
    PoolExecutionComplete,
    PoolExecutionStart,
    QualityPolicyAdjusted,
    RoutingDecision,
    RoutingOutcome,
    SolutionExtracted,
    TaskCompleted,
    TaskErased,
    parse_line,
)
from orb_learning.home import HOME_VARIABLE
from orb_learning.spool import MAX_LINE_BYTES, segment_names

TASK = UUID("0198a3a0-0000-7000-8000-000000000001")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WHEN = "2026-03-01T12:00:00+00:00"

EXECUTION = {
    "task_id": TASK,
    "timestamp": NOON,
    "task_type": "refactor",
    "task_description": "split the parser",
    "repo": "acme/api",
    "model_tier": "large",
    "pool_type": "swarm",
    "routing_confidence": 0.8,
    "success": True,
    "duration_seconds": 12.5,
}

HOOKS: list[tuple[str, type[Event], dict[str, Any]]] = [
    (
        "capture_routing_decision",
        RoutingDecision,
        {"task_id": TASK, "task_type": "refactor", "repo": "acme/api", "model_tier": "large"},
    ),
    ("capture_routing_outcome", RoutingOutcome, {"task_id": TASK, "success": True}),
    ("capture_pool_execution_start", PoolExecutionStart, {"task_id": TASK, "pool_id": "p"}),
    (
        "capture_pool_execution_complete",
        PoolExecutionComplete,
        {"task_id": TASK, "success": False, "error_type": "timeout"},
    ),
    ("capture_feedback", Feedback, {"task_id": TASK, "feedback_type": "thumbs_up", "rating": 5}),
    ("record_execution", ExecutionRecorded, EXECUTION),
]

RECORDS = [
    ExecutionRecord(**EXECUTION, cost_estimate=0.5, actual_cost=0.25),
    FeedbackRecord(task_id="ticket-7", feedback_type="thumbs_up", rating=4),
    SolutionRecord(task_context="flaky", solution_summary="pin it", success_rate=0.9),
    QualityPolicy(
        repo="acme/api",
        project_maturity="new",
        coverage_threshold=0.5,
        strictness_level="lenient",
        adjustment_reason="young project",
    ),
]

RECORDED_AS = [ExecutionRecorded, Feedback, SolutionExtracted, QualityPolicyAdjusted]

Call = Callable[..., Event | None]


@pytest.fixture(params=["awaitable", "sync"])
def call(request: pytest.FixtureRequest, telemetry: Telemetry) -> Call:
    """Call a hook by its name, in one of its two forms."""

    def run(name: str, /, *given: Any, **fields: Any) -> Event | None:
        if request.param == "sync":
            return getattr(telemetry, f"{name}_sync")(*given, **fields)
        return asyncio.run(getattr(telemetry, name)(*given, **fields))

    return run


@pytest.fixture
def only(telemetry: Telemetry, events_in: Any) -> Callable[[], Event]:
    """Return the one event in the spool."""

    def read() -> Event:
        (event,) = events_in(telemetry.home.spool)
        return event

    return read


@pytest.fixture
def refusal(only: Callable[[], Event], telemetry: Telemetry) -> Callable[[], InvalidEvent]:
    """Return the one refused event in the spool."""

    def read() -> InvalidEvent:
        event = only()
        assert isinstance(event, InvalidEvent)
        assert (telemetry.stats().captured, telemetry.stats().quarantined) == (0, 1)
        return event

    return read


@dataclass
class Routing:
    """What the router returns."""

    model_tier: str = "large"
    pool_type: str = "swarm"
    confidence: float = 0.75
    reasoning: str = "many files"


# What the hooks accept


@pytest.mark.parametrize(("name", "cls", "fields"), HOOKS)
def test_a_hook_takes_a_mapping(call, only, name, cls, fields):
    event = call(name, fields)
    assert type(event) is cls
    assert only() == event
    assert {key: getattr(event, key) for key in fields} == fields
    assert event.metadata is None


@pytest.mark.parametrize(("name", "cls", "fields"), HOOKS)
def test_a_hook_takes_keywords(call, only, name, cls, fields):
    event = call(name, **fields, colour="red", self="also a name")
    assert type(event) is cls
    assert only() == event
    assert event.metadata == {"colour": "red", "self": "also a name"}


@pytest.mark.parametrize(("name", "cls", "fields"), HOOKS)
def test_a_hook_takes_an_object_with_the_fields_as_attributes(call, only, name, cls, fields):
    event = call(name, type("Report", (), {})())
    assert event is None or cls is RoutingDecision
    report = type("Report", (), {"__init__": lambda self: self.__dict__.update(fields)})()
    event = call(name, report)
    assert {key: getattr(event, key) for key in fields} == fields


@pytest.mark.parametrize(("name", "cls", "fields"), HOOKS)
def test_a_hook_takes_a_typed_event_as_it_is(call, only, name, cls, fields):
    event = cls(**fields)
    assert call(name, event) is event
    assert only() == event


@pytest.mark.parametrize(("name", "cls", "fields"), HOOKS)
def test_an_event_that_went_through_a_dict_is_the_same_event(call, only, name, cls, fields):
    event = cls(**fields, metadata={"a": 1})
    assert call(name, event.to_dict()) == event
    assert only() == event


@pytest.mark.parametrize(("name", "cls", "fields"), HOOKS)
def test_keywords_win_over_what_is_given(call, only, name, cls, fields):
    event = call(name, {**fields, "attempt": 1, "colour": "red"}, attempt=2, colour="blue")
    assert event.attempt == 2
    assert event.metadata == {"colour": "blue"}


@pytest.mark.parametrize(("name", "cls", "fields"), HOOKS)
def test_keywords_win_over_a_typed_event(call, only, name, cls, fields):
    event = cls(**fields)
    changed = call(name, event, attempt=2)
    assert changed == event.model_copy(update={"attempt": 2})
    assert only() == changed


@pytest.mark.parametrize(("name", "cls", "fields"), HOOKS)
def test_a_hosts_own_task_id_is_mapped_and_kept(call, only, name, cls, fields):
    event = call(name, {**fields, "task_id": "ticket-7"})
    assert event.task_id == task_uuid("ticket-7")
    assert event.metadata == {"task_ref": "ticket-7"}


@pytest.mark.parametrize(("name", "cls", "fields"), HOOKS)
def test_what_json_cannot_spell_is_kept_as_text(call, only, name, cls, fields):
    event = call(
        name, fields, bad=math.nan, huge=10**5000, half="\ud800", raw=b"\xff", when=NOON, odd={1}
    )
    assert only() == event
    assert event.metadata == {
        "bad": "nan",
        "huge": "<unreadable int>",
        "half": "\\ud800",
        "raw": "\\xff",
        "when": "2026-03-01 12:00:00+00:00",
        "odd": [1],
    }


@pytest.mark.parametrize("routing", [Routing(), vars(Routing())])
def test_the_routers_own_form_of_a_decision(call, only, routing):
    event = call(
        "capture_routing_decision",
        {
            "task_id": "ticket-7",
            "routing": routing,
            "timestamp": WHEN,
            "task_data": {
                "type": "refactor",
                "description": "split the parser",
                "repo": "acme/api",
                "file_count": 3,
                "estimated_tokens": 4000,
                "complexity_score": 70,
                "priority": "high",
            },
        },
    )
    assert only() == event
    assert event == RoutingDecision(
        event_id=event.event_id,
        captured_at=event.captured_at,
        occurred_at=NOON,
        task_id=task_uuid("ticket-7"),
        task_type="refactor",
        task_description="split the parser",
        repo="acme/api",
        file_count=3,
        estimated_tokens=4000,
        complexity_score=70,
        model_tier="large",
        pool_type="swarm",
        routing_confidence=0.75,
        metadata={"task_ref": "ticket-7", "reasoning": "many files", "priority": "high"},
    )


@pytest.mark.parametrize("missing", [{}, {"routing": None, "task_data": None}])
def test_a_decision_without_its_parts_says_unknown(call, only, missing):
    event = call("capture_routing_decision", {"task_id": TASK, **missing})
    assert (event.task_type, event.repo, event.model_tier) == ("unknown",) * 3
    assert event.task_description is None
    assert event.pool_type is None


def test_the_messages_form_of_an_outcome(call, only):
    event = call(
        "capture_routing_outcome",
        {
            "task_id": TASK,
            "status": "failed",
            "duration": 3,
            "cost": 0.2,
            "quality": 40,
            "error": "boom",
            "error_type": "out of tokens",
            "timestamp": WHEN,
            "worker": "w-1",
        },
    )
    assert only() == event
    assert (event.success, event.duration_seconds, event.actual_cost) == (False, 3, 0.2)
    assert (event.quality_score, event.error_message) == (40, "boom")
    assert (event.error_type, event.occurred_at) == ("out of tokens", NOON)
    assert event.metadata == {"worker": "w-1"}


def test_an_enumeration_stands_for_its_value(call, only):
    class Tier(Enum):
        LARGE = "large"

    event = call("capture_routing_decision", task_id=TASK, routing_tier=1, model_tier=Tier.LARGE)
    assert event.model_tier == "large"


def test_times_are_converted_to_utc(call, only):
    local = datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    event = call("capture_pool_execution_start", task_id=TASK, timestamp=local)
    assert event.occurred_at == NOON
    assert only().to_dict()["occurred_at"] == "2026-03-01T12:00:00Z"


@pytest.mark.parametrize("task", [TASK, str(TASK), "ticket-7"])
def test_feedback_may_begin_with_the_task(call, only, task):
    event = call("capture_feedback", task, feedback_type="rating", rating=3)
    assert event.task_id == task_uuid(task)
    assert only() == event


def test_feedback_takes_its_record(call, only):
    record = FeedbackRecord(task_id=TASK, feedback_type="rating", rating=3, timestamp=NOON)
    event = call("capture_feedback", record)
    assert only() == event
    assert (event.feedback_id, event.occurred_at) == (record.feedback_id, NOON)
    changed = call("capture_feedback", record, rating=1)
    assert (changed.feedback_id, changed.rating, changed.occurred_at) == (
        record.feedback_id,
        1,
        NOON,
    )


def test_an_execution_may_lack_both_costs_which_are_then_unknown(call, only):
    event = call("record_execution", EXECUTION)
    assert event.cost_estimate is None
    assert event.actual_cost is None


def test_an_execution_takes_its_record_which_recorded_twice_is_one_event(call, telemetry):
    record = RECORDS[0]
    first, second = call("record_execution", record), call("record_execution", record)
    assert type(first) is ExecutionRecorded
    assert first.event_id == second.event_id
    assert first.occurred_at == second.occurred_at == NOON + timedelta(seconds=12.5)


@pytest.mark.parametrize(
    "event",
    [
        PoolCreated(pool_id="p"),
        PoolClosed(pool_id="p", reason="idle"),
        TaskCompleted(task_id=TASK, success=True),
        TaskErased(task_id=TASK),
        Feedback(task_id=TASK, feedback_type="x"),
    ],
)
def test_any_typed_event_can_be_captured(call, only, event):
    assert call("capture", event) is event
    assert only() == event


@pytest.mark.parametrize(
    ("record", "cls"),
    list(zip(RECORDS, RECORDED_AS, strict=True)),
)
def test_any_record_can_be_captured(call, only, record, cls):
    event = call("capture", record)
    assert type(event) is cls
    assert (
        only() == event == record.to_event().model_copy(update={"captured_at": event.captured_at})
    )


def test_an_awaitable_hook_does_its_work_before_it_first_suspends(telemetry, only):
    coroutine = telemetry.capture_routing_outcome(task_id=TASK, success=True)
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    assert only() == done.value.value


# What they refuse, and where it goes


@pytest.mark.parametrize(
    ("name", "fields", "reason"),
    [
        ("capture_routing_outcome", {}, "task_id: Field required; success: Field required"),
        ("capture_routing_outcome", {"status": "pending"}, "status 'pending' says that the work"),
        ("capture_routing_outcome", {"status": "green"}, "status word 'green' unknown; known are"),
        (
            "capture_feedback",
            {"metadata": "text"},
            "metadata: Input should be a valid dict",
        ),
        (
            "capture_pool_execution_start",
            {"timestamp": datetime(2026, 3, 1)},
            "occurred_at: Input should have timezone info",
        ),
        (
            "capture_pool_execution_start",
            {"timestamp": datetime.max.replace(tzinfo=timezone(-timedelta(hours=12)))},
            "occurred_at: time must lie between 1970-01-01 and 2200-01-01",
        ),
        ("capture_pool_execution_start", {"timestamp": 0.5 - 1e9}, "occurred_at: time must lie"),
        ("capture_pool_execution_start", {"task_id": " "}, "ValueError: a task id needs at least"),
        (
            "capture_pool_execution_start",
            {"task_id": "\ud800"},
            "UnicodeEncodeError: 'utf-8' codec",
        ),
        (
            "capture_feedback",
            {"feedback_type": "x", "rating": 6},
            "rating: Input should be a whole",
        ),
        ("record_execution", {**EXECUTION, "timestamp": None}, "timestamp: Field required"),
        ("record_execution", {**EXECUTION, "success": None}, "success: Field required"),
    ],
)
def test_an_invalid_event_is_kept_in_quarantine_with_the_reason(
    call, refusal, name, fields, reason
):
    required = {"task_id": TASK} if fields else {}
    if name == "capture_routing_outcome" and fields:
        required["success"] = True
    if "status" in fields:
        del required["success"]
    assert call(name, {**required, **fields}) is None
    refused = refusal()
    assert refused.reason.startswith(reason)
    assert refused.claimed_type == {hook: cls.type_name for hook, cls, _ in HOOKS}[name]
    assert set(json.loads(refused.payload)) == {*required, *fields}


def test_a_refused_event_keeps_what_was_given_and_the_keywords(call, refusal):
    call("capture_feedback", {"task_id": TASK, "rating": 9}, feedback_type="x")
    assert json.loads(refusal().payload) == {
        "given": {"task_id": str(TASK), "rating": 9},
        "feedback_type": "x",
    }


def test_keywords_alone_are_kept_as_they_are(call, refusal):
    call("capture_feedback", task_id=TASK, rating=9)
    assert json.loads(refusal().payload) == {"task_id": str(TASK), "rating": 9}


@pytest.mark.parametrize("given", [None, 7, "text", [1], {"event_type": "pool_created"}])
def test_only_typed_events_and_records_can_be_captured_without_a_hook(call, refusal, given):
    assert call("capture", given) is None
    refused = refusal()
    assert refused.reason == (
        f"TypeError: expected a typed event or record, not {type(given).__name__}"
    )
    assert refused.claimed_type == type(given).__name__


@pytest.mark.parametrize(("name", "cls", "fields"), HOOKS)
def test_an_event_of_another_kind_is_refused(call, refusal, name, cls, fields):
    assert call(name, PoolCreated(pool_id="p")) is None
    assert refusal().reason == f"TypeError: expected a {cls.__name__}, not a PoolCreated"


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_of_another_kind_is_refused(call, refusal, record):
    assert call("capture_routing_outcome", record) is None
    assert refusal().reason.startswith("TypeError: expected a RoutingOutcome, not a ")


def test_a_record_that_was_broken_after_it_was_made_is_refused(call, refusal):
    record = FeedbackRecord(task_id=TASK, feedback_type="x")
    record.metadata["a"] = object()
    assert call("capture_feedback", record) is None
    assert "object" in refusal().reason


@pytest.mark.parametrize("way", ["keywords", "argument", "task data"])
def test_a_refusal_that_is_cut_keeps_its_ids(call, refusal, way):
    fields = {"comment": "long " * 20_000, "rating": 9, "user_id": "maria", "metadata": {}}
    fields["metadata"] = {"note": "n" * 40_000, "user_id": "ann"}
    if way == "keywords":
        call("capture_feedback", **fields)
    elif way == "argument":
        call("capture_feedback", fields)
    else:
        call("capture_routing_decision", {"task_data": fields, "complexity_score": 999})
    payload = refusal().payload
    assert len(payload) <= MAX_PAYLOAD_CHARACTERS
    assert '"user_id": "maria"' in payload
    assert way == "task data" or '"user_id": "ann"' in payload


class NoTruth(str):
    """A column of a host's query: it compares to no truth."""

    __slots__ = ()

    def __lt__(self, _: object) -> bool:
        raise TypeError("no order")

    def endswith(self, *_: object) -> bool:
        raise TypeError("no text")


class HashedOnce:
    """A key whose second hash fails."""

    left = 1

    def __hash__(self) -> int:
        self.left -= 1
        if self.left < 0:
            raise TypeError("no more")
        return 7


def test_odd_keys_are_refused_with_what_can_be_told_of_them(call, refusal):
    odd: dict[Any, Any] = {NoTruth("user_id"): "maria", HashedOnce(): 1, 5: 2, "rating": 9}
    odd["metadata"] = odd
    assert call("capture_feedback", odd) is None
    assert "maria" in refusal().payload


def test_a_refusal_of_very_many_fields_keeps_their_order(call, refusal):
    many = {f"name {number}": number for number in range(2_000)} | {"task_id": str(TASK)}
    assert call("capture_feedback", many) is None
    assert refusal().payload.startswith('{"name 0": 0, "name 1": 1, ')


def test_an_event_beyond_the_line_limit_is_refused_and_its_payload_cut(call, refusal):
    values = {"error": "x" * 8000, "metadata": {"a": ["x" * 8000] * 32}}
    assert call("capture_routing_outcome", task_id=TASK, success=True, **values) is None
    refused = refusal()
    assert refused.reason.endswith(f"bytes exceed the line limit of {MAX_LINE_BYTES}")
    assert len(refused.payload) == MAX_PAYLOAD_CHARACTERS


def test_the_longest_line_is_one_that_the_loader_reads(telemetry, home, whole_lines_in):
    def with_texts(last: int) -> RoutingOutcome:
        texts = [*["x" * 8000] * 31, "x" * 6000, "x" * last]
        return RoutingOutcome(**shortest.model_dump(exclude={"metadata"}), metadata={"a": texts})

    shortest = RoutingOutcome(task_id=TASK, success=True, error_message="x")
    room = MAX_LINE_BYTES - 1 - len(with_texts(0).to_line())
    longest = with_texts(room)
    assert telemetry.capture_sync(longest) is longest
    assert telemetry.capture_sync(with_texts(room + 1)) is None
    first, second = whole_lines_in(home.spool)
    assert len(first) == MAX_LINE_BYTES - 1
    assert parse_line(first) == longest
    assert isinstance(parse_line(second), InvalidEvent)


def test_the_worst_payload_and_reason_fit_a_line(call, refusal):
    class Chatty:
        def __init__(self) -> None:
            self.text = "\x00😀" * 100_000

        def __getattribute__(self, name: str) -> Any:
            if name == "__dict__":
                raise RuntimeError("\x00😀" * 1_000_000)
            return super().__getattribute__(name)

    assert call("capture_routing_outcome", Chatty(), note="\x00😀" * 100_000) is None
    refused = refusal()
    assert len(refused.reason) == MAX_REASON_CHARACTERS
    assert len(refused.to_line()) < MAX_LINE_BYTES


def test_an_error_that_cannot_spell_itself_is_named(call, refusal):
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    class Report(dict[str, Any]):
        def items(self) -> Any:
            raise MuteError

    assert call("capture_routing_outcome", Report(a=1)) is None
    assert refusal().reason == "MuteError"


def test_an_event_of_a_class_without_a_name_is_refused_as_unknown(call, refusal):
    assert call("capture", type("", (), {})()) is None
    assert refusal().claimed_type == "unknown"


def test_what_cannot_even_be_refused_is_dropped_and_counted(call, telemetry, home, caplog):
    class Nameless(type):
        @property
        def __name__(cls) -> str:
            raise RuntimeError

    assert call("capture", Nameless("x", (), {})()) is None
    assert telemetry.stats() == CaptureStats(0, 0, 1, 0)
    assert segment_names(home.spool) == []
    assert caplog.messages[0].startswith("event dropped, not even its refusal can be written")


def test_in_strict_mode_an_invalid_event_is_an_error(home):
    telemetry = Telemetry(home.root, strict=True)
    with pytest.raises(InvalidEventError) as caught:
        telemetry.capture_feedback_sync(TASK, feedback_type="x", rating=6)
    assert str(caught.value) == "Feedback: rating: Input should be a whole number from 1 to 5"
    with pytest.raises(InvalidEventError, match="expected a mapping or an object with fields"):
        asyncio.run(telemetry.capture_routing_outcome([1]))
    with pytest.raises(InvalidEventError, match="exceed the line limit"):
        texts = {"metadata": {"a": ["x" * 8000] * 32}}
        telemetry.capture_sync(TaskErased(task_id=TASK, reason="x" * 8000, **texts))
    assert not home.root.exists(), "nothing was written"
    assert telemetry.stats() == CaptureStats(0, 0, 0, 0)


def test_in_strict_mode_valid_events_are_captured_as_ever(home, events_in):
    with Telemetry(home.root, strict=True) as telemetry:
        event = telemetry.capture_feedback_sync(TASK, feedback_type="x", mood=math.nan)
    assert events_in(home.spool) == [event]
    assert event.metadata == {"mood": "nan"}


def test_in_strict_mode_a_failed_write_is_an_error(home):
    home.root.write_text("in the way")
    with pytest.raises(SpoolWriteError) as caught:
        Telemetry(home.root, strict=True).capture_sync(TaskErased(task_id=TASK))
    assert isinstance(caught.value, OrbLearningError)


# What the operating system refuses


@pytest.mark.parametrize("taken", ["", "spool"])
def test_an_unwritable_home_never_reaches_the_host(call, telemetry, home, caplog, taken):
    file = home.root / taken
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("in the way")
    assert call("capture_routing_outcome", task_id=TASK, success=True) is None
    assert call("capture_routing_outcome", task_id=TASK) is None
    assert telemetry.stats() == CaptureStats(0, 0, 2, 0)
    telemetry.close()
    assert caplog.messages[0].startswith(f"event dropped: cannot write to spool {home.spool}")

    file.unlink()
    assert call("capture_routing_outcome", task_id=TASK, success=True) is not None
    assert telemetry.stats().captured == 1


def test_a_home_that_no_system_can_spell_never_reaches_the_host(tmp_path):
    telemetry = Telemetry(tmp_path / "a\0b")
    assert telemetry.capture_sync(TaskErased(task_id=TASK)) is None
    assert telemetry.stats().dropped == 1


def test_a_full_disk_drops_and_counts_and_goes_on_when_there_is_room(
    telemetry, home, monkeypatch, whole_lines_in
):
    first = telemetry.capture_sync(TaskErased(task_id=TASK))

    def refuse(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        assert telemetry.capture_sync(TaskErased(task_id=TASK)) is None
        assert telemetry.capture_sync("not an event") is None
    last = telemetry.capture_sync(TaskErased(task_id=TASK))
    assert [parse_line(line) for line in whole_lines_in(home.spool)] == [first, last]
    assert (telemetry.stats().captured, telemetry.stats().dropped) == (2, 2)


@pytest.mark.parametrize("interval", [0, 1000])
def test_a_disk_that_cannot_be_synced_never_reaches_the_host(home, monkeypatch, caplog, interval):
    telemetry = Telemetry(home.root, fsync_interval_seconds=interval)
    telemetry.capture_sync(TaskErased(task_id=TASK))

    def refuse(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", refuse)
    captured = telemetry.capture_sync(TaskErased(task_id=TASK))
    assert (captured is None) is (interval == 0)
    telemetry.close()
    assert len(caplog.messages) == 1
    assert "Input/output error" in caplog.messages[0]


# The hooks as a whole


def test_the_counts_add_up_to_what_is_in_the_spool(telemetry, home, lines_in):
    assert telemetry.stats() == CaptureStats(0, 0, 0, 0)
    for _ in range(3):
        telemetry.capture_sync(TaskErased(task_id=TASK))
    telemetry.capture_sync("not an event")
    telemetry.capture_feedback_sync("ticket-ß", feedback_type="x")
    stats = telemetry.stats()
    assert (stats.captured, stats.quarantined, stats.dropped) == (4, 1, 0)
    assert stats.written_bytes == sum(len(line) + 1 for line in lines_in(home.spool))


def test_the_limits_of_a_segment_are_handed_to_the_spool(home):
    with Telemetry(home.root, max_segment_bytes=1) as telemetry:
        for _ in range(3):
            telemetry.capture_sync(TaskErased(task_id=TASK))
    assert len(segment_names(home.spool)) == 3


def test_hooks_are_closed_at_the_end_of_a_with_block_and_reopen(home, events_in):
    with Telemetry(home.root) as telemetry:
        telemetry.capture_sync(TaskErased(task_id=TASK))
    telemetry.close()
    telemetry.close()

    async def use() -> None:
        async with telemetry as same:
            assert same is telemetry
            await same.capture(TaskErased(task_id=TASK))

    asyncio.run(use())
    assert len(segment_names(home.spool)) == 2
    assert len(events_in(home.spool)) == 2


def test_making_hooks_touches_nothing(home):
    Telemetry(home.root).close()
    assert not home.root.exists()


def test_hooks_find_their_home_in_the_environment(monkeypatch, home, events_in):
    monkeypatch.setenv(HOME_VARIABLE, str(home.root))
    with Telemetry() as telemetry:
        telemetry.capture_sync(TaskErased(task_id=TASK))
    assert len(events_in(home.spool)) == 1


def test_everything_written_is_private_whatever_the_umask(telemetry, home):
    before = os.umask(0)
    try:
        telemetry.capture_sync(TaskErased(task_id=TASK))
    finally:
        os.umask(before)
    (segment,) = home.spool.iterdir()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (home.root, home.spool, segment)]
    assert modes == [0o700, 0o700, 0o600]


def test_warnings_are_held_back_for_a_minute(telemetry, monkeypatch, caplog):
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    for now in (1000.0, 1000.1, 1059.9, 1060.0, 1060.1):  # noqa: B007
        telemetry.capture_feedback_sync(TASK, rating=9)
    told = (
        "quarantined a feedback: feedback_type: Field required; rating: Input should be a whole "
        "number from 1 to 5 (further warnings are held back for a minute)"
    )
    assert caplog.messages == [told, told]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert telemetry.stats().quarantined == 5


def test_a_name_for_a_task_stands_beside_metadata_that_is_none(call):
    event = call("capture_routing_outcome", task_id="ticket-7", success=True, metadata=[1])
    assert event.metadata == {"task_ref": "ticket-7", "metadata": [1]}


def test_what_fails_after_an_event_is_stored_never_reaches_the_host(telemetry, only, caplog):
    def listener(_: object) -> None:
        raise RuntimeError

    telemetry._listeners = (listener,)
    assert telemetry.capture_routing_outcome_sync(task_id=TASK, success=True) == only()
    assert caplog.messages[0].startswith("cannot announce an event")
