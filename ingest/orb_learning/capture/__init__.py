"""Recording events: what a host says is adapted, checked, masked, and written to the spool."""

from orb_learning.capture._adapt import clean_text, cleaned, json_value, to_values
from orb_learning.capture._build import MAX_PAYLOAD_CHARACTERS, build, ids_first, made, reason_of
from orb_learning.capture._execution import RunningExecution, current_execution
from orb_learning.capture._host_values import (
    TASK_ARGUMENTS,
    decision_fields,
    event_fields,
    fields_of,
    is_outcome,
    name_of,
    named_task,
    names_tier,
    outcome_fields,
    pool_type_of,
    task_argument,
    task_fields,
    without_nested,
)
from orb_learning.capture._misfits import (
    QUALITY_SCALES,
    Reading,
    failure_fields,
    is_empty,
    number_of,
)
from orb_learning.capture._recorder import CaptureStats, Recorder
from orb_learning.capture._task_context import (
    TaskScope,
    current_scope,
    enter_scope,
    scope_for_execution,
    scope_for_routing,
    scope_of,
)
from orb_learning.capture._wrapping import Call, watched

__all__ = [
    "MAX_PAYLOAD_CHARACTERS",
    "QUALITY_SCALES",
    "TASK_ARGUMENTS",
    "Call",
    "CaptureStats",
    "Reading",
    "Recorder",
    "RunningExecution",
    "TaskScope",
    "build",
    "clean_text",
    "cleaned",
    "current_execution",
    "current_scope",
    "decision_fields",
    "enter_scope",
    "event_fields",
    "failure_fields",
    "fields_of",
    "ids_first",
    "is_empty",
    "is_outcome",
    "json_value",
    "made",
    "name_of",
    "named_task",
    "names_tier",
    "number_of",
    "outcome_fields",
    "pool_type_of",
    "reason_of",
    "scope_for_execution",
    "scope_for_routing",
    "scope_of",
    "task_argument",
    "task_fields",
    "to_values",
    "watched",
    "without_nested",
]
