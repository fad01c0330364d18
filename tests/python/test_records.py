"""Records: short to make, whole, and equal to themselves after any round trip."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orb_learning import ErrorType, ExecutionRecord, FeedbackRecord, QualityPolicy, SolutionRecord
from orb_learning._types import NAMESPACE, task_uuid
from orb_learning.errors import InvalidEventError
from orb_learning.events import (
    ExecutionRecorded,
    Feedback,
    QualityPolicyAdjusted,
    SolutionExtracted,
)

TASK = UUID("0198a3a0-0000-7000-8000-000000000001")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

RECORDS = [ExecutionRecord, SolutionRecord, FeedbackRecord, QualityPolicy]


def execution(**values: object) -> ExecutionRecord:
    return ExecutionRecord.model_validate(
        {
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
            "cost_estimate": 0.5,
            "actual_cost": 0.75,
            **values,
        }
    )


def solution(**values: object) -> SolutionRecord:
    return SolutionRecord.model_validate(
        {"task_context": "flaky", "solution_summary": "pin it", "success_rate": 0.9, **values}
    )


def policy(**values: object) -> QualityPolicy:
    return QualityPolicy.model_validate(
        {
            "repo": "acme/api",
            "project_maturity": "stable",
            "coverage_threshold": 0.8,
            "strictness_level": "standard",
            "adjustment_reason": "two incidents",
            **values,
        }
    )


@pytest.mark.parametrize("cls", RECORDS)
@given(data=st.data())
def test_a_record_survives_its_dict_and_json(values_of, cls, data):
    record = cls(**data.draw(values_of(cls)))
    values = record.to_dict()
    assert set(values) == set(cls.model_fields)
    assert cls.from_dict(values) == record
    restored = cls.from_dict(json.loads(json.dumps(values)))
    assert restored == record
    assert restored.to_dict() == values


@pytest.mark.parametrize("cls", RECORDS)
@given(data=st.data())
def test_a_record_becomes_an_event_with_the_same_fields(values_of, cls, data):
    record = cls(**data.draw(values_of(cls)))
    values = dict(record.to_event())
    for name, value in dict(record).items():
        if name in values:
            assert values[name] == (value or None if name == "metadata" else value)
        else:
            assert name in ("timestamp", "extracted_at", "last_adjusted")
            assert values["occurred_at"] == value


FIELDS_OF_THE_FIRST_RELEASE = [
    *("task_id", "timestamp", "task_type", "task_description", "repo", "file_count"),
    *("estimated_tokens", "model_tier", "pool_type", "swarm_topology", "routing_confidence"),
    *("complexity_score", "success", "duration_seconds", "quality_score", "cost_estimate"),
    *("actual_cost", "error_type", "error_message", "user_accepted", "user_rating"),
    *("peak_memory_mb", "cpu_time_seconds", "solution_summary", "metadata", "attempt"),
    *("policy_version", "propensity", "candidates"),
]
FULL = {
    "timestamp": datetime(2026, 3, 1, 14, 0, 0, 5, timezone(timedelta(hours=2))),
    "file_count": 3,
    "estimated_tokens": 1000,
    "swarm_topology": "mesh",
    "complexity_score": 70,
    "success": False,
    "duration_seconds": 1e-7,
    "quality_score": 60,
    "cost_estimate": 0,
    "actual_cost": 1e9,
    "error_type": "timeout",
    "error_message": 'said "no"\nand höflich 😀',
    "user_accepted": False,
    "user_rating": 2,
    "peak_memory_mb": 512.25,
    "cpu_time_seconds": 3,
    "solution_summary": "pin it",
    "metadata": {"a": [1, 2.5, None, True], "ü": "\u2028"},
    "attempt": 2,
    "policy_version": "p1",
    "propensity": 0.25,
    "candidates": {"small": 0.75, "large": 0.25},
}


@pytest.mark.parametrize(
    ("record", "event_id"),
    [
        (execution(), "28e1bfdb-5117-5a7b-80fa-f8b8b2b14225"),
        (execution(**FULL), "6867d445-61be-5787-9cd5-86559ee6445a"),
        (
            execution(
                task_id="ticket-7",
                error_type="own word",
                cost_estimate=1e-5,
                actual_cost=123456789.123,
            ),
            "0a54aed9-7d36-5b2e-b59a-b6934f625a0d",
        ),
        (
            solution(pattern_id=TASK, extracted_at=NOON, solution_summary="pin it"),
            "dc2d04fe-4419-513e-9d6b-de8489c7aab5",
        ),
        (
            FeedbackRecord(feedback_id=TASK, task_id=TASK, timestamp=NOON, feedback_type="x"),
            "4c2d40c7-6e01-5fb2-8d55-1f5296a1e4a9",
        ),
        (policy(policy_id=TASK, last_adjusted=NOON), "dd369614-f65d-5d09-82f7-ea47816367f9"),
    ],
)
def test_a_record_has_the_event_id_that_the_first_release_gave_it(record, event_id):
    assert str(record.to_event().event_id) == event_id


@given(data=st.data())
def test_the_id_of_an_execution_spells_its_fields_as_the_record_does(values_of, data):
    record = ExecutionRecord(**data.draw(values_of(ExecutionRecord)))
    later = ("duration_source", "task_group")
    names = [*FIELDS_OF_THE_FIRST_RELEASE, *(name for name in later if getattr(record, name))]
    fields = []
    for name in names:
        # What was not said had these values in the first release.
        unsaid = {"file_count": 0, "estimated_tokens": 0, "complexity_score": 50}.get(name)
        spelled = record.model_dump_json(include={name})[1:-1]
        is_unsaid = getattr(record, name) is None and unsaid is not None
        fields.append(f'"{name}":{unsaid}' if is_unsaid else spelled)
    spelled = f"ExecutionRecord {{{','.join(fields)}}}"
    assert record.to_event().event_id == uuid5(NAMESPACE, spelled)


def test_a_field_of_a_later_release_is_part_of_an_id_only_where_it_is_set():
    alone, grouped = execution(), execution(task_group="bench/1")
    assert grouped._spelled() == f'{alone._spelled()[:-1]},"task_group":"bench/1"}}'
    assert grouped.to_event().event_id != alone.to_event().event_id
    assert grouped.to_event().task_group == "bench/1"


def test_a_short_solution_record_works_by_defaults():
    record = SolutionRecord(task_context="flaky", solution_summary="pin it", success_rate=0.9)
    assert record.usage_count == 1
    assert record.repos_used_in == []
    assert record.embedding is None
    assert record.pattern_id.version == 7
    assert record.extracted_at.tzinfo is UTC
    assert type(record.to_event()) is SolutionExtracted


def test_a_short_feedback_record_works_by_defaults():
    record = FeedbackRecord(task_id=TASK, feedback_type="thumbs_up", rating=5)
    assert record.comment is None
    assert record.user_id is None
    assert record.metadata == {}
    assert record.feedback_id.version == 7
    assert type(record.to_event()) is Feedback


def test_a_short_quality_policy_works_by_defaults():
    record = QualityPolicy(
        repo="acme/api",
        project_maturity="new",
        coverage_threshold=0.5,
        strictness_level="lenient",
        adjustment_reason="young project",
    )
    assert record.policy_id.version == 7
    assert record.last_adjusted.tzinfo is UTC
    assert type(record.to_event()) is QualityPolicyAdjusted


def test_a_short_execution_record_works_by_defaults():
    record = ExecutionRecord(
        task_type="refactor",
        task_description="split the parser",
        repo="acme/api",
        model_tier="large",
        pool_type="swarm",
        routing_confidence=0.8,
        success=False,
        duration_seconds=1,
        cost_estimate=0,
        actual_cost=0,
    )
    assert isinstance(record.task_id, UUID)
    assert record.timestamp.tzinfo is UTC
    assert record.complexity_score is None
    assert (record.file_count, record.estimated_tokens, record.metadata) == (None, None, {})
    assert type(record.to_event()) is ExecutionRecorded


@pytest.mark.parametrize("make", [execution, solution, policy])
def test_two_records_share_no_mutable_default(make):
    one, other = make(), make()
    for name, value in dict(one).items():
        if isinstance(value, list | dict):
            assert value is not getattr(other, name)


@pytest.mark.parametrize("name", ["duration_seconds", "cost_estimate", "actual_cost"])
def test_an_execution_record_states_its_duration_and_both_costs(name):
    with pytest.raises(ValidationError, match=name):
        execution(**{name: None})


def test_a_dict_that_breaks_the_contract_is_refused_with_each_fault():
    values = execution().to_dict() | {"user_rating": 6, "colour": "red"}
    with pytest.raises(InvalidEventError) as caught:
        ExecutionRecord.from_dict(values)
    assert str(caught.value) == (
        "user_rating: Input should be a whole number from 1 to 5; "
        "colour: Extra inputs are not permitted"
    )


def test_a_record_stays_valid_when_it_is_changed():
    record = execution()
    record.user_rating = 4
    with pytest.raises(ValidationError, match="user_rating"):
        record.user_rating = 6
    assert record.user_rating == 4


def test_what_an_assignment_cannot_see_is_refused_when_the_record_is_captured():
    record = execution()
    record.metadata["a"] = object()
    with pytest.raises(ValueError, match="object"):
        record.to_event()


def test_times_are_kept_as_utc():
    local = datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    record = execution(timestamp=local)
    assert record.timestamp == NOON
    assert record.to_dict()["timestamp"] == "2026-03-01T12:00:00Z"


def test_ids_are_strings_in_a_dict():
    assert execution().to_dict()["task_id"] == str(TASK)


@pytest.mark.parametrize("error_type", list(ErrorType))
def test_error_types_are_recognised_by_their_words(error_type):
    record = execution(success=False, error_type=error_type.value)
    assert record.error_type is error_type
    assert ExecutionRecord.from_dict(record.to_dict()).error_type is error_type


def test_other_words_for_an_error_are_kept():
    record = execution(success=False, error_type="out of tokens")
    assert record.error_type == "out of tokens"
    assert ExecutionRecord.from_dict(record.to_dict()) == record


@pytest.mark.parametrize(
    "make", [execution, lambda **values: FeedbackRecord(feedback_type="x", **values)]
)
def test_a_hosts_own_task_id_maps_to_one_uuid_and_stays_in_the_metadata(make):
    one, other = make(task_id="ticket-7"), make(task_id="ticket-7", metadata={"a": 1})
    assert one.task_id == other.task_id == task_uuid("ticket-7")
    assert one.metadata == {"task_ref": "ticket-7"}
    assert other.metadata == {"task_ref": "ticket-7", "a": 1}
    assert type(one).from_dict(one.to_dict()) == one
    assert one.to_event().metadata == {"task_ref": "ticket-7"}


@pytest.mark.parametrize("reference", ["", "  ", "\ud800"])
def test_a_task_id_that_names_nothing_is_refused(reference):
    with pytest.raises(ValidationError):
        execution(task_id=reference)
    with pytest.raises(ValidationError):
        FeedbackRecord(task_id=reference, feedback_type="x")


def test_the_embedding_content_says_everything_that_makes_executions_alike():
    record = execution(swarm_topology="mesh", solution_summary="extracted a lexer")
    assert record.calculate_embedding_content() == (
        "type: refactor | task: split the parser | repo: acme/api | tier: large | pool: swarm"
        " | topology: mesh | success: true | solution: extracted a lexer"
    )


def test_the_embedding_content_leaves_out_what_is_not_set():
    assert execution(success=False).calculate_embedding_content() == (
        "type: refactor | task: split the parser | repo: acme/api | tier: large | pool: swarm"
        " | success: false"
    )


@pytest.mark.parametrize(
    ("estimate", "actual", "percent", "absolute"),
    [(0.5, 0.75, 50, 0.25), (1, 0.25, 75, 0.75), (2, 2, 0, 0), (0, 3, 0, 3), (0, 0, 0, 0)],
)
def test_the_prediction_error_is_relative_to_the_estimate(estimate, actual, percent, absolute):
    record = execution(cost_estimate=estimate, actual_cost=actual)
    assert record.calculate_prediction_error() == {
        "cost_error_pct": percent,
        "cost_error_abs": absolute,
    }


def test_empty_metadata_is_null_in_the_event():
    assert execution().to_event().metadata is None
    assert FeedbackRecord(task_id=TASK, feedback_type="x").to_event().metadata is None
    assert execution(metadata={"a": 1}).to_event().metadata == {"a": 1}


def test_feedback_happened_when_its_record_says():
    record = FeedbackRecord(task_id=TASK, feedback_type="x", timestamp=NOON)
    assert record.to_event().occurred_at == NOON


def test_a_time_that_nobody_gave_is_marked_whatever_is_added(telemetry):
    given = execution()
    made = ExecutionRecord(**{k: v for k, v in dict(given).items() if k != "timestamp"})
    assert given.to_event().timestamp_source is None
    assert made.to_event().timestamp_source == "captured"
    assert made.to_event().occurred_at == made.timestamp
    added = telemetry.record_execution_sync(made, solution_summary="cache it")
    assert (added.timestamp_source, added.solution_summary) == ("captured", "cache it")
    assert telemetry.record_execution_sync(given, repo="b").timestamp_source is None
