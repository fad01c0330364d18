"""Which task the running code works on: where an id comes from, and how far it is carried."""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from orb_learning.capture import (
    TaskScope,
    _task_context,
    current_scope,
    enter_scope,
    scope_for_execution,
    scope_for_routing,
)
from orb_learning.capture._task_context import decided, unnamed_task
from orb_learning.events import InvalidEvent, RoutingDecision

ONE, TWO = UUID(int=1), UUID(int=2)


@dataclass
class Task:
    """A host's own object, equal to every other one."""

    prompt: str = "split the parser"


def decision(task_id: UUID = ONE) -> RoutingDecision:
    known = {"task_type": "refactor", "repo": "acme/api", "model_tier": "large"}
    return RoutingDecision(task_id=task_id, **known)


# Through the hooks


def test_a_decision_without_an_id_gets_one_and_what_follows_belongs_to_it(telemetry):
    routed = telemetry.capture_routing_decision_sync(model_tier="large")
    started = telemetry.capture_pool_execution_start_sync(pool_id="p")
    ended = telemetry.capture_routing_outcome_sync(success=True)
    judged = telemetry.capture_feedback_sync(feedback_type="thumbs_up")
    assert {routed.task_id, started.task_id, ended.task_id, judged.task_id} == {routed.task_id}
    assert routed.task_id.version == 7
    assert routed.metadata is None


def test_what_follows_a_named_decision_belongs_to_it(telemetry):
    routed = telemetry.capture_routing_decision_sync(task_id="ticket-7")
    assert telemetry.capture_routing_outcome_sync(success=True).task_id == routed.task_id


def test_an_event_that_names_its_task_is_about_that_one(telemetry):
    telemetry.capture_routing_decision_sync()
    assert telemetry.capture_routing_outcome_sync(task_id=TWO, success=True).task_id == TWO


def test_a_further_decision_without_an_id_begins_a_further_task(telemetry):
    first = telemetry.capture_routing_decision_sync()
    second = telemetry.capture_routing_decision_sync()
    assert second.task_id != first.task_id
    assert telemetry.capture_routing_outcome_sync(success=True).task_id == second.task_id


def test_a_decision_that_was_refused_leaves_its_id_to_the_next(telemetry, events_in):
    assert telemetry.capture_routing_decision_sync(complexity_score=-1) is None
    task_id = current_scope().task_id
    assert telemetry.capture_routing_decision_sync(complexity_score=1).task_id == task_id


def test_an_outcome_outside_any_task_is_refused(telemetry, events_in):
    assert telemetry.capture_routing_outcome_sync(success=True) is None
    (refused,) = events_in(telemetry.home.spool)
    assert isinstance(refused, InvalidEvent)
    assert refused.reason == "task_id: Field required"


@pytest.mark.parametrize("unsaid", [{}, {"model_tier": None, "repo": ""}])
def test_an_unknown_tier_or_repo_is_unknown_and_no_refusal(telemetry, unsaid):
    event = telemetry.capture_routing_decision_sync(unsaid)
    assert (event.model_tier, event.repo, event.task_type) == ("unknown",) * 3


def test_tasks_that_run_at_the_same_time_stay_apart(telemetry):
    async def work(everybody: asyncio.Barrier) -> list[UUID]:
        routed = await telemetry.capture_routing_decision()
        await everybody.wait()
        ended = await telemetry.capture_routing_outcome(success=True)
        return [routed.task_id, ended.task_id]

    async def main() -> list[list[UUID]]:
        everybody = asyncio.Barrier(10)
        return await asyncio.gather(*(work(everybody) for _ in range(10)))

    pairs = asyncio.run(main())
    assert all(routed == ended for routed, ended in pairs)
    assert len({routed for routed, _ in pairs}) == 10


def test_a_task_is_carried_into_asyncio_tasks_and_threads_but_not_out_of_them(telemetry):
    async def end() -> UUID:
        return (await telemetry.capture_routing_outcome(success=True)).task_id

    def end_in_thread() -> UUID:
        return telemetry.capture_routing_outcome_sync(success=True).task_id

    async def begin_another() -> UUID:
        return (await telemetry.capture_routing_decision()).task_id

    async def main() -> None:
        routed = (await telemetry.capture_routing_decision()).task_id
        assert await asyncio.create_task(end()) == routed
        assert await asyncio.to_thread(end_in_thread) == routed
        assert await asyncio.create_task(begin_another()) != routed
        assert await end() == routed

    asyncio.run(main())


# The scopes themselves


def test_there_is_no_task_until_one_is_entered():
    assert current_scope() is None
    scope = TaskScope(ONE)
    enter_scope(scope)
    assert current_scope() is scope
    enter_scope(None)
    assert current_scope() is None


def test_only_attempts_after_the_first_have_to_be_said():
    assert [TaskScope(ONE, attempts=attempts).attempt for attempts in range(4)] == [
        None,
        None,
        2,
        3,
    ]


def test_a_scope_is_one_task_whatever_it_holds():
    assert TaskScope(ONE) != TaskScope(ONE)
    assert len({TaskScope(ONE, Task()), TaskScope(ONE, Task())}) == 2


def test_a_decision_about_the_current_task_is_remembered_with_it():
    scope = TaskScope(ONE, depth=1)
    enter_scope(scope)
    decided(first := decision())
    assert (current_scope(), scope.decision) == (scope, first)
    decided(second := decision())
    assert (current_scope(), scope.decision) == (scope, second)


def test_a_decision_about_another_task_begins_that_one():
    for before in (None, TaskScope(ONE), TaskScope(ONE, decision=decision(ONE))):
        enter_scope(before)
        decided(made := decision(TWO))
        assert (current_scope().task_id, current_scope().decision) == (TWO, made)
        assert current_scope() is not before


def test_a_decision_about_another_task_leaves_a_call_that_runs_as_it_is():
    scope = TaskScope(ONE, depth=1)
    enter_scope(scope)
    decided(decision(TWO))
    assert (current_scope(), scope.decision) == (scope, None)


def test_an_attempt_takes_one_answer_from_each_link():
    scope = TaskScope(ONE)
    assert [scope.takes_answer(link) for link in "aabab"] == [True, False, True, False, False]
    scope.is_answered = False
    assert [scope.takes_answer(link) for link in "ba"] == [True, True]


def test_a_task_that_is_decided_again_can_be_answered_again():
    decided(decision())
    assert current_scope().takes_answer("link")
    decided(decision())
    assert current_scope().takes_answer("link")


def test_who_counts_attempts_says_when_the_next_can_be_answered():
    scope = TaskScope(ONE, attempts=1, depth=1)
    enter_scope(scope)
    assert scope.takes_answer("link")
    decided(decision())
    assert not scope.takes_answer("link")


def test_an_id_is_minted_once_and_only_for_an_event_that_may_begin_a_task():
    assert unnamed_task(begins_task=False) is None
    assert current_scope() is None
    minted = unnamed_task(begins_task=True)
    assert minted.version == 7
    assert unnamed_task(begins_task=True) == minted, "nothing has been decided yet"
    assert unnamed_task(begins_task=False) == minted
    decided(decision(minted))
    assert unnamed_task(begins_task=False) == minted
    assert unnamed_task(begins_task=True) != minted


def test_within_a_call_nothing_begins_a_task_of_its_own():
    enter_scope(TaskScope(ONE, decision=decision(), depth=1))
    assert unnamed_task(begins_task=True) == ONE
    assert unnamed_task(begins_task=False) == ONE


FINDERS = [scope_for_routing, scope_for_execution]


@pytest.mark.parametrize("find", FINDERS)
def test_a_call_outside_any_task_begins_one(find):
    task = Task()
    named = find(ONE, task)
    assert (named.task_id, named.task) == (ONE, task)
    assert current_scope() is named
    enter_scope(None)
    unnamed = find(None, task)
    assert (unnamed.task_id.version, unnamed.task) == (7, task)
    assert current_scope() is unnamed


@pytest.mark.parametrize("find", FINDERS)
@pytest.mark.parametrize("depth", [0, 1])
def test_a_named_call_is_about_the_current_task_exactly_if_the_names_agree(find, depth):
    scope = TaskScope(ONE, decision=decision(), depth=depth)
    enter_scope(scope)
    assert find(ONE, Task()) is scope
    assert find(TWO, Task()).task_id == TWO
    assert current_scope() is not scope


@pytest.mark.parametrize("find", FINDERS)
def test_an_unnamed_call_within_a_call_is_part_of_it(find):
    scope = TaskScope(ONE, attempts=1, depth=1)
    enter_scope(scope)
    assert find(None, Task()) is scope


@pytest.mark.parametrize("find", FINDERS)
def test_an_unnamed_call_for_the_same_object_is_about_the_same_task(find):
    task = Task()
    scope = TaskScope(ONE, task, decision=decision(), attempts=1)
    enter_scope(scope)
    assert find(None, task) is scope
    assert find(None, Task()) is not scope, "equal is not the same"


@pytest.mark.parametrize("find", FINDERS)
def test_nothing_is_no_object_that_two_calls_could_share(find):
    scope = TaskScope(ONE, None, decision=decision(), attempts=1)
    enter_scope(scope)
    assert find(None, None) is not scope


def test_an_unnamed_call_to_route_begins_a_task_although_another_was_routed_before():
    scope = TaskScope(ONE, Task(), decision=decision())
    enter_scope(scope)
    assert scope_for_routing(None, Task()) is not scope


def test_an_unnamed_call_to_execute_is_about_what_was_routed_and_has_not_run():
    scope = TaskScope(ONE, Task(), decision=decision())
    enter_scope(scope)
    assert scope_for_execution(None, Task()) is scope
    scope.attempts = 1
    assert scope_for_execution(None, Task()) is not scope
    undecided = TaskScope(ONE, Task())
    enter_scope(undecided)
    assert scope_for_execution(None, Task()) is not undecided


def test_a_scope_entered_in_a_copy_of_the_context_stays_there():
    copy = contextvars.copy_context()
    inside: Any = copy.run(scope_for_routing, uuid4(), None)
    assert copy.run(current_scope) is inside
    assert current_scope() is None
    assert copy.get(_task_context._current) is inside
