"""The link to a host's message bus: what it announces is recorded, what is recorded announced."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import Enum, EnumMeta
from typing import Any, get_type_hints
from uuid import UUID

from orb_learning._coercion import EARLIEST, LATEST
from orb_learning._types import new_id
from orb_learning.capture import (
    Recorder,
    current_scope,
    event_fields,
    fields_of,
    is_empty,
    name_of,
    named_task,
    outcome_fields,
    without_nested,
)
from orb_learning.errors import InstrumentationError
from orb_learning.events import (
    Event,
    ExecutionRecorded,
    Outcome,
    PoolClosed,
    PoolCreated,
    PoolExecutionComplete,
    RoutingDecision,
    TaskCompleted,
)
from orb_learning.hosts.protocols import Message, MessageBus

MAX_IN_FLIGHT = 1000
"""Announcements that may wait for a slow bus; what comes on top is left out and counted."""

_HEARD = ("task_completed", "pool_created", "pool_closed")
_SAID = ("routing_decision", "execution_recorded")


class BusLink:
    """One subscription; made by `Telemetry.subscribe`.

    Attributes:
        bus: the host's.
        unsent: announcements that the bus did not take: it failed, it was too slow, or no event
            loop was running long enough.
    """

    def __init__(
        self,
        recorder: Recorder,
        bus: MessageBus,
        message_types: type[Enum] | None = None,
        publish: bool | None = None,
        *,
        on_close: Callable[[BusLink], None],
    ) -> None:
        """Subscribe; see `Telemetry.subscribe`.

        Raises:
            InstrumentationError: the bus has no `subscribe()`, or refuses.
        """
        self.unsent = 0
        self._recorder = recorder
        self._on_close = on_close
        self.bus = bus
        self._is_open = True
        self._in_flight: dict[object, asyncio.Task[None] | None] = {}
        self._subscribing: list[asyncio.Task[None]] = []
        self._loop = _running_loop()
        self._pid = os.getpid()
        types = message_types or _find_message_types(bus)
        self._tokens = {
            kind: _token(types, kind)
            for kind in _SAID
            if publish or (publish is None and (types is None or _knows(types, kind)))
        }
        handlers: dict[str, Callable[[Message], Any]] = {
            "task_completed": self._on_task_completed,
            "pool_created": self._on_pool_created,
            "pool_closed": self._on_pool_closed,
        }
        for kind in _HEARD:
            try:
                answer = bus.subscribe(_token(types, kind), handlers[kind])
                if inspect.isawaitable(answer):
                    self._wait_for(answer, kind)
            except Exception as error:
                self._is_open = False
                raise InstrumentationError(
                    f"cannot subscribe to {kind} on a {type(bus).__name__}: {error!r}; "
                    "it needs subscribe(message_type, async_handler)"
                ) from error

    def close(self) -> None:
        """Record and announce nothing more; handlers stay with the bus and do nothing."""
        self._is_open = False
        self._on_close(self)

    def announce(
        self, event: Event, pair: tuple[RoutingDecision | ExecutionRecorded, Outcome] | None
    ) -> None:
        """Announce a decision, and an execution both of whose halves are known."""
        scope = current_scope()
        if isinstance(event, PoolExecutionComplete) and scope and scope.task_id == event.task_id:
            scope.ended = (scope.attempts, event.success)
        if isinstance(event, RoutingDecision) and "routing_decision" in self._tokens:
            self._announce("routing_decision", event.to_dict())
        if pair is not None and "execution_recorded" in self._tokens:
            self._announce("execution_recorded", _execution(*pair))

    def _announce(self, kind: str, payload: dict[str, Any]) -> None:
        message = {
            "type": self._tokens[kind],
            "source_pool_id": payload.get("pool_id"),
            "target_pool_id": None,
            "payload": payload,
        }
        loop = self._loop_of_the_bus()
        if loop is None or len(self._in_flight) >= MAX_IN_FLIGHT:
            self.unsent += 1
            return
        ticket = object()
        self._in_flight[ticket] = None
        if loop is _running_loop():
            self._send(message, ticket)
            return
        try:
            loop.call_soon_threadsafe(self._send, message, ticket)
        except RuntimeError:  # it was closed in between
            self._in_flight.pop(ticket, None)
            self.unsent += 1

    def _send(self, message: dict[str, Any], ticket: object) -> None:
        task = asyncio.get_running_loop().create_task(self._publish(message))
        self._in_flight[ticket] = task  # the loop itself would let go of it
        task.add_done_callback(functools.partial(self._sent, ticket))

    async def _publish(self, message: dict[str, Any]) -> None:
        try:
            answer = self.bus.publish(message)
            if inspect.isawaitable(answer):
                await answer
        except Exception as error:
            self.unsent += 1
            self._recorder.warn("cannot announce on the bus: %s", type(error))

    def _sent(self, ticket: object, task: asyncio.Task[None]) -> None:
        self._in_flight.pop(ticket, None)
        if task.cancelled():  # as its loop ends, maybe before it began
            self.unsent += 1

    def _loop_of_the_bus(self) -> asyncio.AbstractEventLoop | None:
        """Return the loop that ran at the subscription or, once that has ended, the next seen."""
        running = _running_loop()
        # A fork copies a loop that seems to run and never will.
        if self._loop is not None and self._loop.is_running() and self._pid == os.getpid():
            return self._loop
        if running is not None and running is not self._loop:
            self._loop, self._pid = running, os.getpid()
            self.unsent += len(self._in_flight)
            self._in_flight = {}
        return running

    def _wait_for(self, answer: Any, kind: str) -> None:
        if self._loop is None:
            if inspect.iscoroutine(answer):
                answer.close()
            raise RuntimeError("its subscribe() is a coroutine: call this while its loop runs")
        self._subscribing.append(self._loop.create_task(self._subscribed(answer, kind)))

    async def _subscribed(self, answer: Any, kind: str) -> None:
        try:
            await answer
        except Exception as error:
            self._recorder.warn("cannot subscribe to %s on the bus: %s", kind, type(error))

    async def _on_task_completed(self, message: Message) -> None:
        self._receive(self._record_completion, message)

    async def _on_pool_created(self, message: Message) -> None:
        self._receive(functools.partial(self._record_pool, PoolCreated), message)

    async def _on_pool_closed(self, message: Message) -> None:
        self._receive(functools.partial(self._record_pool, PoolClosed), message)

    def _receive(self, record: Callable[[object], None], message: object) -> None:
        if not self._is_open:
            return
        try:
            self._loop_of_the_bus()
            record(message)
        except Exception as error:
            if self._recorder.is_strict:
                raise
            self._recorder.warn("cannot record a message: %s", type(error))

    def _record_completion(self, message: object) -> None:
        payload = _payload_of(message)
        result = fields_of(payload.get("result"))
        told = without_nested(payload, "result") if result else payload
        told.update((key, value) for key, value in result.items() if not is_empty(value))
        words = self._recorder.reading.words
        ended = outcome_fields(told, words)
        for part in (payload, payload.get("result")):
            # The message and its result may contradict each other.
            alone = outcome_fields(part, words)
            if ended is None or alone is None:
                return
            if alone.get("success") is False:
                ended["success"] = False
        told = dict(ended or {})
        pool_id = _pool_id(payload, message, result)
        named = _named_task(payload, result)
        task_id = (
            named[1]
            if named is not None
            else self._unnamed_task(pool_id, told.get("success") is True)
        )
        if task_id is None:
            return  # the pool manager's own call says the same, and for which task
        if named is not None:
            reference = told["task_id"] = named[0]
            if told.get("id") is reference:
                del told["id"]
        self._record(TaskCompleted, told, message, pool_id, task_id)

    def _unnamed_task(self, pool_id: str | None, success: bool) -> UUID | None:
        scope = current_scope()
        is_recorded = self._recorder.records_pool(pool_id)
        # A task of the bus's own that was begun within a call stays in the context of that call.
        is_anothers = scope is not None and scope.ended == (scope.attempts, not success)
        if scope is not None and not (is_recorded and is_anothers) and scope.takes_answer(self):
            return scope.task_id
        return None if is_recorded else new_id()

    def _record_pool(self, cls: type[Event], message: object) -> None:
        payload = _payload_of(message)
        self._record(cls, payload, message, _pool_id(payload, message))

    def _record(
        self,
        cls: type[Event],
        told: dict[str, Any],
        message: object,
        pool_id: str | None,
        task_id: UUID | None = None,
    ) -> None:
        if pool_id is not None:
            told = {**told, "pool_id": pool_id}
        seconds = _attribute(message, "timestamp")
        sent_at = _sent_at(seconds)
        if sent_at is None:
            told = {**told, "message_timestamp": seconds}
        fields = event_fields(cls, told, reading=self._recorder.reading)
        if sent_at is not None:
            fields["occurred_at"] = sent_at
        if task_id is not None:
            fields["task_id"] = task_id
        self._recorder.record(cls, None, fields, is_read=True)


def _execution(decision: RoutingDecision | ExecutionRecorded, outcome: Outcome) -> dict[str, Any]:
    """Return what an `execution_recorded` says: both halves, and the ids of their events."""
    decided, ended = decision.to_dict(), outcome.to_dict()
    execution = {"timestamp": decided["occurred_at"], **decided, **ended}
    for name in ("event_id", "event_type"):
        del execution[name]
    if decision.metadata or outcome.metadata:
        execution["metadata"] = {**decided.get("metadata", {}), **ended.get("metadata", {})}
    execution["decision_event_id"] = decided["event_id"]
    execution["outcome_event_id"] = ended["event_id"]
    return execution


def _payload_of(message: object) -> dict[str, Any]:
    payload = _attribute(message, "payload")
    told = fields_of(payload)
    if told or payload is None or isinstance(payload, Mapping):
        return told
    return {"payload": payload}


def _named_task(payload: dict[str, Any], result: dict[str, Any]) -> tuple[object, UUID] | None:
    """Return the task that a message is about, by the host's own name and as its id."""
    task = fields_of(payload.get("task"))
    for source, key in (
        (payload, "task_id"),
        (payload, "id"),
        (result, "task_id"),
        (task, "task_id"),
        (task, "id"),
    ):
        if (task_id := named_task(source, key)) is not None:
            return source[key], task_id
    return None


def _pool_id(payload: dict[str, Any], message: object, *more: dict[str, Any]) -> str | None:
    source = {"pool_id": _attribute(message, "source_pool_id")}
    names = (name_of(told.get("pool_id")) for told in (payload, source, *more))
    return next((name for name in names if name and name.strip()), None)


def _sent_at(seconds: object) -> datetime | None:
    """Return the time that seconds since the epoch mean, if any that can be stored."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return None
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if EARLIEST <= moment < LATEST else None


def _attribute(message: object, name: str) -> Any:
    if isinstance(message, Mapping):
        return message.get(name)
    return getattr(message, name, None)


def _find_message_types(bus: object) -> type[Enum] | None:
    """Return the bus's enum of message types: as `subscribe` declares it, or from its module."""
    try:
        candidates = list(get_type_hints(bus.subscribe).values())  # type: ignore[attr-defined]
    except Exception:
        candidates = []
    for cls in type(bus).__mro__:
        candidates += getattr(sys.modules.get(cls.__module__), "__dict__", {}).values()
    # Not `isinstance`: that asks a proxy for what it stands for, which may not exist yet.
    enums: list[type[Enum]] = [found for found in candidates if issubclass(type(found), EnumMeta)]
    return next((types for types in enums if _knows(types, _HEARD[0])), None)


def _token(types: type[Enum] | None, kind: str) -> Enum | str:
    """Return what the bus itself calls a kind of message: its enum's member, else the text."""
    member = _member(types, kind)
    return kind if member is None else member


def _knows(types: type[Enum], kind: str) -> bool:
    return _member(types, kind) is not None


def _member(types: type[Enum] | None, kind: str) -> Enum | None:
    for name, member in types.__members__.items() if types is not None else ():
        if member.value == kind or name.lower() == kind:
            return member
    return None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
