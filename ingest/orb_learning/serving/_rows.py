"""The rows that readers get, typed; times are UTC, and what nobody knows is None.

A field that has a default came with a later release: None in a publication of an earlier one.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Json, TypeAdapter

if TYPE_CHECKING:
    import duckdb

R = TypeVar("R", bound="Row")


def _in_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


Moment = Annotated[datetime, AfterValidator(_in_utc)]
Document = Annotated[
    Json[dict[str, Any]], BeforeValidator(lambda value: "{}" if value is None else value)
]
"""An object of JSON; what is null is an empty one."""


class Row(BaseModel):
    """What every row can do: `model_dump()` gives it as a dict."""

    model_config = ConfigDict(frozen=True, protected_namespaces=(), defer_build=True)


class TierPerformance(Row):
    """How one tier did with one kind of task in one repository on one day.

    Attributes:
        avg_duration: seconds, over the executions whose duration is known.
        avg_cost: USD, over the executions whose cost is known.
        avg_quality: 0..100, over the executions that have a score.
        p95_duration: seconds, exact, over the executions whose duration is known.
        timed: executions whose duration is known.
        total_duration_seconds: of those.
        costed: executions whose cost is known.
        total_cost: USD of those.
        scored: executions that have a score.
        total_quality: sum of these scores.
        success_rate: 0..1.
    """

    repo: str
    model_tier: str
    task_type: str
    date: date
    total_executions: int
    successful_count: int
    avg_duration: float | None
    avg_cost: float | None
    avg_quality: float | None
    p95_duration: float | None
    timed: int | None = None
    total_duration_seconds: float | None = None
    costed: int | None = None
    total_cost: float | None = None
    scored: int | None = None
    total_quality: int | None = None
    success_rate: float | None = None


class PoolPerformance(Row):
    """How one kind of pool did in one repository in one hour.

    Attributes:
        hour: its beginning.
        avg_duration: seconds, over the executions whose duration is known.
        avg_cost: USD, over the executions whose cost is known.
        success_rate: 0..1.
        timed: executions whose duration is known.
        total_duration_seconds: of those.
        costed: executions whose cost is known.
        total_cost: USD of those.
        scored: executions that have a score.
        total_quality: sum of these scores.
    """

    pool_type: str
    repo: str
    hour: Moment
    total_tasks: int
    successful_tasks: int
    avg_duration: float | None
    avg_cost: float | None
    success_rate: float
    timed: int | None = None
    total_duration_seconds: float | None = None
    costed: int | None = None
    total_cost: float | None = None
    scored: int | None = None
    total_quality: int | None = None


class SolutionPattern(Row):
    """How often a solution solved tasks of a repository.

    Attributes:
        task_types: the kinds of task it was used for, sorted.
        avg_quality: 0..100.
        success_rate: 0..1.
    """

    solution_summary: str
    repo: str
    task_types: list[str]
    usage_count: int
    success_count: int
    avg_quality: float | None
    first_seen: Moment
    last_seen: Moment
    success_rate: float


class QualityTrend(Row):
    """How one repository's executions turned out on one day.

    Attributes:
        avg_quality: 0..100, over the executions that have a score.
        success_rate: 0..1.
        avg_cost: USD, over the executions whose cost is known.
        timed: executions whose duration is known.
        total_duration_seconds: of those.
        costed: executions whose cost is known.
        total_cost: USD of those.
        total_quality: sum of the scores.
    """

    repo: str
    date: date
    executions: int
    scored: int
    successful: int
    avg_quality: float | None
    success_rate: float
    avg_cost: float | None
    timed: int | None = None
    total_duration_seconds: float | None = None
    costed: int | None = None
    total_cost: float | None = None
    total_quality: int | None = None


class Execution(Row):
    """One execution; the model `executions` of the dbt project describes every column.

    Attributes:
        timestamp: when the task was routed.
        cost_source: `reported`, `estimate` or `unknown`; unknown costs are stored as 0.
        known_cost: USD; None where nobody knows it.
        known_duration_seconds: None where nobody knows it; `duration_seconds` is 0 then.
        duration_source: `reported`, `measured` or `unknown`.
        defaulted: the columns that nobody said; what they hold stands in for it.
    """

    task_id: UUID
    timestamp: Moment
    task_type: str
    task_description: str
    repo: str
    file_count: int
    estimated_tokens: int
    model_tier: str
    pool_type: str
    swarm_topology: str | None
    routing_confidence: float
    complexity_score: int
    success: bool
    duration_seconds: float
    known_duration_seconds: float | None = None
    duration_source: str | None = None
    quality_score: int | None
    cost_estimate: float
    actual_cost: float
    known_cost: float | None = None
    error_type: str | None
    error_message: str | None
    user_accepted: bool | None
    user_rating: int | None
    peak_memory_mb: float | None
    cpu_time_seconds: float | None
    solution_summary: str | None
    metadata: Document
    uploaded_at: Moment
    cost_source: str
    policy_version: str | None
    propensity: float | None
    candidates: Json[dict[str, float]] | None
    task_group: str | None = None
    defaulted: tuple[str, ...] | None = None
    parent_task_id: UUID | None
    attempt: int
    attempt_is_ambiguous: bool | None = None
    content_hash: str
    load_id: int


class SimilarExecution(Execution):
    """An execution that resembles a task.

    Attributes:
        similarity: cosine of the two texts' vectors, -1..1; within 0.001 of the exact one.
    """

    similarity: float


_validators: dict[type[Row], TypeAdapter[Any]] = {}


def fetch_typed(cursor: duckdb.DuckDBPyConnection, kind: type[R], sql: str) -> list[R]:
    """Run a query and return its rows, typed."""
    cursor.execute(sql)
    names = [column[0] for column in cursor.description or ()]
    found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    if kind not in _validators:
        _validators[kind] = TypeAdapter(list[kind])  # type: ignore[valid-type]  # made at run time
    validated: list[R] = _validators[kind].validate_python(found)
    return validated
