"""The commands that show what is there: `report` and `status`."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal
from rich.table import Table

from orb_learning.cli._options import say_if_new
from orb_learning.cli._show import cell, iso, print_report, print_table
from orb_learning.errors import printable
from orb_learning.home import Home
from orb_learning.serving import MARTS

if TYPE_CHECKING:
    from orb_learning.upkeep import Status

app = typer.Typer()

MartName = StrEnum("MartName", {name.upper(): name for name in MARTS})  # type: ignore[misc]  # made at run time
"""The marts a report can show."""


class ReportFormat(StrEnum):
    """How a report is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class _Lines:
    """Standard output, for a writer that ends lines in CR LF, since it else quotes no CR."""

    def write(self, line: str) -> None:
        sys.stdout.write(line.removesuffix("\r\n") + "\n")


@app.command()
def report(
    context: typer.Context,
    *,
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="Insist on marts that end on this day, like 2026-06-15 (UTC).",
            show_default="the day that is published",
        ),
    ] = None,
    mart: Annotated[list[MartName] | None, typer.Option(help="Only this mart; repeatable.")] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Rows of each mart. Default: 10 in tables, all in json and csv."),
    ] = None,
    format_: Annotated[
        ReportFormat, typer.Option("--format", help="How the report is written.")
    ] = ReportFormat.TABLE,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="With csv: leave texts as they are, formulas and control signs too."
        ),
    ] = False,
) -> None:
    """Show the marts of the current publication.

    `orb-learning report --format csv --mart tier_performance`
    """
    from orb_learning.serving import build_report

    if raw and format_ is not ReportFormat.CSV:
        raise typer.BadParameter("--raw is for --format csv", param_hint="--raw")
    marts = tuple(name.value for name in mart) if mart else tuple(MARTS)
    if limit is None and format_ is ReportFormat.TABLE:
        limit = 10
    found = build_report(context.obj, as_of=as_of, marts=marts, limit=limit)
    if format_ is ReportFormat.JSON:
        document = {
            "publication": asdict(found.publication),
            "summary": asdict(found.summary),
            "marts": {
                one.name: [dict(zip(one.columns, row, strict=True)) for row in one.rows]
                for one in found.marts
            },
        }
        sys.stdout.write(json.dumps(document, default=iso, indent=2) + "\n")
    elif format_ is ReportFormat.CSV:
        writer = csv.writer(_Lines())
        for one in found.marts:
            writer.writerow(["mart", *one.columns])
            for row in one.rows:
                writer.writerow([one.name, *(cell(value, is_raw=raw) for value in row)])
    else:
        print_report(found)


@app.command()
def status(context: typer.Context) -> None:
    """Show what waits, what was loaded and published last, and how big it all is.

    `orb-learning status`
    """
    from orb_learning.upkeep import read_status

    home: Home = context.obj
    say_if_new(home)
    state = read_status(home)
    busy = "staging is busy: a load is at work"
    publication = state.publication
    lines = {
        "home": str(home.root),
        "pending events": busy if state.pending_events is None else f"{state.pending_events:,}",
        "last load": (
            busy
            if state.last_load_id is None
            else f"{state.last_load_id}, {state.last_load_at:%Y-%m-%d %H:%M:%S} UTC"
            if state.last_load_at
            else "never"
        ),
        "events loaded": busy if state.loaded_events is None else f"{state.loaded_events:,}",
        "in quarantine": busy if state.quarantined is None else f"{state.quarantined:,}",
        **(
            {"unknown status words": f"in {state.unknown_words:,} of them; see quarantine list"}
            if state.unknown_words
            else {}
        ),
        **(
            {"hidden events": f"{state.hidden_events:,} from before {state.executions_from}"}
            if state.executions_from
            else {}
        ),
        "last publication": (
            f"{_shown_time(publication.published_at)}, load {publication.load_id}, "
            f"as of {publication.as_of[:10]}, {publication.rows['executions']:,} executions"
            if publication
            else "never"
        ),
        **(
            {"ambiguous attempts": f"of {state.ambiguous_tasks:,} tasks, told by clocks alone"}
            if state.ambiguous_tasks
            else {}
        ),
        **_scheduled(state),
        **{f"size of {name}": decimal(size) for name, size in state.sizes.items()},
    }
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in lines.items():
        table.add_row(name, printable(value))
    print_table(table)


def _scheduled(state: Status) -> dict[str, str]:
    """Return what a status says of the scheduler, if there ever was one."""
    found = state.schedule
    if found is None:
        return {}
    lines = {
        "schedule": (
            f"every {found.interval_seconds:g} s, process {found.process}"
            if state.is_scheduled
            else "not running"
        ),
        "marts fresh at": f"{_shown_time(found.fresh_at)}, tested {_shown_time(found.tested_at)}",
    }
    if found.failures:
        lines["refresh fails"] = (
            f"{found.failures} in a row, last {_shown_time(found.failed_at)}: {found.error}"
        )
    return lines


def _shown_time(time: str | None) -> str:
    return f"{time[:19].replace('T', ' ')} UTC" if time else "never"
