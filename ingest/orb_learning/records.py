"""The records that a host hands over whole: executions, solutions, feedback, quality policies.

Records are complete where events may be partial: in Python an execution states both its costs,
while an event or an imported row may lack either. Units and bounds are those of the events.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4, uuid5

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import to_json

from orb_learning._event_fields import CONTENT_FIELDS, FIRST_FIELDS, Checked, ExecutionFields
from orb_learning._types import (
    NAMESPACE,
    Amount,
    Attempt,
    Count,
    Embedding,
    ErrorType,
    Fraction,
    Maturity,
    Metadata,
    Name,
    OptionalText,
    Rating,
    Strictness,
    Text,
    Time,
    new_id,
    utc_now,
    with_task_uuid,
)
from orb_learning.events import (
    ExecutionRecorded,
    Feedback,
    QualityPolicyAdjusted,
    SolutionExtracted,
)

__all__ = ["ErrorType", "ExecutionRecord", "FeedbackRecord", "QualityPolicy", "SolutionRecord"]


class Record(Checked):
    """What every record can do."""

    model_config = ConfigDict(validate_assignment=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a dict of JSON values: ids as strings, times as ISO 8601 UTC."""
        return self.model_dump(mode="json")

    def _event_id(self) -> UUID:
        """Return one id for one content: a record handed over twice is one event."""
        return uuid5(NAMESPACE, f"{type(self).__name__} {self._spelled()}")

    def _spelled(self) -> str:
        return self.model_dump_json()


_UNSAID = {
    **dict.fromkeys(FIRST_FIELDS.split()),
    "file_count": 0,
    "estimated_tokens": 0,
    "complexity_score": 50,
}
"""How a record's id spells what was not said."""


class ExecutionRecord(ExecutionFields, Record):
    """One finished execution of a task; further fields are those of `ExecutionFields`.

    Attributes:
        task_id: a UUID; any other text maps to a UUIDv5 and is kept as `metadata["task_ref"]`.
        timestamp: when the task was routed.
        actual_cost: USD spent.
        attempt: which attempt of the task this is, from 1.
    """

    task_id: UUID = Field(default_factory=uuid4)
    timestamp: Time = Field(default_factory=utc_now)
    attempt: Attempt | None = None
    task_description: Text
    pool_type: Name
    duration_seconds: Amount
    cost_estimate: Amount
    actual_cost: Amount
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _accept_any_reference(cls, values: Any) -> Any:
        return with_task_uuid(values)

    def _spelled(self) -> str:
        said = {name: value for name, value in self.__dict__.items() if value is not None}
        return to_json(_UNSAID | said).decode()

    def calculate_embedding_content(self) -> str:
        """Return the text that stands for this execution in similarity search."""
        said = {label: getattr(self, name) for label, name in CONTENT_FIELDS.items()}
        said["success"] = str(self.success).lower()
        return " | ".join(f"{label}: {text}" for label, text in said.items() if text is not None)

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
        if "timestamp" not in self.model_fields_set:
            values["timestamp_source"] = "captured"
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
    task_context: Name
    solution_summary: Name
    success_rate: Fraction
    usage_count: Count = 1
    repos_used_in: list[Name] = Field(default_factory=list)
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
    feedback_type: Name
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
    repo: Name
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
