"""The link to a host's message bus: what it announces is recorded, what is recorded announced."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, get_type_hints

from orb_learning._types import new_id
from orb_learning.capture import _scope
from orb_learning.capture._results import (
    fields_of,
    named_task,
    told_outcome,
    without_nested,
)
from orb_learning.errors import InstrumentationError
from orb_learning.events import Outcome, PoolClosed, PoolCreated, RoutingDecision, TaskCompleted

if TYPE_CHECKING:
    from orb_learning.capture._telemetry import Telemetry
    from orb_learning.capture.protocols import Message, MessageBus
    from orb_learning.events import Event

MAX_IN_FLIGHT = 1000
"""Announcements that may wait for a slow bus; what comes on top is left out and counted."""

_HEARD = ("task_completed", "pool_created", "pool_closed")
_SAID = ("routing_decision", "execution_recorded")


class BusLink:
    """One subscription; made by `Telemetry.subscribe`.

    Attributes:
        unsent: announcements that the bus did not take: it failed, it was too slow, or no event
            loop was running.
    """

    def __init__(
        self,
        telemetry: Telemetry,
        bus: MessageBus,
        message_types: type[Enum] | None = None,
        publish: bool | None = None,
    ) -> None:
        """Subscribe; see `Telemetry.subscribe`.

        Raises:
            InstrumentationError: the bus has no `subscribe()`, or refuses.
        """
        self.unsent = 0
        self._telemetry = telemetry
        self._bus = bus
        self._is_open = True
        self._sending: set[asyncio.Task[None]] = set()
        self._loop = _running_loop()
        types = message_types or _find_message_types(bus)
        self._tokens = {
            kind: token
            for kind in _SAID
            if publish is not False
            and (token := _member(types, kind) or (kind if publish or types is None else None))
        }
        handlers: dict[str, Callable[[Message], Any]] = {
            "task_completed": self._on_task_completed,
            "pool_created": self._on_pool_created,
            "pool_closed": self._on_pool_closed,
        }
        for kind in _HEARD:
            try:
                answer = bus.subscribe(_member(types, kind) or kind, handlers[kind])
            except Exception as error:
                raise InstrumentationError(
                    f"cannot subscribe to {kind} on a {type(bus).__name__}: {error!r}; "
                    "it needs subscribe(message_type, async_handler)"
                ) from error
            if inspect.isawaitable(answer):
                self._run(_awaited(answer))

    def close(self) -> None:
        """Record and announce nothing more; handlers stay with the bus and do nothing."""
        self._is_open = False
        self._telemetry.unlink(self)

    def announce(self, event: Event, pair: tuple[RoutingDecision, Outcome] | None) -> None:
        """Announce a decision, and an execution both of whose halves are known."""
        if isinstance(event, RoutingDecision):
            self._say("routing_decision", event.to_dict())
        if pair is not None:
            decision, outcome = pair
            payload = {**decision.to_dict(), **outcome.to_dict()}
            payload["decision_event_id"] = str(decision.event_id)
            payload["outcome_event_id"] = str(outcome.event_id)
            for name in ("event_id", "event_type"):
                del payload[name]
            self._say("execution_recorded", payload)

    def _say(self, kind: str, payload: dict[str, Any]) -> None:
        token = self._tokens.get(kind)
        if token is None:
            return
        message = {
            "type": token,
            "source_pool_id": payload.get("pool_id"),
            "target_pool_id": None,
            "payload": payload,
        }
        if _running_loop() is not None:
            self._send(message)
        elif self._loop is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(self._send, message)
        else:
            self.unsent += 1

    def _send(self, message: dict[str, Any]) -> None:
        if len(self._sending) >= MAX_IN_FLIGHT:
            self.unsent += 1
        else:
            self._run(self._publish(message))

    def _run(self, work: Any) -> None:
        try:
            task = asyncio.get_running_loop().create_task(work)
        except RuntimeError:
            work.close()
            self._telemetry.warn("cannot wait for the bus: no event loop is running")
            return
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _publish(self, message: dict[str, Any]) -> None:
        try:
            answer = self._bus.publish(message)
            if inspect.isawaitable(answer):
                await answer
        except Exception as error:
            self.unsent += 1
            self._telemetry.warn("cannot announce on the bus: %r", type(error))

    async def _on_task_completed(self, message: Message) -> None:
        if not self._is_open:
            return
        try:
            payload, header = _payload_of(message), _header_of(message)
            result, task = fields_of(payload.get("result")), fields_of(payload.get("task"))
            pool_id = payload.get("pool_id") or header.get("pool_id") or result.get("pool_id")
            task_id = named_task(payload) or named_task(result, "task_id")
            task_id = task_id or named_task(task)
            if task_id is None:
                scope = _scope.current()
                if scope is not None and not scope.is_answered:
                    scope.is_answered = True
                    task_id = scope.task_id
                elif self._telemetry.records_pool(pool_id):
                    return  # the pool manager's own call says the same, and for which task
                else:
                    task_id = new_id()
            told = told_outcome({**without_nested(payload, "result"), **result})
            for name in ("task_id", "id", "pool_id"):
                told.pop(name, None)
            self._telemetry.record(
                TaskCompleted, told, {**header, "pool_id": pool_id, "task_id": task_id}
            )
        except Exception as error:
            self._telemetry.warn("cannot record a message: %r", type(error))

    async def _on_pool_created(self, message: Message) -> None:
        if self._is_open:
            self._telemetry.record(
                PoolCreated, _payload_of(message), _header_of(message, "pool_id")
            )

    async def _on_pool_closed(self, message: Message) -> None:
        if self._is_open:
            self._telemetry.record(PoolClosed, _payload_of(message), _header_of(message, "pool_id"))


def _payload_of(message: object) -> dict[str, Any]:
    payload = _attribute(message, "payload")
    return dict(payload) if isinstance(payload, Mapping) else {}


def _header_of(message: object, *overridden: str) -> dict[str, Any]:
    """Return what a message says beside its payload; `overridden` the payload says better."""
    header: dict[str, Any] = {}
    sent_at = _attribute(message, "timestamp")
    if isinstance(sent_at, int | float) and not isinstance(sent_at, bool):
        try:
            header["occurred_at"] = datetime.fromtimestamp(sent_at, UTC)
        except (ValueError, OverflowError, OSError):
            header["message_timestamp"] = repr(sent_at)
    source = _attribute(message, "source_pool_id")
    if source is not None and not any(_payload_of(message).get(name) for name in overridden):
        header["pool_id"] = source
    return header


def _attribute(message: object, name: str) -> Any:
    if isinstance(message, Mapping):
        return message.get(name)
    return getattr(message, name, None)


def _find_message_types(bus: object) -> type[Enum] | None:
    """Return the bus's enum of message types: as `subscribe` declares it, or from its module."""
    try:
        hints = list(get_type_hints(bus.subscribe).values())  # type: ignore[attr-defined]
    except Exception:
        hints = []
    module = sys.modules.get(type(bus).__module__)
    for found in (*hints, *vars(module).values()) if module else hints:
        if isinstance(found, type) and issubclass(found, Enum) and _member(found, _HEARD[0]):
            return found
    return None


def _member(types: type[Enum] | None, kind: str) -> Enum | None:
    for member in types or ():
        if member.value == kind or member.name.lower() == kind:
            return member
    return None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _awaited(answer: Any) -> None:
    await answer
