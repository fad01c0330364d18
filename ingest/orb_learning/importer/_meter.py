"""How much of the files an import has read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from orb_learning.importer._sources import Source

T = TypeVar("T")

EVERY_ROWS = 500
READINGS = 2
"""Each file is looked through before any row is recorded."""


class Meter:
    """Tells the share of the bytes that is read, of files that are each read twice."""

    def __init__(self, sources: Sequence[Source], tell: Callable[[int, int], None]) -> None:
        """Tell nothing yet.

        Args:
            sources: the files.
            tell: gets the bytes that are read, and how many there are, both readings together.
        """
        self._tell = tell
        self._total = READINGS * sum(map(_size, sources))
        self._done = 0
        self._rows: dict[Path, int] = {}

    def over(self, source: Source, rows: Iterator[T]) -> Iterator[T]:
        """Yield the rows of a file, and tell how far that is."""
        known, size, number = self._rows.get(source.path), _size(source), 0
        for number, row in enumerate(rows, start=1):
            if number % EVERY_ROWS == 0:
                # The first reading counts the rows, which a format that is read ahead tells not.
                read = size * number // known if known else source.place()
                self._tell(self._done + min(read, size), self._total)
            yield row
        self._rows[source.path] = number
        self._done += size
        self._tell(self._done, self._total)


def _size(source: Source) -> int:
    return source.path.stat().st_size
