"""From a hook's arguments to the event they say, or to the refusal that goes to quarantine."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from pydantic import ValidationError
from uuid_utils import uuid7

from orb_learning._success import StatusError
from orb_learning._types import as_dict, task_uuid, uuid_text_differs, with_task_uuid
from orb_learning.capture._adapt import USUAL, clean_text, cleaned, json_value, to_values
from orb_learning.capture._host_values import bounded, misfits
from orb_learning.capture._masking import Masker
from orb_learning.capture._misfits import Reading, set_aside
from orb_learning.capture._task_context import decision_in_scope, unnamed_task
from orb_learning.errors import OrbLearningError
from orb_learning.events import (
    Event,
    Feedback,
    InvalidEvent,
    Outcome,
    PoolExecutionComplete,
    PoolExecutionStart,
    RoutingDecision,
    RoutingOutcome,
    TaskCompleted,
    TaskEvent,
    describe,
)
from orb_learning.records import ExecutionRecord, FeedbackRecord, QualityPolicy, SolutionRecord

MAX_PAYLOAD_CHARACTERS = 32 * 1024
MAX_REASON_CHARACTERS = 4 * 1024
MAX_NAME_CHARACTERS = 200
_MARGIN = 8 * 1024
_MAX_SORTED = 1000

E = TypeVar("E", bound=Event)

_DECIDED = {RoutingOutcome, PoolExecutionStart, PoolExecutionComplete, TaskCompleted}
"""What follows a decision; a whole execution finds its own."""

_ASKED_FOR = {"event_id", "schema_version", "occurred_at", "captured_at", "attempt"}
"""What an outcome is refused for although it may be left out: another one would be stored."""

_RECORDS = (ExecutionRecord, FeedbackRecord, SolutionRecord, QualityPolicy)


def direct(
    cls: type[E], given: object, fields: dict[str, Any], reading: Reading = USUAL
) -> E | None:
    """Return the event if the fields are its own, in values that need no adapting; else None.

    This is the hot path: all it does in Python is to look at the task's id.
    """
    if given is None:
        values = fields.copy()
    elif given.__class__ is dict:
        values = {**given, **fields}  # type: ignore[dict-item]  # its class was just asked for
    else:
        return None
    if cls is Event:
        return None
    task_id = values.get("task_id")
    if task_id.__class__ is str:
        reference, (task_id, is_a_name) = task_id, _known_reference(task_id)
        values["task_id"] = task_id
        if is_a_name:
            metadata = values.get("metadata")
            if metadata is not None and metadata.__class__ is not dict:
                return None
            values["metadata"] = {"task_ref": reference, **(metadata or {})}
    # What else is true or false, or a score, to pydantic is read by other rules here.
    if values.get("success", True).__class__ is not bool or (
        reading.quality_scale != 100 and "quality_score" in values
    ):
        return None
    if cls in _DECIDED and (decision := decision_in_scope()) is not None:
        # Their numbers are compared sooner than two ids are.
        is_its = task_id.__class__ is UUID and cast("UUID", task_id).int == decision.task_id.int
        if is_its:
            values.setdefault("decision_id", decision.event_id)
    if "event_id" not in values:
        # The text of an id is cheaper to make, and to check, than a `UUID`.
        values["event_id"] = str(uuid7())
    try:
        event: E = cls.__pydantic_validator__.validate_python(values)
    except Exception:
        return None  # whatever is wrong, `build` says it
    return event


@functools.lru_cache(maxsize=1024)
def _known_reference(reference: str) -> tuple[UUID | None, bool]:
    try:
        task_id = task_uuid(reference)
    except ValueError:
        return None, True
    return task_id, uuid_text_differs(reference, task_id)


def build(cls: type[E], given: object, fields: dict[str, Any], reading: Reading = USUAL) -> E:
    """Return the event that a host's object and keywords say in the host's own spelling.

    Raises:
        Exception: of any kind, host objects being what they are; `reason_of` spells it.
    """
    if isinstance(given, _RECORDS) and not fields:
        given = given.to_event()
    if isinstance(given, Event) and not fields:
        if not isinstance(given, cls):
            raise TypeError(f"expected a {cls.__name__}, not a {type(given).__name__}")
        # `model_construct` and `model_copy` make events that nobody has validated.
        valid = type(given).model_validate(dict(given))
        return given if valid == given else valid
    if cls is Event:
        raise TypeError(f"expected a typed event or record, not {type(given).__name__}")
    values = to_values(cls, _sources(cls, given, fields), reading)
    if issubclass(cls, TaskEvent) and values.get("task_id") is None:
        task_id = unnamed_task(begins_task=cls is RoutingDecision)
        if task_id is not None:
            values["task_id"] = task_id
    if cls in _DECIDED:
        decision = decision_in_scope()
        if decision is not None and decision.task_id == values.get("task_id"):
            values.setdefault("decision_id", decision.event_id)
    return made(cls, values, reading)


def made(cls: type[E], values: dict[str, Any], reading: Reading) -> E:
    """Return the event of some field values; an outcome's optional misfits go to its metadata.

    Raises:
        ValidationError: a required field is missing or out of bounds.
    """
    try:
        return cls(**values)
    except Exception:
        # What plain JSON cannot spell is made plain once, off the fast path.
        values = with_task_uuid(cleaned(values))
        if not issubclass(cls, Outcome):
            return cls(**values)
    rest: dict[str, Any] = {}
    for name in misfits(cls, values):
        if name == "metadata":
            values[name] = bounded(values[name])
        elif name not in _ASKED_FOR and not cls.model_fields[name].is_required():
            set_aside(values, rest, name, f"is no {name}", reading)
    if rest:
        values["metadata"] = bounded({**rest, **values.get("metadata", {})})
    return cls(**values)


def refusal(
    cls: type[Event], given: object, fields: dict[str, Any], reason: str, masker: Masker
) -> InvalidEvent:
    """Return the event that takes a refused one into quarantine, itself without secrets."""
    # Cut once before, for speed, and once after: half a secret looks like none.
    nearest = json_value(_payload(given, fields), MAX_PAYLOAD_CHARACTERS + _MARGIN)
    said = masker.text(clean_text(reason[: MAX_REASON_CHARACTERS + _MARGIN]))
    name = masker.text(clean_text(type(given).__name__[:_MARGIN]))
    return InvalidEvent(
        claimed_type=getattr(cls, "type_name", name[:MAX_NAME_CHARACTERS] or "unknown"),
        reason=said[:MAX_REASON_CHARACTERS],
        payload=json.dumps(masker.value(nearest), ensure_ascii=False)[:MAX_PAYLOAD_CHARACTERS],
    )


def reason_of(error: Exception) -> str:
    """Return why a host's values are no event, in one line."""
    if isinstance(error, ValidationError):
        return describe(error)
    if isinstance(error, OrbLearningError | StatusError):
        return str(error)
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # a host's own exception may fail to spell itself
        return type(error).__name__


def _sources(cls: type[Event], given: object, fields: dict[str, Any]) -> list[object]:
    sources: list[object] = [fields] if fields else []
    if given is None:
        return sources
    if isinstance(given, Mapping) and cls is RoutingDecision:
        top = {
            key: item for key, item in as_dict(given).items() if key not in ("routing", "task_data")
        }
        nested = (given.get("routing"), given.get("task_data"))
        return [*sources, top, *(source for source in nested if source is not None)]
    if cls is Feedback and isinstance(given, str | UUID):
        return [*sources, {"task_id": given}]
    if isinstance(given, ExecutionRecord) and "timestamp" not in given.model_fields_set:
        return [*sources, given, {"timestamp_source": "captured"}]
    return [*sources, given]


def _payload(given: object, fields: dict[str, Any]) -> object:
    given, fields = ids_first(given), ids_first(fields)
    if given is None:
        return fields
    return {"given": given, **fields} if fields else given


def ids_first(fields: Any, *, is_outer: bool = True) -> Any:
    """Return fields with ids first and long texts last: what follows may be cut off.

    So what is refused can be found again by whom it is about.
    """
    if type(fields) is not dict or len(fields) > _MAX_SORTED:
        return fields

    def place(pair: tuple[Any, Any]) -> tuple[bool, int]:
        name, item = pair
        is_id = type(name) is str and name.endswith(("id", "_ref"))
        return not is_id, len(item) if type(item) is str else 0

    try:
        sorted_fields = dict(sorted(fields.items(), key=place))
    except Exception:  # a host's own keys may do anything
        return fields
    if is_outer:
        return {name: ids_first(item, is_outer=False) for name, item in sorted_fields.items()}
    return sorted_fields
