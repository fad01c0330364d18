"""What hosts are given, gathered; `orb_learning` loads it when it is first asked for any of it."""

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
