"""Learn from an agent orchestrator's executions which tier, pool and solution work best.

`Telemetry` captures events; the records and event classes say what can be captured. Everything
that needs DuckDB or dbt lives in submodules and is imported where it is used.
"""

from orb_learning._telemetry import Telemetry
from orb_learning.capture import CaptureStats, current_execution
from orb_learning.errors import OrbLearningError
from orb_learning.hosts import instrument_pool_manager, instrument_router
from orb_learning.records import (
    ErrorType,
    ExecutionRecord,
    FeedbackRecord,
    QualityPolicy,
    SolutionRecord,
)

__all__ = [
    "CaptureStats",
    "ErrorType",
    "ExecutionRecord",
    "FeedbackRecord",
    "OrbLearningError",
    "QualityPolicy",
    "SolutionRecord",
    "Telemetry",
    "current_execution",
    "instrument_pool_manager",
    "instrument_router",
]
