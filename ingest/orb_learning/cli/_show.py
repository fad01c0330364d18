"""How the command line shows things: tables, progress, numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.progress import (
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from orb_learning.errors import printable


class DataConsole(Console):
    """A console that prints data: it knows no markup and no emoji, and obeys no escape in it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, highlight=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text, or a cell of a table, as it is printed."""
        return super().render_str(printable(text, keep="\n\t"), **options)


out = DataConsole(soft_wrap=True)
err = DataConsole(stderr=True, soft_wrap=True)

PIPE_WIDTH = 160
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
LONGEST_CELL = 60
READABLE_CELL = 20
SHORTEST_CELL = 8

FIRST_TO_GO = ("scored", "ok", "p95 s", "first seen", "task types")
"""Headings that a report leaves out, in this order, where texts would be cut beyond reading."""


class _Share(ProgressColumn):
    """How much is done and how long the rest takes, where that is known."""

    def render(self, task: Task) -> Text:
        if not task.total:
            return Text()
        left = task.time_remaining
        rest = "" if left is None else f", {timedelta(seconds=int(left))} left"
        return Text(f"{task.percentage:.0f} %{rest}")


class Bar:
    """What is said of work that goes on."""

    def __init__(self, shown: Progress, task: TaskID, unit: str, total: int | None) -> None:
        self._shown = shown
        self._task = task
        self._unit = unit
        self._total = total
        self._count = 0

    def count(self, more: int) -> None:
        """Say how many there were, of what is counted."""
        self._count += more
        self.say(f"{self._count:,} {self._unit}")
        if self._total:
            self.reach(self._count, self._total)

    def reach(self, done: int, total: int) -> None:
        """Say how much is done of how much there is, in whatever measure."""
        self._shown.update(self._task, completed=done, total=total)

    def say(self, what: str) -> None:
        """Say what is at work."""
        self._shown.update(self._task, description=what)

    def pass_node(self, name: str, done: int, total: int) -> None:
        """Say which node of a refresh is at work; behind the last one it publishes."""
        self.say(f"{done:,} of {total:,}: {name}" if done < total else "publishing")
        self.reach(done, total)


@contextmanager
def progress(what: str, unit: str = "", total: int | None = None) -> Iterator[Bar]:
    """Show on standard error how work goes on, if that is a terminal.

    Args:
        what: what is at work, until more is said.
        unit: of what is counted.
        total: how many there are of them, if that is known and nothing else tells the share.
    """
    shown = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        _Share(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )
    with shown:
        yield Bar(shown, shown.add_task(what, total=None), unit, total)


def print_mart(mart: Any, width: int | None = None) -> None:
    """Print rows of a mart as a table.

    Args:
        mart: the rows.
        width: how many signs a line may have; default see `room`.
    """
    from orb_learning.serving import HEADINGS

    width = width or room()
    places = [place for place, column in enumerate(mart.columns) if column in HEADINGS]
    headings = [HEADINGS[mart.columns[place]] for place in places]
    columns = [
        Column(justify, heading, [row[place] for row in mart.rows])
        for place, (justify, heading) in zip(places, headings, strict=True)
    ]
    shape = fitting(columns, width)
    title = f"\n{mart.name}: {len(mart.rows):,} of {mart.total:,} rows"
    if shape.left_out:
        title += f", without {', '.join(shape.left_out)}"
    out.print(title, style="bold")
    gap = (0, shape.gap, 0, 0)
    table = Table(header_style="bold", box=None, pad_edge=False, padding=gap)
    for column in shape.columns:
        table.add_column(column.heading, justify=column.justify, no_wrap=True, overflow="ellipsis")
    for cells in zip(*(column.cells(shape.limit) for column in shape.columns), strict=True):
        table.add_row(*cells)
    print_table(table, width)


def room() -> int:
    """Return how wide a table may be: as the terminal is, or `PIPE_WIDTH`."""
    # A pipe has no width of its own to fit.
    return out.width if out.is_terminal else PIPE_WIDTH


class Column:
    """One column of a report."""

    def __init__(
        self, justify: Literal["left", "right"], heading: str, values: Sequence[object]
    ) -> None:
        self.justify = justify
        self.heading = heading
        self._texts = [shown(value) for value in values]
        self._may_be_cut = any(isinstance(value, str | list) for value in values)

    def broken(self) -> Column:
        """Return it with the heading of numbers on two lines."""
        other = copy(self)
        if self.justify == "right":
            other.heading = self.heading.replace(" ", "\n")
        return other

    def cells(self, limit: int) -> list[str]:
        """Return its cells; texts are cut, numbers and times never."""
        return [cut(text, limit) for text in self._texts] if self._may_be_cut else self._texts

    def width(self, limit: int) -> int:
        """Return how wide it is with texts cut to a limit."""
        widest = max(map(cell_len, (*self.heading.split("\n"), *self._texts)))
        return min(widest, limit) if self._may_be_cut else widest


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a table is shown, and how: its columns, the signs between them, a text's longest."""

    columns: list[Column]
    gap: int
    limit: int
    left_out: list[str]

    def narrowed(self, width: int, shortest: int) -> Shape:
        """Return it with texts cut until it fits, or to `shortest` signs."""
        limit = LONGEST_CELL
        while limit > shortest and self.taken(limit) > width:
            limit -= 1
        return replace(self, limit=limit)

    def taken(self, limit: int) -> int:
        """Return how wide it is with texts cut to a limit."""
        between = self.gap * (len(self.columns) - 1)
        return between + sum(column.width(limit) for column in self.columns)

    def fits(self, width: int) -> bool:
        """Tell whether it fits."""
        return self.taken(self.limit) <= width


def fitting(columns: list[Column], width: int) -> Shape:
    """Return how a table fits: long texts cut, then closer together, then without some columns.

    Where numbers and times alone are too wide, the table is wider than that.
    """
    shape = Shape(columns, 2, LONGEST_CELL, []).narrowed(width, READABLE_CELL)
    if shape.fits(width):
        return shape
    shape = Shape([column.broken() for column in columns], 1, LONGEST_CELL, [])
    shape = shape.narrowed(width, READABLE_CELL)
    for heading in FIRST_TO_GO:
        if shape.fits(width):
            return shape
        name = heading.replace(" ", "\n")
        kept = [column for column in shape.columns if column.heading not in (heading, name)]
        if len(kept) < len(shape.columns):
            shape = replace(shape, columns=kept, left_out=[*shape.left_out, heading])
            shape = shape.narrowed(width, READABLE_CELL)
    return shape.narrowed(width, SHORTEST_CELL)


def cut(text: str, width: int) -> str:
    """Return a text that takes no more room than so many signs."""
    whole = Text(text)
    whole.truncate(width, overflow="ellipsis")
    return whole.plain.replace("…", "~") if is_plain() else whole.plain


def print_table(table: Table, width: int | None = None) -> None:
    """Print a table, so wide or as wide as `room`, wider if its columns need it."""
    fixed = all(column.no_wrap for column in table.columns)
    needed = Measurement.get(out, out.options.update(width=10_000), table).maximum
    width = width or room()
    console = DataConsole(width=max(width, needed) if fixed else width)
    console.print(table, soft_wrap=False)


def shown(value: object) -> str:
    """Return a value as a person reads it, on one line."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    return printable(" ".join(str(value).split()))  # one row, one line


def print_markdown(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table as Markdown; what its cells say is text and nothing else."""
    for number, cells in enumerate([headings, *rows]):
        out.print("| " + " | ".join(map(_as_markdown, cells)) + " |")
        if not number:
            out.print("|" + " --- |" * len(list(headings)))


def _as_markdown(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|~" else sign for sign in text)


def is_plain() -> bool:
    """Tell whether standard output knows ASCII alone."""
    return not out.encoding.lower().startswith("utf")


def cell(value: object, *, is_raw: bool) -> object:
    """Return a value as a cell of a CSV file.

    A text that a spreadsheet would run as a formula gets an apostrophe before it, and what would
    command a terminal is escaped, unless the cell is to be raw.
    """
    if isinstance(value, list):
        value = "|".join(map(str, value))
    if isinstance(value, date):
        return value.isoformat()
    if is_raw or not isinstance(value, str):
        return value
    is_formula = value.lstrip()[:1] in _FORMULA or value[:1] in "\t\r\n"
    return ("'" if value and is_formula else "") + printable(value, keep="\n\t")
