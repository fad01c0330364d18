"""Secrets in the columns of a table that a text holds: its head names them, its rows do not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orb_learning.capture._names import is_surely_secret

_LINE = re.compile(r"(?:[^\n\r\\]|\\(?![nr]))+")
_NAME = re.compile(r"[\w.-]{0,100}")


def table_secrets(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the cells of secret columns begin and end, below a head that names them."""
    separator = ""
    columns: list[int] = []
    width = 0
    for line in _LINE.finditer(text):
        cells = _cells(line, separator) if separator else []
        if len(cells) < max(width, 2):
            separator = next((sign for sign in ",;|\t" if sign in line.group()), "")
            cells = _cells(line, separator) if separator else []
            names = [text[begin:end] for begin, end in cells]
            columns = []
            if all(map(_NAME.fullmatch, names)):
                columns = [place for place, name in enumerate(names) if is_surely_secret(name)]
            separator = separator if columns else ""
            width = len(cells)
            continue
        for column in columns:
            begin, end = cells[column]
            if column == width - 1:
                end = cells[-1][1]  # it may hold the separator
            if text[begin:end].strip("-: "):
                yield begin, end


def _cells(line: re.Match[str], separator: str) -> list[tuple[int, int]]:
    """Return where each cell of a line begins and ends, without what surrounds it."""
    cells = []
    begin = line.start()
    for cell in line.group().split(separator):
        inner = cell.strip(" \t\"'")
        start = begin + cell.index(inner)
        cells.append((start, start + len(inner)))
        begin += len(cell) + 1
    return cells
