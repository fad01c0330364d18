"""The commands that look into the publication: `query` and `similar`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from orb_learning.cli._formats import Format, print_csv
from orb_learning.cli._json import AsJson, print_json
from orb_learning.cli._options import say_if_new
from orb_learning.cli._show import (
    LONGEST_CELL,
    READABLE_CELL,
    SHORTEST_CELL,
    Column,
    Shape,
    out,
    print_markdown,
    print_table,
    room,
    shown,
)
from orb_learning.errors import InvalidQueryError
from orb_learning.home import Home

if TYPE_CHECKING:
    from orb_learning.serving import QueryResult

app = typer.Typer()

ROWS_SHOWN = 100
"""Rows of a table, where no other number is asked for."""

GAP = 2
"""Signs between two columns."""

SIMILAR_COLUMNS = {
    "similarity": "alike",
    "timestamp": "when",
    "repo": "repo",
    "task_type": "task type",
    "model_tier": "tier",
    "pool_type": "pool",
    "success": "ok",
    "known_cost": "USD",
    "task_description": "task",
}


@app.command()
def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT of DuckDB's SQL.")],
    *,
    format_: Annotated[
        Format, typer.Option("--format", help="How the result is written.")
    ] = Format.TABLE,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"At most so many rows. Default: {ROWS_SHOWN} in tables, all in json and csv.",
        ),
    ] = None,
) -> None:
    """Ask the current publication anything, in SQL.

    The query can neither write, nor read files, nor change settings. A result of more than a
    million rows or 512 MB is refused, and so is what takes longer than ten seconds.

    `orb-learning query "select repo, count(*) from executions group by repo" --format csv`
    """
    say_if_new(context.obj)
    is_for_people = format_.is_for_people
    most = limit or (ROWS_SHOWN if is_for_people else None)
    # One row more tells whether there are more.
    found = asyncio.run(_asked(context.obj, sql, most + 1 if is_for_people and most else most))
    rows = found.rows[:most]
    if format_ is Format.TABLE:
        left_out = _print_rows(found.columns, rows)
        if left_out:
            out.print(f"left out, for want of room: {', '.join(left_out)}; --format json has all")
    elif format_ is Format.MARKDOWN:
        cells = ([shown(_readable(value)) for value in row] for row in rows)
        print_markdown([shown(name) for name in found.columns], cells)
    elif format_ is Format.CSV:
        print_csv([found.columns, *rows])
    else:
        _refuse_namesakes(found.columns)
        print_json(
            {
                "publication_id": found.publication_id,
                "columns": found.columns,
                "rows": found.to_dicts(),
            }
        )
    if len(rows) < len(found.rows):
        out.print(f"\nthe first {len(rows):,} rows; --limit shows more")


@app.command()
def similar(
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is to be done, in words.")],
    *,
    repo: Annotated[str | None, typer.Option(help="Only this repository.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 10,
    model: Annotated[
        str | None,
        typer.Option(
            envvar="ORB_LEARNING_EMBEDDING_MODEL",
            show_default="all-MiniLM-L6-v2, from an installed package",
            help="The model that `embed` was given: a directory, or a name on the hub.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find what was executed and resembles a task, the most similar first.

    Looks at the last 90 days. Needs the extra `embeddings`, and vectors that `orb-learning embed`
    has made and a refresh has published.

    `orb-learning similar "fix the flaky login test" --repo acme/api --limit 5`
    """
    from orb_learning.serving import LearningDatabase

    say_if_new(context.obj)

    async def search() -> list[Any]:
        async with LearningDatabase(context.obj.root, embedding_model=model) as learning:
            return list(await learning.find_similar_executions(text, repo, limit))

    found = asyncio.run(search())
    if as_json:
        print_json(found)
    elif found:
        rows = [tuple(getattr(one, name) for name in SIMILAR_COLUMNS) for one in found]
        _print_rows(tuple(SIMILAR_COLUMNS.values()), rows)
    else:
        where = f" in {shown(repo)}" if repo else ""
        out.print(f"nothing of the last 90 days{where} is like that")


async def _asked(home: Home, sql: str, limit: int | None) -> QueryResult:
    from orb_learning.serving import LearningDatabase

    async with LearningDatabase(home.root) as learning:
        return await learning.query(sql, limit=limit)


def _refuse_namesakes(columns: Sequence[str]) -> None:
    name, count = Counter(columns).most_common(1)[0]
    if count > 1:
        raise InvalidQueryError(
            f"{count} columns are named {name!r}; name them apart, as in select a as b"
        )


def _print_rows(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> list[str]:
    """Print rows as a table; return the columns at its end for which there was no room."""
    columns = []
    for place, name in enumerate(names):
        values = [_readable(row[place]) for row in rows]
        columns.append(Column("right" if _are_numbers(values) else "left", shown(name), values))
    width = room()
    # As many as can be read, and of these as much as there is room for.
    ends = accumulate(column.width(READABLE_CELL) + GAP for column in columns)
    kept = max(sum(end - GAP <= width for end in ends), 1)
    shape = Shape(columns[:kept], GAP, LONGEST_CELL, []).narrowed(width, SHORTEST_CELL)
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, shape.gap, 0, 0))
    for column in shape.columns:
        table.add_column(column.heading, justify=column.justify, no_wrap=True, overflow="ellipsis")
    for cells in zip(*(column.cells(shape.limit) for column in shape.columns), strict=True):
        table.add_row(*cells)
    print_table(table, width)
    return [shown(name) for name in names[kept:]]


def _readable(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, dict | bytes) else value


def _are_numbers(values: Sequence[object]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(isinstance(value, int | float) for value in known)
