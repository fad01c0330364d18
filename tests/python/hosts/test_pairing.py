"""Waiting for the other half: what is paired, how often, and what is given up."""

from __future__ import annotations

import gc
import signal
import threading
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from orb_learning.events import (
    ExecutionRecorded,
    PoolExecutionComplete,
    RoutingDecision,
    RoutingOutcome,
    TaskCompleted,
)
from orb_learning.hosts import Pairing, _pairing

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def decision(task: int, **fields: Any) -> RoutingDecision:
    known = {"task_type": "refactor", "repo": "acme/api", "model_tier": "large"}
    return RoutingDecision(task_id=UUID(int=task), **known, **fields)


def outcome(task: int) -> RoutingOutcome:
    return RoutingOutcome(task_id=UUID(int=task), success=True)


def execution(task: int) -> ExecutionRecorded:
    return ExecutionRecorded(
        task_id=UUID(int=task),
        timestamp=NOON,
        task_type="refactor",
        task_description="split the parser",
        repo="acme/api",
        model_tier="large",
        pool_type="swarm",
        routing_confidence=0.8,
        success=True,
    )


def test_a_pair_is_returned_when_its_second_half_comes_whichever_that_is():
    pairing = Pairing()
    first, second = decision(1), outcome(1)
    assert pairing.add(first) is None
    assert pairing.add(second) == (first, second)
    late, early = decision(2), outcome(2)
    assert pairing.add(early) is None
    assert pairing.add(late) == (late, early)


def test_each_task_waits_for_its_own_half():
    pairing = Pairing()
    assert pairing.add(decision(1)) is None
    assert pairing.add(outcome(2)) is None
    assert len(pairing) == 2


def test_a_pair_is_returned_once_however_many_sources_tell_the_outcome():
    pairing = Pairing()
    pairing.add(decision(1))
    assert pairing.add(outcome(1)) is not None
    assert pairing.add(PoolExecutionComplete(task_id=UUID(int=1), success=True)) is None
    assert pairing.add(TaskCompleted(task_id=UUID(int=1), success=True)) is None
    assert pairing.add(execution(1)) is None


def test_the_newest_of_several_decisions_is_the_one_that_ran():
    pairing = Pairing()
    pairing.add(decision(1))
    again, end = decision(1), outcome(1)
    assert pairing.add(again) is None
    assert pairing.add(end) == (again, end)


def test_after_a_pair_a_further_decision_begins_the_next():
    pairing = Pairing()
    pairing.add(decision(1))
    pairing.add(outcome(1))
    again, end = decision(1, attempt=2), outcome(1)
    assert pairing.add(again) is None
    assert pairing.add(end) == (again, end)
    assert len(pairing) == 1


def test_a_whole_execution_brings_its_own_decision():
    pairing = Pairing()
    whole = execution(1)
    assert pairing.add(whole) == (whole, whole)
    assert pairing.add(execution(1)) is None
    assert pairing.add(outcome(1)) is None


def test_a_whole_execution_ends_the_decision_that_waits_for_it():
    pairing = Pairing()
    first, whole = decision(1), execution(1)
    pairing.add(first)
    assert pairing.add(whole) == (first, whole)


def test_a_whole_execution_completes_an_outcome_that_waits():
    pairing = Pairing()
    whole = execution(1)
    pairing.add(outcome(1))
    assert pairing.add(whole) == (whole, whole)


@pytest.mark.parametrize("most", [1, 3])
def test_at_most_so_many_tasks_are_remembered_the_newest_ones(most):
    pairing = Pairing(most=most)
    for task in range(5):
        pairing.add(decision(task))
    assert len(pairing) == most
    assert pairing.add(outcome(5 - most)) is not None, "the oldest that is kept"
    assert pairing.add(outcome(5 - most - 1)) is None, "the newest that was given up"
    assert len(pairing) == most


def test_the_half_that_completes_a_pair_needs_no_room():
    pairing = Pairing(most=2)
    pairing.add(decision(1))
    pairing.add(decision(2))
    assert pairing.add(outcome(1)) is not None
    assert pairing.add(decision(1)) is None, "the next attempt takes the place of the last"
    assert pairing.add(outcome(2)) is not None


def test_a_task_waits_for_a_limited_time_counted_from_its_first_half():
    now = 100.0
    pairing = Pairing(seconds=10, clock=lambda: now)
    pairing.add(decision(1))
    now = 105.0
    pairing.add(decision(1))
    pairing.add(decision(2))
    now = 110.0
    assert pairing.add(outcome(1)) is None
    now = 114.9
    assert pairing.add(outcome(2)) is not None


def test_waiting_tasks_are_given_up_as_others_come():
    now = 100.0
    pairing = Pairing(seconds=10, clock=lambda: now)
    for task in range(100):
        pairing.add(decision(task))
    now = 200.0
    pairing.add(decision(100))
    assert len(pairing) == 1


def test_threads_that_race_to_complete_a_pair_get_it_once():
    pairing = Pairing()
    threads, tasks = 8, 200
    together = threading.Barrier(threads)
    pairs: list[object] = []

    def work(number: int) -> None:
        for task in range(tasks):
            together.wait()
            event = decision(task) if number == 0 else outcome(task)
            if (pair := pairing.add(event)) is not None:
                pairs.append(pair)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(pairs) == tasks


def test_a_fork_beside_a_thread_that_is_pairing_does_not_block_the_child(children):
    inside, may_end = threading.Event(), threading.Event()

    def clock() -> float:
        if threading.current_thread() is worker:
            inside.set()
            may_end.wait()
        return 0.0

    pairing = Pairing(clock=clock)
    worker = threading.Thread(target=pairing.add, args=(decision(1),))

    def add_in_child() -> None:
        signal.alarm(10)
        pairing.add(decision(2))
        assert pairing.add(outcome(2)) is not None

    worker.start()
    inside.wait()
    try:
        children.run(add_in_child)
    finally:
        may_end.set()
        worker.join()
    assert len(pairing) == 1


def test_a_fork_resets_the_locks_of_all_pairings_that_are_still_used():
    kept = Pairing()
    Pairing()
    gc.collect()
    before = kept._lock
    _pairing._after_fork_in_child()
    assert kept._lock is not before
    assert kept.add(decision(1)) is None
