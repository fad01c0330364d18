"""The forms in which rows are written."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from enum import StrEnum

from orb_learning.cli._show import cell


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"

    @property
    def is_for_people(self) -> bool:
        """Whether a person reads it, who wants the first rows and not all."""
        return self in {Format.TABLE, Format.MARKDOWN}


class _Lines:
    """Standard output, for a writer that ends lines in CR LF, since it else quotes no CR."""

    def write(self, line: str) -> None:
        sys.stdout.write(line.removesuffix("\r\n") + "\n")


def print_csv(rows: Iterable[Iterable[object]], *, is_raw: bool = False) -> None:
    """Print rows as CSV; see `cell`."""
    writer = csv.writer(_Lines())
    for row in rows:
        writer.writerow([cell(value, is_raw=is_raw) for value in row])
