"""Refreshing: dbt run in this process, once or again and again."""

from orb_learning.refresh._command import require_dbt, run_dbt
from orb_learning.refresh._nodes import OnNode
from orb_learning.refresh._project import locate_project, retention_days
from orb_learning.refresh._refresher import STEADY, WHOLE, Refresher, RefreshReport, refresh
from orb_learning.refresh._scheduler import schedule
from orb_learning.refresh._state import ScheduleState, is_scheduled, read_state
from orb_learning.refresh._turns import Turn

__all__ = [
    "STEADY",
    "WHOLE",
    "OnNode",
    "RefreshReport",
    "Refresher",
    "ScheduleState",
    "Turn",
    "is_scheduled",
    "locate_project",
    "read_state",
    "refresh",
    "require_dbt",
    "retention_days",
    "run_dbt",
    "schedule",
]
