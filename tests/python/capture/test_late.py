"""What is captured while the interpreter ends: Python alone writes it, the loader validates it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from orb_learning import Telemetry
from orb_learning._types import new_id, task_uuid
from orb_learning.capture import Recorder
from orb_learning.events import RoutingOutcome, parse_line
from orb_learning.hosts import instrument_pool_manager, instrument_router

TASK = UUID("0198a3a0-0000-7000-8000-000000000001")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Tier(Enum):
    LARGE = "large"


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the interpreter end, and everything compiled fail."""

    def gone(*_: object, **__: object) -> Any:
        raise AssertionError("something compiled was touched")

    monkeypatch.setattr(Recorder, "_is_ending", staticmethod(lambda: True))
    monkeypatch.setattr(sys, "is_finalizing", lambda: True)
    monkeypatch.setattr("uuid_utils.compat.uuid7", gone)
    for module in ("_recorder.direct", "_recorder.build", "_build.uuid7", "_host_values.misfits"):
        monkeypatch.setattr(f"orb_learning.capture.{module}", gone)


@pytest.fixture
def lines(home, whole_lines_in):
    return lambda: [json.loads(line) for line in whole_lines_in(home.spool)]


def test_a_late_event_is_one_that_the_loader_takes(telemetry, home, whole_lines_in, ending):
    assert (
        telemetry.capture_routing_outcome_sync(
            {"id": "ticket 7", "status": True},
            duration_seconds=2.5,
            quality_score=9,
            occurred_at=NOON,
            error_type="gate",
        )
        is None
    )
    (line,) = whole_lines_in(home.spool)
    event = parse_line(line)
    assert isinstance(event, RoutingOutcome)
    assert (event.task_id, event.success) == (task_uuid("ticket 7"), True)
    assert (event.duration_seconds, event.quality_score, event.error_type) == (2.5, 9, "gate")
    assert (event.occurred_at, event.metadata) == (NOON, None)
    assert event.event_id.version == 7
    assert telemetry.stats().captured == 1


def test_of_a_late_event_only_plain_words_are_written(telemetry, lines, ending):
    telemetry.capture_routing_decision_sync(
        {
            "task_id": TASK,
            "task_type": "bug_fix",
            "model_tier": Tier.LARGE,
            "repo": "https://ann:hunter2@example.org/api",
            "task_description": "fix it",
            "routing_confidence": float("nan"),
            "pool_type": None,
            "candidates": ["a"],
            "nobody_knows": 1,
        },
        occurred_at="2026-03-01T12:00:00Z",
    )
    (line,) = lines()
    assert line.pop("metadata") == {
        "left_out": "nobody_knows, repo, task_description, routing_confidence, candidates"
    }
    assert line.keys() == {
        *("event_id", "event_type", "occurred_at", "captured_at"),
        *("task_id", "task_type", "model_tier"),
    }
    assert (line["task_id"], line["model_tier"]) == (str(TASK), "large")
    assert line["occurred_at"] == str(NOON)


def test_a_fields_own_name_wins_over_another_spelling(telemetry, lines, ending):
    both = {"tier": "small", "model_tier": "large"}
    for given in (both, dict(reversed(both.items()))):
        telemetry.capture_routing_decision_sync(task_id=TASK, **given)
    assert [line["model_tier"] for line in lines()] == ["large", "large"]


def test_a_late_event_may_be_given_whole(telemetry, lines, ending):
    event = RoutingOutcome.model_construct(event_id=TASK, task_id=TASK, success=False)
    telemetry.capture_sync(event)
    (line,) = lines()
    assert (line["event_id"], line["event_type"]) == (str(TASK), "routing_outcome")
    assert (line["task_id"], line["success"]) == (str(TASK), False)


def test_an_id_may_be_text_and_a_wrong_one_costs_only_itself(telemetry, lines, ending):
    telemetry.capture_routing_outcome_sync(task_id=[], success=True, decision_id=str(TASK))
    telemetry.capture_routing_outcome_sync(task_id=TASK, success=True, decision_id="no uuid 7")
    first, second = lines()
    assert (first["decision_id"], first["metadata"]) == (str(TASK), {"left_out": "task_id"})
    assert second["metadata"] == {"left_out": "decision_id"}


def test_with_a_rule_of_the_hosts_no_text_is_written(home, lines, ending):
    telemetry = Telemetry(home.root, mask=str.upper)
    telemetry.capture_routing_decision_sync(task_id=TASK, task_type="bug_fix")
    (line,) = lines()
    assert line["metadata"] == {"left_out": "task_type"}


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("given", [object(), 7, "text", ["a"]])
def test_what_no_line_can_be_made_of_is_counted(home, lines, ending, given, strict):
    telemetry = Telemetry(home.root, strict=strict)
    assert telemetry.capture_sync(given) is None
    assert telemetry.stats().dropped == 1
    assert lines() == []


def test_calls_of_a_host_are_recorded_late_too(telemetry, lines, ending):
    class Host:
        def route_task(self, task):
            return {"tier": "large", "confidence": 0.9}

        def execute_on_pool(self, pool_id, task):
            raise KeyboardInterrupt

    host = Host()
    instrument_router(host, telemetry)
    instrument_pool_manager(host, telemetry)
    task = {"prompt": "fix it", "type": "bug_fix"}
    host.route_task(task)
    with pytest.raises(KeyboardInterrupt):
        host.execute_on_pool("swarm", task)
    with pytest.raises(ValueError, match="late"), telemetry.execution(task_type="bug_fix"):
        raise ValueError("late")

    kinds = [line["event_type"] for line in lines()]
    assert kinds == [
        *("routing_decision", "routing_decision"),  # none is kept that the next call could find
        *("pool_execution_start", "pool_execution_complete"),
        *("routing_decision", "routing_outcome"),
    ]
    assert len({line["task_id"] for line in lines()}) == 2
    decision, _, start, complete, *_ = lines()
    assert (decision["model_tier"], decision["routing_confidence"]) == ("large", 0.9)
    assert (start["pool_id"], complete["success"]) == ("swarm", False)
    assert complete["error_type"] == "cancelled"


def test_late_ids_are_in_the_order_of_time(ending):
    ids = [new_id() for _ in range(50)]
    assert {made.version for made in ids} == {7}
    assert len(set(ids)) == 50
    stamps = [made.int >> 80 for made in ids]
    assert stamps == sorted(stamps)


LATE = """
import sys
from orb_learning import Telemetry, instrument_pool_manager, instrument_router

telemetry = Telemetry(sys.argv[1])

class Host:
    def route_task(self, task):
        return {"tier": "large", "pool_type": "swarm"}

    def execute_on_pool(self, pool_id, task):
        yield "part"

host = Host()
instrument_router(host, telemetry)
instrument_pool_manager(host, telemetry)

class Late:
    def __del__(self, telemetry=telemetry, host=host, given=object(), Telemetry=Telemetry):
        LINES

late = Late()
late.itself = late
"""


@pytest.mark.parametrize(
    ("late", "written"),
    [
        ("telemetry.capture_routing_outcome_sync(task_id='T-1', success=True)", 1),
        ("telemetry.capture_routing_decision_sync({'task_type': 'x', 'meta': [1]}, repo='a')", 1),
        ("telemetry.capture_feedback_sync('T-1', feedback_type='x', comment='sk-123')", 1),
        ("telemetry.capture_sync(given)", 0),
        ("host.route_task({'prompt': 'x'})", 1),
        ("[*host.execute_on_pool('p', {'prompt': 'x'})]", 3),
        ("next(host.execute_on_pool('p', {'prompt': 'x'}))", 3),
        ("exec('with telemetry.execution(task_type=\"x\") as run: run.quality_score = 9')", 2),
        (
            "[telemetry.capture_routing_outcome_sync(task_id=n, success=True) for n in range(9)]",
            9,
        ),
        ("telemetry.close()", 0),
    ],
)
def test_no_late_hook_ends_the_process_or_says_anything(tmp_path, whole_lines_in, late, written):
    done = subprocess.run(
        [sys.executable, "-c", LATE.replace("LINES", late), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(whole_lines_in(tmp_path / "spool")) == written
