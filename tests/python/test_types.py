"""The bounds of every field of every event and record, and the ids that stand for tasks."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from orb_learning import ErrorType, ExecutionRecord, FeedbackRecord, QualityPolicy, SolutionRecord
from orb_learning._coercion import EARLIEST, LATEST
from orb_learning._types import (
    MAX_INT,
    MAX_METADATA_CHARACTERS,
    MAX_METADATA_DEPTH,
    MAX_METADATA_INT_BITS,
    MAX_REAL,
    NAMESPACE,
    new_id,
    task_uuid,
    utc_now,
    uuid_text_differs,
    with_task_uuid,
)
from orb_learning.errors import InvalidEventError
from orb_learning.events import (
    EVENT_TYPES,
    ExecutionRecorded,
    Feedback,
    ImportUndone,
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
    UserErased,
    parse_line,
)
from orb_learning.spool import MAX_LINE_BYTES

TASK = uuid.UUID("0198a3a0-0000-7000-8000-000000000001")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)

EXECUTION = {"task_type": "refactor", "repo": "acme/api", "model_tier": "large", "success": True}
SOLUTION = {"task_context": "flaky test", "solution_summary": "pin the seed", "success_rate": 0.9}
POLICY = {
    "repo": "acme/api",
    "project_maturity": "stable",
    "coverage_threshold": 0.8,
    "strictness_level": "standard",
    "adjustment_reason": "two incidents",
}

REQUIRED: dict[type[BaseModel], dict[str, Any]] = {
    RoutingDecision: {
        "task_id": TASK,
        "task_type": "refactor",
        "repo": "acme/api",
        "model_tier": "large",
    },
    RoutingOutcome: {"task_id": TASK, "success": True},
    PoolExecutionStart: {"task_id": TASK},
    PoolExecutionComplete: {"task_id": TASK, "success": True},
    TaskCompleted: {"task_id": TASK, "success": True},
    ExecutionRecorded: {"task_id": TASK, "timestamp": NOON, **EXECUTION},
    PoolCreated: {"pool_id": "pool-1"},
    PoolClosed: {"pool_id": "pool-1"},
    Feedback: {"task_id": TASK, "feedback_type": "thumbs_up"},
    SolutionExtracted: SOLUTION,
    QualityPolicyAdjusted: POLICY,
    TaskErased: {"task_hash": "0" * 64},
    UserErased: {"user_hash": "f" * 64},
    ImportUndone: {"import_hash": "f" * 64},
    InvalidEvent: {"claimed_type": "feedback", "reason": "rating: missing", "payload": "{}"},
    ExecutionRecord: {
        **EXECUTION,
        "task_description": "split the parser",
        "pool_type": "swarm",
        "duration_seconds": 2.5,
        "cost_estimate": 1,
        "actual_cost": 2,
    },
    SolutionRecord: SOLUTION,
    FeedbackRecord: {"task_id": TASK, "feedback_type": "thumbs_up"},
    QualityPolicy: POLICY,
}

RECORDS = (ExecutionRecord, SolutionRecord, FeedbackRecord, QualityPolicy)

NULLABLE_OUTCOME = {
    "attempt",
    "quality_score",
    "error_type",
    "error_message",
    "peak_memory_mb",
    "cpu_time_seconds",
    "solution_summary",
    "duration_source",
}
NULLABLE_COST = {"duration_seconds", "cost_estimate", "actual_cost"}
NULLABLE_ROUTING = {
    "swarm_topology",
    "file_count",
    "estimated_tokens",
    "complexity_score",
    "routing_confidence",
    "policy_version",
    "propensity",
    "candidates",
    "task_group",
}
NULLABLE_DESCRIPTION = {"task_description", "pool_type"}
NULLABLE_POOL = {"pool_id", "pool_type", "swarm_topology"}

NULLABLE: dict[type[BaseModel], set[str]] = {
    RoutingDecision: {
        "attempt",
        "cost_estimate",
        *NULLABLE_DESCRIPTION,
        *NULLABLE_ROUTING,
    },
    RoutingOutcome: NULLABLE_OUTCOME | NULLABLE_COST | {"decision_id"},
    PoolExecutionStart: {"attempt", "decision_id", *NULLABLE_POOL},
    PoolExecutionComplete: {"decision_id", *NULLABLE_OUTCOME, *NULLABLE_COST, *NULLABLE_POOL},
    TaskCompleted: NULLABLE_OUTCOME | NULLABLE_COST | {"decision_id", "pool_id", "pool_type"},
    ExecutionRecorded: {
        "decision_id",
        "import_id",
        "timestamp_source",
        "user_accepted",
        "user_rating",
        *NULLABLE_OUTCOME,
        *NULLABLE_COST,
        *NULLABLE_DESCRIPTION,
        *NULLABLE_ROUTING,
    },
    PoolCreated: {"pool_type"},
    PoolClosed: {"pool_type", "reason"},
    Feedback: {"attempt", "rating", "comment", "user_id"},
    SolutionExtracted: {"embedding"},
    QualityPolicyAdjusted: set(),
    TaskErased: {"reason"},
    UserErased: {"reason"},
    ImportUndone: {"reason"},
    InvalidEvent: {"import_id"},
    ExecutionRecord: {
        "user_accepted",
        "user_rating",
        *NULLABLE_OUTCOME,
        *NULLABLE_ROUTING,
    },
    SolutionRecord: {"embedding"},
    FeedbackRecord: {"rating", "comment", "user_id"},
    QualityPolicy: set(),
}


class Whole:
    """A whole number of numpy's kind."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value

    def __float__(self) -> float:
        return float(self.value)


class Flag(Whole):
    """True, as numpy has it."""

    def __init__(self) -> None:
        super().__init__(1)


Flag.__name__ = "bool_"

Bounds = tuple[list[Any], list[Any]]

NO_NUMBER: list[Any] = [
    math.nan,
    math.inf,
    -math.inf,
    "many",
    [],
    {},
    b"\xff",
    object(),
    True,
    False,
]


def integers(least: int, most: int) -> Bounds:
    return [least, most], [least - 1, most + 1, 1.5, 10**400, -(10**5000), *NO_NUMBER]


def reals(least: float, most: float) -> Bounds:
    outside = [math.nextafter(least, -math.inf), math.nextafter(most, math.inf)]
    return [least, most], [*outside, 10**400, "nan", *NO_NUMBER]


ID: Bounds = ([TASK, uuid.UUID(int=0)], ["ticket-7", "", 7, b"x", object()])
TIME: Bounds = (
    [EARLIEST, LATEST - TICK],
    [
        EARLIEST - TICK,
        LATEST,
        datetime(2026, 3, 1, 12),
        "2026-03-01T12:00:00",
        "2026-03-01",
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=12))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=12))),
        math.nan,
        math.inf,
        10**400,
        True,
        "soon",
        object(),
    ],
)
COUNT = integers(0, MAX_INT)
SCORE = integers(0, 100)
RATING = integers(1, 5)
FRACTION = reals(0, 1)
AMOUNT = reals(0, MAX_REAL)
TEXT: Bounds = (["x", " ", "ß" * 5000, "\0"], ["", 7, [], "\ud800", object()])
OPTIONAL_TEXT: Bounds = (["x", " x "], [7, [], "\ud800", object()])
FLAG: Bounds = ([True, False], ["maybe", 2, 0.5, [], object()])

BOUNDS: dict[str, Bounds] = {
    **dict.fromkeys(
        ("event_id", "task_id", "feedback_id", "pattern_id", "policy_id", "decision_id"), ID
    ),
    "duration_source": (["measured"], ["", "guessed", 7, [], object()]),
    "timestamp_source": (["captured"], ["", "given", 7, [], object()]),
    **dict.fromkeys(
        ("occurred_at", "captured_at", "timestamp", "extracted_at", "last_adjusted"), TIME
    ),
    **dict.fromkeys(
        ("task_hash", "user_hash", "import_hash"),
        (["0" * 64, "f" * 64], ["", "0" * 63, "0" * 65, "G" * 64, 7]),
    ),
    **dict.fromkeys(("file_count", "estimated_tokens", "usage_count"), COUNT),
    **dict.fromkeys(("complexity_score", "quality_score"), SCORE),
    **dict.fromkeys(("rating", "user_rating"), RATING),
    **dict.fromkeys(("routing_confidence", "success_rate", "coverage_threshold"), FRACTION),
    **dict.fromkeys((*NULLABLE_COST, "peak_memory_mb", "cpu_time_seconds"), AMOUNT),
    **dict.fromkeys(("success", "user_accepted"), FLAG),
    **dict.fromkeys(("task_type", "task_description", "repo", "model_tier", "pool_type"), TEXT),
    **dict.fromkeys(("feedback_type", "task_context", "adjustment_reason", "claimed_type"), TEXT),
    **dict.fromkeys(("swarm_topology", "error_message", "policy_version"), OPTIONAL_TEXT),
    **dict.fromkeys(("task_group", "comment", "user_id", "import_id"), OPTIONAL_TEXT),
    "schema_version": ([1], [0, -1, 2, 1.5, *NO_NUMBER]),
    "attempt": integers(1, MAX_INT),
    "propensity": ([math.ulp(0), 1], [0, -1, math.nextafter(1, 2), *NO_NUMBER]),
    "error_type": ([*ErrorType, "out of tokens"], ["", 7, object()]),
    "solution_summary": (["x"], [7, [], "\ud800", object()]),
    "pool_id": (["x"], [7, [], "\ud800", object()]),
    "reason": (["x"], [7, [], "\ud800", object()]),
    "payload": (["", "x"], [7, [], object()]),
    "project_maturity": (["new", "stable", "mature"], ["old", "", "New", 7]),
    "strictness_level": (["lenient", "standard", "strict"], ["harsh", "", "Strict", 7]),
    "repos_used_in": ([[], ["a", "b"]], [[""], [7], "a", {"a": 1}]),
    "embedding": (
        [[0.0] * 384, [-1.5] * 384],
        [
            [],
            [0.0] * 383,
            [0.0] * 385,
            [math.nan] * 384,
            [math.inf] * 384,
            ["x"] * 384,
            "x" * 384,
            [True] * 384,
        ],
    ),
    "candidates": (
        [{}, {"small": 1.0}, {"small": 0.25, "large": 0.75}, {"a": 0.1, "b": 0.9 + 5e-7}],
        [
            {"small": 0.5},
            {"small": 0.5, "large": 0.6},
            {"small": 1.5, "large": -0.5},
            {"": 1.0},
            {"small": True},
            {"small": math.nan},
            ["small"],
        ],
    ),
    "metadata": (
        [{}, {"a": None, "b": [1, 0.5, "x", True, {"c": {}}]}, {"n": 2**1023 - 1}],
        [
            [],
            "x",
            7,
            {1: "x"},
            {"a": math.nan},
            {"a": math.inf},
            {"a": (1, 2)},
            {"a": {1}},
            {"a": b"x"},
            {"a": NOON},
            {"a": "\ud800"},
            {"\ud800": 1},
            {"a": 2**1023},
            {"a": -(2**1023)},
            {"a": 10**5000},
            {"a": object()},
        ],
    ),
    "event_type": ([], ["", "something_else", 7]),
}

FIELDS = [
    pytest.param(cls, name, id=f"{cls.__name__}.{name}")
    for cls in REQUIRED
    for name in cls.model_fields
]


def make(cls: type[BaseModel], **values: Any) -> BaseModel:
    return cls(**{**REQUIRED[cls], **values})


def refuses(cls: type[BaseModel], **values: Any) -> bool:
    try:
        make(cls, **values)
    except ValidationError as error:
        named = {str(fault["loc"][0]) for fault in error.errors(include_input=False)}
        assert named == set(values), "the error names the field"
        return True
    return False


def test_every_kind_of_event_is_tested_here():
    assert set(REQUIRED) == {*EVENT_TYPES.values(), InvalidEvent, *RECORDS}


@pytest.mark.parametrize("cls", REQUIRED)
def test_what_is_required_is_enough_and_nothing_of_it_can_be_left_out(cls):
    values = REQUIRED[cls]
    cls(**values)
    for name in values:
        with pytest.raises(ValidationError, match="Field required"):
            cls(**{key: value for key, value in values.items() if key != name})


@pytest.mark.parametrize(("cls", "name"), FIELDS)
def test_a_field_takes_both_ends_of_its_bounds(cls, name):
    for value in BOUNDS[name][0]:
        assert getattr(make(cls, **{name: value}), name) == value


@pytest.mark.parametrize(("cls", "name"), FIELDS)
def test_a_field_refuses_what_lies_beyond_its_bounds(cls, name):
    for value in BOUNDS[name][1]:
        if name == "task_id" and cls in RECORDS:
            continue  # records take any reference; see test_records
        assert refuses(cls, **{name: value}), f"{type(value).__name__} was accepted"


@pytest.mark.parametrize(("cls", "name"), FIELDS)
def test_a_field_is_null_only_where_nobody_may_know_it(cls, name):
    nullable = name in NULLABLE[cls] or (name == "metadata" and cls not in RECORDS)
    if name == "task_id" and cls in RECORDS:
        nullable = False
    assert refuses(cls, **{name: None}) is not nullable


@pytest.mark.parametrize(("cls", "name"), FIELDS)
def test_blank_text_is_unknown_where_unknown_is_allowed(cls, name):
    if BOUNDS[name] is OPTIONAL_TEXT:
        for blank in ("", " ", "\n\t"):
            assert getattr(make(cls, **{name: blank}), name) is None


def test_a_reported_duration_is_the_same_fact_as_before_it_had_a_source():
    said = make(RoutingOutcome, duration_seconds=1, duration_source="reported")
    assert said.duration_source is None


@pytest.mark.parametrize("cls", REQUIRED)
def test_an_unknown_field_is_refused(cls):
    assert refuses(cls, colour="red")


@pytest.mark.parametrize("cls", [RoutingOutcome, PoolExecutionComplete, TaskCompleted])
@pytest.mark.parametrize("name", ["pool_id", "solution_summary"])
def test_a_blank_name_in_an_outcome_is_unknown(cls, name):
    if name in cls.model_fields:
        assert getattr(make(cls, **{name: " "}), name) is None


@pytest.mark.parametrize("cls", [PoolCreated, PoolClosed])
def test_a_pool_event_names_its_pool(cls):
    assert refuses(cls, pool_id="")


@pytest.mark.parametrize("cls", [SolutionExtracted, SolutionRecord])
def test_a_solution_has_a_summary(cls):
    assert refuses(cls, solution_summary="")


def test_times_of_other_zones_are_converted_to_utc():
    offset = timezone(timedelta(hours=5, minutes=45))
    event = PoolCreated(pool_id="p", occurred_at=datetime(2026, 3, 1, 1, tzinfo=offset))
    assert event.occurred_at == datetime(2026, 2, 28, 19, 15, tzinfo=UTC)
    assert event.occurred_at.tzinfo is UTC or event.occurred_at.utcoffset() == timedelta(0)
    assert event.to_dict()["occurred_at"] == "2026-02-28T19:15:00Z"


def test_the_bounds_of_time_are_those_of_utc():
    late = timezone(timedelta(hours=14))
    assert refuses(PoolCreated, occurred_at=datetime(1970, 1, 1, tzinfo=late))
    assert not refuses(PoolCreated, occurred_at=datetime(2200, 1, 1, tzinfo=late))


def test_a_time_may_be_a_string_with_an_offset_or_seconds_since_1970():
    event = PoolCreated(pool_id="p", occurred_at="2026-03-01T13:00:00+01:00", captured_at=1.5)
    assert event.occurred_at == NOON
    assert event.captured_at == EARLIEST + timedelta(seconds=1.5)


@pytest.mark.parametrize("parts", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("spelled", [int, str, Decimal, float, lambda n: f" {n}.0 ", Whole])
def test_a_number_as_time_counts_from_1970_by_its_size(parts, spelled):
    said = 1_772_366_400 * parts
    assert make(PoolCreated, occurred_at=spelled(said)).occurred_at == NOON


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        (0, EARLIEST),
        (7_258_118_399, LATEST - timedelta(seconds=1)),
        (7_258_118_399_999, LATEST - timedelta(milliseconds=1)),
        (10**11, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
        (10**14, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
        (10**17, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
        (1_772_366_400_123_456_789, NOON + timedelta(microseconds=123_457)),
        (1_772_366_400.25, NOON + timedelta(seconds=0.25)),
        ("1772366400.123456", NOON + timedelta(microseconds=123_456)),
        ("1.7723664e9", NOON),
        ("1.7723664E+18", NOON),
        ("1700010112345", datetime(2023, 11, 15, 1, 1, 52, 345_000, tzinfo=UTC)),
        ("10000000", EARLIEST + timedelta(seconds=10**7)),
    ],
)
def test_a_number_as_time_is_read_to_the_microsecond(said, moment):
    assert make(PoolCreated, occurred_at=said).occurred_at == moment
    line = b'{"event_type":"pool_created","pool_id":"p","occurred_at":%s}'
    if not isinstance(said, str):
        assert parse_line(line % str(said).encode()).occurred_at == moment
    assert parse_line(line % f'"{said}"'.encode()).occurred_at == moment


@pytest.mark.parametrize(
    "said",
    [
        *(-1, "-1", -0.5, 7_258_118_400, 99_999_999_999, 10**20, "1e999", 10**400, "9" * 500),
        *(math.nan, math.inf, -math.inf, Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity")),
    ],
)
def test_a_number_as_time_outside_the_years_is_refused_in_one_line(said):
    with pytest.raises(InvalidEventError) as caught:
        PoolCreated.from_dict({"pool_id": "p", "occurred_at": said})
    assert str(caught.value) == (
        "occurred_at: time must lie between 1970-01-01 and 2200-01-01; numbers below 1e11 are "
        "seconds, below 1e14 milliseconds, below 1e17 microseconds, else nanoseconds"
    )


@pytest.mark.parametrize("said", [True, False, Flag()])
def test_true_and_false_are_no_times(said):
    with pytest.raises(InvalidEventError, match=r"^occurred_at: true and false are no times$"):
        PoolCreated.from_dict({"pool_id": "p", "occurred_at": said})


def test_eight_digits_that_are_a_day_are_no_seconds():
    assert refuses(PoolCreated, occurred_at="20260301")


NAMES = (
    *("repo", "task_type", "model_tier", "pool_type", "pool_id", "solution_summary"),
    *("task_group", "swarm_topology", "policy_version", "feedback_type", "error_type"),
    "task_context",
)


@pytest.mark.parametrize(("cls", "name"), FIELDS)
def test_a_name_is_stored_in_one_form(cls, name):
    if name in NAMES:
        for said, kept in (
            ("cafe\u0301", "caf\u00e9"),
            ("\u1100\u1161", "\uac00"),
            ("a\u0308", "ä"),
        ):
            assert getattr(make(cls, **{name: said}), name) == kept
            assert getattr(make(cls, **{name: kept}), name) == kept
    elif name == "candidates":
        assert make(cls, candidates={"cafe\u0301": 1.0}).candidates == {"caf\u00e9": 1.0}
    elif name == "repos_used_in":
        assert make(cls, repos_used_in=["cafe\u0301"]).repos_used_in == ["caf\u00e9"]
    elif name in ("task_description", "comment", "user_id", "error_message", "reason"):
        assert getattr(make(cls, **{name: "cafe\u0301"}), name) == "cafe\u0301"


def test_a_name_in_a_line_is_read_in_one_form():
    event = PoolCreated(pool_id="caf\u00e9")
    assert parse_line(event.to_line().replace("\u00e9".encode(), b"e\xcc\x81")) == event


def test_a_record_says_the_same_whatever_the_form_of_its_names():
    said = [
        make(ExecutionRecord, repo=repo, task_id=TASK, timestamp=NOON).to_event()
        for repo in ("cafe\u0301", "caf\u00e9")
    ]
    assert said[0].event_id == said[1].event_id


def test_error_types_are_recognised_and_other_words_are_kept():
    for member in ErrorType:
        found = RoutingOutcome(task_id=TASK, success=False, error_type=member.value).error_type
        assert found is member
    found = RoutingOutcome(task_id=TASK, success=False, error_type="out of tokens").error_type
    assert found == "out of tokens"
    assert type(found) is str


def nested(levels: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    innermost = metadata
    for _ in range(levels - 1):
        innermost["a"] = innermost = {}
    return metadata


def test_metadata_is_nested_only_as_deep_as_every_reader_goes():
    assert not refuses(PoolCreated, metadata=nested(MAX_METADATA_DEPTH))
    assert refuses(PoolCreated, metadata=nested(MAX_METADATA_DEPTH + 1))


def test_metadata_is_only_as_long_as_a_line():
    assert MAX_METADATA_CHARACTERS == MAX_LINE_BYTES
    assert not refuses(PoolCreated, metadata={"a": "x" * (MAX_METADATA_CHARACTERS - 10)})
    assert refuses(PoolCreated, metadata={"a": "x" * MAX_METADATA_CHARACTERS})
    assert refuses(PoolCreated, metadata={"a": [0] * MAX_METADATA_CHARACTERS})


def test_metadata_integers_fit_a_double():
    assert float(2**MAX_METADATA_INT_BITS - 1) < math.inf


def test_metadata_full_of_cycles_is_refused_at_once():
    nodes: list[dict[str, Any]] = [{} for _ in range(20)]
    for node in nodes:
        node.update({str(number): other for number, other in enumerate(nodes)})
    assert refuses(PoolCreated, metadata=nodes[0])


def test_metadata_that_repeats_one_list_without_end_is_refused_at_once():
    laughs: list[Any] = ["ha"]
    for _ in range(30):
        laughs = [laughs] * 30
    assert refuses(PoolCreated, metadata={"laughs": laughs})


def test_metadata_may_be_any_mapping():
    metadata = MappingProxyType({"a": [1]})
    assert make(PoolCreated, metadata=metadata).metadata == {"a": [1]}


@given(st.uuids())
def test_a_uuid_stands_for_itself_however_it_is_spelled(given_id):
    for spelling in (given_id, str(given_id), given_id.hex, given_id.urn, f"{{{given_id}}}"):
        assert task_uuid(spelling) == given_id
        assert not uuid_text_differs(spelling, given_id)


@pytest.mark.parametrize("cls", [PoolExecutionComplete, ExecutionRecord, FeedbackRecord])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_16_bytes_are_a_uuid(cls, kind):
    values = with_task_uuid({**REQUIRED[cls], "task_id": kind(TASK.bytes)})
    event = cls(**values)
    assert event.task_id == TASK
    assert not event.metadata
    assert make(PoolExecutionComplete, decision_id=TASK.bytes).decision_id == TASK
    assert TaskErased.of(kind(TASK.bytes)).task_hash == TaskErased.of(TASK).task_hash


@pytest.mark.parametrize("said", [b"", b"ticket-7", bytes(15), bytes(17), b"x" * 36])
def test_other_bytes_are_no_id(said):
    with pytest.raises(ValueError, match=f"in bytes is the 16 of a UUID, not {len(said)}$"):
        task_uuid(said)
    assert refuses(PoolExecutionComplete, decision_id=said)


def test_bytes_that_spell_a_uuid_are_that():
    assert task_uuid(str(TASK).encode()) == TASK


@given(st.text(st.characters(codec="utf-8")).filter(str.strip))
def test_any_other_reference_maps_to_one_uuid5(reference):
    try:
        expected = uuid.UUID(reference)
    except ValueError:
        expected = uuid.uuid5(NAMESPACE, reference)
    assert task_uuid(reference) == expected == task_uuid(reference)


def test_references_map_to_the_same_ids_in_every_release():
    assert task_uuid("ticket-7") == uuid.UUID("1ccb0203-6029-564d-88c7-3702cf91cf31")
    assert task_uuid(7) == task_uuid("7")


@pytest.mark.parametrize("reference", ["", " \n", "\ud800"])
def test_a_reference_that_names_nothing_is_refused(reference):
    with pytest.raises(ValueError, match=r"at least one character|surrogates not allowed"):
        task_uuid(reference)


@pytest.mark.parametrize("container", [[], {}, (TASK,), {"a"}, frozenset(), MappingProxyType({})])
def test_a_container_is_no_reference(container):
    with pytest.raises(ValueError, match="one value, not a container"):
        task_uuid(container)


def test_a_reference_is_replaced_by_its_id_and_kept_in_the_metadata():
    values = {"task_id": "ticket-7", "metadata": {"a": 1}}
    replaced = with_task_uuid(values)
    assert replaced["task_id"] == task_uuid("ticket-7")
    assert replaced["metadata"] == {"task_ref": "ticket-7", "a": 1}
    assert values == {"task_id": "ticket-7", "metadata": {"a": 1}}, "the input is not changed"


def test_a_hosts_own_task_ref_is_not_overwritten():
    replaced = with_task_uuid({"task_id": "ticket-7", "metadata": {"task_ref": "TICKET"}})
    assert replaced["metadata"] == {"task_ref": "TICKET"}


def test_metadata_that_is_no_mapping_is_left_to_validation():
    replaced = with_task_uuid({"task_id": "ticket-7", "metadata": "text"})
    assert replaced == {"task_id": task_uuid("ticket-7"), "metadata": "text"}


@pytest.mark.parametrize("values", [None, "text", {}, {"task_id": None}, {"task_id": TASK}])
def test_what_has_no_reference_of_its_own_is_left_alone(values):
    assert with_task_uuid(values) is values


def test_the_text_of_a_uuid_is_no_reference_of_its_own():
    assert with_task_uuid({"task_id": str(TASK)}) == {"task_id": TASK}


def test_new_ids_are_unique_and_ordered():
    ids = [new_id() for _ in range(1000)]
    assert sorted(set(ids)) == ids
    assert {made.version for made in ids} == {7}


def test_the_clock_is_in_utc():
    assert utc_now().tzinfo is UTC


def test_a_refusal_is_an_error_of_this_package():
    with pytest.raises(InvalidEventError, match="rating: Input should be a whole number"):
        Feedback.from_dict({"task_id": str(TASK), "feedback_type": "x", "rating": 6})
