"""The read side: what was learned, for routers, tools and notebooks."""

from orb_learning.serving._answers import EscalationAdvice, Recommendation
from orb_learning.serving._evidence import ArmEvidence
from orb_learning.serving._learning import LearningDatabase
from orb_learning.serving._marts import HEADINGS, MARTS, Mart
from orb_learning.serving._overview import Filters, Overview, Period, TaskAnswer
from orb_learning.serving._recommender import Recommender
from orb_learning.serving._report import Report, build_report
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
    "HEADINGS",
    "MARTS",
    "ArmEvidence",
    "EscalationAdvice",
    "Execution",
    "Filters",
    "LearningDatabase",
    "Mart",
    "Overview",
    "Period",
    "PoolPerformance",
    "QualityTrend",
    "QueryResult",
    "Recommendation",
    "Recommender",
    "Report",
    "SimilarExecution",
    "SolutionPattern",
    "TaskAnswer",
    "TierPerformance",
    "build_report",
]
