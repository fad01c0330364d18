"""Secrets in the columns of a table that a text holds: names stand above them, or before them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from orb_learning.capture._innocent import is_placeholder, looks_odd
from orb_learning.capture._names import is_secret_name, is_surely_secret
from orb_learning.capture._search import searcher

if TYPE_CHECKING:
    from re import Pattern

_Span = tuple[int, int]

_LONGEST = 4096
_MOST = 64  # pieces of a value
_may_be_a_table = searcher(
    r"[|\u2502\u2503\t]|[ ]{2}|[,;](?s:.*)(?:\n|\\n)|(?i:\)(?:\s|\\[nrt])*values)"
)
_BREAK = re.compile(r"\r?\n|(?:\\r)?\\n")
_RULE = re.compile(r"[\s|+=:\u2500-\u257f-]+")
_NAME = re.compile(r"[\w.-]{0,100}(?: [\w.-]{1,100}){0,3}")
_RULED = re.compile(r"[|\u2502\u2503]")
_SPACED = re.compile(r" {2,}| ?\t *")
_SEPARATORS = (_RULED, re.compile(r"\t"), re.compile(","), re.compile(";"), _SPACED)
_COPY = re.compile(r"(?i)\bcopy\s+\S+\s*\(([^()]*)\)\s*from\s+stdin")
_INSERT = re.compile(r"(?i)\(([^()]{1,2000})\)(?:\s|\\[nrt])*values(?:\s|\\[nrt])*(?=\()")
_PIECE = re.compile(
    r"'(?:[^'\\]|\\.|''){0,4096}'|\\*\"(?:[^\"\\]|\\[^\"]){0,4096}\\*\"|[(),]|[^'\"(),]+",
    re.DOTALL,
)


class _Head(NamedTuple):
    """What the first line of a table says.

    Attributes:
        separator: what parts its cells.
        width: how many cells it has.
        columns: the places of those that hold secrets, and whether every value in them is one, or
            only what looks made.
    """

    separator: Pattern[str]
    width: int
    columns: dict[int, bool]


def table_secrets(text: str) -> Iterator[_Span]:
    """Yield where the cells of a secret's column, or behind a secret's name, begin and end."""
    if not _may_be_a_table(text):
        return
    yield from _inserted(text)
    head: _Head | None = None
    for begin, end in _lines(text):
        if begin < end and _RULE.fullmatch(text, begin, end):
            continue
        cells = _cells(text, begin, end, head.separator) if head else []
        if head is None or len(cells) < max(head.width, 2):
            head = _head(text, begin, end) if end < len(text) else None
        elif head.columns:
            yield from _of_a_row(text, cells, head)
            continue
        yield from _beside_its_name(text, begin, end)


def _lines(text: str) -> Iterator[_Span]:
    begin = 0
    for found in _BREAK.finditer(text):
        yield begin, found.start()
        begin = found.end()
    yield begin, len(text)


def _cells(text: str, begin: int, end: int, separator: Pattern[str]) -> list[_Span]:
    """Return where each cell of a line begins and ends, without what surrounds it."""
    cells = []
    begin, end = _stripped(text, begin, end, " ")
    for found in [*separator.finditer(text, begin, end), None]:
        cells.append(_stripped(text, begin, found.start() if found else end, " \t\"'\\"))
        begin = found.end() if found else end
    return cells


def _stripped(text: str, begin: int, end: int, signs: str) -> _Span:
    inner = text[begin:end].strip(signs)
    begin = text.index(inner, begin)
    return begin, begin + len(inner)


def _head(text: str, begin: int, end: int) -> _Head | None:
    if copied := _COPY.search(text, begin, end):
        names = [name.strip(' "`') for name in copied[1].split(",")]
        separator = _SEPARATORS[1]
    else:
        for separator in _SEPARATORS:
            cells = _cells(text, begin, end, separator)
            if len(cells) > 1:
                break
        if any(begin < end and not _name(text, (begin, end)) for begin, end in cells):
            names = [""] * len(cells)
        else:
            names = [_name(text, cell) for cell in cells]
    columns = _secret_columns(names) if len(names) > 1 else {}
    if separator is _SPACED:
        columns = dict.fromkeys(columns, False)
    # Below any head of a ruled table are its rows, and no other head.
    return _Head(separator, len(names), columns) if columns or separator is _RULED else None


def _secret_columns(names: list[str]) -> dict[int, bool]:
    return {place: _is_sure(name) for place, name in enumerate(names) if is_secret_name(name)}


def _of_a_row(text: str, cells: list[_Span], head: _Head) -> Iterator[_Span]:
    for column, is_sure in head.columns.items():
        begin, end = cells[column]
        if column == head.width - 1 and head.separator is not _SPACED:
            end = cells[-1][1]  # it may hold the separator
        if _is_secret(text[begin:end], is_sure):
            yield begin, end


def _is_secret(value: str, is_sure: bool) -> bool:
    return not is_placeholder(value) if is_sure else looks_odd(value)


def _beside_its_name(text: str, begin: int, end: int) -> Iterator[_Span]:
    for separator in (_RULED, _SPACED):
        if not separator.search(text, begin, end):
            continue
        cells = [cell for cell in _cells(text, begin, end, separator) if cell[0] < cell[1]]
        for before, cell in pairwise(cells):
            first, _, _ = text[slice(*cell)].partition(" ")
            if looks_odd(first) and _is_sure(_name(text, before)):
                yield cell


def _name(text: str, cell: _Span) -> str:
    name = " ".join(text[slice(*cell)].strip("`*").split())
    return name if _NAME.fullmatch(name) else ""


def _is_sure(name: str) -> bool:
    return is_surely_secret(name) and is_secret_name(name)


def _inserted(text: str) -> Iterator[_Span]:
    """Yield the values that SQL gives to columns: `(name, password) values ('bob', …)`."""
    begin = 0
    while head := _INSERT.search(text, begin):
        begin = head.end()
        names = [name.strip("`\"'[]\\ \n\t") for name in head[1].split(",")]
        columns = _secret_columns(names)
        for place, start, end in _values(text, begin):
            begin = end
            first = _first_quote(text, start, end)
            if place in columns and first < end:
                last = max(text.rfind("'", start, end), text.rfind('"', start, end))
                last = end if last == first else last - (text[last - 1] == "\\")
                if _is_secret(text[first + 1 : last], columns[place]):
                    yield first + 1, last


def _first_quote(text: str, begin: int, end: int) -> int:
    found = (text.find(quote, begin, end) for quote in "'\"")
    return min((place for place in found if place >= 0), default=end)


def _values(text: str, begin: int) -> Iterator[tuple[int, int, int]]:
    """Yield the place, the beginning and the end of each value of a list of rows."""
    depth = place = pieces = 0
    start = begin
    while begin < min(len(text), start + 2 * _LONGEST) and pieces < _MOST:
        pieces += 1
        piece = _PIECE.match(text, begin)
        if piece is None:  # a quote that is never closed, as where a text was cut
            yield place, start, min(len(text), begin + _LONGEST)
            return
        sign, begin = piece.group(), piece.end()
        depth += (sign == "(") - (sign == ")")
        if sign == "(" and depth == 1:
            place, start = 0, begin
        elif (sign == "," and depth == 1) or (sign == ")" and depth == 0):
            yield place, start, piece.start()
            place, start, pieces = place + 1, begin, 0
        elif depth < 1 and sign.strip(" \n\r\t\\,nrt"):
            return
