"""What is recorded of a call of a host's router or pool manager, from its arguments to its end."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from orb_learning._types import new_id, utc_now
from orb_learning.capture import (
    TASK_ARGUMENTS,
    Recorder,
    TaskScope,
    current_scope,
    decision_fields,
    enter_scope,
    event_fields,
    failure_fields,
    fields_of,
    is_outcome,
    name_of,
    named_task,
    names_tier,
    outcome_fields,
    pool_type_of,
    scope_for_execution,
    scope_for_routing,
    scope_of,
    task_argument,
    task_fields,
)
from orb_learning.events import (
    Event,
    Outcome,
    PoolExecutionComplete,
    PoolExecutionStart,
    RoutingDecision,
    RoutingOutcome,
)

_INFERRED = "inferred_from"


class RecordedCall(ABC):
    """A call whose recording may fail without the host's noticing; one class for each method."""

    def __init__(
        self,
        recorders: tuple[Recorder, ...],
        task_id: UUID | None,
        task: object,
        find: Callable[[UUID | None, object], TaskScope],
    ) -> None:
        """Begin; see `scope_of` for how its task is found."""
        self._recorders = recorders
        self._outer = current_scope()
        self._scope = scope_of(task_id, task, find)
        self._began_at = utc_now()
        self._began = time.monotonic()

    def enter(self) -> None:
        enter_scope(self._scope)

    def leave(self) -> None:
        enter_scope(self._outer)

    def returned(self, result: object) -> None:
        self._end(self._record_result, result)

    def failed(self, error: BaseException) -> None:
        self._end(self._record_failure, error)

    def _end(self, record: Callable[[Any], None], what: object) -> None:
        self._scope.depth -= 1
        here = current_scope()
        enter_scope(self._scope)  # for whoever asks which task the event is about
        try:
            record(what)
        except Exception as error:
            not_recorded(self._recorders, "the end of a call", error)
        finally:
            is_part = self._outer is not None and self._outer.depth > 0
            enter_scope(self._outer if is_part and here is self._scope else here)

    @abstractmethod
    def _record_result(self, result: Any) -> None:
        """Record what the call returned."""

    @abstractmethod
    def _record_failure(self, error: Any) -> None:
        """Record the exception that ended the call."""

    def _record(self, cls: type[Event], fields: dict[str, Any]) -> Event | None:
        """Record an event of the task for every recorder; return it if one of them holds it."""
        fields = {**fields, "task_id": self._scope.task_id}
        if len(self._recorders) > 1:  # an outcome names the decision in every home
            fields.setdefault("event_id", new_id())
        recorded = [
            recorder.record(cls, None, fields, is_read=True) for recorder in self._recorders
        ]
        return next((event for event in recorded if event is not None), None)

    def _decide(
        self,
        told: dict[str, Any],
        task: dict[str, Any],
        at: datetime,
        attempt: int | None = None,
    ) -> None:
        """Record a decision: what the router told of it, and the task it is about."""
        fields = {**event_fields(RoutingDecision, told, task), "occurred_at": at}
        if attempt is not None:
            fields["attempt"] = attempt
        self._remember(self._record(RoutingDecision, fields))

    def _remember(self, decision: Event | None) -> None:
        if isinstance(decision, RoutingDecision):
            self._scope.decision = decision

    def _next_attempt(self) -> int | None:
        """Return the number of the attempt that begins, where it must be said."""
        return self._scope.attempts + 1 if self._scope.attempts else None

    def _begin_attempt(self) -> None:
        self._scope.attempts += 1
        self._scope.is_answered = False
        self._attempt = self._scope.attempts

    def _which_attempt(self) -> dict[str, Any]:
        """Return the number of the call's attempt, where there is another one."""
        return {"attempt": self._attempt} if self._scope.attempts > 1 else {}

    def _outcome(self, result: object) -> dict[str, Any] | None:
        return outcome_fields(result, self._recorders[0].reading.words, source="returned")

    def _record_outcome(
        self, cls: type[Outcome], told: dict[str, Any], pool: dict[str, Any] | None = None
    ) -> None:
        """Record how the attempt ended, and the time it took where the host told none."""
        fields = {
            **event_fields(cls, told, reading=self._recorders[0].reading),
            **(pool or {}),
            **self._which_attempt(),
        }
        if "duration_seconds" not in fields:
            fields["duration_seconds"] = time.monotonic() - self._began
            fields["duration_source"] = "measured"
        self._record(cls, fields)


class Routing(RecordedCall):
    """A call of a router's method."""

    kind = "router"

    def __init__(
        self,
        recorders: tuple[Recorder, ...],
        router: object,
        method: str,
        arguments: dict[str, Any],
    ) -> None:
        """Begin; the decision is recorded when the router has made it."""
        task = task_argument(arguments)
        self._task = task_fields(task, arguments)
        super().__init__(recorders, named_task(self._task), task, scope_for_routing)
        self._attempts = self._scope.attempts
        self._scope.depth += 1

    def _record_result(self, result: Any) -> None:
        told = decision_fields(result)
        if self._has_run:
            self._complete_decision(fields_of(result))
        elif is_outcome(told, self._recorders[0].reading.words):
            self._record_run(self._outcome(result))
        else:
            self._decide(told, self._task, self._began_at, self._next_attempt())

    def _record_failure(self, error: Any) -> None:
        if not self._has_run:
            self._record_run(failure_fields(error))

    @property
    def _has_run(self) -> bool:
        """Whether an execution inside has recorded a decision and an outcome."""
        return self._scope.attempts > self._attempts

    def _complete_decision(self, told: dict[str, Any]) -> None:
        """Record the tier that the router tells only after the run."""
        inferred = self._scope.decision
        if inferred and _INFERRED in (inferred.metadata or {}) and names_tier(told):
            self._decide(told, self._task, inferred.occurred_at, inferred.attempt or 1)

    def _record_run(self, told: dict[str, Any] | None) -> None:
        self._decide({}, self._task, self._began_at, self._next_attempt())
        self._begin_attempt()
        if told is not None:
            self._record_outcome(RoutingOutcome, told)


class PoolExecution(RecordedCall):
    """A call of a pool manager's method."""

    kind = "pool manager"

    def __init__(
        self,
        recorders: tuple[Recorder, ...],
        manager: object,
        method: str,
        arguments: dict[str, Any],
    ) -> None:
        """Begin, and record the start."""
        unnamed = (name for name in arguments if name not in TASK_ARGUMENTS)
        given = next((name for name in ("pool_id", "pool") if name in arguments), next(unnamed, ""))
        task = task_argument(arguments, skipped=given)
        told = task_fields(task, {key: arguments[key] for key in arguments if key == "task_id"})
        super().__init__(recorders, named_task(told), task, scope_for_execution)
        pool = {
            "pool_id": name_of(arguments.get(given)),
            "pool_type": pool_type_of(manager, arguments.get(given)),
        }
        self._pool = {key: value for key, value in pool.items() if value is not None}
        for recorder in recorders:
            recorder.will_record_pool(pool["pool_id"])
        self._see_to_a_decision(told, method)
        self._begin_attempt()
        self._record(PoolExecutionStart, {**self._pool, **self._which_attempt()})
        self._scope.depth += 1

    def _see_to_a_decision(self, task: dict[str, Any], method: str) -> None:
        """See that the attempt has a decision that describes it."""
        attempts, decided = self._scope.attempts, self._scope.decision
        if decided is None:
            told = {**self._pool, _INFERRED: method}
            self._decide(told, task, self._began_at, self._next_attempt())
        elif attempts and (decided.attempt or 1) <= attempts:
            # Tried again without being routed again: the decision stands for this attempt too.
            again = {
                **dict(decided),
                "event_id": new_id(),
                "attempt": attempts + 1,
                "occurred_at": self._began_at,
                "captured_at": utc_now(),
            }
            self._remember(self._record(RoutingDecision, again))

    def _record_result(self, result: Any) -> None:
        if (ended := self._outcome(result)) is not None:
            self._record_outcome(PoolExecutionComplete, ended, self._pool)

    def _record_failure(self, error: Any) -> None:
        self._record_outcome(PoolExecutionComplete, failure_fields(error), self._pool)


def not_recorded(recorders: tuple[Recorder, ...], what: str, error: Exception) -> None:
    """Say that something could not be recorded: in strict mode as the error that it is."""
    for recorder in recorders:
        if recorder.is_strict:
            raise error
        recorder.warn("cannot record %s: %s", what, type(error))
