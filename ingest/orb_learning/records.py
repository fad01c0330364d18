"""The records that a host hands over whole: executions, solutions, feedback, quality policies.

Records are complete where events may be partial: in Python an execution states both its costs,
while an event or an imported row may lack either. Units and bounds are those of the events.
"""

from __future__ import annotations

from typing import Any, Self
from uuid import UUID, uuid4, uuid5

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from orb_learning._types import (
    NAMESPACE,
    Amount,
    Attempt,
    Candidates,
    Count,
    Embedding,
    ErrorType,
    ErrorTypeName,
    Fraction,
    Maturity,
    Metadata,
    OptionalText,
    Propensity,
    Rating,
    Score,
    Strictness,
    Text,
    Time,
    new_id,
    utc_now,
    with_task_uuid,
)
from orb_learning.errors import InvalidEventError
from orb_learning.events import (
    ExecutionRecorded,
    Feedback,
    QualityPolicyAdjusted,
    SolutionExtracted,
    describe,
)

__all__ = ["ErrorType", "ExecutionRecord", "FeedbackRecord", "QualityPolicy", "SolutionRecord"]


class Record(BaseModel):
    """What every record can do."""

    model_config = ConfigDict(
        extra="forbid",
        allow_inf_nan=False,
        validate_assignment=True,
        protected_namespaces=(),
        defer_build=True,
    )

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a dict of JSON values: ids as strings, times as ISO 8601 UTC."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the record that `to_dict` wrote; the two are equal.

        Raises:
            InvalidEventError: a field is missing, unknown, or out of bounds.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InvalidEventError(describe(error)) from error

    def _event_id(self) -> UUID:
        """Return one id for one content: a record handed over twice is one event."""
        return uuid5(NAMESPACE, f"{type(self).__name__} {self.model_dump_json()}")


class ExecutionRecord(Record):
    """One finished execution of a task.

    Attributes:
        task_id: a UUID; any other text maps to a UUIDv5 and is kept as `metadata["task_ref"]`.
        timestamp: when the task was routed.
        estimated_tokens: tokens the router expected.
        routing_confidence: 0..1.
        complexity_score: 0..100.
        duration_seconds: wall-clock seconds.
        quality_score: 0..100.
        cost_estimate: USD expected.
        actual_cost: USD spent.
        user_rating: 1..5.
        peak_memory_mb: mebibytes.
        attempt: which attempt of the task this is, from 1.
        policy_version: which routing policy decided.
        propensity: the probability, in (0, 1], of the choice under that policy.
        candidates: tier to probability; sums to 1.
    """

    task_id: UUID = Field(default_factory=uuid4)
    timestamp: Time = Field(default_factory=utc_now)
    task_type: Text
    task_description: Text
    repo: Text
    file_count: Count = 0
    estimated_tokens: Count = 0
    model_tier: Text
    pool_type: Text
    swarm_topology: OptionalText = None
    routing_confidence: Fraction
    complexity_score: Score = 50
    success: bool
    duration_seconds: Amount
    quality_score: Score | None = None
    cost_estimate: Amount
    actual_cost: Amount
    error_type: ErrorTypeName | None = None
    error_message: OptionalText = None
    user_accepted: bool | None = None
    user_rating: Rating | None = None
    peak_memory_mb: Amount | None = None
    cpu_time_seconds: Amount | None = None
    solution_summary: OptionalText = None
    metadata: Metadata = Field(default_factory=dict)
    attempt: Attempt | None = None
    policy_version: OptionalText = None
    propensity: Propensity | None = None
    candidates: Candidates | None = None

    @model_validator(mode="before")
    @classmethod
    def _accept_any_reference(cls, values: Any) -> Any:
        return with_task_uuid(values)

    def calculate_embedding_content(self) -> str:
        """Return the text that stands for this execution in similarity search."""
        return " | ".join(
            part
            for part in (
                f"type: {self.task_type}",
                f"task: {self.task_description}",
                f"repo: {self.repo}",
                f"tier: {self.model_tier}",
                f"pool: {self.pool_type}",
                f"topology: {self.swarm_topology}" if self.swarm_topology else "",
                f"success: {str(self.success).lower()}",
                f"solution: {self.solution_summary}" if self.solution_summary else "",
            )
            if part
        )

    def calculate_prediction_error(self) -> dict[str, float]:
        """Return how far the cost estimate was off.

        Returns:
            `cost_error_pct`: |actual - estimate| / estimate * 100, or 0 when the estimate is 0.
            `cost_error_abs`: |actual - estimate|, in USD.
        """
        off = abs(self.actual_cost - self.cost_estimate)
        percent = off / self.cost_estimate * 100 if self.cost_estimate else 0.0
        return {"cost_error_pct": percent, "cost_error_abs": off}

    def to_event(self) -> ExecutionRecorded:
        """Return the event that records this execution."""
        values = dict(self)
        values["metadata"] = self.metadata or None
        return ExecutionRecorded(event_id=self._event_id(), **values)


class SolutionRecord(Record):
    """A solution that recurs.

    Attributes:
        task_context: the kind of task it solves.
        success_rate: 0..1.
        embedding: 384 floats, or null.
    """

    pattern_id: UUID = Field(default_factory=new_id)
    extracted_at: Time = Field(default_factory=utc_now)
    task_context: Text
    solution_summary: Text
    success_rate: Fraction
    usage_count: Count = 1
    repos_used_in: list[Text] = Field(default_factory=list)
    embedding: Embedding | None = None

    def to_event(self) -> SolutionExtracted:
        """Return the event that records this solution."""
        values = dict(self)
        values["occurred_at"] = values.pop("extracted_at")
        return SolutionExtracted(event_id=self._event_id(), **values)


class FeedbackRecord(Record):
    """A person's judgement of a task's result.

    Attributes:
        rating: 1..5, or null for feedback without one.
        user_id: null for anonymous feedback.
    """

    feedback_id: UUID = Field(default_factory=new_id)
    task_id: UUID
    timestamp: Time = Field(default_factory=utc_now)
    feedback_type: Text
    rating: Rating | None = None
    comment: OptionalText = None
    user_id: OptionalText = None
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _accept_any_reference(cls, values: Any) -> Any:
        return with_task_uuid(values)

    def to_event(self) -> Feedback:
        """Return the event that records this feedback."""
        values = dict(self)
        values["metadata"] = self.metadata or None
        values["occurred_at"] = values.pop("timestamp")
        return Feedback(event_id=self._event_id(), **values)


class QualityPolicy(Record):
    """How strict the quality gate of a repository is.

    Attributes:
        coverage_threshold: 0..1.
    """

    policy_id: UUID = Field(default_factory=new_id)
    repo: Text
    project_maturity: Maturity
    coverage_threshold: Fraction
    strictness_level: Strictness
    last_adjusted: Time = Field(default_factory=utc_now)
    adjustment_reason: Text

    def to_event(self) -> QualityPolicyAdjusted:
        """Return the event that records this policy."""
        values = dict(self)
        values["occurred_at"] = values.pop("last_adjusted")
        return QualityPolicyAdjusted(event_id=self._event_id(), **values)
