"""Optional values of an outcome: read where they can be, else kept beside it, never at its cost."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, Final, cast

from orb_learning._coercion import is_bool
from orb_learning._success import Vocabulary
from orb_learning._types import MAX_FIELDS, ErrorType, as_dict

QUALITY_SCALES: Final = (1, 100)
NO_DURATION: Final = "is no duration"
MAX_ITEMS = 100
MAX_TOLD = 8 * 1024
"""What is told of a value, to whoever masks it before it is cut further."""
_PLAIN = {str, int, float, bool, type(None)}
_COSTS = ("actual_cost", "cost_estimate")
_USD = re.compile(r"(?:\$|usd)?\s*(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(?:\$|usd)?", re.IGNORECASE)
_TYPE_KEYS = ("type", "error_type", "name", "kind", "code")
_MESSAGE_KEYS = ("message", "msg", "detail", "description", "error", "text")


def _ignored(name: str, reason: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How one host's words and numbers are read.

    Attributes:
        words: what its status words say.
        quality_scale: the best quality score: 100, or 1 where scores are from 0 to 1.
        on_misfit: told of each value that no field takes: the field, and one line about it. It may
            raise, and the outcome is refused.
    """

    words: Vocabulary = field(default_factory=Vocabulary)
    quality_scale: int = 100
    on_misfit: Callable[[str, str], None] = _ignored

    def __post_init__(self) -> None:
        """Check the scale.

        Raises:
            ValueError: the scale is neither 1 nor 100.
        """
        if self.quality_scale not in QUALITY_SCALES:
            raise ValueError(f"quality_scale is 1 or 100, not {self.quality_scale!r}")


def read_outcome(values: dict[str, Any], rest: dict[str, Any], reading: Reading) -> None:
    """Read an outcome's optional values in place; what cannot be read moves to the rest.

    Args:
        values: of the event's fields.
        rest: what becomes metadata.
        reading: how this host's are read.
    """
    _read_error(values, rest)
    if isinstance(lasted := values.get("cpu_time_seconds"), timedelta):
        values["cpu_time_seconds"] = lasted.total_seconds()
    for name in (*_COSTS, "duration_seconds", "quality_score"):
        given = values.get(name)
        if given is None:
            continue
        read: float | None
        if name == "quality_score":
            read, reason = _score(given, reading.quality_scale)
        elif name == "duration_seconds":
            read, reason = seconds_of(given), NO_DURATION
        else:
            read, reason = _amount(given), "is no amount in USD like 0.42 or $0.42"
        if read is None:
            set_aside(values, rest, name, reason, reading)
        else:
            values[name] = read


def set_aside(
    values: dict[str, Any], rest: dict[str, Any], name: str, reason: str, reading: Reading
) -> None:
    """Keep a value that its field does not take in the metadata, and tell so."""
    given = values.pop(name)
    rest.setdefault(name, given)
    shown = text_of(given)[:MAX_TOLD]
    reading.on_misfit(name, f"{name} {shown!r} {reason}; it is kept in the metadata")


def failure_fields(error: BaseException) -> dict[str, Any]:
    """Return how an exception ends an execution."""
    name, text = type(error).__name__, text_of(error)
    return {
        "success": False,
        "error_type": _error_type(error),
        "error_message": f"{name}: {text}" if text else name,
    }


def text_of(value: object) -> str:
    """Return a host's value as text; never raises.

    A container of containers is only named: its own text may take forever, for a shared item is
    spelled at every use.
    """
    try:
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            if isinstance(value, Mapping):
                value = as_dict(value)
                items = [*value, *value.values()]
            else:
                items = [*islice(value, MAX_FIELDS)]
            if len(items) > MAX_ITEMS or not all(type(item) in _PLAIN for item in items):
                return f"a {type(value).__name__} of {len(items):,}"
        return str(value)
    except Exception:
        return f"<unreadable {type(value).__name__}>"


def is_empty(value: object) -> bool:
    """Tell whether a host's value says nothing; never raises."""
    try:
        return not value
    except Exception:
        return False


def _read_error(values: dict[str, Any], rest: dict[str, Any]) -> None:
    error = values.get("error_message")
    if error is None or error.__class__ is str:
        return
    del values["error_message"]
    if issubclass(type(error), BaseException):
        told = failure_fields(cast("BaseException", error))
        values["error_message"] = told["error_message"]
        values.setdefault("error_type", told["error_type"])
    elif isinstance(error, Mapping) and error:
        kind, message = (_first(error, keys) for keys in (_TYPE_KEYS, _MESSAGE_KEYS))
        if kind is not None:
            values.setdefault("error_type", kind)
        values["error_message"] = message or kind or text_of(error)
        rest.setdefault("error", error)
    elif issubclass(type(error), bool) or is_empty(error):
        return
    else:
        values["error_message"] = text_of(error)
        if not issubclass(type(error), int | float):
            rest.setdefault("error", error)


def _first(error: Mapping[Any, Any], keys: tuple[str, ...]) -> str | None:
    for key in keys:
        if (said := error.get(key)) is not None and not isinstance(said, Mapping | list | bool):
            return text_of(said) or None
    return None


def number_of(value: Any) -> float | None:
    """Return the finite number that a host's value is or spells; None for all else."""
    if is_bool(value):
        return None
    with suppress(Exception):
        if issubclass(type(value), str | int | float | Decimal) or hasattr(value, "__float__"):
            number = float(value)
            return number if abs(number) < float("inf") else None
    return None


def seconds_of(value: Any) -> float | None:
    """Return the seconds that a host's duration lasted; None for what is none."""
    return _not_negative(value.total_seconds() if isinstance(value, timedelta) else value)


def _not_negative(value: Any) -> float | None:
    number = number_of(value)
    return None if number is None or number < 0 else number


def _amount(value: Any) -> float | None:
    if issubclass(type(value), str):
        found = _USD.fullmatch(str.__str__(value).strip())
        return float(found[1]) if found else None
    return _not_negative(value)


def _score(value: Any, scale: int) -> tuple[int | None, str]:
    number = number_of(value)
    if number is None or not 0 <= number <= scale:
        return None, f"is no score from 0 to {scale}"
    if scale == 1:
        return round(number * 100), ""
    if 0 < number < 1:
        return None, (
            "lies between 0 and 1, where scores are from 0 to 100; if yours are from 0 to 1, say "
            "Telemetry(quality_scale=1) or --quality-scale 1"
        )
    return round(number), ""


def _error_type(error: BaseException) -> str:
    # By their names: most clients have errors of their own for it.
    names = " ".join(cls.__name__ for cls in type(error).__mro__).lower()
    if "timeout" in names:
        return ErrorType.TIMEOUT
    if "cancelled" in names or not isinstance(error, Exception):
        return "cancelled"
    return ErrorType.CRASH
