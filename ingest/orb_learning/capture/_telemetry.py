"""The hooks themselves: validate, mask, write one line, return."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from orb_learning.capture import _scope
from orb_learning.capture._build import build, direct, reason_of, refusal
from orb_learning.capture._masking import Masker
from orb_learning.capture._pairing import Pairing
from orb_learning.capture._spool import MAX_LINE_BYTES, MAX_SEGMENT_BYTES, SpoolWriter
from orb_learning.errors import InvalidEventError, SpoolWriteError
from orb_learning.events import (
    Event,
    ExecutionRecorded,
    Feedback,
    InvalidEvent,
    Outcome,
    PoolExecutionComplete,
    PoolExecutionStart,
    RoutingDecision,
    RoutingOutcome,
)
from orb_learning.home import Home

if TYPE_CHECKING:
    from enum import Enum

    from orb_learning.capture._bus import BusLink
    from orb_learning.capture._run import Execution
    from orb_learning.capture.protocols import MessageBus

logger = logging.getLogger("orb_learning.capture")

WARN_EVERY_SECONDS = 60.0
MAX_RECORDED_POOLS = 10_000

E = TypeVar("E", bound=Event)

_HOOKED: tuple[type[Event], ...] = (
    RoutingDecision,
    RoutingOutcome,
    PoolExecutionStart,
    PoolExecutionComplete,
    Feedback,
    ExecutionRecorded,
    InvalidEvent,
)


@dataclass(frozen=True, slots=True)
class CaptureStats:
    """What one `Telemetry` has done since it was made.

    Attributes:
        captured: valid events that the spool holds.
        quarantined: invalid events that the spool holds, with their reasons.
        dropped: events that the operating system refused to store.
        written_bytes: bytes of all lines written, newlines included.
    """

    captured: int
    quarantined: int
    dropped: int
    written_bytes: int


class Telemetry:
    """Captures events into the spool; made once per process and shared by all its threads.

    Each hook takes a typed event or record, a mapping, or any object with the fields as
    attributes, and further fields as keywords. It returns the event once the operating system
    holds it, or None if the event was refused: invalid events go to quarantine with the reason,
    and what could not be stored is counted in `stats()` and logged. Hooks never raise, unless
    `strict` is set. The awaitable hooks do their work before their first suspension and never
    block the loop for longer than one small write.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        *,
        strict: bool = False,
        mask: Callable[[str], str] | None = None,
        hash_descriptions: bool = False,
        fsync_interval_seconds: float | None = None,
        max_segment_bytes: int = MAX_SEGMENT_BYTES,
    ) -> None:
        """Make the hooks; nothing is opened before the first event.

        Args:
            home: the home directory; default $ORB_LEARNING_HOME, else ./data.
            strict: raise on invalid events and failed writes, for tests and development.
            mask: the host's own rule, beside the built-in ones: takes any text of an event and
                returns what may be written of it. If it fails, the text is withheld.
            hash_descriptions: write only the SHA-256 of task descriptions and prompts.
            fsync_interval_seconds: force lines to the disk at most this late; None leaves that to
                the system, 0 forces each line.
            max_segment_bytes: a new segment is begun beyond this size.
        """
        self.home = Home.locate(home)
        self.is_strict = strict
        self._spool = SpoolWriter(
            self.home.spool,
            max_segment_bytes=max_segment_bytes,
            fsync_interval_seconds=fsync_interval_seconds,
        )
        self._masker = Masker(mask, hash_descriptions=hash_descriptions)
        self._has_work = self._masker.has_work
        for event in _HOOKED:
            event.model_rebuild()  # now, and not within the first call of a hook
        self._quarantined = 0
        self._dropped = 0
        self._warned_at = float("-inf")
        self._links: tuple[BusLink, ...] = ()
        self._pairing = Pairing()
        self._recorded_pools: set[str] = set()

    async def capture_routing_decision(
        self, decision: object = None, /, **fields: Any
    ) -> RoutingDecision | None:
        """Record which tier and pool the router chose. See `capture_routing_decision_sync`."""
        return self._capture(RoutingDecision, decision, fields)

    async def capture_routing_outcome(
        self, outcome: object = None, /, **fields: Any
    ) -> RoutingOutcome | None:
        """Record how a routed task ended. See `capture_routing_outcome_sync`."""
        return self._capture(RoutingOutcome, outcome, fields)

    async def capture_pool_execution_start(
        self, start: object = None, /, **fields: Any
    ) -> PoolExecutionStart | None:
        """Record that a pool began to work. See `capture_pool_execution_start_sync`."""
        return self._capture(PoolExecutionStart, start, fields)

    async def capture_pool_execution_complete(
        self, complete: object = None, /, **fields: Any
    ) -> PoolExecutionComplete | None:
        """Record that a pool ended its work. See `capture_pool_execution_complete_sync`."""
        return self._capture(PoolExecutionComplete, complete, fields)

    async def capture_feedback(self, feedback: object = None, /, **fields: Any) -> Feedback | None:
        """Record a person's judgement. See `capture_feedback_sync`."""
        return self._capture(Feedback, feedback, fields)

    async def record_execution(
        self, execution: object = None, /, **fields: Any
    ) -> ExecutionRecorded | None:
        """Record a whole finished execution. See `record_execution_sync`."""
        return self._capture(ExecutionRecorded, execution, fields)

    async def capture(self, event: object) -> Event | None:
        """Record any typed event or record. See `capture_sync`."""
        return self._capture(Event, event, {})

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
        return self._capture(RoutingDecision, decision, fields)

    def capture_routing_outcome_sync(
        self, outcome: object = None, /, **fields: Any
    ) -> RoutingOutcome | None:
        """Record how a routed task ended; the fields are those of `RoutingOutcome`."""
        return self._capture(RoutingOutcome, outcome, fields)

    def capture_pool_execution_start_sync(
        self, start: object = None, /, **fields: Any
    ) -> PoolExecutionStart | None:
        """Record that a pool began to work; the fields are those of `PoolExecutionStart`."""
        return self._capture(PoolExecutionStart, start, fields)

    def capture_pool_execution_complete_sync(
        self, complete: object = None, /, **fields: Any
    ) -> PoolExecutionComplete | None:
        """Record that a pool ended its work; the fields are those of `PoolExecutionComplete`."""
        return self._capture(PoolExecutionComplete, complete, fields)

    def capture_feedback_sync(self, feedback: object = None, /, **fields: Any) -> Feedback | None:
        """Record a person's judgement of a task's result; the fields are those of `Feedback`.

        Args:
            feedback: a `Feedback`, a `FeedbackRecord`, a mapping, or the task's id.
            fields: fields of `Feedback`; they win over `feedback`.
        """
        return self._capture(Feedback, feedback, fields)

    def record_execution_sync(
        self, execution: object = None, /, **fields: Any
    ) -> ExecutionRecorded | None:
        """Record a whole finished execution, an `ExecutionRecord` or its fields.

        In a mapping either cost may be missing; it is then unknown, not zero.
        """
        return self._capture(ExecutionRecorded, execution, fields)

    def capture_sync(self, event: object) -> Event | None:
        """Record any typed event, or a record that has an event of its own."""
        return self._capture(Event, event, {})

    def execution(self, **decision: Any) -> Execution:
        """Return a context manager and decorator that records one execution.

        Args:
            decision: fields of `RoutingDecision`, such as `task_type`, `repo` and `model_tier`.
        """
        from orb_learning.capture._run import Execution

        return Execution(self, decision)

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
            bus: see `orb_learning.capture.protocols.MessageBus`.
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
        from orb_learning.capture._bus import BusLink

        for link in self._links:
            if link.bus is bus:
                return link
        link = BusLink(self, bus, message_types, publish)
        self._links = (*self._links, link)
        return link

    def stats(self) -> CaptureStats:
        """Return what has been captured, quarantined, dropped and written so far."""
        spool = self._spool
        return CaptureStats(
            spool.lines - self._quarantined, self._quarantined, self._dropped, spool.written_bytes
        )

    def close(self) -> None:
        """End the current segment. Calling it twice is harmless; a later event reopens."""
        try:
            self._spool.close()
        except OSError as error:
            self.warn("cannot close the spool: %s", error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _capture(self, cls: type[E], given: object, fields: dict[str, Any]) -> E | None:
        try:
            event = direct(cls, given, fields)
            if event is None:
                event = build(cls, given, fields)
            line = event.__pydantic_serializer__.to_json(event)
            if self._has_work(line):
                event = self._masker.masked(event)
                line = event.to_line()
            if len(line) >= MAX_LINE_BYTES:
                raise InvalidEventError(
                    f"{len(line)} bytes exceed the line limit of {MAX_LINE_BYTES}"
                )
        except Exception as error:
            reason = reason_of(error)
            if self.is_strict:
                raise InvalidEventError(f"{cls.__name__}: {reason}") from error
            self._quarantine(cls, given, fields, reason)
            return None
        try:
            self._spool.append(line)
        except SpoolWriteError as error:
            if self.is_strict:
                raise
            self._drop(error)
            return None
        if cls is RoutingDecision or cls is Event or self._links:
            self._follow_up(event)
        return event

    def _follow_up(self, event: Event) -> None:
        """Let the running code know its decision, and the buses what was recorded."""
        try:
            if isinstance(event, RoutingDecision):
                _scope.decided(event)
            if self._links and isinstance(event, RoutingDecision | Outcome):
                pair = self._pairing.add(event)
                for link in self._links:
                    link.announce(event, pair)
        except Exception as error:  # the event is stored; the rest must not reach the host
            self.warn("cannot announce an event: %r", type(error))

    def _quarantine(
        self, cls: type[Event], given: object, fields: dict[str, Any], reason: str
    ) -> None:
        try:
            refused = refusal(cls, given, fields, reason, self._masker)
            self._spool.append(refused.to_line())
        except Exception as error:  # the last resort of a hook that must not raise
            self._drop(error)
            return
        self._quarantined += 1
        self.warn("quarantined a %s: %s", refused.claimed_type, refused.reason)

    def _drop(self, error: Exception) -> None:
        self._dropped += 1
        if isinstance(error, SpoolWriteError):
            self.warn("event dropped: %s", error)
        else:
            self.warn("event dropped, not even its refusal can be written: %r", type(error))

    def record(self, cls: type[E], given: object, fields: dict[str, Any]) -> E | None:
        """Record an event of any class, as its hook does; for this package's own adapters."""
        return self._capture(cls, given, fields)

    def will_record_pool(self, pool_id: object) -> None:
        """Remember that an instrumented pool manager runs this pool."""
        if isinstance(pool_id, str) and len(self._recorded_pools) < MAX_RECORDED_POOLS:
            self._recorded_pools.add(pool_id)

    def records_pool(self, pool_id: object) -> bool:
        """Tell whether every execution on this pool is recorded by its manager's own calls."""
        return isinstance(pool_id, str) and pool_id in self._recorded_pools

    def unlink(self, link: BusLink) -> None:
        """Forget a bus; `BusLink.close` calls it."""
        self._links = tuple(other for other in self._links if other is not link)

    def warn(self, message: str, *values: object) -> None:
        """Log a warning, at most once a minute."""
        now = time.monotonic()
        if now - self._warned_at >= WARN_EVERY_SECONDS:
            self._warned_at = now
            logger.warning(message + " (further warnings are held back for a minute)", *values)
