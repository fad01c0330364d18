"""Paths into a row: `metadata.model`, `calls[0].model`, and keys that hold dots themselves."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from orb_learning.capture import number_of

ABSENT: Any = object()
"""What a path leads to that leads nowhere; null is something."""

WHOLE = "."
"""The path to the rows of a file that names the whole of it."""

_ALL = "[*]"
_END = re.compile(r"[.\[]")
_ITEM = re.compile(r"(?:\[(-?\d{1,9})\]|(-?\d{1,9}))(?=$|[.\[])")


def look_up(value: Any, path: str) -> Any:
    """Return what a path leads to in a row, or `ABSENT`.

    The longest key wins: `a.b` is the key `a.b` if there is one, else the `b` of an `a`. A number
    is an item of a list, from 0 on, or from -1 back from its end. `[*]` is the sum over a list,
    which nobody knows if an item has no number there.
    """
    if not path:
        return value
    if isinstance(value, Mapping):
        for end in (len(path), *reversed([match.start() for match in _END.finditer(path)])):
            if path[:end] in value:
                found = look_up(value[path[:end]], _rest(path, end))
                if found is not ABSENT:
                    return found
    elif isinstance(value, list) and path.startswith(_ALL):
        numbers = [number_of(look_up(item, _rest(path, len(_ALL)))) for item in value]
        known = [number for number in numbers if number is not None]
        if numbers and len(known) == len(numbers):
            return math.fsum(known)
    elif isinstance(value, list):
        item = _ITEM.match(path)
        place = int(item[1] or item[2]) if item else len(value)
        if item and -len(value) <= place < len(value):
            return look_up(value[place], _rest(path, item.end()))
    return ABSENT


def _rest(path: str, end: int) -> str:
    return path[end + 1 :] if path[end : end + 1] == "." else path[end:]
