"""The line format: what is written can be read back exactly, and nothing else can be read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orb_learning.errors import InvalidEventError, OrbLearningError, PermanentError
from orb_learning.events import (
    EVENT_TYPES,
    SCHEMA_VERSION,
    Event,
    Feedback,
    InvalidEvent,
    PoolCreated,
    RoutingDecision,
    TaskErased,
    content_hash,
    parse_line,
)

TASK = UUID("0198a3a0-0000-7000-8000-000000000001")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

KINDS = [*EVENT_TYPES.values(), InvalidEvent]


def pool_created(**values: object) -> PoolCreated:
    fixed = {"event_id": TASK, "occurred_at": NOON, "captured_at": NOON, "pool_id": "pool-1"}
    return PoolCreated.model_validate({**fixed, **values})


@pytest.mark.parametrize("cls", KINDS)
@given(data=st.data())
def test_an_event_survives_its_line_and_its_dict(values_of, cls, data):
    event = cls(**data.draw(values_of(cls)))

    line = event.to_line()
    assert b"\n" not in line
    assert parse_line(line) == event
    assert parse_line(line).to_line() == line, "the spelling is canonical"

    values = event.to_dict()
    assert json.loads(json.dumps(values)) == values
    assert cls.from_dict(json.loads(json.dumps(values))) == event
    assert None not in values.values()


def test_the_line_of_an_event_is_its_fields_in_a_fixed_order():
    assert (
        pool_created(metadata={"ß": [1, None]}).to_line()
        == (
            '{"event_id":"0198a3a0-0000-7000-8000-000000000001","schema_version":1,'
            '"occurred_at":"2026-03-01T12:00:00Z","captured_at":"2026-03-01T12:00:00Z",'
            '"metadata":{"ß":[1,null]},"event_type":"pool_created","pool_id":"pool-1",'
            '"pool_type":null}'
        ).encode()
    )


TOLD = {
    "metadata": {"a": 1},
    "task_id": TASK,
    "attempt": 2,
    "success": False,
    "duration_seconds": 1.5,
    "quality_score": 60,
    "cost_estimate": 0.5,
    "actual_cost": 0.25,
    "error_type": "timeout",
    "error_message": "late",
    "peak_memory_mb": 512.0,
    "cpu_time_seconds": 2.0,
    "solution_summary": "pin it",
    "timestamp": NOON,
    "task_type": "refactor",
    "task_description": "split",
    "repo": "acme/api",
    "file_count": 3,
    "estimated_tokens": 1000,
    "model_tier": "large",
    "pool_type": "swarm",
    "pool_id": "p",
    "swarm_topology": "mesh",
    "routing_confidence": 0.5,
    "complexity_score": 70,
    "policy_version": "p1",
    "propensity": 0.25,
    "candidates": {"small": 0.75, "large": 0.25},
    "user_accepted": False,
    "user_rating": 2,
}


@pytest.mark.parametrize(
    ("kind", "identity"),
    [
        ("routing_decision", "428111e321a3a55e08df7d547268ae04"),
        ("routing_outcome", "e9e2c1279e2199c34e343d44e2ba26c8"),
        ("pool_execution_start", "906bb6c5fd27df4eb51e0d2a5c2ef768"),
        ("pool_execution_complete", "954a42c8675538ba67d0631e732d77a0"),
        ("task_completed", "7b6eecd4197354c4085c639ef8c098ff"),
        ("execution_recorded", "be22d575c4c14806f94585262999cedc"),
    ],
)
def test_an_event_about_a_task_has_the_identity_that_the_first_release_gave_it(kind, identity):
    cls = EVENT_TYPES[kind]
    values = {name: value for name, value in TOLD.items() if name in cls.model_fields}
    event = cls(event_id=TASK, occurred_at=NOON, captured_at=NOON, **values)
    assert content_hash(event.to_line()) == identity


def test_every_event_type_is_named_after_what_it_says_in_its_lines():
    assert list(EVENT_TYPES) == [
        "routing_decision",
        "routing_outcome",
        "pool_execution_start",
        "pool_execution_complete",
        "task_completed",
        "execution_recorded",
        "pool_created",
        "pool_closed",
        "feedback",
        "solution_extracted",
        "quality_policy_adjusted",
        "task_erased",
        "user_erased",
        "import_undone",
    ]
    for name, cls in EVENT_TYPES.items():
        assert cls.type_name == name == cls.model_fields["event_type"].default
    assert InvalidEvent.type_name == "invalid_event"


def test_an_event_gets_an_id_and_the_time_by_itself():
    before = datetime.now(UTC)
    first, second = PoolCreated(pool_id="p"), PoolCreated(pool_id="p")
    assert first.event_id < second.event_id
    assert before <= first.occurred_at <= first.captured_at <= datetime.now(UTC)


def test_an_event_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        pool_created().pool_id = "other"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"", "Invalid JSON: EOF"),
        (b"{", "Invalid JSON: EOF"),
        (b'{"event_type":"pool_created","pool_id":"\xff"}', "Invalid JSON: invalid unicode"),
        (b"null", "Input should be an object"),
        (b"[]", "Input should be an object"),
        (b"{}", "Unable to extract tag using discriminator 'event_type'"),
        (b'{"event_type":"coffee_made"}', "Input tag 'coffee_made' found"),
        (b'{"event_type":"pool_created"}', "pool_id: Field required"),
        (
            b'{"event_type":"pool_created","pool_id":"p","colour":1}',
            "colour: Extra inputs are not permitted",
        ),
        (
            b'{"event_type":"pool_created","pool_id":"p","occurred_at":"2026-03-01T12:00:00"}',
            "occurred_at: Input should have timezone info",
        ),
        (
            b'{"event_type":"pool_created","pool_id":"p","occurred_at":"1969-12-31T00:00:00Z"}',
            "occurred_at: time must lie between 1970-01-01 and 2200-01-01",
        ),
        (
            b'{"event_type":"feedback","task_id":"ticket-7","feedback_type":"x"}',
            "task_id: Input should be a valid UUID",
        ),
        (
            b'{"event_type":"pool_created","pool_id":"p","metadata":{"a":NaN}}',
            "metadata: a number is not finite",
        ),
        (
            b'{"event_type":"pool_created","pool_id":"p","metadata":'
            + b'{"a":' * 70
            + b"1"
            + b"}" * 71,
            "metadata: contains itself or is nested over 64 levels deep",
        ),
    ],
)
def test_a_line_that_is_no_event_is_refused_with_its_fault(line, fault):
    with pytest.raises(InvalidEventError) as caught:
        parse_line(line)
    assert str(caught.value).startswith(fault)


def test_a_line_from_a_newer_release_says_what_to_do():
    line = b'{"event_type":"pool_created","pool_id":"p","schema_version":2}'
    with pytest.raises(InvalidEventError) as caught:
        parse_line(line)
    assert str(caught.value) == (
        "schema_version: schema version 2 is newer than the 1 this release reads; "
        "upgrade orb-learning"
    )
    assert SCHEMA_VERSION == 1


def test_a_line_of_an_older_release_may_lack_fields_that_have_defaults():
    event = parse_line(b'{"event_type":"pool_created","pool_id":"p"}')
    assert isinstance(event, PoolCreated)
    assert event.schema_version == 1


def test_a_fault_list_names_at_most_five_fields():
    with pytest.raises(InvalidEventError) as caught:
        RoutingDecision.from_dict(
            {
                "task_id": str(TASK),
                "task_type": "",
                "repo": "",
                "model_tier": "",
                "complexity_score": 101,
                "propensity": 0,
                "routing_confidence": 2,
                "file_count": -1,
            }
        )
    assert str(caught.value).count(";") == 4
    assert str(caught.value).startswith("task_type: String should have at least 1 character; repo:")
    assert str(caught.value).endswith("(and 2 more)")


def test_a_fault_list_of_five_is_complete():
    with pytest.raises(InvalidEventError) as caught:
        RoutingDecision.from_dict({"file_count": -1})
    assert "more)" not in str(caught.value)
    assert str(caught.value).count(";") == 4


def test_a_fault_is_told_in_one_line_and_without_the_value():
    with pytest.raises(InvalidEventError) as caught:
        Feedback.from_dict({"task_id": "secret\nthing", "feedback_type": "x"})
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_invalid_event_is_a_permanent_error_of_this_package():
    assert issubclass(InvalidEventError, PermanentError)
    assert issubclass(PermanentError, OrbLearningError)


def test_a_dict_of_another_kind_of_event_is_refused():
    with pytest.raises(InvalidEventError, match="event_type"):
        TaskErased.from_dict(Feedback(task_id=TASK, feedback_type="x").to_dict())


def test_the_base_of_all_events_has_no_name_of_its_own():
    assert not hasattr(Event, "type_name")


def test_the_content_of_an_event_does_not_depend_on_when_it_was_captured():
    later = pool_created(captured_at=NOON + timedelta(seconds=1))
    assert content_hash(pool_created().to_line()) == content_hash(later.to_line())


@pytest.mark.parametrize(
    "values",
    [
        {"event_id": UUID(int=1)},
        {"occurred_at": NOON + timedelta(microseconds=1)},
        {"metadata": {}},
        {"metadata": {"captured_at": "2026-03-01T12:00:00Z", "a": 1}},
        {"pool_id": "pool-2"},
        {"pool_type": "swarm"},
    ],
)
def test_every_other_field_is_part_of_the_content(values):
    assert content_hash(pool_created().to_line()) != content_hash(pool_created(**values).to_line())


def test_a_captured_at_in_the_metadata_is_part_of_the_content():
    one, other = (pool_created(metadata={"captured_at": when, "b": 1}) for when in "12")
    assert content_hash(one.to_line()) != content_hash(other.to_line())


def test_a_null_is_no_content_so_that_a_field_may_be_added():
    line = pool_created(metadata={"text": 'a,"b":null}'}).to_line()
    assert line.endswith(b',"pool_type":null}')
    assert content_hash(line) == content_hash(line.replace(b',"pool_type":null', b""))
    assert content_hash(line) == content_hash(line[:-1] + b',"added":null}')
    assert content_hash(line) != content_hash(line[:-1] + b',"added":0}')
    assert content_hash(line) != content_hash(line.replace(b',\\"b\\":null', b""))


def test_a_content_hash_is_128_bits_in_hex():
    assert len(bytes.fromhex(content_hash(pool_created().to_line()))) == 16


def test_the_message_of_an_error_is_one_line_that_commands_no_terminal():
    error = InvalidEventError("bad \x1b[2J\n\x9b31m ü")
    assert str(error) == "bad \\x1b[2J\\n\\x9b31m ü"
    assert f"{error}" == str(error)
