"""What a host hands over, in its own words, becomes an event's fields; nothing of it is lost."""

from __future__ import annotations

import json
import math
from collections import namedtuple
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from types import MappingProxyType, SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from orb_learning._spellings import spellings
from orb_learning._types import MAX_METADATA_CHARACTERS, MAX_METADATA_DEPTH, task_uuid
from orb_learning.capture import clean_text, cleaned, json_value, to_values
from orb_learning.capture._adapt import MAX_DEPTH, MAX_TEXT, as_mapping
from orb_learning.events import (
    EVENT_TYPES,
    ExecutionRecorded,
    Feedback,
    PoolCreated,
    RoutingDecision,
    RoutingOutcome,
)

TASK = UUID("0198a3a0-0000-7000-8000-000000000001")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Tier(Enum):
    LARGE = "large"


class Level(IntEnum):
    HIGH = 3


class Unreadable:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Unbound:
    """A proxy whose target is missing: even asking for its class raises."""

    @property
    def __class__(self) -> type:
        raise RuntimeError("working outside of context")


class BrokenMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no keys")

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("cls", "spelling", "field", "value"),
    [
        (RoutingDecision, "id", "task_id", TASK),
        (RoutingDecision, "timestamp", "occurred_at", NOON),
        (RoutingDecision, "type", "task_type", "refactor"),
        (RoutingDecision, "task_class", "task_type", "refactor"),
        (RoutingDecision, "category", "task_type", "refactor"),
        (RoutingDecision, "description", "task_description", "split it"),
        (RoutingDecision, "prompt", "task_description", "split it"),
        (RoutingDecision, "repository", "repo", "acme/api"),
        (RoutingDecision, "repo_name", "repo", "acme/api"),
        (RoutingDecision, "tier", "model_tier", "large"),
        (RoutingDecision, "model", "model_tier", "large"),
        (RoutingDecision, "pool", "pool_type", "swarm"),
        (RoutingDecision, "topology", "swarm_topology", "mesh"),
        (RoutingDecision, "confidence", "routing_confidence", 0.5),
        (RoutingDecision, "complexity", "complexity_score", 70),
        (RoutingDecision, "estimated_cost", "cost_estimate", 0.1),
        (RoutingOutcome, "cost", "actual_cost", 0.2),
        (RoutingOutcome, "status", "success", True),
        (RoutingOutcome, "duration", "duration_seconds", 3.5),
        (RoutingOutcome, "quality", "quality_score", 88),
        (RoutingOutcome, "error", "error_message", "boom"),
    ],
)
def test_a_field_is_known_by_its_usual_spellings(cls, spelling, field, value):
    assert to_values(cls, [{spelling: value}])[field] == value


def test_a_spelling_that_is_a_field_of_the_event_means_that_field():
    assert spellings(ExecutionRecorded)["timestamp"] == "timestamp"
    assert spellings(Feedback)["timestamp"] == "occurred_at"


@pytest.mark.parametrize("cls", EVENT_TYPES.values())
def test_every_field_is_known_by_its_own_name_but_those_that_no_host_says(cls):
    known = spellings(cls)
    ours = {"event_type", "import_id"}
    assert not ours & known.keys()
    for field in cls.model_fields.keys() - ours:
        assert known[field] == field
    assert set(known.values()) <= set(cls.model_fields)


def test_what_no_field_takes_goes_into_the_metadata_under_its_own_key():
    values = to_values(RoutingOutcome, [{"task_id": TASK, "colour": "red", "size": {"h": 1}}])
    assert values == {"task_id": TASK, "metadata": {"colour": "red", "size": {"h": 1}}}


@pytest.mark.parametrize("order", [1, -1])
def test_a_fields_own_name_wins_over_another_spelling_which_is_kept(order):
    given = dict([("duration", 3), ("duration_seconds", 4)][::order])
    values = to_values(RoutingOutcome, [given])
    assert values == {"duration_seconds": 4, "metadata": {"duration": 3}}


def test_of_two_other_spellings_the_first_wins_and_the_second_is_kept():
    values = to_values(RoutingOutcome, [{"task_id": TASK, "status": "ok", "cost": 1}])
    assert values == {"task_id": TASK, "success": True, "actual_cost": 1}
    values = to_values(RoutingDecision, [{"tier": "large", "model": "opus"}])
    assert values["model_tier"] == "large"
    assert values["metadata"] == {"model": "opus"}


def test_an_earlier_source_wins_and_null_is_no_value():
    first, second = {"duration": 1, "error": None, "a": 1}, {"duration_seconds": 2, "error": "x"}
    values = to_values(RoutingOutcome, [first, {**second, "a": 2, "b": 2}])
    assert values == {
        "duration_seconds": 1,
        "error_message": "x",
        "metadata": {"a": 1, "b": 2},
    }


def test_metadata_of_all_sources_is_merged():
    values = to_values(
        RoutingOutcome,
        [{"metadata": {"a": 1, "b": 1}}, {"b": 2, "metadata": MappingProxyType({"c": 3})}],
    )
    assert values == {"metadata": {"a": 1, "b": 1, "c": 3}}


@pytest.mark.parametrize(
    "sources",
    [
        [{"a": 1}, {"metadata": {"a": 2}}],
        [{"metadata": {"a": 1}}, {"a": 2}],
        [{"metadata": {"a": 1}}, {"metadata": {"a": 2}}],
        [{"a": 1, "metadata": {"a": 2}}],
        [{"metadata": {"a": 1}, "a": 2}],
    ],
)
def test_of_a_key_beside_the_metadata_and_in_it_the_one_said_first_is_kept(sources):
    assert to_values(RoutingOutcome, sources) == {"metadata": {"a": 1}}


@pytest.mark.parametrize("rest", [{}, {"colour": "red"}])
def test_metadata_that_is_no_mapping_is_kept_in_one_of_an_outcome_and_refused_elsewhere(rest):
    told = [{"metadata": ["a"], **rest}]
    assert to_values(RoutingOutcome, told) == {"metadata": {"metadata": ["a"], **rest}}
    assert to_values(PoolCreated, told) == {"metadata": ["a"]}


def test_the_kind_of_event_is_not_metadata():
    values = to_values(Feedback, [{"event_type": "feedback", "rating": 3}])
    assert values == {"rating": 3}
    values = to_values(Feedback, [{"event_type": "review", "rating": 3}])
    assert values == {"rating": 3, "metadata": {"event_type": "review"}}


@pytest.mark.parametrize(
    "word",
    ["completed", "complete", "success", "succeeded", "ok", "done", "passed", " Completed\n", "OK"],
)
def test_words_for_success_are_understood(word):
    assert to_values(RoutingOutcome, [{"status": word}])["success"] is True
    assert to_values(RoutingOutcome, [{"success": word}])["success"] is True


@pytest.mark.parametrize(
    "word",
    ["failed", "failure", "error", "timeout", "cancelled", "canceled", "crashed", "REJECTED "],
)
def test_words_for_failure_are_understood(word):
    assert to_values(RoutingOutcome, [{"status": word}])["success"] is False


def test_what_is_not_over_and_what_nobody_knows_is_no_outcome():
    with pytest.raises(ValueError, match="status 'pending' says that the work is not over"):
        to_values(RoutingOutcome, [{"status": "pending"}])
    with pytest.raises(ValueError, match="status word 'green' unknown; known are "):
        to_values(RoutingOutcome, [{"status": "green"}])


def test_all_that_speaks_of_success_decides_together():
    told = {"success": True, "returncode": 3, "is_error": False}
    assert to_values(RoutingOutcome, [told]) == {
        "success": False,
        "metadata": {"returncode": 3, "is_error": False},
    }
    assert to_values(RoutingOutcome, [{"status": 503}]) == {
        "success": False,
        "metadata": {"status": 503},
    }
    assert to_values(RoutingOutcome, [{"ok": True}])["success"] is True


def test_enumerations_stand_for_their_values():
    values = to_values(RoutingDecision, [{"tier": Tier.LARGE, "level": Level.HIGH}])
    assert values["model_tier"] == "large"
    assert values["metadata"] == {"level": 3}


def test_a_decision_stands_although_the_host_does_not_say_all_of_it():
    values = to_values(RoutingDecision, [{"repo": "", "task_description": "", "pool": ""}])
    assert values == {"task_type": "unknown", "repo": "unknown", "model_tier": "unknown"}


def test_other_events_are_not_filled_in():
    assert to_values(RoutingOutcome, [{}]) == {}


def test_a_hosts_own_task_id_becomes_a_uuid_and_is_kept():
    values = to_values(RoutingOutcome, [{"task_id": 7}])
    assert values == {"task_id": task_uuid("7"), "metadata": {"task_ref": "7"}}


@dataclass
class RoutingDataclass:
    tier: str = "large"


RoutingTuple = namedtuple("RoutingTuple", ["tier"])


class RoutingModel(BaseModel):
    tier: str = "large"


class RoutingObject:
    ignored = "a class attribute"

    def __init__(self) -> None:
        self.tier = "large"
        self._private = 1


@pytest.mark.parametrize(
    "source",
    [
        {"tier": "large"},
        MappingProxyType({"tier": "large"}),
        RoutingDataclass(),
        RoutingTuple("large"),
        RoutingModel(),
        RoutingObject(),
        SimpleNamespace(tier="large"),
    ],
)
def test_any_object_with_fields_is_a_source(source):
    assert dict(as_mapping(source)) == {"tier": "large"}


@pytest.mark.parametrize("source", ["text", 7, [("tier", "large")], object(), b"x"])
def test_what_has_no_fields_is_no_source(source):
    with pytest.raises(TypeError, match="expected a mapping or an object with fields, not"):
        as_mapping(source)


@pytest.mark.parametrize("source", [RoutingDataclass, RoutingModel, int])
def test_a_class_itself_is_no_source(source):
    with pytest.raises(TypeError, match="not the class"):
        as_mapping(source)


def test_cleaning_makes_texts_storable_and_metadata_json():
    assert cleaned({"repo": "a\ud800", "tier": Tier.LARGE, "n": 1, "metadata": {1: {2}}}) == {
        "repo": "a\\ud800",
        "tier": "large",
        "n": 1,
        "metadata": {"1": [2]},
    }


@given(st.text())
def test_clean_text_can_be_spelled_and_changes_nothing_else(text):
    clean = clean_text(text)
    clean.encode()
    try:
        text.encode()
    except UnicodeEncodeError:
        assert "\\ud" in clean
    else:
        assert clean == text


NEAREST: list[tuple[Any, Any]] = [
    (None, None),
    (True, True),
    (2**63 - 1, 2**63 - 1),
    (2**63, str(2**63)),
    (-(2**70), str(-(2**70))),
    (10**5000, "<unreadable int>"),
    (1.5, 1.5),
    (math.nan, "nan"),
    (math.inf, "inf"),
    (-math.inf, "-inf"),
    ("x", "x"),
    ("\ud800", "\\ud800"),
    (b"a\xff", "a\\xff"),
    (bytearray(b"a"), "a"),
    (TASK, str(TASK)),
    (NOON, "2026-03-01 12:00:00+00:00"),
    (Decimal("1.10"), "1.10"),
    (Tier.LARGE, "large"),
    (Level.HIGH, 3),
    ((1, [2]), [1, [2]]),
    (frozenset({1}), [1]),
    ({1: "a", "\ud800": None}, {"1": "a", "\\ud800": None}),
    (MappingProxyType({"a": 1}), {"a": 1}),
    (Unreadable(), "<unreadable Unreadable>"),
    ({"a": Unreadable(), "b": 1}, {"a": "<unreadable Unreadable>", "b": 1}),
    ({Unreadable(): 1}, {"<unreadable Unreadable>": 1}),
    (Unbound(), "<unreadable Unbound>"),
    ([Unbound(), 1], ["<unreadable Unbound>", 1]),
    (BrokenMapping(), "<unreadable BrokenMapping>"),
]


@pytest.mark.parametrize("number", range(len(NEAREST)))
def test_any_value_has_a_nearest_json_value(number):
    value, expected = NEAREST[number]
    nearest = json_value(value)
    assert nearest == expected
    assert type(nearest) is type(expected)
    json.dumps(nearest, allow_nan=False).encode()


def test_subclasses_of_json_types_become_the_plain_types():
    class Number(float):
        pass

    class Name(str):
        __slots__ = ()

    assert type(json_value(Number(1.5))) is float
    assert json_value(Number) == str(Number), "a class is no object with fields"
    assert type(json_value(Level.HIGH)) is int
    assert type(json_value(Name("x"))) is str


def test_a_container_below_the_depth_limit_is_left_out():
    nested: Any = ["innermost"]
    for _ in range(MAX_DEPTH):
        nested = [nested]
    nearest = json_value([nested])
    for _ in range(MAX_DEPTH + 1):
        (nearest,) = nearest
    assert nearest == "..."
    shallow: Any = 1
    for _ in range(MAX_DEPTH + 1):
        shallow = [shallow]
    assert json_value(shallow) == shallow, "what is no container is kept at that depth"
    assert MAX_DEPTH + 1 < MAX_METADATA_DEPTH, "what is made plain is accepted"


def test_the_text_of_an_object_is_cut_and_text_itself_is_not():
    class Long:
        def __str__(self) -> str:
            return "x" * (MAX_TEXT + 1)

    assert json_value(Long()) == "x" * MAX_TEXT
    assert json_value(b"x" * (MAX_TEXT + 1)) == "x" * MAX_TEXT
    assert json_value("x" * (MAX_TEXT + 1)) == "x" * (MAX_TEXT + 1)


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_16_bytes_that_are_no_text_are_spelled_as_their_uuid(kind):
    task = UUID("0198a3a0-0000-7000-8000-000000000001")
    assert json_value({"id": kind(task.bytes)}) == {"id": str(task)}
    assert json_value(kind(b"sixteen letters.")) == "sixteen letters."
    assert json_value(kind(b"\xff" * 15)) == "\\xff" * 15
    assert cleaned({"task_id": memoryview(task.bytes)}) == {"task_id": task.bytes}


def laughs() -> list[Any]:
    made: list[Any] = ["ha"]
    for _ in range(30):
        made = [made] * 30
    return made


def crowd() -> dict[str, Any]:
    nodes: list[dict[str, Any]] = [{} for _ in range(20)]
    for node in nodes:
        node.update({str(number): other for number, other in enumerate(nodes)})
    return nodes[0]


@pytest.mark.parametrize(
    "value",
    [laughs(), crowd(), ["x" * 1000] * 10_000, ["x"] * 10**6, "x" * 10**7],
    ids=["repeated", "cyclic", "wide texts", "wide", "text"],
)
def test_a_value_beyond_any_line_is_cut_where_no_line_can_hold_it_anyway(value):
    size = len(json.dumps(json_value(value)))
    assert MAX_METADATA_CHARACTERS <= size < 40 * MAX_METADATA_CHARACTERS


def test_a_dict_that_holds_itself_ends():
    endless: dict[str, Any] = {}
    endless["me"] = endless
    assert len(json.dumps(json_value(endless))) < 1000


def test_a_pool_is_not_a_spelling_where_there_is_no_pool_type():
    assert to_values(PoolCreated, [{"pool": "swarm", "pool_id": "p"}]) == {
        "pool_type": "swarm",
        "pool_id": "p",
    }
    assert to_values(Feedback, [{"pool": "swarm"}]) == {"metadata": {"pool": "swarm"}}
