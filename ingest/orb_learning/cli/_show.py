"""How the command line shows things: tables, progress, numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
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
SHORTEST_CELL = 8


@contextmanager
def progress(unit: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on standard error, if that is a terminal; yields its advance."""
    bar = Progress(
        SpinnerColumn(),
        TextColumn(f"{{task.completed:,.0f}} {unit}"),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )
    task = bar.add_task(unit, total=total)
    with bar:
        yield lambda count: bar.advance(task, count)


def print_report(found: Any) -> None:
    """Print a report's summary and its marts as tables."""
    summary, publication = found.summary, found.publication
    rate = "n/a" if summary.success_rate is None else f"{summary.success_rate:.1%}"
    cost = "unknown" if summary.known_cost is None else f"{summary.known_cost:,.2f} USD"
    out.print(
        f"{summary.executions:,} executions of {summary.tasks:,} tasks, {rate} successful, "
        f"cost {cost} ({summary.unknown_costs:,} unknown), {summary.pending:,} pending; "
        f"as of {publication.as_of[:10]}",
    )
    from orb_learning.serving import HEADINGS

    for mart in found.marts:
        table = Table(
            title=f"\n{mart.name}: {len(mart.rows):,} of {mart.total:,} rows",
            title_justify="left",
            title_style="bold",
            header_style="bold",
            box=None,
            pad_edge=False,
        )
        places = [place for place, column in enumerate(mart.columns) if column in HEADINGS]
        headings = [HEADINGS[mart.columns[place]] for place in places]
        rows = [[row[place] for place in places] for row in mart.rows]
        for justify, heading in headings:
            table.add_column(heading, justify=justify, no_wrap=True, overflow="ellipsis")
        for cells in fitting(rows, [heading for _, heading in headings], room()):
            table.add_row(*cells)
        print_table(table)


def room() -> int:
    """Return how wide a table may be: as the terminal is, or `PIPE_WIDTH`."""
    # A pipe has no width of its own to fit.
    return out.width if out.is_terminal else PIPE_WIDTH


def fitting(rows: list[list[Any]], headings: list[str], width: int) -> list[list[str]]:
    """Return the rows as texts; long ones are cut, so that every column has its place.

    Numbers and times are never cut: where they alone are too wide, the table is wider than that.
    """
    cells = [[shown(value) for value in row] for row in rows]
    widest = [
        max(map(cell_len, (heading, *(row[place] for row in cells))))
        for place, heading in enumerate(headings)
    ]
    texts = {
        place for row in rows for place, value in enumerate(row) if isinstance(value, str | list)
    }
    between = 2 * (len(headings) - 1)

    def taken(limit: int) -> int:
        return between + sum(
            min(size, limit) if place in texts else size for place, size in enumerate(widest)
        )

    limit = LONGEST_CELL
    while limit > SHORTEST_CELL and taken(limit) > width:
        limit -= 1
    return [
        [cut(cell, limit) if place in texts else cell for place, cell in enumerate(row)]
        for row in cells
    ]


def cut(text: str, width: int) -> str:
    """Return a text that takes no more room than so many signs."""
    whole = Text(text)
    whole.truncate(width, overflow="ellipsis")
    return whole.plain


def print_table(table: Table) -> None:
    """Print a table, as wide as the terminal or `PIPE_WIDTH`, wider if its columns need it."""
    fixed = all(column.no_wrap for column in table.columns)
    needed = Measurement.get(out, out.options.update(width=10_000), table).maximum
    console = DataConsole(width=max(room(), needed) if fixed else room())
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


def cell(value: object, *, is_raw: bool) -> object:
    """Return a value as a cell of a CSV file.

    A text that a spreadsheet would run as a formula gets an apostrophe before it, and what would
    command a terminal is escaped, unless the cell is to be raw.
    """
    if isinstance(value, list):
        value = "|".join(map(str, value))
    if isinstance(value, date):
        return iso(value)
    if is_raw or not isinstance(value, str):
        return value
    is_formula = value.lstrip()[:1] in _FORMULA or value[:1] in "\t\r\n"
    return ("'" if value and is_formula else "") + printable(value, keep="\n\t")


def iso(value: object) -> str:
    """Return a date as ISO 8601, anything else as its text."""
    return value.isoformat() if isinstance(value, date) else str(value)
