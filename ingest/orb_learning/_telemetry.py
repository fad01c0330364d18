"""The face of all hooks: one object through which a host records what happened."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from orb_learning.capture import Recorder, RunningExecution
from orb_learning.events import (
    Event,
    ExecutionRecorded,
    Feedback,
    Outcome,
    PoolExecutionComplete,
    PoolExecutionStart,
    RoutingDecision,
    RoutingOutcome,
)
from orb_learning.hosts import MessageBus, Pairing

if TYPE_CHECKING:
    from enum import Enum

    from orb_learning.hosts.bus import BusLink


class Telemetry(Recorder):
    """Captures events into the spool; made once per process and shared by all its threads.

    Each hook takes a typed event or record, a mapping, or any object with the fields as
    attributes, and further fields as keywords. It returns the event once the operating system
    holds it, or None if the event was refused: invalid events go to quarantine with the reason,
    and what could not be stored is counted in `stats()` and logged. Hooks never raise, unless
    `strict` is set. The awaitable hooks do their work before their first suspension and never
    block the loop for longer than one small write.
    """

    _links: tuple[BusLink, ...] = ()

    async def capture_routing_decision(
        self, decision: object = None, /, **fields: Any
    ) -> RoutingDecision | None:
        """Record which tier and pool the router chose. See `capture_routing_decision_sync`."""
        return self.record(RoutingDecision, decision, fields)

    async def capture_routing_outcome(
        self, outcome: object = None, /, **fields: Any
    ) -> RoutingOutcome | None:
        """Record how a routed task ended. See `capture_routing_outcome_sync`."""
        return self.record(RoutingOutcome, outcome, fields)

    async def capture_pool_execution_start(
        self, start: object = None, /, **fields: Any
    ) -> PoolExecutionStart | None:
        """Record that a pool began to work. See `capture_pool_execution_start_sync`."""
        return self.record(PoolExecutionStart, start, fields)

    async def capture_pool_execution_complete(
        self, complete: object = None, /, **fields: Any
    ) -> PoolExecutionComplete | None:
        """Record that a pool ended its work. See `capture_pool_execution_complete_sync`."""
        return self.record(PoolExecutionComplete, complete, fields)

    async def capture_feedback(self, feedback: object = None, /, **fields: Any) -> Feedback | None:
        """Record a person's judgement. See `capture_feedback_sync`."""
        return self.record(Feedback, feedback, fields)

    async def record_execution(
        self, execution: object = None, /, **fields: Any
    ) -> ExecutionRecorded | None:
        """Record a whole finished execution. See `record_execution_sync`."""
        return self.record(ExecutionRecorded, execution, fields)

    async def capture(self, event: object) -> Event | None:
        """Record any typed event or record. See `capture_sync`."""
        return self.record(Event, event, {})

    def capture_routing_decision_sync(
        self, decision: object = None, /, **fields: Any
    ) -> RoutingDecision | None:
        """Record which tier and pool the router chose.

        Without a task id one is minted, and the events that follow in the same context and name
        no task either belong to it.

        Args:
            decision: a `RoutingDecision`, or `{"task_id", "routing", "timestamp", "task_data"}`
                where `routing` is the router's object or dict and `task_data` the task's, or the
                fields at the top level.
            fields: fields of `RoutingDecision`; they win over `decision`.
        """
        return self.record(RoutingDecision, decision, fields)

    def capture_routing_outcome_sync(
        self, outcome: object = None, /, **fields: Any
    ) -> RoutingOutcome | None:
        """Record how a routed task ended; the fields are those of `RoutingOutcome`."""
        return self.record(RoutingOutcome, outcome, fields)

    def capture_pool_execution_start_sync(
        self, start: object = None, /, **fields: Any
    ) -> PoolExecutionStart | None:
        """Record that a pool began to work; the fields are those of `PoolExecutionStart`."""
        return self.record(PoolExecutionStart, start, fields)

    def capture_pool_execution_complete_sync(
        self, complete: object = None, /, **fields: Any
    ) -> PoolExecutionComplete | None:
        """Record that a pool ended its work; the fields are those of `PoolExecutionComplete`."""
        return self.record(PoolExecutionComplete, complete, fields)

    def capture_feedback_sync(self, feedback: object = None, /, **fields: Any) -> Feedback | None:
        """Record a person's judgement of a task's result; the fields are those of `Feedback`.

        Args:
            feedback: a `Feedback`, a `FeedbackRecord`, a mapping, or the task's id.
            fields: fields of `Feedback`; they win over `feedback`.
        """
        return self.record(Feedback, feedback, fields)

    def record_execution_sync(
        self, execution: object = None, /, **fields: Any
    ) -> ExecutionRecorded | None:
        """Record a whole finished execution, an `ExecutionRecord` or its fields.

        In a mapping either cost may be missing; it is then unknown, not zero.
        """
        return self.record(ExecutionRecorded, execution, fields)

    def capture_sync(self, event: object) -> Event | None:
        """Record any typed event, or a record that has an event of its own."""
        return self.record(Event, event, {})

    def execution(self, **decision: Any) -> RunningExecution:
        """Return a context manager and decorator that records one execution.

        Args:
            decision: fields of `RoutingDecision`, such as `task_type`, `repo` and `model_tier`.
        """
        return RunningExecution(self, decision)

    def subscribe(
        self,
        bus: MessageBus,
        *,
        message_types: type[Enum] | None = None,
        publish: bool | None = None,
    ) -> BusLink:
        """Record what a message bus announces, and announce on it what is recorded.

        Recorded are the messages `task_completed`, `pool_created` and `pool_closed`; announced are
        `routing_decision` and, once a task has a decision and an outcome, `execution_recorded`.

        Args:
            bus: see `orb_learning.hosts.MessageBus`.
            message_types: the bus's enum of message types; by default it is looked for where the
                bus is defined.
            publish: whether to announce. By default a type is announced if the bus's enum knows
                it, or if the bus has no such enum.

        Returns:
            the link, whose `close()` ends both; the same one if the bus is subscribed already.

        Raises:
            InstrumentationError: the bus has no `subscribe()`, or refuses; or its `subscribe()` is
                a coroutine and no event loop is running.
        """
        from orb_learning.hosts.bus import BusLink

        for link in self._links:
            if link.bus is bus:
                return link
        link = BusLink(self, bus, message_types, publish, on_close=self._unlink)
        self._links = (*self._links, link)
        self._listeners = (partial(self._announce, self._pairing),)
        return link

    @cached_property
    def _pairing(self) -> Pairing:
        return Pairing()

    def _announce(self, pairing: Pairing, event: Event) -> None:
        if isinstance(event, RoutingDecision | Outcome):
            pair = pairing.add(event)
            for link in self._links:
                link.announce(event, pair)

    def _unlink(self, link: BusLink) -> None:
        self._links = tuple(other for other in self._links if other is not link)
        if not self._links:
            self._listeners = ()
