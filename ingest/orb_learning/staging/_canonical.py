"""SQL that knows an event's canonical line: the one spelling that `Event.to_line` gives it.

A line is parsed into typed columns, and these are spelled again as `to_line` spells them. Where the
result is the line, byte for byte, the line was parsed rightly, has every field once and in its
place, and nothing else; what is left to check are the bounds of each value. SQL may doubt a line
that is good, for Python then decides; it never takes one that Python would refuse.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from orb_learning._types import (
    MAX_INT,
    Amount,
    Attempt,
    Candidates,
    Count,
    DurationSource,
    ErrorTypeName,
    Fraction,
    Maturity,
    Metadata,
    Name,
    OptionalName,
    OptionalText,
    Propensity,
    Rating,
    Score,
    Strictness,
    Text,
    Time,
    TimestampSource,
    Version,
)
from orb_learning.events import EVENT_TYPES, SCHEMA_VERSION, UNHASHED, Event
from orb_learning.staging._columns import raw_columns

_ITEM = (
    r'(?:"[^"\\]*"|true|false|0|-?[1-9][0-9]{0,14}'
    r"|-?(?:0|[1-9][0-9]{0,8})\.(?:0|[0-9]{0,3}[1-9]))"
)
"""A value in metadata that JSON spells in one way only; a null is left out of an event's hash."""
_PAIR = rf'"[^"\\]*":(?:{_ITEM}|\[\]|\[{_ITEM}(?:,{_ITEM})*\])'
_METADATA = rf"\{{(?:{_PAIR}(?:,{_PAIR})*)?\}}"
_CHANCE = r'"[^"\\:]+":(?:0\.[0-9]+|1\.0)'
_CANDIDATES = rf"\{{{_CHANCE}(?:,{_CHANCE})*\}}"

_KEYS_DIFFER = (
    "(not contains(cast({x} as varchar), ',')"
    " or len(list_distinct(json_keys({x}))) = len(json_keys({x})))"
)
_CHANCES = "regexp_extract_all(cast({x} as varchar), ':([0-9.]+)', 1)"

_VISIBLE = r"regexp_matches({x}, '[!-~\pL\pN]')"
_IN_NFC = "nfc_normalize({x}) = {x}"

_BOUNDS: dict[object, str] = {
    UUID: "{x} is not null",
    bool: "{x} is not null",
    Version: f"{{x}} between 1 and {SCHEMA_VERSION}",
    Time: "{x} >= timestamp '1970-01-01' and {x} < timestamp '2200-01-01'",
    Text: "{x} != ''",
    OptionalText: _VISIBLE,
    Name: f"{{x}} != '' and {_IN_NFC}",
    OptionalName: f"{_VISIBLE} and {_IN_NFC}",
    ErrorTypeName: f"{{x}} != '' and {_IN_NFC}",
    Count: f"{{x}} between 0 and {MAX_INT}",
    Attempt: f"{{x}} between 1 and {MAX_INT}",
    Score: "{x} between 0 and 100",
    Rating: "{x} between 1 and 5",
    # What is smaller, DuckDB spells with another exponent than `to_line`.
    Fraction: "({x} = 0 or {x} between 1e-4 and 1)",
    Propensity: "{x} between 1e-4 and 1",
    Amount: "({x} = 0 or {x} between 1e-4 and 1e9)",
    TimestampSource: f"{{x}} = '{get_args(TimestampSource)[0]}'",
    DurationSource: "{x} = 'measured'",
    Maturity: f"{{x}} in {get_args(Maturity)}",
    Strictness: f"{{x}} in {get_args(Strictness)}",
    Metadata: f"regexp_full_match(cast({{x}} as varchar), '{_METADATA}') and {_KEYS_DIFFER}",
    Candidates: (
        f"regexp_full_match(cast({{x}} as varchar), '{_CANDIDATES}') and {_KEYS_DIFFER}"
        f" and cast(cast({_CHANCES} as double[]) as varchar)"
        f" = '[' || array_to_string({_CHANCES}, ', ') || ']'"
        f" and abs(list_sum(cast({_CHANCES} as double[])) - 1) < 0.9e-6"
        f" and {_IN_NFC.replace('{x}', 'cast({x} as varchar)')}"
    ),
}
"""What SQL must find true of a value; a kind of event with a field of another type is Python's."""

_MOMENT = (
    "replace(case when strlen(cast({x} as varchar)) = 19 then cast({x} as varchar)"
    " else left(cast({x} as varchar) || '00000', 26) end, ' ', 'T')"
)
_SPELLED = {
    "UUID": ('"', "cast({x} as varchar)", '"'),
    "TIMESTAMP": ('"', _MOMENT, 'Z"'),
    "VARCHAR": ("", "cast(to_json({x}) as varchar)", ""),
}
"""How a column's value is spelled in a line: between two texts, in SQL."""
_PLAIN = ("", "cast({x} as varchar)", "")


@dataclass(frozen=True, slots=True)
class Canonical:
    """One kind of event in SQL, over a `line` and a struct called `row` that `shape` parsed it to.

    Attributes:
        shape: what `from_json_strict` takes.
        columns: the raw table's columns that come from the line.
        line: the canonical line.
        said: the text whose MD5 is the event's hash, as in `events.content_hash`.
        holds: whether each value is within its bounds.
    """

    shape: str
    columns: tuple[str, ...]
    line: str
    said: str
    holds: str


@functools.cache
def canonical(kind: str) -> Canonical | None:
    """Return a kind of event in SQL, or None where only Python can tell a good line."""
    cls = EVENT_TYPES[kind]
    types = {name: _needed(hint) for name, hint in _hints(cls).items()}
    if not all(type_ in _BOUNDS for type_, _ in types.values()):
        return None
    columns = {name: type_ for name, type_ in raw_columns(cls).items() if name in types}
    line, said = _Text(), _Text()
    holds: list[str] = []
    for name in cls.model_fields:
        begin = f'{"," if holds else "{"}"{name}":'
        if name == "event_type":
            for text in (line, said):
                text.literally(f'{begin}"{kind}"')
            continue
        type_, is_optional = types[name]
        value = f'"row"."{name}"'
        before, spelled, after = _SPELLED.get(columns[name], _PLAIN)
        spelled = spelled.replace("{x}", value)
        bounds = _BOUNDS[type_].replace("{x}", value)
        if is_optional:
            quoted = f"'{before}' || {spelled} || '{after}'" if before else spelled
            line.literally(begin)
            line.as_sql(f"coalesce({quoted}, 'null')")
            if name not in UNHASHED:
                said.as_sql(f"('{begin}' || {quoted})")  # null where the value is: left out
            holds.append(f"({value} is null or {bounds})")
            continue
        for text in (line,) if name in UNHASHED else (line, said):
            text.literally(begin + before)
            text.as_sql(spelled)
            text.literally(after)
        holds.append(f"({bounds})")
    return Canonical(
        shape=json.dumps(columns),
        columns=tuple(columns),
        line=line.closed(),
        said=said.closed(),
        # DuckDB spells control characters in capitals, `to_line` does not.
        holds=" and ".join(["not contains(line, '\\u')", *holds]),
    )


class _Text:
    """A text in SQL, put together from few parts: each costs time for every line."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._literal = ""

    def literally(self, text: str) -> None:
        self._literal += text

    def as_sql(self, expression: str) -> None:
        if self._literal:
            self._parts.append(f"'{self._literal}'")
        self._parts.append(expression)
        self._literal = ""

    def closed(self) -> str:
        return f"concat({', '.join(self._parts)}, '{self._literal}}}')"


def _hints(cls: type[Event]) -> dict[str, Any]:
    hints = get_type_hints(cls, include_extras=True)
    return {name: hints[name] for name in cls.model_fields if name != "event_type"}


def _needed(hint: Any) -> tuple[Any, bool]:
    """Return a field's type, and whether null may stand in its place."""
    if hint in (OptionalText, OptionalName):
        return hint, True
    if get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint):
        (type_,) = (part for part in get_args(hint) if part is not NoneType)
        return type_, True
    return hint, False
