"""What is recorded of a host's calls: one task, one execution, however the calls are made."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any
from uuid import UUID

import duckdb
import pytest
from pydantic import BaseModel

from orb_learning import Telemetry, instrument_pool_manager, instrument_router
from orb_learning._types import task_uuid
from orb_learning.capture import _task_context
from orb_learning.events import (
    Event,
    InvalidEvent,
    PoolExecutionComplete,
    PoolExecutionStart,
    RoutingDecision,
    RoutingOutcome,
    TaskEvent,
)
from orb_learning.staging import load

TASK = UUID("0198a3a0-0000-7000-8000-000000000001")
DECIDED, STARTED, ENDED = "routing_decision", "pool_execution_start", "pool_execution_complete"
ROUTED_END = "routing_outcome"
ONE_EXECUTION = [DECIDED, STARTED, ENDED]


class Kind(Enum):
    SWARM = "swarm"


class Pool:
    def __init__(self) -> None:
        self.pool_type = Kind.SWARM


class Host:
    """A host that routes and runs tasks by itself, like the one this package was made for."""

    def __init__(self) -> None:
        self.pools = {"p": Pool(), "q": Pool()}
        self.results: list[Any] = []

    async def route_task(self, task: Any) -> Any:
        return await self.execute_on_pool("p", task)

    async def execute_on_pool(self, pool_id: str, task: Any) -> Any:
        result = self.results.pop(0) if self.results else None
        if isinstance(result, BaseException):
            raise result
        return {
            "pool_id": pool_id,
            "worker_id": "w-1",
            "status": result or "completed",
            "output": "done",
            "error": None,
            "duration": 1.5,
        }


class Router:
    """Decides, and says all that a decision may say."""

    async def route_task(self, task: Any) -> Any:
        return {
            "model_tier": "large",
            "pool_type": "swarm",
            "confidence": 0.8,
            "estimated_cost": 0.4,
            "policy_version": "epsilon-greedy-2",
            "propensity": 0.9,
            "candidates": {"small": 0.1, "large": 0.9},
            "reasoning": "many files",
        }


class Split:
    """A router and a pool manager apart, both of which await what their functions return."""

    def __init__(
        self,
        telemetry: Telemetry,
        route: Callable[[Any], Any] = lambda task: {"model_tier": "large"},
        execute: Callable[[str, Any], Any] = lambda pool_id, task: {"status": "completed"},
    ) -> None:
        self.route, self.execute = route, execute
        instrument_router(self, telemetry)
        instrument_pool_manager(self, telemetry)

    def route_task(self, task: Any) -> Any:
        return self.route(task)

    def execute_on_pool(self, pool_id: str, task: Any) -> Any:
        return self.execute(pool_id, task)


@pytest.fixture
def host(telemetry: Telemetry) -> Host:
    return _instrumented(Host(), telemetry)


def _instrumented(host: Any, telemetry: Telemetry) -> Any:
    instrument_router(host, telemetry)
    instrument_pool_manager(host, telemetry)
    return host


@pytest.fixture
def tasks(recorded: Any) -> Callable[[], dict[UUID, list[str]]]:
    """Return each task's kinds of event, in order; with the attempt where one is said."""

    def read() -> dict[UUID, list[str]]:
        found: dict[UUID, list[str]] = {}
        for event in recorded():
            assert isinstance(event, TaskEvent), event
            said = f" {event.attempt}" if event.attempt else ""
            found.setdefault(event.task_id, []).append(event.type_name + said)
        return found

    return read


def only(events: list[Event], cls: type[Any]) -> Any:
    (event,) = [event for event in events if isinstance(event, cls)]
    return event


# One execution


def test_a_host_that_routes_and_runs_is_one_execution(host, recorded):
    task = {"prompt": "fix it", "category": "bug_fix", "priority": 3}
    result = asyncio.run(host.route_task(task))
    assert task == {"prompt": "fix it", "category": "bug_fix", "priority": 3}
    assert result["status"] == "completed"

    decision, start, end = recorded()
    assert isinstance(decision, RoutingDecision)
    assert (decision.task_type, decision.task_description) == ("bug_fix", "fix it")
    assert (decision.repo, decision.model_tier, decision.pool_type) == (
        "unknown",
        "unknown",
        "swarm",
    )
    assert decision.metadata == {
        "inferred_from": "execute_on_pool",
        "pool_id": "p",
        "priority": 3,
    }
    assert isinstance(start, PoolExecutionStart)
    assert (start.pool_id, start.pool_type) == ("p", "swarm")
    assert isinstance(end, PoolExecutionComplete)
    assert (end.pool_id, end.pool_type, end.success) == ("p", "swarm", True)
    assert end.duration_seconds == 1.5
    assert end.metadata == {"worker_id": "w-1", "status": "completed", "output": "done"}
    assert decision.task_id == start.task_id == end.task_id
    assert decision.occurred_at <= start.occurred_at <= end.occurred_at


def test_a_router_and_a_pool_manager_apart_are_one_execution(telemetry, recorded):
    async def main() -> None:
        router, manager = Router(), Host()
        instrument_router(router, telemetry)
        instrument_pool_manager(manager, telemetry)
        task = {"description": "fix it", "repository": "acme/api", "type": "bug_fix"}
        await router.route_task(task)
        await manager.execute_on_pool("p", task)

    asyncio.run(main())
    decision, start, end = recorded()
    assert decision.task_id == start.task_id == end.task_id
    assert (decision.task_type, decision.repo, decision.model_tier) == (
        "bug_fix",
        "acme/api",
        "large",
    )
    assert (decision.routing_confidence, decision.cost_estimate) == (0.8, 0.4)
    assert (decision.policy_version, decision.propensity) == ("epsilon-greedy-2", 0.9)
    assert decision.candidates == {"small": 0.1, "large": 0.9}
    assert decision.metadata == {"reasoning": "many files"}


def test_a_pool_manager_alone_is_one_execution(telemetry, tasks):
    host = Split(telemetry)
    host.execute_on_pool("p", {"prompt": "one"})
    host.execute_on_pool("p", {"prompt": "two"})
    assert list(tasks().values()) == [ONE_EXECUTION] * 2


@dataclass
class Task:
    prompt: str = "fix it"
    model: str = "large"


class Request(BaseModel):
    prompt: str = "fix it"
    model: str = "large"


class Slotted:
    __slots__ = ("model", "prompt")

    def __init__(self) -> None:
        self.prompt, self.model = "fix it", "large"


@pytest.mark.parametrize("task", [Task(), Request(), Slotted(), vars(Task())])
def test_a_task_may_be_an_object_of_any_class(telemetry, recorded, task):
    Split(telemetry).execute_on_pool("p", task)
    decision = recorded()[0]
    assert (decision.task_description, decision.model_tier) == ("fix it", "large")


@pytest.mark.parametrize("task", ["fix it", None, ["fix it"], 7])
def test_a_task_without_fields_is_one_execution_all_the_same(telemetry, tasks, task):
    host = Split(telemetry)
    host.route_task(task)
    host.execute_on_pool("p", task)
    assert list(tasks().values()) == [ONE_EXECUTION]


class Tier(Enum):
    SMALL = auto()
    LARGE = "large"


@pytest.mark.parametrize(
    ("answer", "tier"),
    [
        ("large", "large"),
        (Tier.LARGE, "large"),
        (Tier.SMALL, "SMALL"),
        ({"tier": Tier.LARGE}, "large"),
        (Task(), "large"),
        (Request(), "large"),
        (Slotted(), "large"),
        (None, "unknown"),
        (["large"], "unknown"),
        ({"pool": "p", "status": "routed"}, "unknown"),
        ({"tier": None}, "unknown"),
        ({"tier": object(), "success": True}, "unknown"),
    ],
)
def test_a_routers_answer_is_a_decision(telemetry, recorded, answer, tier):
    host = Split(telemetry, route=lambda task: answer)
    assert host.route_task({"prompt": "fix it"}) is answer
    (decision,) = recorded()
    assert isinstance(decision, RoutingDecision)
    assert decision.model_tier == tier
    assert decision.task_description == "fix it"


def test_the_routers_word_wins_over_the_tasks(telemetry, recorded):
    host = Split(telemetry)
    host.route_task({"model": "small", "repo": "acme/api"})
    assert (recorded()[0].model_tier, recorded()[0].repo) == ("large", "acme/api")


def test_a_calls_other_arguments_tell_of_the_decision_too(telemetry, recorded):
    class WithRepo:
        def route_task(self, task, repo, *, task_id):
            return "large"

    router = WithRepo()
    instrument_router(router, telemetry)
    router.route_task({"prompt": "fix it"}, "acme/api", task_id="ticket-7")
    (decision,) = recorded()
    assert (decision.repo, decision.task_id) == ("acme/api", task_uuid("ticket-7"))


def test_a_decision_is_dated_before_the_router_thought(telemetry, recorded):
    stamps = []

    def route(task: Any) -> str:
        stamps.append(telemetry.capture_feedback_sync(TASK, feedback_type="x").occurred_at)
        return "large"

    Split(telemetry, route=route).route_task({})
    assert only(recorded(), RoutingDecision).occurred_at <= stamps[0]


def test_an_unreadable_value_costs_only_itself(telemetry, recorded):
    host = Split(telemetry, route=lambda task: {"tier": "large", "confidence": "rather high"})
    host.route_task({"complexity": "high", "attempt": 0, "schema_version": 7, "files": ["a.py"]})
    (decision,) = recorded()
    assert decision.model_tier == "large"
    assert decision.metadata == {
        "routing_confidence": "rather high",
        "complexity_score": "high",
        "attempt": 0,
        "schema_version": 7,
        "files": ["a.py"],
    }


# How it ended


@pytest.mark.parametrize(
    ("result", "success"),
    [
        (None, True),
        ("text", True),
        (["a"], True),
        (False, False),
        ({"success": False}, False),
        ({"status": "failed", "error": {"code": 1}}, False),
        (Slotted(), True),
        (object(), True),
    ],
)
def test_a_result_of_any_kind_is_an_outcome(telemetry, recorded, result, success):
    host = Split(telemetry, execute=lambda pool_id, task: result)
    assert host.execute_on_pool("p", {}) is result
    end = only(recorded(), PoolExecutionComplete)
    assert end.success is success
    assert end.duration_seconds >= 0


def test_a_wrong_duration_gives_way_to_the_measured_one(telemetry, recorded):
    host = Split(telemetry, execute=lambda pool_id, task: {"duration": "3s"})
    host.execute_on_pool("p", {})
    end = only(recorded(), PoolExecutionComplete)
    assert end.duration_seconds >= 0
    assert end.duration_source == "measured"
    assert end.metadata == {"duration_seconds": "3s", "success_source": "returned"}


def test_a_duration_that_a_host_says_is_reported(telemetry, recorded):
    host = Split(telemetry, execute=lambda pool_id, task: {"success": True, "duration": 3})
    host.execute_on_pool("p", {})
    end = only(recorded(), PoolExecutionComplete)
    assert (end.duration_seconds, end.duration_source) == (3, None)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("boom"), "crash"),
        (TimeoutError("late"), "timeout"),
        (KeyboardInterrupt(), "cancelled"),
        (SystemExit(1), "cancelled"),
        (GeneratorExit(), "cancelled"),
    ],
    ids=repr,
)
def test_an_exception_is_a_failed_execution_and_the_same_object(telemetry, recorded, error, kind):
    def execute(pool_id: str, task: Any) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        Split(telemetry, execute=execute).execute_on_pool("p", {})
    assert caught.value is error
    end = only(recorded(), PoolExecutionComplete)
    assert (end.success, end.error_type) == (False, kind)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(ValueError("boom"), "crash"), (asyncio.CancelledError(), "cancelled")],
    ids=repr,
)
def test_an_exception_passes_through_both_and_is_recorded_once(host, recorded, error, kind):
    host.results = [error]

    async def main() -> None:
        with pytest.raises(type(error)) as caught:
            await host.route_task({"prompt": "fix it"})
        assert caught.value is error

    asyncio.run(main())
    assert [event.type_name for event in recorded()] == ONE_EXECUTION
    assert (recorded()[-1].success, recorded()[-1].error_type) == (False, kind)


def test_a_task_that_is_cancelled_is_recorded_as_that(telemetry, recorded):
    async def main() -> None:
        host = Split(telemetry, execute=lambda pool_id, task: asyncio.Event().wait())
        task = asyncio.ensure_future(host.execute_on_pool("p", {}))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert recorded()[-1].error_type == "cancelled"


def test_a_router_that_fails_is_a_failed_execution(telemetry, recorded):
    def route(task: Any) -> None:
        raise ValueError("no tier")

    with pytest.raises(ValueError, match="no tier"):
        Split(telemetry, route=route).route_task({"prompt": "fix it"})
    decision, outcome = recorded()
    assert decision.task_id == outcome.task_id
    assert (decision.model_tier, decision.task_description) == ("unknown", "fix it")
    assert isinstance(outcome, RoutingOutcome)
    assert outcome.error_message == "ValueError: no tier"


def test_a_router_that_answers_with_the_outcome_has_run_the_task(telemetry, recorded):
    answer = {"status": "failed", "error": "boom", "cost": 0.3, "id": "job-9"}
    host = Split(telemetry, route=lambda task: answer)
    assert host.route_task({"prompt": "fix it"}) is answer
    decision, outcome = recorded()
    assert decision.task_id == outcome.task_id
    assert (outcome.success, outcome.error_message, outcome.actual_cost) == (False, "boom", 0.3)
    assert outcome.metadata == {"status": "failed", "task_ref": "job-9"}


def test_a_router_that_runs_the_task_may_tell_its_tier_afterwards(telemetry, recorded):
    host = Split(telemetry)
    host.route = lambda task: {**host.execute_on_pool("p", task), "model": "large"}
    host.route_task({"prompt": "fix it"})
    inferred, start, end, decision = recorded()
    assert (inferred.model_tier, decision.model_tier) == ("unknown", "large")
    assert decision.occurred_at == inferred.occurred_at < start.occurred_at
    assert decision.captured_at > inferred.captured_at
    assert decision.attempt == 1  # whatever the outcome says meanwhile
    assert {event.task_id for event in (start, end, decision)} == {inferred.task_id}


@pytest.mark.parametrize("answer", ["done", None, {"status": "partial"}, {"model": None}])
def test_a_router_that_runs_the_task_and_tells_no_tier_says_nothing_new(telemetry, tasks, answer):
    host = Split(telemetry)

    def route(task: Any) -> Any:
        host.execute_on_pool("p", task)
        return answer

    host.route = route
    assert host.route_task({}) is answer
    assert list(tasks().values()) == [ONE_EXECUTION]


def test_a_router_inside_knows_the_tier_better_than_the_result_outside(telemetry, recorded):
    router = Split(telemetry)

    class Outer(Host):
        async def route_task(self, task):
            router.route_task(task)
            return {**await self.execute_on_pool("p", task), "model": "large-2026-03"}

    asyncio.run(_instrumented(Outer(), telemetry).route_task({"prompt": "fix it"}))
    assert only(recorded(), RoutingDecision).model_tier == "large"


# Which task it is


@pytest.mark.parametrize(
    "named",
    [{"task_id": "ticket-7"}, {"id": "ticket-7"}, {"task_id": None, "id": "ticket-7"}],
)
def test_a_task_that_the_host_names_is_that_task(host, recorded, named):
    asyncio.run(host.route_task({"prompt": "fix it", **named}))
    assert {event.task_id for event in recorded()} == {task_uuid("ticket-7")}
    assert recorded()[0].metadata["task_ref"] == "ticket-7"


@pytest.mark.parametrize("named", [{"task_id": str(TASK)}, {"id": TASK}])
def test_a_uuid_is_taken_as_it_is(host, recorded, named):
    asyncio.run(host.route_task({"prompt": "fix it", **named}))
    assert {event.task_id for event in recorded()} == {TASK}
    assert "task_ref" not in recorded()[0].metadata


@pytest.mark.parametrize("named", [{"id": ""}, {"id": ["a"]}, {"task_id": " "}])
def test_an_unusable_name_is_no_name(host, tasks, named):
    asyncio.run(host.route_task({"prompt": "fix it", **named}))
    assert list(tasks().values()) == [ONE_EXECUTION]


def test_an_argument_may_name_the_task(telemetry, recorded):
    class Manager:
        def execute_on_pool(self, pool_id, task, task_id): ...

    manager = Manager()
    instrument_pool_manager(manager, telemetry)
    manager.execute_on_pool("p", {"prompt": "fix it"}, "ticket-7")
    assert {event.task_id for event in recorded()} == {task_uuid("ticket-7")}
    assert recorded()[0].metadata["task_ref"] == "ticket-7"


def test_a_name_that_is_given_inside_the_router_names_the_whole_task(telemetry, tasks):
    host = Split(telemetry)
    host.route = lambda task: host.execute_on_pool("p", {**task, "id": "ticket-7"})
    host.route_task({"prompt": "fix it"})
    assert tasks() == {task_uuid("ticket-7"): ONE_EXECUTION}


def test_a_named_task_inside_another_is_its_own(telemetry, tasks):
    host = Split(telemetry)

    def route(task: Any) -> Any:
        for name in ("one", "two"):
            host.execute_on_pool("p", {"id": name})
        return host.execute_on_pool("p", task)

    host.route = route
    host.route_task({"id": "whole"})
    assert tasks() == {task_uuid(name): ONE_EXECUTION for name in ("one", "two", "whole")}


def test_a_named_task_inside_an_execution_leaves_it_its_own_id(telemetry, tasks):
    host = Split(telemetry)

    def execute(pool_id: str, task: Any) -> None:
        if "parts" in task:
            host.execute_on_pool("p", {"id": task["parts"]})

    host.execute = execute
    host.execute_on_pool("p", {"parts": "ticket-7"})
    assert tasks().pop(task_uuid("ticket-7")) == ONE_EXECUTION
    assert sorted(map(sorted, tasks().values())) == [sorted(ONE_EXECUTION)] * 2


def test_the_task_outside_goes_on_when_a_named_one_inside_has_ended(telemetry, recorded):
    host = Split(telemetry)
    with telemetry.execution(task_type="outer") as run:
        host.execute_on_pool("p", {"id": "inner"})
        telemetry.capture_feedback_sync(feedback_type="comment", comment="fine")
        host.execute_on_pool("p", {"prompt": "the rest"})
    ids = [event.task_id for event in recorded()]
    assert ids == [run.task_id, *[task_uuid("inner")] * 3, *[run.task_id] * 4]


def test_a_pool_may_be_named_by_a_number_or_an_enums_member(telemetry, recorded):
    host = Split(telemetry)
    for pool in (7, TASK, Kind.SWARM):
        host.execute_on_pool(pool, {})
    starts = [event.pool_id for event in recorded() if isinstance(event, PoolExecutionStart)]
    assert starts == ["7", str(TASK), "swarm"]


def test_hooks_inside_a_call_need_not_name_the_task(telemetry, recorded):
    def execute(pool_id: str, task: Any) -> None:
        telemetry.capture_feedback_sync(feedback_type="comment", comment="fine")

    host = Split(telemetry, execute=execute)
    host.route_task({})
    host.execute_on_pool("p", {"prompt": "transformed"})
    assert len({event.task_id for event in recorded()}) == 1


# Attempts


def test_the_same_object_again_is_the_next_attempt_with_its_decision_repeated(host, recorded):
    host.results = ["failed", "completed"]

    async def main() -> None:
        task = {"prompt": "fix it"}
        await host.execute_on_pool("p", task)
        await host.execute_on_pool("q", task)

    asyncio.run(main())
    events = recorded()
    assert [event.type_name for event in events] == ONE_EXECUTION * 2
    assert [event.attempt for event in events] == [None] * 3 + [2] * 3
    assert len({event.task_id for event in events}) == 1
    assert [event.success for event in events if isinstance(event, PoolExecutionComplete)] == [
        False,
        True,
    ]
    first, again = events[0], events[3]
    same = {"event_id", "attempt", "occurred_at", "captured_at"}
    assert again.model_dump(exclude=same) == first.model_dump(exclude=same)
    assert again.event_id != first.event_id
    assert again.occurred_at > events[2].occurred_at
    assert [event.pool_id for event in events if isinstance(event, PoolExecutionStart)] == [
        "p",
        "q",
    ]


def test_a_task_routed_again_is_the_next_attempt_with_a_decision_of_its_own(telemetry, recorded):
    tiers = ["small", "large"]
    host = Split(telemetry, route=lambda task: tiers.pop(0))
    task = {"prompt": "fix it"}
    for _ in range(2):
        host.route_task(task)
        host.execute_on_pool("p", task)
    decisions = [event for event in recorded() if isinstance(event, RoutingDecision)]
    assert [(event.model_tier, event.attempt) for event in decisions] == [
        ("small", None),
        ("large", 2),
    ]
    assert [event.attempt for event in recorded()] == [None] * 3 + [2] * 3


def test_a_task_routed_again_before_it_ran_is_still_the_first_attempt(telemetry, tasks):
    host = Split(telemetry)
    task = {"prompt": "fix it"}
    host.route_task(task)
    host.route_task(task)
    host.execute_on_pool("p", task)
    assert list(tasks().values()) == [[DECIDED, *ONE_EXECUTION]]


def test_routing_that_failed_was_an_attempt(telemetry, tasks):
    answers: list[Any] = [ValueError(), "large"]

    def route(task: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    host = Split(telemetry, route=route)
    task = {"prompt": "fix it"}
    with pytest.raises(ValueError):
        host.route_task(task)
    host.route_task(task)
    host.execute_on_pool("p", task)
    host.execute_on_pool("p", task)
    second = [f"{DECIDED} 2", f"{STARTED} 2", f"{ENDED} 2"]
    third = [f"{DECIDED} 3", f"{STARTED} 3", f"{ENDED} 3"]
    assert list(tasks().values()) == [[DECIDED, ROUTED_END, *second, *third]]


def test_a_fallback_inside_an_execution_is_the_next_attempt_and_ends_first(telemetry, tasks):
    host = Split(telemetry)

    def execute(pool_id: str, task: Any) -> Any:
        if pool_id == "p":
            return {"status": "failed", "instead": host.execute_on_pool("q", {**task, "retry": 1})}
        return {"status": "completed"}

    host.execute = execute
    host.execute_on_pool("p", {"prompt": "fix it"})
    second = [f"{DECIDED} 2", f"{STARTED} 2", f"{ENDED} 2"]
    assert list(tasks().values()) == [[DECIDED, STARTED, *second, f"{ENDED} 1"]]


def test_attempts_side_by_side_inside_one_task_each_end_as_themselves(telemetry, recorded):
    async def main() -> None:
        gate = asyncio.Barrier(2)

        async def execute(pool_id: str, task: Any) -> Any:
            await gate.wait()
            return {"status": "completed", "output": task["number"]}

        host = Split(telemetry, execute=execute)
        async with telemetry.execution():
            await asyncio.gather(*(host.execute_on_pool("p", {"number": n}) for n in (1, 2)))

    asyncio.run(main())
    ends = [event for event in recorded() if isinstance(event, PoolExecutionComplete)]
    assert {event.attempt: event.metadata["output"] for event in ends} == {1: 1, 2: 2}


def test_tasks_retried_after_others_are_still_themselves(telemetry, tasks):
    host = Split(telemetry)
    first, second = {"prompt": "one"}, {"prompt": "two"}
    for task in (first, second, first):
        host.execute_on_pool("p", task)
    again = [f"{DECIDED} 2", f"{STARTED} 2", f"{ENDED} 2"]
    assert list(tasks().values()) == [ONE_EXECUTION + again, ONE_EXECUTION]


def test_equal_texts_are_not_the_same_task_but_one_after_its_routing_is(telemetry, tasks):
    host = Split(telemetry)
    for task in ("one", "two", "one"):
        host.route_task(task)
        host.execute_on_pool("p", task)
    assert list(tasks().values()) == [ONE_EXECUTION] * 3


def test_a_decision_that_could_not_be_stored_is_made_up_for_by_the_execution(
    telemetry, tasks, home
):
    home.root.mkdir()
    home.spool.write_text("in the way")
    host = Split(telemetry)
    task = {"prompt": "fix it"}
    host.route_task(task)
    host.execute_on_pool("p", task)
    home.spool.unlink()
    host.execute_on_pool("p", task)
    assert list(tasks().values()) == [[f"{DECIDED} 2", f"{STARTED} 2", f"{ENDED} 2"]]


def test_a_decision_that_a_hook_recorded_is_the_executions_own(telemetry, recorded):
    telemetry.capture_routing_decision_sync(model_tier="large")
    Split(telemetry).execute_on_pool("p", {"prompt": "fix it"})
    assert [event.type_name for event in recorded()] == ONE_EXECUTION
    assert len({event.task_id for event in recorded()}) == 1


def test_a_decision_that_a_hook_records_for_a_retry_is_the_retrys_own(telemetry, recorded):
    host = Split(telemetry)
    task = {"prompt": "fix it"}
    for tier in ("small", "large"):
        telemetry.capture_routing_decision_sync(model_tier=tier)
        host.execute_on_pool("p", task)
    events = recorded()
    assert [event.type_name for event in events] == ONE_EXECUTION * 2
    assert [event.model_tier for event in events[::3]] == ["small", "large"]
    assert [len({event.task_id for event in events[at : at + 3]}) for at in (0, 3)] == [1, 1]


def test_a_decision_that_a_hook_records_for_a_named_retry_is_not_repeated(telemetry, recorded):
    host = Split(telemetry)
    for tier in ("small", "large"):
        telemetry.capture_routing_decision_sync(task_id="ticket-7", model_tier=tier)
        host.execute_on_pool("p", {"id": "ticket-7"})
        telemetry.capture_routing_decision_sync(task_id="other")
    decisions = [event for event in recorded() if event.type_name == DECIDED]
    assert [event.model_tier for event in decisions] == ["small", "unknown", "large", "unknown"]


def test_after_a_hooks_decision_has_run_known_tasks_are_still_known(telemetry, tasks):
    host = Split(telemetry)
    known = {"prompt": "known"}
    host.execute_on_pool("p", known)
    telemetry.capture_routing_decision_sync(model_tier="large")
    host.execute_on_pool("p", "fix it")
    host.execute_on_pool("p", known)
    again = [f"{DECIDED} 2", f"{STARTED} 2", f"{ENDED} 2"]
    assert list(tasks().values()) == [ONE_EXECUTION + again, ONE_EXECUTION]


def test_a_known_task_that_is_run_inside_another_is_still_itself(telemetry, tasks):
    host = Split(telemetry)
    outer, inner = {"prompt": "outer"}, {"prompt": "inner"}
    for task in (outer, inner):
        host.route_task(task)
    host.execute = lambda pool_id, task: task is outer and host.execute_on_pool("p", inner)
    host.execute_on_pool("p", outer)
    assert list(tasks().values()) == [ONE_EXECUTION] * 2


def test_every_attempt_waits_for_an_answer_of_its_own(telemetry):
    answered = []

    def execute(pool_id: str, task: Any) -> None:
        scope = _task_context.current_scope()
        answered.append(scope.is_answered)
        scope.is_answered = True

    host = Split(telemetry, execute=execute)
    task = {"prompt": "fix it"}
    for _ in range(2):
        host.execute_on_pool("p", task)
    assert answered == [False, False]


# Inside `execution()`


def test_calls_inside_a_block_are_the_blocks_own_execution(telemetry, host, tasks):
    async def main() -> None:
        async with telemetry.execution(task_type="bug_fix", model_tier="large") as run:
            await host.route_task({"prompt": "fix it"})
            run.quality_score = 92

    asyncio.run(main())
    assert list(tasks().values()) == [[*ONE_EXECUTION, ROUTED_END]]


def test_the_same_object_in_two_blocks_is_two_tasks(telemetry, tasks):
    host = Split(telemetry)
    task = {"prompt": "fix it"}
    for _ in range(2):
        with telemetry.execution():
            host.execute_on_pool("p", task)
    assert list(tasks().values()) == [[*ONE_EXECUTION, ROUTED_END]] * 2


def test_a_known_object_in_a_block_is_the_blocks_own_however_late_it_comes(telemetry, tasks):
    host = Split(telemetry)
    task = {"prompt": "fix it"}
    for _ in range(2):
        with telemetry.execution():
            host.execute_on_pool("p", {"prompt": "prepare"})
            host.execute_on_pool("p", task)
    again = [f"{DECIDED} 2", f"{STARTED} 2", f"{ENDED} 2", f"{ROUTED_END} 2"]
    assert list(tasks().values()) == [ONE_EXECUTION + again] * 2


def test_a_block_around_two_attempts_ends_with_the_second(telemetry, tasks):
    host = Split(telemetry)
    task = {"prompt": "fix it"}
    with telemetry.execution():
        host.execute_on_pool("p", task)
        host.execute_on_pool("p", task)
    again = [f"{DECIDED} 2", f"{STARTED} 2", f"{ENDED} 2", f"{ROUTED_END} 2"]
    assert list(tasks().values()) == [ONE_EXECUTION + again]


def test_a_block_that_is_a_later_attempt_counts_on_from_there(telemetry, tasks):
    host = Split(telemetry)
    task = {"prompt": "fix it", "id": "ticket-7"}
    with telemetry.execution(task_id="ticket-7", attempt=2):
        host.execute_on_pool("p", task)
        host.execute_on_pool("p", task)
    second = [f"{DECIDED} 2", f"{STARTED} 2", f"{ENDED} 2"]
    third = [f"{DECIDED} 3", f"{STARTED} 3", f"{ENDED} 3", f"{ROUTED_END} 3"]
    assert tasks() == {task_uuid("ticket-7"): second + third}


def test_a_block_inside_a_call_is_an_execution_of_its_own(telemetry, tasks):
    def execute(pool_id: str, task: Any) -> None:
        with telemetry.execution(task_type="part"):
            pass

    Split(telemetry, execute=execute).execute_on_pool("p", {})
    assert sorted(tasks().values()) == sorted([ONE_EXECUTION, [DECIDED, ROUTED_END]])


def test_a_named_execution_in_a_thread_is_the_blocks_own(telemetry, tasks):
    host = Split(telemetry)
    with (
        concurrent.futures.ThreadPoolExecutor(1) as threads,
        telemetry.execution(task_id="ticket-7", model_tier="large"),
    ):
        threads.submit(host.execute_on_pool, "p", {"id": "ticket-7"}).result(60)
    assert tasks() == {task_uuid("ticket-7"): [*ONE_EXECUTION, ROUTED_END]}


def test_work_that_a_block_leaves_behind_is_no_part_of_it(telemetry, tasks):
    host = Split(telemetry)

    async def main() -> None:
        gate = asyncio.Event()

        async def later() -> None:
            await gate.wait()
            for prompt in ("one", "two"):
                host.execute_on_pool("p", {"prompt": prompt})

        async with telemetry.execution():
            host.execute_on_pool("p", {"prompt": "now"})
            left = asyncio.create_task(later())
        gate.set()
        await left

    asyncio.run(main())
    assert list(tasks().values()) == [[*ONE_EXECUTION, ROUTED_END], ONE_EXECUTION, ONE_EXECUTION]


# Side by side


def shapes(run: Any) -> dict[str, Callable[[str, Any], Any]]:
    """Return functions of every shape that run the same work."""

    async def coroutine(pool_id: str, task: Any) -> Any:
        return await run(task)

    return {
        "a coroutine function": coroutine,
        "a function that returns a coroutine": lambda pool_id, task: run(task),
        "a function that returns a task": lambda pool_id, task: asyncio.ensure_future(run(task)),
    }


@pytest.mark.parametrize("shape", shapes(None))
def test_tasks_side_by_side_do_not_meet(telemetry, recorded, shape):
    async def main() -> None:
        gate = asyncio.Barrier(5)

        async def run(task: Any) -> Any:
            await gate.wait()
            return {"status": "completed", "output": task["prompt"]}

        class Manager:
            execute_on_pool = staticmethod(shapes(run)[shape])

        manager = Manager()
        instrument_pool_manager(manager, telemetry)
        tasks = [{"prompt": str(number)} for number in range(5)]
        await asyncio.gather(*(manager.execute_on_pool("p", task) for task in tasks))
        await asyncio.sleep(0)

    asyncio.run(main())
    events = recorded()
    said = {e.task_id: e.task_description for e in events if isinstance(e, RoutingDecision)}
    ended = {
        e.task_id: e.metadata["output"] for e in events if isinstance(e, PoolExecutionComplete)
    }
    assert len(said) == 5
    assert said == ended


def test_hosts_side_by_side_do_not_meet(host, tasks):
    async def main() -> None:
        await asyncio.gather(*(host.route_task({"prompt": str(number)}) for number in range(5)))

    asyncio.run(main())
    assert list(tasks().values()) == [ONE_EXECUTION] * 5


def test_calls_with_a_timeout_are_one_execution(telemetry, tasks):
    async def main() -> None:
        router, manager = Router(), Host()
        instrument_router(router, telemetry)
        instrument_pool_manager(manager, telemetry)
        for task in ({"prompt": "fix it"}, {"prompt": "fix it", "id": "ticket-7"}):
            await asyncio.wait_for(router.route_task(task), 60)
            await asyncio.wait_for(manager.execute_on_pool("p", task), 60)

    asyncio.run(main())
    assert list(tasks().values()) == [ONE_EXECUTION] * 2


def test_a_router_that_returns_a_task_decides_for_the_execution_that_follows(telemetry, tasks):
    async def main() -> None:
        async def route(task: Any) -> str:
            return "large"

        host = Split(telemetry, route=lambda task: asyncio.ensure_future(route(task)))
        tasks = [{"prompt": str(number)} for number in range(2)]
        await asyncio.gather(*map(host.route_task, tasks))
        for task in tasks:
            host.execute_on_pool("p", task)

    asyncio.run(main())
    assert list(tasks().values()) == [ONE_EXECUTION] * 2


def test_tasks_routed_in_a_batch_are_run_as_themselves(telemetry, recorded):
    host = Split(telemetry, execute=lambda pool_id, task: {"output": task["prompt"]})
    tasks = [{"prompt": str(number)} for number in range(3)]
    for task in tasks:
        host.route_task(task)
    for task in reversed(tasks):
        host.execute_on_pool("p", task)
    events = recorded()
    said = {e.task_id: e.task_description for e in events if isinstance(e, RoutingDecision)}
    ended = {
        e.task_id: e.metadata["output"] for e in events if isinstance(e, PoolExecutionComplete)
    }
    assert said == ended


def test_an_execution_in_a_thread_is_the_routed_tasks_own(telemetry, tasks):
    host = Split(telemetry)

    async def route(task: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, host.execute_on_pool, "p", task)

    host.route = route
    asyncio.run(host.route_task({"prompt": "fix it"}))
    assert list(tasks().values()) == [ONE_EXECUTION]


def test_an_execution_by_a_worker_behind_a_queue_is_the_routed_tasks_own(telemetry, tasks):
    host = Split(telemetry)
    jobs: queue.Queue[Any] = queue.Queue()

    def work() -> None:
        while (job := jobs.get(timeout=60)) is not None:
            task, answer = job
            answer.set_result(host.execute_on_pool("p", task))

    def route(task: Any) -> Any:
        answer: concurrent.futures.Future[Any] = concurrent.futures.Future()
        jobs.put((task, answer))
        return answer.result(60)

    host.route = route
    worker = threading.Thread(target=work)
    worker.start()
    try:
        for number in range(3):
            host.route_task({"prompt": str(number)})
    finally:
        jobs.put(None)
        worker.join()
    assert list(tasks().values()) == [ONE_EXECUTION] * 3


def test_threads_do_not_meet(telemetry, tasks):
    gate = threading.Barrier(4)

    def execute(pool_id: str, task: Any) -> None:
        gate.wait(60)

    host = Split(telemetry, execute=execute)

    def work(number: int) -> None:
        task = {"prompt": str(number)}
        host.route_task(task)
        host.execute_on_pool("p", {**task, "tier": "large"})

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert list(tasks().values()) == [ONE_EXECUTION] * 4


def test_a_thread_pools_future_is_recorded_when_it_ends(telemetry, tasks):
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        gate = threading.Event()
        host = Split(telemetry, execute=lambda pool_id, task: threads.submit(gate.wait, 60))
        futures = [host.execute_on_pool("p", {"prompt": str(number)}) for number in range(2)]
        assert all(type(future) is concurrent.futures.Future for future in futures)
        assert list(tasks().values()) == [[DECIDED, STARTED]] * 2
        gate.set()
    assert list(tasks().values()) == [ONE_EXECUTION] * 2


def test_an_object_of_the_hosts_own_class_is_recorded_when_it_has_been_awaited(telemetry, tasks):
    class Handle:
        def __init__(self, task: Any) -> None:
            self.task = task

        def __await__(self) -> Any:
            yield
            return {"status": self.task["ends"], "duration_seconds": 7}

    class Manager:
        def execute_on_pool(self, pool_id: str, task: Any) -> Handle:
            return Handle(task)

    class Submitting:
        async def execute_on_pool(self, pool_id: str, task: Any) -> Handle:
            return Handle(task)

    async def main() -> None:
        for manager in (Manager(), Submitting()):
            instrument_pool_manager(manager, telemetry)
            task = {"prompt": type(manager).__name__, "ends": "failed"}
            handle = manager.execute_on_pool("p", task)
            if isinstance(manager, Submitting):
                handle = await handle
            assert list(tasks().values())[-1] == [DECIDED, STARTED]
            assert type(handle).__name__ == "Handle"
            assert (await handle)["duration_seconds"] == 7

    asyncio.run(main())
    assert list(tasks().values()) == [ONE_EXECUTION] * 2


def test_an_asynchronous_stream_is_one_execution_from_its_first_item_to_its_last(
    telemetry, recorded
):
    class Streaming:
        async def execute_on_pool(self, pool_id, task):
            yield "a"
            yield "b"

    async def main() -> None:
        manager = Streaming()
        instrument_pool_manager(manager, telemetry)
        items = manager.execute_on_pool("p", {"prompt": "fix it"})
        assert recorded() == []
        assert [item async for item in items] == ["a", "b"]

    asyncio.run(main())
    assert [event.type_name for event in recorded()] == ONE_EXECUTION


def test_a_stream_that_is_closed_elsewhere_leaves_no_task_there(telemetry, tasks):
    class Streaming(Host):
        async def execute_on_pool(self, pool_id, task):
            yield "a"

    async def main() -> None:
        manager = Streaming()
        instrument_pool_manager(manager, telemetry)
        items = manager.execute_on_pool("p", {})
        await anext(items)

        async def close() -> None:
            await items.aclose()
            assert _task_context.current_scope() is None

        await asyncio.get_running_loop().create_task(close(), context=contextvars.Context())

    asyncio.run(main())
    assert list(tasks().values()) == [ONE_EXECUTION]


def test_an_ending_is_recorded_while_its_task_is_current_so_that_a_bus_knows_it(telemetry):
    class Bus:
        def subscribe(self, message_type: Any, handler: Any) -> None: ...

        async def publish(self, message: dict[str, Any]) -> None: ...

    telemetry.subscribe(Bus())
    scopes = []
    host = Split(
        telemetry, execute=lambda pool_id, task: scopes.append(_task_context.current_scope())
    )
    with telemetry.execution():
        host.execute_on_pool("p", {"id": TASK})
        host.execute_on_pool("p", {})
    assert [scope.ended for scope in scopes] == [(1, True), (1, True)]


# How much is remembered


def test_only_the_last_tasks_are_remembered(telemetry, tasks, monkeypatch):
    monkeypatch.setattr(_task_context, "MAX_KNOWN", 2)
    host = Split(telemetry)
    first, second, third = ({"prompt": str(number)} for number in range(3))
    for task in (first, second, first, third, first, second):
        host.execute_on_pool("p", task)
    assert len(_task_context._known) == 2
    attempts = [sum(DECIDED in kind for kind in kinds) for kinds in tasks().values()]
    assert attempts == [3, 1, 1, 1]


# In the staging file


def test_one_executions_events_share_a_task_in_the_staging_file(telemetry, host):
    host.results = ["failed", ValueError("boom"), "completed"]

    async def main() -> None:
        retried = {"prompt": "fix it", "category": "bug_fix"}
        await host.route_task(retried)
        with pytest.raises(ValueError):
            await host.route_task(retried)
        await asyncio.gather(
            host.route_task({"prompt": "one"}), host.route_task({"id": "ticket-7"})
        )

    asyncio.run(main())
    report = load(telemetry.home)
    assert (report.loaded, report.quarantined) == (12, 0)
    with duckdb.connect(str(telemetry.home.staging), read_only=True) as connection:
        rows = connection.execute(
            """
            select task_description, coalesce(decision.attempt, 1), start.pool_type, success
            from raw.routing_decision as decision
            join raw.pool_execution_start as start
                on start.task_id = decision.task_id
                and start.attempt is not distinct from decision.attempt
            join raw.pool_execution_complete as ending
                on ending.task_id = decision.task_id
                and ending.attempt is not distinct from decision.attempt
            order by all nulls last
            """
        ).fetchall()
        named = connection.execute(
            "select count(*) from raw.routing_decision where task_id = ?",
            [task_uuid("ticket-7")],
        ).fetchone()
    assert rows == [
        ("fix it", 1, "swarm", False),
        ("fix it", 2, "swarm", False),
        ("one", 1, "swarm", True),
        (None, 1, "swarm", True),
    ]
    assert named == (1,)


def test_nothing_that_a_host_does_is_refused(host, recorded):
    tasks: list[Any] = [{"prompt": ["x"], "repo": 7, "model": Tier.SMALL}, {1: 2}, "x", None, {}]

    async def main() -> None:
        for task in tasks:
            await host.route_task(task)

    asyncio.run(main())
    assert [event for event in recorded() if isinstance(event, InvalidEvent)] == []


# Methods of other names


class Adapter(Enum):
    PREFECT = "prefect"


class TaskRouter:
    """Chooses by one method, runs by another, and says `success` of both."""

    async def route(self, task, preference_order=None):
        return {"success": True, "adapter": Adapter.PREFECT, "task_type": task["task_type"]}

    async def execute_with_fallback(self, task, preference_order=None):
        if task.get("fails"):
            return {"success": False, "error": "all adapters failed", "adapter": None}
        return {"success": True, "adapter": Adapter.PREFECT, "result": "run-7"}


class CapabilityRouter:
    def route(self, task_type, additional_capabilities=None, domain="orchestration"):
        return Task()


class Runner:
    """Runs tasks; its method names the task first, or no pool at all."""

    def run(self, task, pool):
        return {"status": "completed"}

    def execute(self, task):
        return {"status": "failed"}


def test_a_router_may_have_a_method_of_any_name(telemetry, recorded):
    router = TaskRouter()
    instrument_router(router, telemetry, method="route")
    asyncio.run(router.route({"task_type": "ai_task", "prompt": "fix it"}))
    (decision,) = recorded()
    assert isinstance(decision, RoutingDecision), "that a choice succeeded is no outcome"
    assert (decision.task_type, decision.task_description) == ("ai_task", "fix it")
    assert decision.metadata["adapter"] == "prefect"


@pytest.mark.parametrize("fails", [False, True])
def test_a_method_that_runs_the_task_tells_its_outcome(telemetry, recorded, fails):
    router = TaskRouter()
    for method in ("route", "execute_with_fallback"):
        instrument_router(router, telemetry, method=method)
    asyncio.run(router.execute_with_fallback({"task_type": "ai_task", "fails": fails}))
    decision, outcome = recorded()
    assert (decision.task_type, outcome.task_id) == ("ai_task", decision.task_id)
    assert outcome.success is not fails
    assert outcome.duration_source == "measured"


@pytest.mark.parametrize("task_type", ["ai_task", Tier.LARGE])
def test_an_argument_that_is_named_for_a_field_is_not_the_task(telemetry, recorded, task_type):
    router = CapabilityRouter()
    instrument_router(router, telemetry, method="route")
    router.route(task_type, ["rag"])
    (decision,) = recorded()
    said = task_type if isinstance(task_type, str) else task_type.value
    assert (decision.task_type, decision.task_description) == (said, "fix it")


def test_a_pool_manager_may_have_methods_of_any_name(telemetry, recorded):
    manager = Runner()
    for method in ("run", "execute"):
        instrument_pool_manager(manager, telemetry, method=method)
    manager.run({"prompt": "fix it"}, "p")
    manager.execute({"prompt": "fix that"})
    decisions = [event for event in recorded() if isinstance(event, RoutingDecision)]
    assert [decision.metadata["inferred_from"] for decision in decisions] == ["run", "execute"]
    assert [decision.task_description for decision in decisions] == ["fix it", "fix that"]
    ends = [event for event in recorded() if isinstance(event, PoolExecutionComplete)]
    assert [(end.pool_id, end.success) for end in ends] == [("p", True), (None, False)]
