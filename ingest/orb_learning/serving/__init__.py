"""The read side: what was learned, for routers, tools and notebooks."""

from orb_learning.serving._learning import LearningDatabase
from orb_learning.serving._results import QueryResult
from orb_learning.serving._rows import (
    Execution,
    PoolPerformance,
    QualityTrend,
    SimilarExecution,
    SolutionPattern,
    TierPerformance,
)

__all__ = [
    "Execution",
    "LearningDatabase",
    "PoolPerformance",
    "QualityTrend",
    "QueryResult",
    "SimilarExecution",
    "SolutionPattern",
    "TierPerformance",
]
