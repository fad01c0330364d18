"""The marts as readers see them: which there are, their columns, order and headings.

Reports, typed reads and the command line read this; so does whatever shows a mart next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from orb_learning.serving._rows import (
    PoolPerformance,
    QualityTrend,
    Row,
    SolutionPattern,
    TierPerformance,
)

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Mart(Generic[R]):
    """One mart.

    Attributes:
        name: its table.
        row: the class of its rows, whose fields are its public columns.
        time: the column that says when.
        order: how its rows are sorted, the most telling first.
    """

    name: str
    row: type[R]
    time: str
    order: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The public columns, in order."""
        return tuple(self.row.model_fields)


TIERS = Mart(
    "tier_performance",
    TierPerformance,
    "date",
    "date desc, total_executions desc, repo, model_tier, task_type",
)
POOLS = Mart(
    "pool_performance",
    PoolPerformance,
    "hour",
    "hour desc, total_tasks desc, pool_type, repo",
)
TREND = Mart("quality_trend", QualityTrend, "date", "date desc, executions desc, repo")
PATTERNS = Mart(
    "solution_patterns",
    SolutionPattern,
    "last_seen",
    "success_rate desc, usage_count desc, solution_summary, repo",
)

MARTS: dict[str, Mart[Any]] = {mart.name: mart for mart in (TIERS, POOLS, TREND, PATTERNS)}

HEADINGS: dict[str, tuple[Literal["left", "right"], str]] = {
    "repo": ("left", "repo"),
    "model_tier": ("left", "tier"),
    "task_type": ("left", "task type"),
    "date": ("left", "date"),
    "pool_type": ("left", "pool"),
    "hour": ("left", "hour"),
    "solution_summary": ("left", "solution"),
    "task_types": ("left", "task types"),
    "total_executions": ("right", "runs"),
    "successful_count": ("right", "ok"),
    "total_tasks": ("right", "runs"),
    "successful_tasks": ("right", "ok"),
    "executions": ("right", "runs"),
    "successful": ("right", "ok"),
    "scored": ("right", "scored"),
    "usage_count": ("right", "uses"),
    "success_count": ("right", "ok"),
    "avg_duration": ("right", "mean s"),
    "p95_duration": ("right", "p95 s"),
    "avg_cost": ("right", "mean USD"),
    "avg_quality": ("right", "quality"),
    "success_rate": ("right", "success"),
    "first_seen": ("left", "first seen"),
    "last_seen": ("left", "last seen"),
}
"""How a person reads a column: its side and its heading, with the unit; the others add up."""
