"""What a host's words are taken to mean, whatever class of object they come in."""

from __future__ import annotations

import asyncio
import concurrent.futures
import subprocess
from collections import ChainMap, OrderedDict, namedtuple
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum, auto
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import Mock
from uuid import UUID

import pytest
from pydantic import BaseModel

from orb_learning._types import task_uuid
from orb_learning.capture import (
    decision_fields,
    event_fields,
    failure_fields,
    fields_of,
    is_outcome,
    name_of,
    named_task,
    names_tier,
    outcome_fields,
    pool_type_of,
    task_argument,
    task_fields,
    without_nested,
)
from orb_learning.capture._host_values import MAX_VALUE_CHARACTERS
from orb_learning.events import PoolExecutionComplete, RoutingDecision

TASK = UUID("0198a3a0-0000-7000-8000-000000000001")


class Tier(Enum):
    SMALL = auto()
    LARGE = "large"


class Status(Enum):
    FAILED = auto()
    DONE = "completed"
    RUNNING = "running"


class Text(StrEnum):
    OK = "ok"


class Level(IntEnum):
    HIGH = 80


@dataclass
class Result:
    status: str = "failed"
    duration: float = 2.0


class Model(BaseModel):
    success: bool = False
    cost: float = 0.5


class Slotted:
    __slots__ = ("_secret", "error", "status")

    def __init__(self) -> None:
        self.status, self.error, self._secret = "error", "boom", 1


Named = namedtuple("Named", "success quality")


class HostError(Exception):
    def __str__(self) -> NoReturn:
        raise RuntimeError


class Gone:
    """A proxy whose object is not there any more: nobody can even ask for its class."""

    @property
    def __class__(self) -> NoReturn:
        raise RuntimeError

    def __str__(self) -> NoReturn:
        raise RuntimeError


class Mute:
    def __str__(self) -> NoReturn:
        raise RuntimeError

    __bool__ = __float__ = __str__


class Raising:
    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(name)


class NoItems(dict[str, Any]):
    def items(self) -> NoReturn:
        raise RuntimeError

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError

    keys = items


class NoMapping(Mapping[str, Any]):
    def __iter__(self) -> NoReturn:
        raise RuntimeError

    __getitem__ = __len__ = __iter__  # type: ignore[assignment]


# What an object holds


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ({"a": 1}, {"a": 1}),
        (OrderedDict(a=1), {"a": 1}),
        (Result(), {"status": "failed", "duration": 2.0}),
        (Model(), {"success": False, "cost": 0.5}),
        (Slotted(), {"status": "error", "error": "boom"}),
        (Named(True, 90), {"success": True, "quality": 90}),
        (type("Plain", (), {"__init__": lambda self: setattr(self, "a", 1)})(), {"a": 1}),
    ],
)
def test_an_object_holds_its_public_fields(value, fields):
    assert fields_of(value) == fields


@pytest.mark.parametrize(
    "value",
    [
        *(None, "text", b"bytes", 1, 1.5, True, [1], (1,), {1}, Tier.LARGE, Result, object(), len),
        pytest.param(Raising(), id="raising"),
        NoItems(a=1),
        pytest.param(Gone(), id="a proxy of what is gone"),
    ],
)
def test_what_holds_no_readable_fields_says_nothing(value):
    assert fields_of(value) == {}


def test_a_value_that_cannot_be_asked_for_its_class_is_named_by_it():
    assert fields_of({"status": "ok", "proxy": Gone()}) == {
        "status": "ok",
        "proxy": "<unreadable Gone>",
    }


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("p", "p"),
        ("", None),
        (7, "7"),
        (TASK, str(TASK)),
        (Path("/srv/api"), "/srv/api"),
        (Tier.LARGE, "large"),
        (Tier.SMALL, "SMALL"),
        (Text.OK, "ok"),
        (True, None),
        (1.5, None),
        (None, None),
        (object(), None),
        ({}, None),
        pytest.param(Gone(), None, id="a proxy of what is gone"),
        (Mock(), None),
    ],
)
def test_a_name_is_a_text_a_number_a_path_or_an_enums_member(value, name):
    assert name_of(value) == name


# Which task a call is about


@pytest.mark.parametrize(
    ("source", "task_id"),
    [
        ({"task_id": TASK, "id": "other"}, TASK),
        ({"task_id": None, "id": "ticket-7"}, task_uuid("ticket-7")),
        ({"task_id": " ", "id": 7}, task_uuid(7)),
        ({"id": [1]}, None),
        ({"id": Mute()}, None),
        ({}, None),
    ],
)
def test_a_task_is_named_by_the_first_usable_id(source, task_id):
    assert named_task(source) == task_id


def test_only_the_asked_keys_name_a_task():
    assert named_task({"id": "x"}, "task_id") is None


@pytest.mark.parametrize(
    ("arguments", "task"),
    [
        ({"first": 1, "task": 2}, 2),
        ({"first": 1, "task_data": 2}, 2),
        ({"first": 1, "request": 2}, 2),
        ({"pool": 1, "job": 2}, 2),
        ({"pool": 1}, None),
        ({}, None),
    ],
)
def test_the_task_is_the_argument_of_that_name_or_the_first(arguments, task):
    assert task_argument(arguments, skipped="pool") == task


def test_a_task_is_told_by_its_fields_and_by_a_decisions_fields_among_the_arguments():
    task = {"prompt": "fix it", "repo": "acme/api"}
    arguments = {"task": task, "repo": "other", "tier": Tier.LARGE, "retries": 2, "model": object()}
    assert task_fields(task, arguments) == {
        "prompt": "fix it",
        "repo": "acme/api",
        "tier": Tier.LARGE,
    }


def test_a_text_is_a_tasks_description():
    assert task_fields("fix it", {"type": "fix it", "x": "fix it"}) == {
        "task_description": "fix it"
    }


# What a router answers


@pytest.mark.parametrize("tier", ["large", Tier.LARGE, Text.OK])
def test_a_tier_alone_is_a_decision(tier):
    assert decision_fields(tier) == {"model_tier": tier}


@pytest.mark.parametrize(
    "result", [None, ["large"], 7, b"large", pytest.param(Raising(), id="raising"), NoItems(a=1)]
)
def test_an_answer_without_fields_says_nothing_of_the_decision(result):
    assert decision_fields(result) == {}


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ({"success": False}, True),
        ({"status": "completed"}, True),
        ({"status": Status.FAILED}, True),
        ({"status": "completed", "model": None}, True),
        ({"status": "routed", "pool": "p"}, False),
        ({"status": "completed", "model": "large"}, False),
        ({"success": True, "tier": object()}, False),
        ({"pool_type": "swarm"}, False),
        ({}, False),
    ],
)
def test_an_answer_is_an_outcome_if_it_says_how_it_ended_and_no_tier(told, verdict):
    assert is_outcome(told) is verdict


def test_a_choice_names_a_tier():
    assert names_tier({"model": "large"})
    assert not names_tier({"tier": None, "pool": "p"})


# How an execution ended


UNKNOWN = "unknown"
"""A word that nobody knows is left for whoever records the outcome to refuse."""


@pytest.mark.parametrize(
    ("result", "success"),
    [
        ({"success": True, "status": "failed"}, False),
        ({"success": None, "status": "failed"}, False),
        ({"success": "false"}, False),
        ({"success": "True"}, True),
        ({"success": "unheard of", "status": "failed"}, False),
        ({"success": 0}, False),
        ({"success": 1}, True),
        ({"success": Decimal(0)}, False),
        ({"success": Mute(), "status": "failed"}, False),
        ({"success": Mute()}, UNKNOWN),
        ({"success": Status.RUNNING}, None),
        ({"status": "Completed "}, True),
        ({"status": "timeout"}, False),
        ({"status": Status.FAILED}, False),
        ({"status": Status.DONE}, True),
        ({"status": "unheard of"}, UNKNOWN),
        ({"status": "unheard of", "error": "boom"}, False),
        ({"status": 500}, False),
        ({"status": "queued"}, None),
        ({"status": "queued", "error": "boom"}, False),
        ({"output": "text"}, True),
        ({"error": "boom"}, False),
        ({"error": None, "error_message": "boom"}, False),
        ({"error": ""}, True),
        ({"error": {}}, True),
        ({"error": False}, True),
        ({"error": [1]}, False),
        ({"error": Mute()}, False),
        ({"error": "a warning", "status": "ok"}, True),
        ({}, True),
        (None, True),
        ("a long output", True),
        ("failed", False),
        (True, True),
        (False, False),
        (0, True),
        ([False], True),
        (Status.FAILED, False),
        (Status.DONE, True),
        (Status.RUNNING, None),
        ("unheard of", True),
        (Result(), False),
        (Model(), False),
        (Slotted(), False),
        pytest.param(Gone(), True, id="a proxy of what is gone"),
        pytest.param(Raising(), True, id="no attribute can be read"),
        (NoItems(success=False), True),
        (Mock(), True),
        (ValueError("boom"), False),
    ],
)
def test_success_is_read_from_success_or_status_or_the_lack_of_an_error(result, success):
    told = outcome_fields(result)
    if told is not None:
        said = told.get("success")
        told = said if isinstance(said, bool) else UNKNOWN
    assert told is success


class NoText(str):
    __slots__ = ()

    def strip(self, *_: Any) -> NoReturn:
        raise RuntimeError

    lower = strip


def test_a_status_that_reads_itself_in_its_own_way_is_read_as_text():
    assert outcome_fields({"status": NoText("failed")})["success"] is False


def test_a_success_that_nobody_said_names_its_source():
    said = outcome_fields({"metadata": {"a": 1}}, source="returned")
    assert said == {"metadata": {"a": 1, "success_source": "returned"}, "success": True}
    assert outcome_fields("a long output", source="returned")["metadata"] == {
        "success_source": "returned"
    }
    assert "metadata" not in outcome_fields({"ok": True}, source="returned")


def test_an_error_is_told_as_text():
    values = event_fields(PoolExecutionComplete, outcome_fields({"error": [1, 2]}))
    metadata = {"error": [1, 2]}
    assert values == {"error_message": "[1, 2]", "success": False, "metadata": metadata}
    told = outcome_fields({"error": Mute(), "status": "ok"})
    values = event_fields(PoolExecutionComplete, told)
    assert (values["error_message"], values["success"]) == ("<unreadable Mute>", True)


def test_an_exception_in_a_result_is_the_failure_that_it_is():
    assert outcome_fields({"error": TimeoutError("late"), "cost": 1}) == {
        "error_type": "timeout",
        "error_message": "TimeoutError: late",
        "cost": 1,
        "success": False,
    }
    own_words = {"error_message": ValueError("x"), "error_type": "odd"}
    assert outcome_fields(own_words)["error_type"] == "odd"
    assert outcome_fields(TimeoutError("late")) == failure_fields(TimeoutError("late"))


def test_an_outcome_leaves_the_hosts_own_result_alone():
    result = {"error": TimeoutError(), "success": 0}
    outcome_fields(result)
    assert list(result) == ["error", "success"]
    assert result["success"] == 0


class APITimeoutError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("boom"), "crash", "ValueError: boom"),
        (ValueError(), "crash", "ValueError"),
        (HostError(), "crash", "HostError: <unreadable HostError>"),
        (ExceptionGroup("many", [OSError()]), "crash", "ExceptionGroup: many (1 sub-exception)"),
        (TimeoutError("late"), "timeout", "TimeoutError: late"),
        (APITimeoutError(), "timeout", "APITimeoutError"),
        (subprocess.TimeoutExpired("make", 3), "timeout", None),
        (asyncio.CancelledError(), "cancelled", "CancelledError"),
        (concurrent.futures.CancelledError(), "cancelled", "CancelledError"),
        (KeyboardInterrupt(), "cancelled", "KeyboardInterrupt"),
        (SystemExit(3), "cancelled", "SystemExit: 3"),
        (GeneratorExit(), "cancelled", "GeneratorExit"),
    ],
)
def test_an_exception_is_a_timeout_a_cancellation_or_a_crash(error, kind, message):
    told = failure_fields(error)
    assert (told["success"], told["error_type"]) == (False, kind)
    assert message is None or told["error_message"] == message


# Which pool it ran on


class Pool:
    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


@pytest.mark.parametrize(
    ("manager", "pool_type"),
    [
        (Pool(pools={"p": Pool(pool_type="swarm")}), "swarm"),
        (Pool(_pools={"p": {"type": "swarm"}}), "swarm"),
        (Pool(pools={"p": Pool(config=Pool(pool_type="swarm"))}), "swarm"),
        (Pool(pools={"p": {"config": {"type": Tier.LARGE}}}), "large"),
        (Pool(pools={"p": Pool(type=Tier.SMALL)}), "SMALL"),
        (Pool(pools={"p": Pool(pool_type=None, type="swarm")}), "swarm"),
        (Pool(pools={"p": Pool(pool_type="", type=object())}), None),
        (Pool(pools={"q": Pool(pool_type="swarm")}), None),
        (Pool(pools=["p"]), None),
        (Pool(pools=NoItems()), None),
        ({"pools": {"p": Pool(pool_type="swarm")}}, "swarm"),
        (Pool(), None),
        (None, None),
        pytest.param(Raising(), None, id="no attribute can be read"),
        pytest.param(Gone(), None, id="a proxy of what is gone"),
        (Mock(), None),
    ],
)
def test_a_pools_type_is_looked_up_where_the_manager_keeps_it(manager, pool_type):
    assert pool_type_of(manager, "p") == pool_type


def test_a_pool_without_a_usable_id_has_no_type():
    assert pool_type_of(Pool(pools={"p": Pool(type="swarm")}), ["p"]) is None


def test_nested_objects_can_be_left_out():
    assert without_nested({"a": 1, "result": {}}, "result") == {"a": 1}


# From words to fields


def test_the_earlier_source_says_a_field_first():
    told = {"tier": "large", "candidates": {Tier.LARGE: 0.9, "small": 0.1}}
    task = {"prompt": "fix it", "model": "small", "files": 3}
    assert event_fields(RoutingDecision, told, task) == {
        "model_tier": "large",
        "candidates": {"large": 0.9, "small": 0.1},
        "task_description": "fix it",
        "task_type": "unknown",
        "repo": "unknown",
        "metadata": {"files": 3},
    }


@pytest.mark.parametrize(
    ("told", "fields"),
    [
        ({"complexity": "high"}, {"metadata": {"complexity_score": "high"}}),
        ({"complexity": Level.HIGH}, {"complexity_score": 80}),
        ({"confidence": 7}, {"metadata": {"routing_confidence": 7}}),
        ({"estimated_cost": Decimal("0.5")}, {"cost_estimate": Decimal("0.5")}),
        ({"propensity": 0}, {"metadata": {"propensity": 0}}),
        ({"candidates": ["small"]}, {"metadata": {"candidates": ["small"]}}),
        ({"candidates": NoMapping()}, {"metadata": {"candidates": "<unreadable NoMapping>"}}),
        ({"candidates": NoItems(a=1)}, {"metadata": {"candidates": "<unreadable NoItems>"}}),
        ({"metadata": NoMapping()}, {"metadata": {"metadata": "<unreadable NoMapping>"}}),
        ({"candidates": ChainMap({"a": 1})}, {"candidates": {"a": 1}}),
        ({"candidates": {"small": 0.5}}, {"metadata": {"candidates": {"small": 0.5}}}),
        ({"tier": Tier.SMALL}, {"model_tier": "SMALL"}),
        ({"tier": 2}, {"model_tier": "2"}),
        ({"tier": ""}, {}),
        ({"tier": None}, {}),
        ({"tier": ["a"]}, {"metadata": {"model_tier": ["a"]}}),
        pytest.param({"tier": Gone()}, {"model_tier": "<unreadable Gone>"}, id="gone"),
        ({"repo": Path("/srv/api")}, {"repo": "/srv/api"}),
        ({"policy_version": 7}, {"policy_version": "7"}),
        ({"prompt": ["a"]}, {"metadata": {"task_description": ["a"]}}),
        ({"prompt": "half \ud800"}, {"task_description": "half \\ud800"}),
        ({"attempt": 0}, {"metadata": {"attempt": 0}}),
        ({"event_id": "e-1"}, {"metadata": {"event_id": "e-1"}}),
        ({"schema_version": 9, "occurred_at": None}, {"metadata": {"schema_version": 9}}),
        ({"timestamp": "2026-03-01"}, {"metadata": {"timestamp": "2026-03-01"}}),
        ({"captured_at": 1, "metadata": {"a": 1}}, {"metadata": {"captured_at": 1, "a": 1}}),
        ({"metadata": "text"}, {"metadata": {"metadata": "text"}}),
        ({"metadata": {1: {2}}}, {"metadata": {"1": [2]}}),
        ({"task_id": "t-7"}, {"task_id": task_uuid("t-7"), "metadata": {"task_ref": "t-7"}}),
        ({"id": str(TASK)}, {"task_id": TASK}),
        ({"id": ""}, {"metadata": {"id": ""}}),
        ({"task_id": ["t"]}, {"metadata": {"task_id": ["t"]}}),
        ({5: 1}, {"metadata": {"5": 1}}),
        ({"huge": 10**5000}, {"metadata": {"huge": "<unreadable int>"}}),
    ],
)
def test_what_is_no_value_of_its_field_goes_into_the_metadata(told, fields):
    unknown = dict.fromkeys(("task_type", "repo", "model_tier"), "unknown")
    values = event_fields(RoutingDecision, fields_of(told))
    assert values == {**unknown, **fields}
    RoutingDecision(**{"task_id": TASK, **values})


@pytest.mark.parametrize(
    "duration", [timedelta(seconds=3), "3s", -1, float("nan"), 1e12, Mute(), datetime.min]
)
def test_an_outcome_stands_whatever_the_host_calls_a_duration(duration):
    values = event_fields(PoolExecutionComplete, outcome_fields({"duration": duration}))
    assert values["success"] is True
    seconds = 3.0 if isinstance(duration, timedelta) else None
    assert values.get("duration_seconds") == seconds
    assert ("duration_seconds" in values.get("metadata", {})) is (seconds is None)
    PoolExecutionComplete(task_id=TASK, **values)


def test_a_long_output_is_cut_and_the_rest_is_kept():
    told = {"output": "x" * 10**6, "lines": ["y" * 10**6], "worker_id": "w-1", "success": True}
    values = event_fields(PoolExecutionComplete, told)
    assert values["metadata"]["worker_id"] == "w-1"
    assert len(values["metadata"]["output"]) <= MAX_VALUE_CHARACTERS
    PoolExecutionComplete(task_id=TASK, **values)


def test_a_thousand_long_outputs_are_cut_to_what_a_line_holds():
    values = event_fields(
        PoolExecutionComplete, {"success": True, **{f"part {n}": "x" * 1000 for n in range(1000)}}
    )
    assert len(PoolExecutionComplete(task_id=TASK, **values).to_line()) < 256 * 1024
