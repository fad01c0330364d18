"""Which whole numbers of a Parquet file are durations, and in which unit.

Parquet has no type for a duration. Arrow, and so pandas and Polars, writes a whole number and says
its unit only in the file's metadata `ARROW:schema`: an Arrow IPC message in base64, which is a
flatbuffer of the tables Message, Schema, Field and Duration in Arrow's `format/Message.fbs` and
`format/Schema.fbs`. The few fields needed are read here, for pyarrow is no dependency.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

_CONTINUATION = b"\xff\xff\xff\xff"
"""Begins a message since Arrow 0.15; then, as before, its length and the flatbuffer."""
_SCHEMA = 1
_MAP, _DURATION = 17, 18
_MILLISECOND = 1
_PER_SECOND = {0: 1, 1: 10**3, 2: 10**6, 3: 10**9}
_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class ArrowField:
    """A column, or what lies in one.

    Attributes:
        name: as the file's writer spelled it.
        per_second: of a duration, how many of its units are a second.
        is_map: whether its only child holds keys and values.
        has_duration: whether it is a duration or holds one.
    """

    name: str
    per_second: int | None
    is_map: bool
    children: tuple[ArrowField, ...]
    has_duration: bool

    def read(self, value: Any) -> Any:
        """Return a value with every duration in it as a `timedelta`.

        Raises:
            TypeError, ValueError: it is no value of this field.
        """
        if value is None or not self.has_duration:
            return value
        if self.per_second is not None:
            return _span(value, self.per_second)
        if isinstance(value, dict):
            if self.is_map:
                key, item = self.children[0].children
                return {key.read(name): item.read(inner) for name, inner in value.items()}
            pairs = zip(value.items(), self.children, strict=True)
            return {name: child.read(inner) for (name, inner), child in pairs}
        (child,) = self.children
        return [child.read(inner) for inner in value]


def _span(value: int, per_second: int) -> timedelta | float:
    seconds, parts = divmod(value, per_second)
    try:
        return timedelta(seconds=seconds, microseconds=parts * 10**6 / per_second)
    except OverflowError:
        return value / per_second  # seconds, and more than any field takes


def arrow_fields(schema: bytes) -> list[ArrowField]:
    """Return the columns that the value of `ARROW:schema` describes.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        message = base64.b64decode(schema, validate=True).removeprefix(_CONTINUATION)[4:]
        header = _Table.root(message)
        if header.number(1, "B") != _SCHEMA:
            raise ValueError("the message is no schema")
        # Each field takes some bytes, so tables that hold each other end here.
        left = iter(range(len(message)))
        return [_field(table, left, 0) for table in header.table(2).tables(1)]
    except (struct.error, LookupError) as error:
        raise ValueError(str(error)) from error


def _field(table: _Table, left: Iterator[int], depth: int) -> ArrowField:
    if depth > _MAX_DEPTH or next(left, None) is None:
        raise ValueError("its fields are nested too deep")
    kind = table.number(2, "B")
    per_second = None
    if kind == _DURATION:
        per_second = _PER_SECOND[table.table(3).number(0, "h", _MILLISECOND)]
    children = tuple(_field(child, left, depth + 1) for child in table.tables(5))
    has_duration = kind == _DURATION or any(child.has_duration for child in children)
    return ArrowField(table.text(0), per_second, kind == _MAP, children, has_duration)


class _Table:
    """A table of a flatbuffer: its fields are found by their numbers, and may be left out."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        self._vtable = at - self._unpack("i", at)

    @classmethod
    def root(cls, data: bytes) -> _Table:
        return cls(data, *struct.unpack_from("<I", data))

    def number(self, field: int, form: str, default: int = 0) -> int:
        at = self._place(field)
        return default if at is None else self._unpack(form, at)

    def table(self, field: int) -> _Table:
        at = self._place(field)
        if at is None:
            raise ValueError(f"a table has no field {field}")
        return self._follow(at)

    def text(self, field: int) -> str:
        at = self._place(field)
        if at is None:
            return ""
        begin = at + self._unpack("I", at)
        return self._data[begin + 4 : begin + 4 + self._unpack("I", begin)].decode()

    def tables(self, field: int) -> list[_Table]:
        at = self._place(field)
        if at is None:
            return []
        begin = at + self._unpack("I", at)
        count = self._unpack("I", begin)
        return [self._follow(begin + 4 + 4 * number) for number in range(count)]

    def _place(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry >= self._unpack("H", self._vtable):
            return None
        offset = self._unpack("H", self._vtable + entry)
        return self._at + offset if offset else None

    def _follow(self, at: int) -> _Table:
        return _Table(self._data, at + self._unpack("I", at))

    def _unpack(self, form: str, at: int) -> int:
        if at < 0:
            raise ValueError("an offset points before the schema")
        (number,) = struct.unpack_from(f"<{form}", self._data, at)
        return int(number)
