"""How a value is read before its bounds are looked at: numbers, moments and names.

What hosts usually say never leaves pydantic's Rust; the functions here see the rest.
"""

from __future__ import annotations

import operator
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?\s*", re.IGNORECASE | re.ASCII)
_DAY = re.compile(r"\d{8}", re.ASCII)
_EPOCH_UNITS = ((10**11, 1), (10**14, 10**3), (10**17, 10**6), (10**20, 10**9))
"""Below which size a number since 1970 counts in which part of a second."""


def is_bool(value: object) -> bool:
    """Tell whether a value is true or false, also in numpy's own class."""
    kind = type(value)
    return issubclass(kind, bool) or kind.__name__ in ("bool", "bool_")


def in_nfc(text: str) -> str:
    """Return a name in Unicode's normal form C: what looks alike is one name."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def spells_epoch(text: str) -> bool:
    """Tell whether a text is a number since 1970; eight digits may be a day instead."""
    return _NUMBER.fullmatch(text) is not None and _day(text) is None


def moment(value: Any) -> Any:
    """Return the moment that a number since 1970 says; what is no number is left as it is.

    Raises:
        ValueError: it is true or false, or a number that lies before 1970 or after 2199.
    """
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        # As in nearly every time, and in no number.
        if value[4:5] == "-" or _NUMBER.fullmatch(value) is None:
            return value
        return _day(value) or _since_1970(Decimal(value))
    if is_bool(value):
        raise ValueError("true and false are no times")
    if isinstance(value, int | float | Decimal):
        return _since_1970(Decimal(value))
    if hasattr(value, "__index__"):
        return _since_1970(Decimal(operator.index(value)))
    return value


def _day(text: str) -> datetime | None:
    """Return the midnight of a day that is spelled without hyphens."""
    try:
        return datetime.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None


def _since_1970(number: Decimal) -> datetime:
    if number.is_finite() and number >= 0:
        for limit, per_second in _EPOCH_UNITS:
            if number < limit:
                microseconds = round(number * 10**6 / per_second)
                said = EARLIEST + timedelta(microseconds=microseconds)
                if said < LATEST:
                    return said
                break
    raise ValueError(
        "time must lie between 1970-01-01 and 2200-01-01; numbers below 1e11 are seconds, below "
        "1e14 milliseconds, below 1e17 microseconds, else nanoseconds"
    )


class NotBool:
    """Refuses true and false, which pydantic takes for 1 and 0, where a number is meant."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        number: Any = handler(source)
        kind = "whole number" if number["type"] == "int" else "finite number"
        bounds = [f" {word} {number[key]:,.10g}" for key, word in _BOUNDS.items() if key in number]
        return _first_of(
            {**number, "strict": True},
            core_schema.no_info_before_validator_function(_no_bool, number),
            fault=f"Input should be a {kind}{''.join(bounds)}",
            spelled_as=number["type"],
        )


_BOUNDS = {"gt": "above", "ge": "from", "le": "to"}


def _no_bool(value: object) -> object:
    if is_bool(value):
        raise ValueError("true and false are no numbers")
    return value


# pydantic 2.13 looks faster for ASCII, which is in NFC as it is. Hosts ask for older releases.
_KNOWS_ASCII: dict[str, Any] = {"ascii_only": True}
_BY_PATTERN: tuple[dict[str, Any], dict[str, Any]] = (
    {"pattern": r"^[[:ascii:]]*$"},
    {"pattern": r"^[[:ascii:]]*[[:ascii:]&&\S][[:ascii:]]*$"},
)
_ASCII, _VISIBLE_ASCII = (
    (_KNOWS_ASCII, _KNOWS_ASCII)
    if "ascii_only" in core_schema.StringSchema.__annotations__
    else _BY_PATTERN
)


class InNfc:
    """Makes a text a name, see `in_nfc`."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        text: Any = handler(source)
        return _first_of(
            {**text, **_ASCII},
            core_schema.no_info_after_validator_function(in_nfc, text),
            fault="String should have at least 1 character",
            spelled_as="str",
        )


class BlankIsNone:
    """Makes a text without a visible character null, and others names where that is asked for."""

    def __init__(self, *, is_name: bool = False) -> None:
        self._is_name = is_name

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        text: Any = core_schema.str_schema(pattern=r"\S")
        name = core_schema.no_info_after_validator_function(in_nfc, text)
        return _first_of(
            {**text, **_VISIBLE_ASCII} if self._is_name else text,
            core_schema.none_schema(),
            *([name] if self._is_name else []),
            core_schema.no_info_plain_validator_function(_none_of_blank),
            fault="Input should be a valid string",
        )


def _none_of_blank(value: object) -> None:
    if not isinstance(value, str) or value.strip():
        raise ValueError("is no text")


def _first_of(
    *choices: core_schema.CoreSchema, fault: str, spelled_as: Any = "any"
) -> core_schema.CoreSchema:
    """Return a schema that takes what the first fitting one takes, with one fault for all else."""
    return core_schema.union_schema(
        [*choices],
        mode="left_to_right",
        custom_error_type="unfit",
        custom_error_message=fault,
        serialization=core_schema.simple_ser_schema(spelled_as),
    )
