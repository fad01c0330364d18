"""The hooks themselves: validate, write one line, return."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast
from uuid import UUID

from pydantic import ValidationError

from orb_learning._types import with_task_uuid
from orb_learning.capture._adapt import clean_text, cleaned, json_value, to_values
from orb_learning.capture._spool import MAX_LINE_BYTES, MAX_SEGMENT_BYTES, SpoolWriter
from orb_learning.errors import InvalidEventError, OrbLearningError, SpoolWriteError
from orb_learning.events import (
    Event,
    ExecutionRecorded,
    Feedback,
    InvalidEvent,
    PoolExecutionComplete,
    PoolExecutionStart,
    RoutingDecision,
    RoutingOutcome,
    describe,
)
from orb_learning.home import Home
from orb_learning.records import (
    ExecutionRecord,
    FeedbackRecord,
    QualityPolicy,
    SolutionRecord,
)

logger = logging.getLogger("orb_learning.capture")

MAX_PAYLOAD_CHARACTERS = 32 * 1024
MAX_REASON_CHARACTERS = 4 * 1024
WARN_EVERY_SECONDS = 60.0

_RECORDS = (ExecutionRecord, FeedbackRecord, SolutionRecord, QualityPolicy)


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
        fsync_interval_seconds: float | None = None,
        max_segment_bytes: int = MAX_SEGMENT_BYTES,
    ) -> None:
        """Make the hooks; nothing is opened before the first event.

        Args:
            home: the home directory; default $ORB_LEARNING_HOME, else ./data.
            strict: raise on invalid events and failed writes, for tests and development.
            fsync_interval_seconds: force lines to the disk at most this late; None leaves that to
                the system, 0 forces each line.
            max_segment_bytes: a new segment is begun beyond this size.
        """
        self.home = Home.locate(home)
        self._strict = strict
        self._spool = SpoolWriter(
            self.home.spool,
            max_segment_bytes=max_segment_bytes,
            fsync_interval_seconds=fsync_interval_seconds,
        )
        self._captured = 0
        self._quarantined = 0
        self._dropped = 0
        self._written_bytes = 0
        self._warned_at = float("-inf")

    async def capture_routing_decision(
        self, decision: object = None, /, **fields: Any
    ) -> RoutingDecision | None:
        """Record which tier and pool the router chose. See `capture_routing_decision_sync`."""
        return self.capture_routing_decision_sync(decision, **fields)

    async def capture_routing_outcome(
        self, outcome: object = None, /, **fields: Any
    ) -> RoutingOutcome | None:
        """Record how a routed task ended. See `capture_routing_outcome_sync`."""
        return self.capture_routing_outcome_sync(outcome, **fields)

    async def capture_pool_execution_start(
        self, start: object = None, /, **fields: Any
    ) -> PoolExecutionStart | None:
        """Record that a pool began to work. See `capture_pool_execution_start_sync`."""
        return self.capture_pool_execution_start_sync(start, **fields)

    async def capture_pool_execution_complete(
        self, complete: object = None, /, **fields: Any
    ) -> PoolExecutionComplete | None:
        """Record that a pool ended its work. See `capture_pool_execution_complete_sync`."""
        return self.capture_pool_execution_complete_sync(complete, **fields)

    async def capture_feedback(self, feedback: object = None, /, **fields: Any) -> Feedback | None:
        """Record a person's judgement. See `capture_feedback_sync`."""
        return self.capture_feedback_sync(feedback, **fields)

    async def record_execution(
        self, execution: object = None, /, **fields: Any
    ) -> ExecutionRecorded | None:
        """Record a whole finished execution. See `record_execution_sync`."""
        return self.record_execution_sync(execution, **fields)

    async def capture(self, event: object) -> Event | None:
        """Record any typed event or record. See `capture_sync`."""
        return self.capture_sync(event)

    def capture_routing_decision_sync(
        self, decision: object = None, /, **fields: Any
    ) -> RoutingDecision | None:
        """Record which tier and pool the router chose.

        Args:
            decision: a `RoutingDecision`, or `{"task_id", "routing", "timestamp", "task_data"}`
                where `routing` is the router's object or dict and `task_data` the task's, or the
                fields at the top level.
            fields: fields of `RoutingDecision`; they win over `decision`.
        """
        return cast(RoutingDecision | None, self._capture(RoutingDecision, decision, fields))

    def capture_routing_outcome_sync(
        self, outcome: object = None, /, **fields: Any
    ) -> RoutingOutcome | None:
        """Record how a routed task ended; the fields are those of `RoutingOutcome`."""
        return cast(RoutingOutcome | None, self._capture(RoutingOutcome, outcome, fields))

    def capture_pool_execution_start_sync(
        self, start: object = None, /, **fields: Any
    ) -> PoolExecutionStart | None:
        """Record that a pool began to work; the fields are those of `PoolExecutionStart`."""
        return cast(PoolExecutionStart | None, self._capture(PoolExecutionStart, start, fields))

    def capture_pool_execution_complete_sync(
        self, complete: object = None, /, **fields: Any
    ) -> PoolExecutionComplete | None:
        """Record that a pool ended its work; the fields are those of `PoolExecutionComplete`."""
        return cast(
            PoolExecutionComplete | None, self._capture(PoolExecutionComplete, complete, fields)
        )

    def capture_feedback_sync(self, feedback: object = None, /, **fields: Any) -> Feedback | None:
        """Record a person's judgement of a task's result; the fields are those of `Feedback`.

        Args:
            feedback: a `Feedback`, a `FeedbackRecord`, a mapping, or the task's id.
            fields: fields of `Feedback`; they win over `feedback`.
        """
        return cast(Feedback | None, self._capture(Feedback, feedback, fields))

    def record_execution_sync(
        self, execution: object = None, /, **fields: Any
    ) -> ExecutionRecorded | None:
        """Record a whole finished execution, an `ExecutionRecord` or its fields.

        In a mapping either cost may be missing; it is then unknown, not zero.
        """
        return cast(ExecutionRecorded | None, self._capture(ExecutionRecorded, execution, fields))

    def capture_sync(self, event: object) -> Event | None:
        """Record any typed event, or a record that has an event of its own."""
        return self._capture(Event, event, {})

    def stats(self) -> CaptureStats:
        """Return what has been captured, quarantined, dropped and written so far."""
        return CaptureStats(self._captured, self._quarantined, self._dropped, self._written_bytes)

    def close(self) -> None:
        """End the current segment. Calling it twice is harmless; a later event reopens."""
        try:
            self._spool.close()
        except OSError as error:
            self._warn("cannot close the spool: %s", error)

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

    def _capture(self, cls: type[Event], given: object, fields: dict[str, Any]) -> Event | None:
        try:
            event, line = _build(cls, given, fields)
        except Exception as error:
            reason = _reason(error)
            if self._strict:
                raise InvalidEventError(f"{cls.__name__}: {reason}") from error
            self._quarantine(cls, given, fields, reason)
            return None
        if not self._write(line):
            return None
        self._captured += 1
        return event

    def _quarantine(
        self, cls: type[Event], given: object, fields: dict[str, Any], reason: str
    ) -> None:
        try:
            nearest = json_value(_payload(given, fields), MAX_PAYLOAD_CHARACTERS)
            payload = json.dumps(nearest, ensure_ascii=False)
            refused = InvalidEvent(
                claimed_type=getattr(cls, "type_name", type(given).__name__[:200] or "unknown"),
                reason=clean_text(reason[:MAX_REASON_CHARACTERS]),
                payload=payload[:MAX_PAYLOAD_CHARACTERS],
            )
            line = refused.to_line()
        except Exception as error:  # the last resort of a hook that must not raise
            self._dropped += 1
            self._warn("event dropped, not even its refusal can be written: %r", type(error))
            return
        if self._write(line):
            self._quarantined += 1
            self._warn("quarantined a %s: %s", refused.claimed_type, refused.reason)

    def _write(self, line: bytes) -> bool:
        try:
            self._spool.append(line)
        except SpoolWriteError as error:
            if self._strict:
                raise
            self._dropped += 1
            self._warn("event dropped: %s", error)
            return False
        self._written_bytes += len(line) + 1
        return True

    def _warn(self, message: str, *values: object) -> None:
        now = time.monotonic()
        if now - self._warned_at >= WARN_EVERY_SECONDS:
            self._warned_at = now
            logger.warning(message + " (further warnings are held back for a minute)", *values)


def _build(cls: type[Event], given: object, fields: dict[str, Any]) -> tuple[Event, bytes]:
    event: Event
    if isinstance(given, _RECORDS) and not fields:
        given = given.to_event()
    if isinstance(given, Event) and not fields:
        if not isinstance(given, cls):
            raise TypeError(f"expected a {cls.__name__}, not a {type(given).__name__}")
        return given, _line_of(given)
    if cls is Event:
        raise TypeError(f"expected a typed event or record, not {type(given).__name__}")
    values = to_values(cls, _sources(cls, given, fields))
    try:
        event = cls(**values)
        return event, _line_of(event)
    except InvalidEventError:
        raise
    except Exception:
        # What plain JSON cannot spell is made plain once, off the fast path.
        event = cls(**with_task_uuid(cleaned(values)))
        return event, _line_of(event)


def _line_of(event: Event) -> bytes:
    line = event.to_line()
    if len(line) >= MAX_LINE_BYTES:
        raise InvalidEventError(f"{len(line)} bytes exceed the line limit of {MAX_LINE_BYTES}")
    return line


def _sources(cls: type[Event], given: object, fields: dict[str, Any]) -> list[object]:
    sources: list[object] = [fields] if fields else []
    if given is None:
        return sources
    if isinstance(given, Mapping) and cls is RoutingDecision:
        top = {key: item for key, item in given.items() if key not in ("routing", "task_data")}
        nested = (given.get("routing"), given.get("task_data"))
        return [*sources, top, *(source for source in nested if source is not None)]
    if cls is Feedback and isinstance(given, str | UUID):
        return [*sources, {"task_id": given}]
    return [*sources, given]


def _payload(given: object, fields: dict[str, Any]) -> object:
    if given is None:
        return fields
    return {"given": given, **fields} if fields else given


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return describe(error)
    if isinstance(error, OrbLearningError):
        return str(error)
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # a host's own exception may fail to spell itself
        return type(error).__name__
