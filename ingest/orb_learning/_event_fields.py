"""What events share: their frame, and the fields that several of them, and records, have.

A field's name means the same in every event and has its text in one class; `make sources` tells
dbt what these texts say.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from orb_learning._types import (
    Amount,
    Attempt,
    Candidates,
    Count,
    DurationSource,
    ErrorTypeName,
    Fraction,
    Metadata,
    Name,
    OptionalName,
    OptionalText,
    Propensity,
    Rating,
    Score,
    Text,
    Time,
    Version,
    new_id,
    utc_now,
)
from orb_learning.errors import InvalidEventError

SCHEMA_VERSION = 1
"""Version of the line format; a loader refuses, into quarantine, what is newer than itself."""

_TYPE_NAMES: set[str] = set()
"""Of every class of events; pydantic names them where a line of any kind is refused."""


class Checked(BaseModel):
    """What events and records share: they hold only what their contract allows."""

    model_config = ConfigDict(
        extra="forbid",
        allow_inf_nan=False,
        protected_namespaces=(),
        defer_build=True,  # at its first use: an import builds a dozen classes that few hosts need
    )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return what `to_dict` wrote; the two are equal.

        Raises:
            InvalidEventError: a field is missing, unknown, or out of bounds.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InvalidEventError(describe(error)) from error


class Event(Checked):
    """What every event carries.

    Attributes:
        event_id: names the event; equal content under one id is one event.
        schema_version: version of the line format.
        occurred_at: when it happened, by the host's clock.
        captured_at: when the hook saw it; breaks ties between events that occurred together.
        metadata: whatever else the host knew, as JSON.
    """

    model_config = ConfigDict(frozen=True)

    type_name: ClassVar[str]

    event_id: UUID = Field(default_factory=new_id)
    schema_version: Version = SCHEMA_VERSION
    occurred_at: Time = Field(default_factory=utc_now)
    captured_at: Time = Field(default_factory=utc_now)
    metadata: Metadata | None = None

    @field_validator("schema_version")
    @classmethod
    def _known_version(cls, value: int) -> int:
        if value > SCHEMA_VERSION:
            raise ValueError(
                f"schema version {value} is newer than the {SCHEMA_VERSION} this release reads; "
                "upgrade orb-learning"
            )
        return value

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "event_type" in cls.model_fields:
            cls.type_name = cls.model_fields["event_type"].default
            _TYPE_NAMES.add(cls.type_name)

    def to_line(self) -> bytes:
        """Return the event as one line of JSON, UTF-8, without the newline."""
        return self.__pydantic_serializer__.to_json(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the event as a dict of JSON values, without the fields that are null."""
        return self.model_dump(mode="json", exclude_none=True)


class TaskEvent(Event):
    """An event about one task.

    Attributes:
        task_id: the original task, the same for all its attempts.
        attempt: which attempt it belongs to, from 1; null means the latest one decided at or
            before the event.
    """

    task_id: UUID
    attempt: Attempt | None = None


class DecidedEvent(TaskEvent):
    """An event about an attempt that a router has decided.

    Attributes:
        decision_id: the event id of the attempt's decision, by which it belongs to that attempt
            whatever the clocks of two hosts say; null where nobody told it.
    """

    decision_id: UUID | None = None


class SharedFields(BaseModel):
    """Fields of an event that a record has too."""

    model_config = ConfigDict(protected_namespaces=(), defer_build=True)


class OutcomeFields(SharedFields):
    """What is known once an attempt has ended.

    Attributes:
        success: whether the attempt did what was asked.
        duration_seconds: wall-clock seconds, from a monotonic clock where there is one.
        quality_score: quality by the host's own measure, 0..100.
        cost_estimate: USD expected before the run.
        actual_cost: USD the run cost; null where nobody knows.
        error_type: why it failed; `seeds/error_types.csv` lists the usual values, the host's own
            words are kept.
        error_message: what the failure said.
        peak_memory_mb: peak memory in mebibytes.
        cpu_time_seconds: user and system CPU seconds together.
        solution_summary: what solved the task, in words that recur for the same solution.
        duration_source: `measured` where a hook took the time because the host told none; null
            where the host told it, or nobody did.
    """

    success: bool
    duration_seconds: Amount | None = None
    quality_score: Score | None = None
    cost_estimate: Amount | None = None
    actual_cost: Amount | None = None
    error_type: ErrorTypeName | None = None
    error_message: OptionalText = None
    peak_memory_mb: Amount | None = None
    cpu_time_seconds: Amount | None = None
    solution_summary: OptionalName = None
    duration_source: DurationSource | None = None


class RoutingFields(SharedFields):
    """What a router knows of a task and chooses for it.

    Attributes:
        task_type: kind of task, in the host's words.
        task_description: what was asked.
        repo: repository the task is about.
        file_count: files the task touches, as the router saw it.
        estimated_tokens: tokens the router expected.
        model_tier: model tier the router chose.
        pool_type: type of the worker pool that ran it.
        swarm_topology: how the workers were arranged, where they were.
        routing_confidence: the router's confidence, 0..1.
        complexity_score: the router's estimate of complexity, 0..100.
        policy_version: which routing policy decided.
        propensity: probability, in (0, 1], with which the policy made this choice.
        candidates: tier to probability, over all tiers the policy could have chosen; sums to 1.
        task_group: the host's name of a problem that several independent runs tried, as in a
            benchmark or a shadow run.
    """

    task_type: Name
    task_description: Text | None = None
    repo: Name
    file_count: Count | None = None
    estimated_tokens: Count | None = None
    model_tier: Name
    pool_type: Name | None = None
    swarm_topology: OptionalName = None
    routing_confidence: Fraction | None = None
    complexity_score: Score | None = None
    cost_estimate: Amount | None = None
    policy_version: OptionalName = None
    propensity: Propensity | None = None
    candidates: Candidates | None = None
    task_group: OptionalName = None


class ExecutionFields(RoutingFields, OutcomeFields):
    """What is known of a whole execution.

    Attributes:
        user_accepted: whether a person took the result; the latest feedback that says so decides.
        user_rating: a person's rating, 1..5; the latest decides.
    """

    user_accepted: bool | None = None
    user_rating: Rating | None = None


FIRST_FIELDS = """
task_id timestamp task_type task_description repo file_count estimated_tokens model_tier pool_type
swarm_topology routing_confidence complexity_score success duration_seconds quality_score
cost_estimate actual_cost error_type error_message user_accepted user_rating peak_memory_mb
cpu_time_seconds solution_summary metadata attempt policy_version propensity candidates
"""
"""What a record's id is made of, in this order; a later field is part of it where it is set."""

CONTENT_FIELDS = {
    "type": "task_type",
    "task": "task_description",
    "repo": "repo",
    "tier": "model_tier",
    "pool": "pool_type",
    "topology": "swarm_topology",
    "success": "success",
    "solution": "solution_summary",
}
"""What makes executions alike, in the order and by the names of the text that is compared."""


def describe(error: ValidationError) -> str:
    """Return a validation error as one line: each field and its fault, at most five of them."""
    faults = []
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        where = ".".join(str(part) for part in fault["loc"] if part not in _TYPE_NAMES)
        message = re.sub(r"\s+", " ", fault["msg"]).removeprefix("Value error, ")
        faults.append(f"{where}: {message}" if where else message)
    more = f" (and {len(faults) - 5} more)" if len(faults) > 5 else ""
    return "; ".join(faults[:5]) + more
