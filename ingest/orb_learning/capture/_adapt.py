"""From what a host hands over, in its own spelling, to the fields of an event."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, TypeVar, cast
from uuid import UUID

from pydantic import BaseModel

from orb_learning._advice import Advice
from orb_learning._spellings import comes_first, spellings
from orb_learning._success import SPEAKING, SUCCESS, UNFINISHED, UnfinishedError, Vocabulary
from orb_learning._types import MAX_FIELDS, MAX_METADATA_CHARACTERS, as_dict, with_task_uuid
from orb_learning.capture._misfits import Reading, read_outcome
from orb_learning.events import Event, Outcome, RoutingDecision

T = TypeVar("T")

MAX_DEPTH = 32
"""How deep nested metadata is kept; a container that lies deeper is left out."""

MAX_TEXT = 64 * 1024

USUAL = Reading()
"""How a host is read that has told nothing of itself."""


def to_values(
    cls: type[Event], sources: Sequence[object], reading: Reading = USUAL
) -> dict[str, Any]:
    """Return the field values that the sources give an event class, the earlier source first.

    What no field takes goes into the metadata under its own key. Within one source a field's own
    name wins over its other spellings, and these over each other in the order of the table.

    Raises:
        StatusError: an outcome says that the work is not over, or a word that nobody knows.
    """
    names = spellings(cls)
    values: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for source in sources:
        filled: dict[str, str] = {}
        for key, given in as_mapping(source).items():
            if given is None or (key == "event_type" and given == cls.type_name):
                continue
            value = _plain(given)
            field = names.get(key)
            if field is None:
                rest.setdefault(key, value)
            elif field == "metadata" and (isinstance(value, Mapping) or issubclass(cls, Outcome)):
                rest = {**(value if isinstance(value, Mapping) else {key: value}), **rest}
            elif field not in values:
                values[field] = value
                filled[field] = key
            elif field in filled:
                if comes_first(key, filled[field], field):
                    rest.setdefault(filled[field], values[field])
                    values[field] = value
                    filled[field] = key
                else:
                    rest.setdefault(key, value)
    if issubclass(cls, Outcome):
        _judge(values, rest, _flags(sources), reading.words)
        read_outcome(values, rest, reading)
    if rest:
        values.setdefault("metadata", rest)
    if cls is RoutingDecision:
        _say_unknown(values)
        _name_candidates(values)
    return dict(with_task_uuid(values))


def _plain(given: object) -> object:
    value = given.value if isinstance(given, Enum) else given
    return as_dict(value) if isinstance(value, Mapping) else value


def _say_unknown(decision: dict[str, Any]) -> None:
    """Let a decision stand although the host does not say all of it."""
    for field in ("task_type", "repo", "model_tier"):
        if decision.get(field) in (None, ""):
            decision[field] = "unknown"
    for field in ("task_description", "pool_type"):
        if decision.get(field) == "":
            del decision[field]


def _name_candidates(decision: dict[str, Any]) -> None:
    """Let the candidates be called by their names where the host has an enum of tiers."""
    if isinstance(candidates := decision.get("candidates"), Mapping):
        decision["candidates"] = {
            tier.value if isinstance(tier, Enum) else tier: share
            for tier, share in candidates.items()
        }


def _flags(sources: Sequence[object]) -> dict[str, Any]:
    """Return what speaks of success in the sources themselves, as the host said it."""
    told: dict[str, Any] = {}
    for source in sources:
        fields = as_mapping(source)
        for name in SPEAKING:
            if name in fields and fields[name] is not None:
                told.setdefault(name, fields[name])
    return told


def _judge(
    values: dict[str, Any], rest: dict[str, Any], told: Mapping[str, Any], words: Vocabulary
) -> None:
    """Let all that speaks of success decide together."""
    said = values.get("success")
    if not told or (len(told) == 1 and isinstance(said, bool)):
        return
    verdict = words.verdict(told)
    if verdict == UNFINISHED:
        word = next(iter(told.values())) if len(told) == 1 else dict(told)
        raise UnfinishedError(f"status {word!r} says that the work is not over")
    if verdict is not None:
        values["success"] = verdict == SUCCESS
    if not isinstance(said, bool | str | None):
        rest.setdefault("status", said)  # a number says more than whether it was a success


def as_mapping(source: object) -> Mapping[str, Any]:
    """Return an object's public fields: a mapping's items, a model's or any object's attributes."""
    if isinstance(source, Advice):
        return source.to_decision()
    if isinstance(source, Mapping):
        return as_dict(source)
    if isinstance(source, BaseModel):
        return dict(itertools.islice(source, MAX_FIELDS))
    if isinstance(source, type):
        raise TypeError(f"expected an object with fields, not the class {source.__name__}")
    if dataclasses.is_dataclass(source):
        return {field.name: getattr(source, field.name) for field in dataclasses.fields(source)}
    if hasattr(type(source), "_asdict"):
        return as_dict(cast("Any", source)._asdict())
    if (names := _public_attributes(source)) or hasattr(source, "__dict__"):
        return {name: getattr(source, name) for name in names}
    raise TypeError(f"expected a mapping or an object with fields, not {type(source).__name__}")


def _public_attributes(source: object) -> list[str]:
    """Return the names of what an instance holds itself, in its `__dict__` or in slots."""
    slots = [
        name
        for cls in reversed(type(source).__mro__)
        for name in _listed(cls.__dict__.get("__slots__", ()))
        if hasattr(source, name)
    ]
    held = itertools.islice(getattr(source, "__dict__", ()), MAX_FIELDS)
    return [name for name in [*slots, *held] if name[:1] != "_"]


def _listed(slots: object) -> tuple[str, ...]:
    names = (slots,) if isinstance(slots, str) else cast("Iterable[str]", slots)
    return tuple(itertools.islice(names, MAX_FIELDS))


def cleaned(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return field values with every text made storable and the metadata made JSON."""
    return {
        key: json_value(value) if key == "metadata" else _clean_field(value)
        for key, value in values.items()
    }


def _clean_field(value: object) -> object:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    return clean_text(value) if isinstance(value, str) else value


def clean_text(text: str) -> str:
    """Return text that UTF-8 can spell: a lone surrogate becomes its escape."""
    return str.__str__(text).encode("utf-8", "backslashreplace").decode("utf-8")


def json_value(value: object, characters: int = MAX_METADATA_CHARACTERS) -> Any:
    """Return the nearest JSON value to any object; never raises.

    What is no JSON is kept as text. A container below `MAX_DEPTH`, and what comes after so many
    characters (by default more than any line can hold), is left out, so that an object graph full
    of cycles ends too.
    """
    return _Nearest(characters).json(value, 0)


def _has_named_fields(value: object) -> bool:
    """Tell whether an object has fields that its own text would only run together."""
    if isinstance(value, type):
        return False
    return (
        dataclasses.is_dataclass(value)
        or isinstance(value, BaseModel)
        or hasattr(type(value), "_asdict")
    )


def _as_text(data: bytes | bytearray) -> str:
    """Return bytes as text; 16 that spell none as the UUID by which whoever is meant is found."""
    if len(data) == 16:
        try:
            return data.decode()
        except UnicodeDecodeError:
            return str(UUID(bytes=bytes(data)))
    return data[:MAX_TEXT].decode("utf-8", "backslashreplace")


class _Nearest:
    """One walk over an object, which stops when its JSON has so many characters."""

    def __init__(self, characters: int) -> None:
        self._left = characters

    def json(self, value: object, depth: int) -> Any:
        try:
            self._left -= 2
            return self._container(value, depth) if self._left > 0 else "..."
        except Exception:
            return f"<unreadable {type(value).__name__}>"

    def _container(self, value: object, depth: int) -> Any:
        if depth <= MAX_DEPTH:
            if isinstance(value, Enum):
                return self._container(value.value, depth + 1)
            if isinstance(value, Mapping):
                return {
                    self._text(key): self.json(item, depth + 1)
                    for key, item in self._within(value.items())
                }
            if _has_named_fields(value):
                return self._container(dict(as_mapping(value)), depth + 1)
            if isinstance(value, list | tuple | set | frozenset):
                return [self.json(item, depth + 1) for item in self._within(value)]
        elif isinstance(value, Mapping | list | tuple | set | frozenset) or _has_named_fields(
            value
        ):
            return "..."  # its own text may take forever: a shared item is spelled at every use
        return self._scalar(value)

    def _within(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items until there is no room left, as there is not for all of what has no end."""
        for item in items:
            yield item
            if self._left <= 0:
                return

    def _scalar(self, value: object) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int) and abs(value) < 2**63:
            return int(value)
        if isinstance(value, float) and abs(value) < float("inf"):
            return float(value)
        if isinstance(value, bytes | bytearray):
            return self._text(_as_text(value))
        return self._text(value)

    def _text(self, value: object) -> str:
        try:
            text = value if isinstance(value, str) else str(value)[:MAX_TEXT]
            text = clean_text(text[: self._left])
        except Exception:
            text = f"<unreadable {type(value).__name__}>"
        self._left -= len(text)
        return text
