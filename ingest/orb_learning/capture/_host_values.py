"""What a host's calls say: the task in their arguments, the decision or outcome they return."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from enum import Enum
from pathlib import PurePath
from typing import Any, cast, get_type_hints
from uuid import UUID

from pydantic import ValidationError

from orb_learning._spellings import spellings
from orb_learning._success import (
    FAILURE,
    SUCCESS,
    UNFINISHED,
    UnknownWordError,
    Vocabulary,
)
from orb_learning._types import as_dict, new_id, task_uuid
from orb_learning.capture._adapt import (
    USUAL,
    as_mapping,
    cleaned,
    json_value,
    to_values,
)
from orb_learning.capture._misfits import (
    Reading,
    failure_fields,
    is_empty,
    set_aside,
    text_of,
)
from orb_learning.events import Event, RoutingDecision, RoutingFields, RoutingOutcome

MAX_VALUE_CHARACTERS = 32 * 1024
"""What is kept of one thing that a host says and no field takes, such as an output."""

MAX_TOLD_CHARACTERS = 128 * 1024
"""What is kept of all of them: an outcome is not lost because it is long."""

_TIER_KEYS = ("model_tier", "tier", "model")
TASK_ARGUMENTS = ("task", "task_data", "request")
_CHOSEN = ("adapter", "adapter_name", "adapter_id", "agent", "provider", "worker")
_MADE = ("result", "results", "output", "response")
_SCALARS = (str, bytes, int, float, bool, list, tuple, set, frozenset, type(None))
_PARTS = (str, int, float, Enum)
_NAMES = {
    name
    for name, hint in get_type_hints(RoutingFields).items()
    if hint in (str, str | None) and name != "task_description"
}
# Of an instrumented call these are what the hooks saw; the host's own mean something else.
_ANY_TASK = new_id()
_PROPERTIES = ("success", "status", "ok", "is_error", "resolved", "passed", "returncode")
_ENDS = {"duration_seconds", "actual_cost", "quality_score", "error_message"}
_SEEN = {"event_id", "schema_version", "occurred_at", "captured_at"}


def fields_of(value: object) -> dict[str, Any]:
    """Return what an object of the host's holds, by name; nothing if it holds no fields."""
    try:
        if isinstance(value, (*_SCALARS, Enum)) and not hasattr(type(value), "_asdict"):
            return {}
        told = {key: _readable(item) for key, item in as_mapping(value).items()}
        if not isinstance(value, Mapping):
            told |= _properties(value, told)
    except Exception:
        return {}
    return told


def _properties(value: object, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags of an object that are no fields of its own, such as properties."""
    found: dict[str, Any] = {}
    for name in _PROPERTIES:
        if name not in told and hasattr(type(value), name):
            with suppress(Exception):
                said = getattr(value, name)
                if type(said) in (bool, str, int, float) or issubclass(type(said), Enum):
                    found[name] = said
    return found


def event_fields(
    cls: type[Event], *sources: Mapping[str, Any], reading: Reading = USUAL
) -> dict[str, Any]:
    """Return the fields of an event that a host's words say, the earlier source first.

    A host that is watched has chosen its words for itself. What has a field's name and is no value
    of that field goes into the metadata, so that the rest of the event stands. An outcome whose
    word nobody knows keeps it, for whoever records it to refuse.
    """
    if sys.is_finalizing():  # what is compiled may be gone, and the loader reads them
        return {name: value for source in reversed(sources) for name, value in source.items()}
    fitting = [_fitting(cls, source) for source in sources]
    try:
        values = to_values(cls, fitting, reading)
    except UnknownWordError:
        return {**fitting[0], "metadata": bounded(fitting[0].get("metadata") or {})}
    if "metadata" in values:
        values["metadata"] = bounded(values["metadata"])
    if misfits(cls, values):
        values = cleaned(values)
        aside: dict[str, Any] = {}
        for name in misfits(cls, values):
            set_aside(values, aside, name, f"is no {name}", reading)
        metadata = bounded({**values.pop("metadata", {}), **aside})
        values = to_values(cls, [values, {"metadata": metadata}], reading)
    return values


def named_task(source: Mapping[str, Any], *keys: str) -> UUID | None:
    """Return the task id that a host's fields name under the first of the keys that has one."""
    for key in keys or ("task_id", "id"):
        with suppress(Exception):
            if source.get(key) is not None:
                return task_uuid(source[key])
    return None


def name_of(value: object) -> str | None:
    """Return the name that a host's text, number, path or enum's member is; None for all else."""
    kind = type(value)
    if issubclass(kind, Enum):
        member: Any = value
        return member.value if isinstance(member.value, str) else str(member.name)
    if issubclass(kind, str | int | UUID | PurePath) and not issubclass(kind, bool):
        return text_of(value) or None
    return None


def task_argument(arguments: Mapping[str, Any], skipped: str | None = None) -> object:
    """Return the task among a call's arguments: by its name, else the first that may be one."""
    for name in TASK_ARGUMENTS:
        if name in arguments:
            return arguments[name]
    parts = spellings(RoutingDecision)
    for name, value in arguments.items():
        # What is named for another field, such as `task_type`, is a part of the task.
        is_part = parts.get(name, "task_description") != "task_description"
        if name != skipped and not (is_part and issubclass(type(value), _PARTS)):
            return value
    return None


def task_fields(task: object, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's fields, with the call's other arguments that are a decision's fields."""
    known = spellings(RoutingDecision)
    told = {
        name: value
        for name, value in arguments.items()
        if value is not task and name in known and issubclass(type(value), _PARTS)
    }
    if issubclass(type(task), str):
        told["task_description"] = task
    return {**told, **fields_of(task)}


def decision_fields(result: object) -> dict[str, Any]:
    """Return what a router's answer says of its decision."""
    if issubclass(type(result), str | Enum):
        return {"model_tier": result}
    return fields_of(result)


def names_tier(told: Mapping[str, Any]) -> bool:
    """Tell whether a router's answer is about a choice."""
    return any(told.get(key) is not None for key in _TIER_KEYS)


def is_outcome(told: Mapping[str, Any], words: Vocabulary = USUAL.words) -> bool:
    """Tell whether a router's answer is the outcome of the task it has run."""
    if names_tier(told):
        return False
    with suppress(UnknownWordError):
        if words.verdict(told) in (SUCCESS, FAILURE) and not _has_only_chosen(told):
            return True
    names = spellings(RoutingOutcome)
    return any(names.get(key) in _ENDS and not is_empty(told[key]) for key in told)


def _has_only_chosen(told: Mapping[str, Any]) -> bool:
    """Tell whether a success is that of the choice: somebody is named, and nothing was made."""
    is_named = any(told.get(key) is not None for key in _CHOSEN)
    return is_named and told.get("success") is True and not any(key in told for key in _MADE)


def outcome_fields(
    result: object, words: Vocabulary = USUAL.words, *, source: str | None = None
) -> dict[str, Any] | None:
    """Return what an execution's result says, `success` among it; None if it is not over.

    A word that nobody knows stays what it is, for whoever records it to refuse.

    Args:
        result: an object with fields, an exception, or the status alone.
        words: what the host's words mean.
        source: what `metadata.success_source` says of a result that says nothing of its success.
    """
    if issubclass(type(result), BaseException):
        return failure_fields(cast("BaseException", result))
    told = fields_of(result)
    if not told and issubclass(type(result), Enum):
        told = {"status": result}
    is_known, verdict = _verdict(told, result, words)
    for key in ("error", "error_message"):
        error = told.pop(key, None)
        if issubclass(type(error), BaseException):
            told = {**failure_fields(error), **told}
        elif not is_empty(error):
            told[key] = error
    if verdict in (SUCCESS, FAILURE):
        return {**told, "success": verdict == SUCCESS}
    if "error" in told or "error_message" in told:
        return {**told, "success": False}
    if verdict == UNFINISHED:
        return None
    if not is_known:
        return told
    if source is not None:
        metadata = told.get("metadata")
        told["metadata"] = {
            **(metadata if isinstance(metadata, Mapping) else {}),
            "success_source": source,
        }
    return {**told, "success": True}


def _verdict(told: Mapping[str, Any], result: object, words: Vocabulary) -> tuple[bool, str | None]:
    """Return whether the words are known, and what the fields or the bare result say."""
    try:
        if told:
            return True, words.verdict(told)
    except UnknownWordError:
        return False, None
    return True, words.meaning(result) if issubclass(type(result), bool | str) else None


def pool_type_of(manager: object, pool_id: object) -> str | None:
    """Return the type of a pool that a manager keeps by its id, or None where it says none."""
    for name in ("pools", "_pools"):
        pool = _field(_field(manager, name), pool_id)
        for owner in (pool, _field(pool, "config")):
            for field in ("pool_type", "type"):
                if (kind := name_of(_field(owner, field))) is not None:
                    return kind
    return None


def without_nested(payload: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return a message's fields that are no objects of their own."""
    return {key: value for key, value in payload.items() if key not in names}


def _fitting(cls: type[Event], source: Mapping[str, Any]) -> dict[str, Any]:
    """Return a host's words without those that are certain to mean something else here."""
    names = spellings(cls)
    told: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for key, value in source.items():
        field = names.get(key)
        if field in _NAMES and (name := name_of(value)) is not None:
            told[key] = name
        elif (
            field in _SEEN
            or (field == "task_id" and named_task(source, key) is None)
            or (field == "metadata" and not isinstance(value, Mapping))
        ):
            rest[key] = value
        else:
            told[key] = value
    if rest := {key: value for key, value in rest.items() if value is not None}:
        told["metadata"] = {**rest, **told.get("metadata", {})}
    return told


def misfits(cls: type[Event], values: Mapping[str, Any]) -> Collection[str]:
    """Return the names of the fields that cannot take what a host says of them."""
    try:
        cls.model_validate({"task_id": _ANY_TASK, **values})
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        return {str(fault["loc"][0]) for fault in faults if fault["loc"]} & values.keys()
    return ()


def bounded(metadata: Mapping[Any, Any]) -> Any:
    """Return metadata as JSON, each value and all of it cut to what is kept of them."""
    kept = {
        # A short text, as most are, is made storable with the whole.
        key: value
        if type(value) is str and len(value) <= MAX_VALUE_CHARACTERS
        else json_value(value, MAX_VALUE_CHARACTERS)
        for key, value in as_dict(metadata).items()
    }
    return json_value(kept, MAX_TOLD_CHARACTERS)


def _readable(value: object) -> object:
    """Return a value that can be asked what it is, as a proxy of what is gone cannot."""
    try:
        if isinstance(value, Mapping):
            return as_dict(value)
    except Exception:
        return f"<unreadable {type(value).__name__}>"
    return value


def _field(owner: object, name: Any) -> Any:
    try:
        return owner[name] if isinstance(owner, Mapping) else getattr(owner, name)
    except Exception:
        return None
