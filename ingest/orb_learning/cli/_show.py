"""How the command line shows things: tables, progress, numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

# What is printed is data: brackets in it are no markup.
out = Console(soft_wrap=True, markup=False, highlight=False)
err = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)

PIPE_WIDTH = 160


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
        for place in places:
            justify, heading = HEADINGS[mart.columns[place]]
            table.add_column(heading, justify=justify, no_wrap=True, overflow="ellipsis")
        for row in mart.rows:
            table.add_row(*(shown(row[place]) for place in places))
        print_table(table)


def print_table(table: Table) -> None:
    """Print a table, as wide as the terminal or `PIPE_WIDTH`."""
    # A pipe has no width of its own to fit.
    console = out if out.is_terminal else Console(width=PIPE_WIDTH, markup=False, highlight=False)
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
        return ", ".join(value)
    return printable(" ".join(str(value).split()))  # one row, one line


def printable(text: str) -> str:
    """Return a text without what would command a terminal; line ends and tabs stay."""
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else sign.encode("unicode_escape").decode()
        for sign in text
    )


def cell(value: object) -> object:
    """Return a value as a cell of a CSV file."""
    if isinstance(value, list):
        return "|".join(value)
    return iso(value) if isinstance(value, date) else value


def iso(value: object) -> str:
    """Return a date as ISO 8601, anything else as its text."""
    return value.isoformat() if isinstance(value, date) else str(value)
