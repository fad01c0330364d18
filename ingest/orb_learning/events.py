"""The events: the single source of their names, fields, types, units and bounds.

One class is one kind of event, one line in the spool, and one raw table in staging. Durations are
seconds, costs are USD, memory is mebibytes, scores are 0..100, and every time is timezone-aware
and stored as UTC. A field that nobody knows is null, never zero.

What events share stands in `_event_fields`. `make sources` tells dbt what the texts say.
"""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import (
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from orb_learning._event_fields import (
    SCHEMA_VERSION,
    DecidedEvent,
    Event,
    ExecutionFields,
    OutcomeFields,
    RoutingFields,
    TaskEvent,
    describe,
)
from orb_learning._tombstones import ImportUndone, TaskErased, UserErased
from orb_learning._types import (
    LAST_MOMENT,
    Count,
    Embedding,
    Fraction,
    Maturity,
    Name,
    OptionalName,
    OptionalText,
    Rating,
    Strictness,
    Text,
    Time,
    TimestampSource,
    new_id,
)
from orb_learning.errors import InvalidEventError

__all__ = [
    "EVENT_TYPES",
    "SCHEMA_VERSION",
    "TASK_EVENT_TYPES",
    "AnyEvent",
    "Event",
    "ExecutionFields",
    "ExecutionRecorded",
    "Feedback",
    "ImportUndone",
    "InvalidEvent",
    "Outcome",
    "PoolClosed",
    "PoolCreated",
    "PoolExecutionComplete",
    "PoolExecutionStart",
    "QualityPolicyAdjusted",
    "RoutingDecision",
    "RoutingFields",
    "RoutingOutcome",
    "SolutionExtracted",
    "TaskCompleted",
    "TaskErased",
    "TaskEvent",
    "UserErased",
    "content_hash",
    "describe",
    "parse_line",
]


class Outcome(OutcomeFields, DecidedEvent):
    """An event that tells how an attempt ended."""


# In a line `event_type` stands before the fields that records share, and lines are hashed: it
# comes from a class of its own, for pydantic takes the fields of the last base first.
class _Decided(TaskEvent):
    event_type: Literal["routing_decision"] = "routing_decision"


class RoutingDecision(RoutingFields, _Decided):
    """The router chose a tier and a pool for a task."""


class RoutingOutcome(Outcome):
    """The router learned how the task ended."""

    event_type: Literal["routing_outcome"] = "routing_outcome"


class PoolExecutionStart(DecidedEvent):
    """A pool began to work on a task.

    Attributes:
        pool_id: the worker pool.
    """

    event_type: Literal["pool_execution_start"] = "pool_execution_start"
    pool_id: OptionalName = None
    pool_type: Name | None = None
    swarm_topology: OptionalName = None


class PoolExecutionComplete(Outcome):
    """A pool ended its work on a task."""

    event_type: Literal["pool_execution_complete"] = "pool_execution_complete"
    pool_id: OptionalName = None
    pool_type: Name | None = None
    swarm_topology: OptionalName = None


class TaskCompleted(Outcome):
    """The message bus announced that a task ended."""

    event_type: Literal["task_completed"] = "task_completed"
    pool_id: OptionalName = None
    pool_type: Name | None = None


class _Recorded(Outcome):
    """Begins `ExecutionRecorded`.

    Attributes:
        timestamp: when the task was routed.
        timestamp_source: `captured` where the host did not say when, so that the time of the call
            stands in; it tells no attempts apart. Null where the host said it.
    """

    event_type: Literal["execution_recorded"] = "execution_recorded"
    timestamp: Time
    timestamp_source: TimestampSource | None = None


class ExecutionRecorded(ExecutionFields, _Recorded):
    """A whole execution at once, as imports and `store_execution` give it.

    Left out, `occurred_at` is the end of the run: `timestamp` plus the duration, or `timestamp`
    itself where that is the time of the call.

    Attributes:
        import_id: names the import that brought it; null where a hook did.
    """

    # The last one in a line, where `content_hash` looks for it.
    import_id: OptionalName = None

    @model_validator(mode="after")
    def _occurred_at_its_end(self) -> Self:
        if "occurred_at" not in self.model_fields_set:
            lasted = self.duration_seconds or 0 if self.timestamp_source is None else 0
            ended_at = self.timestamp + timedelta(seconds=lasted)
            # The instance is frozen for everyone but its own making.
            self.__dict__["occurred_at"] = min(ended_at, LAST_MOMENT)
        return self


class PoolCreated(Event):
    """A worker pool came up."""

    event_type: Literal["pool_created"] = "pool_created"
    pool_id: Name
    pool_type: Name | None = None


class PoolClosed(Event):
    """A worker pool went down.

    Attributes:
        reason: why, in the host's words.
    """

    event_type: Literal["pool_closed"] = "pool_closed"
    pool_id: Name
    pool_type: Name | None = None
    reason: OptionalText = None


class Feedback(TaskEvent):
    """A person judged a task's result.

    Attributes:
        feedback_id: names the piece of feedback; the latest event under one id wins.
        feedback_type: `seeds/feedback_types.csv` lists the usual values, the host's own words are
            kept; thumbs_up, thumbs_down, accepted and rejected say whether the result was accepted.
        rating: 1..5, null where none was given.
        comment: free text.
        user_id: who gave it; null for anonymous feedback.
    """

    event_type: Literal["feedback"] = "feedback"
    feedback_id: UUID = Field(default_factory=new_id)
    feedback_type: Name
    rating: Rating | None = None
    comment: OptionalText = None
    user_id: OptionalText = None


class SolutionExtracted(Event):
    """A recurring solution was distilled from past executions.

    Attributes:
        pattern_id: names the solution.
        task_context: the kind of task it solves.
        success_rate: share of successes, 0..1.
        usage_count: how often it was used.
        repos_used_in: repositories it was used in.
        embedding: 384 floats, where the host gave them.
    """

    event_type: Literal["solution_extracted"] = "solution_extracted"
    pattern_id: UUID = Field(default_factory=new_id)
    task_context: Name
    solution_summary: Name
    success_rate: Fraction
    usage_count: Count = 1
    repos_used_in: list[Name] = Field(default_factory=list)
    embedding: Embedding | None = None


class QualityPolicyAdjusted(Event):
    """A repository's quality policy was set or changed.

    Attributes:
        policy_id: names the policy.
        project_maturity: `new`, `stable` or `mature`.
        coverage_threshold: test coverage demanded, 0..1.
        strictness_level: `lenient`, `standard` or `strict`.
        adjustment_reason: why it was set so.
    """

    event_type: Literal["quality_policy_adjusted"] = "quality_policy_adjusted"
    policy_id: UUID = Field(default_factory=new_id)
    repo: Name
    project_maturity: Maturity
    coverage_threshold: Fraction
    strictness_level: Strictness
    adjustment_reason: Text


class InvalidEvent(Event):
    """An event that a hook or an import could not accept; the loader puts it into quarantine.

    Attributes:
        claimed_type: the kind of event it was meant to be.
        reason: what is wrong with it.
        payload: what was given, as text, cut to fit a line.
        import_id: names the import that refused it; null where a hook did.
    """

    event_type: Literal["invalid_event"] = "invalid_event"
    claimed_type: Text
    reason: Text
    payload: str
    import_id: OptionalName = None


AnyEvent = Annotated[
    RoutingDecision
    | RoutingOutcome
    | PoolExecutionStart
    | PoolExecutionComplete
    | TaskCompleted
    | ExecutionRecorded
    | PoolCreated
    | PoolClosed
    | Feedback
    | SolutionExtracted
    | QualityPolicyAdjusted
    | TaskErased
    | UserErased
    | ImportUndone
    | InvalidEvent,
    Field(discriminator="event_type"),
]

_ANY_EVENT: TypeAdapter[Event] = TypeAdapter(AnyEvent, config=ConfigDict(defer_build=True))

EVENT_TYPES: dict[str, type[Event]] = {
    cls.type_name: cls
    for cls in (
        RoutingDecision,
        RoutingOutcome,
        PoolExecutionStart,
        PoolExecutionComplete,
        TaskCompleted,
        ExecutionRecorded,
        PoolCreated,
        PoolClosed,
        Feedback,
        SolutionExtracted,
        QualityPolicyAdjusted,
        TaskErased,
        UserErased,
        ImportUndone,
    )
}
"""The kinds of event that have a raw table, by name."""

TASK_EVENT_TYPES = tuple(name for name, cls in EVENT_TYPES.items() if "task_id" in cls.model_fields)
"""Those of them that are about one task."""


def parse_line(line: bytes) -> Event:
    """Return the event that one line of JSON spells.

    Raises:
        InvalidEventError: the line is not JSON, not an event, or breaks the event's contract.
    """
    try:
        return _ANY_EVENT.validate_json(line)
    except ValidationError as error:
        raise InvalidEventError(describe(error)) from error


UNHASHED = frozenset({"captured_at", "import_id"})
"""Fields that are no part of what an event says: when and how it came in."""

_CAPTURED_AT = re.compile(rb'"captured_at":"[^"]*",')
_IMPORT_ID = re.compile(rb',"import_id":"(?:[^"\\]|\\.)*"(?=}$)')
_NULL = re.compile(rb',"\w+":null(?=[,}])')


def content_hash(line: bytes) -> str:
    """Return the 128-bit identity, in hex, of what an event's line says.

    `UNHASHED` is left out: the same fact captured or imported twice is one fact. So are nulls, or a
    field that a later release adds would make another fact of it. The line must come from
    `Event.to_line`, whose spelling is canonical; within a text its quotes are escaped.
    """
    said = _IMPORT_ID.sub(b"", _CAPTURED_AT.sub(b"", line, count=1))
    said = _NULL.sub(b"", said)
    return hashlib.md5(said, usedforsecurity=False).hexdigest()
