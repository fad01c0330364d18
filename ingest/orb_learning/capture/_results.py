"""What a host's calls say: the task in their arguments, the decision or outcome they return."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from typing import Any
from uuid import UUID

from orb_learning._types import ErrorType, task_uuid
from orb_learning.capture._adapt import as_mapping, spellings, truth_of
from orb_learning.events import RoutingDecision

_TIER_KEYS = ("model_tier", "tier", "model")
_TASK_ARGUMENTS = ("task", "task_data", "request")
_SCALARS = (str, bytes, int, float, bool, list, tuple, set, frozenset, type(None))


def fields_of(value: object) -> dict[str, Any]:
    """Return what an object of the host's holds, by name; nothing if it holds no fields."""
    if isinstance(value, (*_SCALARS, Enum)):
        return {}
    try:
        return dict(as_mapping(value))
    except Exception:
        return {}


def named_task(source: Mapping[str, Any], *keys: str) -> UUID | None:
    """Return the task id that a host's fields name under the first of the keys that has one."""
    for key in keys or ("task_id", "id"):
        with suppress(Exception):
            if source.get(key) is not None:
                return task_uuid(source[key])
    return None


def task_argument(arguments: Mapping[str, Any], skipped: str | None = None) -> object:
    """Return the task among a call's arguments: by its name, else the first."""
    for name in _TASK_ARGUMENTS:
        if name in arguments:
            return arguments[name]
    return next((value for name, value in arguments.items() if name != skipped), None)


def told_task(task: object, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's fields, with the call's other arguments that are a decision's fields."""
    told: dict[str, Any] = {}
    known = spellings(RoutingDecision)
    for name, value in arguments.items():
        if value is not task and name in known and isinstance(value, str | int | float | Enum):
            told[name] = value
    if isinstance(task, str):
        told["task_description"] = task
    return {**told, **fields_of(task)}


def told_decision(result: object) -> dict[str, Any]:
    """Return what a router's answer says of its decision."""
    if isinstance(result, str | Enum):
        return {"model_tier": result}
    told = fields_of(result)
    if "candidates" in told and not _are_shares(told["candidates"]):
        # A list of tiers, or scores: worth keeping, but no probabilities.
        told["candidates_considered"] = told.pop("candidates")
    return told


def is_outcome(told: Mapping[str, Any]) -> bool:
    """Tell whether a router's answer is the outcome of the task it has run."""
    has_ended = "success" in told or "status" in told
    return has_ended and not any(told.get(key) for key in _TIER_KEYS)


def told_outcome(result: object) -> dict[str, Any]:
    """Return what an execution's result says, in a form that no unknown word makes invalid."""
    told = fields_of(result)
    error = told.get("error", told.get("error_message"))
    if error is not None and not isinstance(error, str):
        told["error"] = _text_of(error)
    success = truth_of(told.get("success"))
    if success is None:
        success = truth_of(told.get("status"))
    if success is None:
        success = not error
    told["success"] = success
    return told


def told_failure(error: BaseException) -> dict[str, Any]:
    """Return how an exception ends an execution."""
    return {
        "success": False,
        "error_type": _error_type(error),
        "error_message": f"{type(error).__name__}: {_text_of(error)}",
    }


def pool_type_of(manager: object, pool_id: object) -> str | None:
    """Return the type of a pool that a manager keeps by its id, or None where it says none."""
    for name in ("pools", "_pools"):
        pool = _field(_field(manager, name), pool_id)
        for owner in (pool, _field(pool, "config")):
            for field in ("pool_type", "type"):
                value = _field(owner, field)
                value = value.value if isinstance(value, Enum) else value
                if isinstance(value, str) and value:
                    return value
    return None


def without_nested(payload: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return a message's fields that are no objects of their own."""
    return {key: value for key, value in payload.items() if key not in names}


def _field(owner: object, name: Any) -> Any:
    try:
        return owner[name] if isinstance(owner, Mapping) else getattr(owner, name)
    except Exception:
        return None


def _are_shares(candidates: object) -> bool:
    try:
        shares: Any = candidates.values() if isinstance(candidates, Mapping) else None
        return shares is not None and abs(sum(map(float, shares)) - 1) <= 1e-6
    except Exception:
        return False


def _error_type(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return ErrorType.TIMEOUT
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    return ErrorType.CRASH


def _text_of(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return f"<unreadable {type(value).__name__}>"
