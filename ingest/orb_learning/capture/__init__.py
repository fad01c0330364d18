"""Capture hooks: what a host calls to say what happened."""

from orb_learning.capture._instrument import (
    Instrumentation,
    instrument_pool_manager,
    instrument_router,
)
from orb_learning.capture._run import Execution, current_execution
from orb_learning.capture._telemetry import CaptureStats, Telemetry

__all__ = [
    "CaptureStats",
    "Execution",
    "Instrumentation",
    "Telemetry",
    "current_execution",
    "instrument_pool_manager",
    "instrument_router",
]
