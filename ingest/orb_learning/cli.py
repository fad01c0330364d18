"""The command line: every command is one library call and a way to show its result."""

from __future__ import annotations

import csv
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime, time
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from orb_learning.errors import OrbLearningError, TransientError
from orb_learning.home import Home
from orb_learning.logs import configure

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
migrate = typer.Typer(no_args_is_help=True, help="Bring the staging schema to another version.")
app.add_typer(migrate, name="migrate")

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


PIPE_WIDTH = 140


class ReportFormat(StrEnum):
    """How a report is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class MartName(StrEnum):
    """The marts a report can show."""

    TIER_PERFORMANCE = "tier_performance"
    POOL_PERFORMANCE = "pool_performance"
    SOLUTION_PATTERNS = "solution_patterns"


class LogStyle(StrEnum):
    """How the log is written."""

    TEXT = "text"
    JSON = "json"


AsOf = Annotated[
    str | None,
    typer.Option(
        metavar="DATE", help="The day all windows end, like 2026-06-15 (UTC). Default: today."
    ),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"orb-learning {version('orb-learning')}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(
            envvar="ORB_LEARNING_HOME",
            show_default="./data",
            help="The directory that holds spool, staging, warehouse and publication.",
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show more of the log.")] = False,
    log_format: Annotated[LogStyle, typer.Option(help="How the log is written.")] = LogStyle.TEXT,
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the release and stop.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    """Learn which model tier, pool and solution work best, from what really happened.

    Exit codes: 0 done; 1 it may work later (another process is at work, a run failed); 2 the
    input or the set-up must change first.
    """
    configure(logging.DEBUG if verbose else logging.WARNING, log_format.value)
    context.obj = Home.locate(home)


@app.command(name="import")
def import_(
    context: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(help="JSON lines, CSV (both also .gz) or Parquet files.")
    ],
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=PATH",
            help="Take a field from elsewhere in the row; repeatable.",
        ),
    ] = None,
    assume_utc: Annotated[
        bool, typer.Option("--assume-utc", help="Read times without an offset as UTC.")
    ] = False,
) -> None:
    """Record finished executions from files.

    Rows go to the spool and are loaded by the next refresh; rows that cannot be accepted go to
    quarantine with the reason. Importing a file twice changes nothing.

    `orb-learning import runs.jsonl.gz --map 'model_tier={metadata.agent}|{metadata.model}'`
    """
    from orb_learning.capture import Telemetry
    from orb_learning.importer import FieldMap, import_files

    home: Home = context.obj
    home.create()
    field_map = FieldMap(map_ or [])
    with Telemetry(home.root) as telemetry, _progress("rows") as advance:
        report = import_files(
            telemetry, files, field_map=field_map, assume_utc=assume_utc, on_progress=advance
        )
    out.print(
        f"{report.rows:,} rows: {report.recorded:,} recorded, {report.rejected:,} rejected",
        highlight=False,
    )
    for reason in report.reasons:
        err.print(f"rejected: {reason}", markup=False, highlight=False)
    if report.rejected and not report.recorded:
        raise typer.Exit(2)


@app.command()
def load(context: typer.Context) -> None:
    """Load the spool into staging.

    `dbt run`, `dbt build` and `orb-learning refresh` do this by themselves.

    `orb-learning load`
    """
    from orb_learning.staging import load as load_spool

    with _progress("lines") as advance:
        report = load_spool(context.obj, on_progress=advance)
    out.print(
        f"load {report.load_id}: {report.lines:,} lines, {report.loaded:,} loaded, "
        f"{report.duplicates:,} duplicates, {report.quarantined:,} quarantined",
        highlight=False,
    )


@app.command()
def refresh(
    context: typer.Context,
    as_of: AsOf = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Build every table from scratch.")
    ] = False,
) -> None:
    """Load, build, test and publish.

    Does what `dbt build` does, and says less.

    `orb-learning refresh`
    """
    from orb_learning.refresh import refresh as run_refresh

    home: Home = context.obj
    with err.status("refreshing"):
        report = run_refresh(home.root, as_of=as_of, full_refresh=full_refresh)
    for name in report.warnings:
        err.print(f"warning: {name}", markup=False, highlight=False)
    publication = report.publication
    out.print(
        f"published {publication.id}: {publication.rows['executions']:,} executions, "
        f"load {publication.load_id}, {report.seconds:.1f} s",
        highlight=False,
    )


@app.command()
def embed(
    context: typer.Context,
    limit: Annotated[
        int, typer.Option(min=0, help="At most so many texts, the newest first.")
    ] = 10_000,
    model: Annotated[
        str | None,
        typer.Option(
            envvar="ORB_LEARNING_EMBEDDING_MODEL",
            show_default="all-MiniLM-L6-v2, from an installed package",
            help="A directory with a sentence-transformers model, or its name on the hub.",
        ),
    ] = None,
) -> None:
    """Embed what was executed, for similarity search.

    Each distinct content is embedded once. Refreshes go on meanwhile; the next one publishes the
    vectors. Needs the extra `embeddings`.

    `orb-learning embed --limit 1000`
    """
    from orb_learning.embeddings import embed as run_embed

    with _progress("texts") as advance:
        report = run_embed(
            context.obj, embedding_batch_limit=limit, model=model, on_progress=advance
        )
    out.print(
        f"embedded {report.embedded:,} texts, {report.remaining:,} remaining; "
        f"dropped {report.dropped:,}, {report.indexed:,} indexed",
        highlight=False,
    )


@app.command()
def report(
    context: typer.Context,
    as_of: AsOf = None,
    mart: Annotated[list[MartName] | None, typer.Option(help="Only this mart; repeatable.")] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Rows of each mart. Default: 10 in tables, all in json and csv."),
    ] = None,
    format_: Annotated[
        ReportFormat, typer.Option("--format", help="How the report is written.")
    ] = ReportFormat.TABLE,
) -> None:
    """Show the three marts of the current publication.

    `orb-learning report --format csv --mart tier_performance`
    """
    from orb_learning.report import MARTS, build_report

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
        sys.stdout.write(json.dumps(document, default=_iso, indent=2) + "\n")
    elif format_ is ReportFormat.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        for one in found.marts:
            writer.writerow(["mart", *one.columns])
            for row in one.rows:
                writer.writerow([one.name, *(_cell(value) for value in row)])
    else:
        _print_report(found)


@app.command()
def status(context: typer.Context) -> None:
    """Show what waits, what was loaded and published last, and how big it all is.

    `orb-learning status`
    """
    from orb_learning.status import read_status

    home: Home = context.obj
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
        "last publication": (
            f"{publication.published_at[:19].replace('T', ' ')} UTC, load {publication.load_id}, "
            f"as of {publication.as_of[:10]}, {publication.rows['executions']:,} executions"
            if publication
            else "never"
        ),
        **{f"size of {name}": _bytes(size) for name, size in state.sizes.items()},
    }
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in lines.items():
        table.add_row(name, value)
    _print_table(table)


@app.command()
def demo(
    context: typer.Context,
    tasks: Annotated[int, typer.Option(min=1, help="Tasks to simulate.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal histories.")] = 7,
) -> None:
    """Simulate an orchestrator, refresh, and show the report.

    Drives the real hooks for 20,000 tasks over the last 30 days, in a home of its own unless one
    is named.

    `orb-learning demo`
    """
    import asyncio

    from orb_learning.capture import Telemetry
    from orb_learning.demo import Simulation, simulate
    from orb_learning.refresh import refresh as run_refresh
    from orb_learning.report import build_report

    home: Home = context.obj
    if context.parent is None or context.parent.params.get("home") is None:
        home = Home(home.root / "demo")
    until = datetime.combine(datetime.now(UTC).date(), time(), UTC)
    with Telemetry(home.root) as telemetry:
        with _progress("tasks", total=tasks) as advance:
            simulated = asyncio.run(
                simulate(
                    telemetry, Simulation(tasks=tasks, seed=seed), until=until, on_progress=advance
                )
            )
        captured = telemetry.stats()
    out.print(
        f"simulated {simulated.tasks:,} tasks in {simulated.attempts:,} attempts; the hooks wrote "
        f"{captured.captured:,} events",
        highlight=False,
    )
    with err.status("refreshing"):
        refreshed = run_refresh(home.root, as_of=until.date().isoformat())
    out.print(f"refreshed in {refreshed.seconds:.1f} s", highlight=False)
    _print_report(build_report(home, limit=10))
    out.print(f"\nlook around: orb-learning --home {home.root} status", highlight=False)


@migrate.command()
def upgrade(
    context: typer.Context,
    to: Annotated[int | None, typer.Option(help="Version to stop at. Default: newest.")] = None,
) -> None:
    """Apply the migrations that are pending.

    `orb-learning migrate upgrade`
    """
    from orb_learning import staging

    with staging.open_staging_file(context.obj) as connection:
        applied = staging.upgrade(connection, to)
    _print_migrations("applied", applied, "nothing to apply")


@migrate.command()
def downgrade(
    context: typer.Context,
    to: Annotated[int, typer.Option(min=0, help="Version to go back to.")],
) -> None:
    """Take back the migrations above a version. The data they hold is lost.

    `orb-learning migrate downgrade --to 1`
    """
    from orb_learning import staging

    with staging.open_staging_file(context.obj) as connection:
        undone = staging.downgrade(connection, to)
    _print_migrations("took back", undone, "nothing to take back")


@migrate.command()
def validate(context: typer.Context) -> None:
    """Check that what is applied is what this release ships.

    `orb-learning migrate validate`
    """
    from orb_learning import staging

    with staging.open_staging_file(context.obj) as connection:
        staging.validate(connection)
    out.print("valid")


@migrate.command(name="status")
def migration_status(context: typer.Context) -> None:
    """List the migrations and what became of them.

    `orb-learning migrate status`
    """
    from orb_learning import staging

    with staging.open_staging_file(context.obj) as connection:
        states = staging.status(connection)
    for state in states:
        out.print(f"{state.version:04} {state.name}: {state.state}", highlight=False)


def _print_migrations(verb: str, migrations: list[Any], otherwise: str) -> None:
    for migration in migrations:
        out.print(f"{verb} {migration.version:04} {migration.name}", highlight=False)
    if not migrations:
        out.print(otherwise)


@contextmanager
def _progress(unit: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
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


def _print_report(found: Any) -> None:
    summary, publication = found.summary, found.publication
    rate = "n/a" if summary.success_rate is None else f"{summary.success_rate:.1%}"
    cost = "unknown" if summary.known_cost is None else f"{summary.known_cost:,.2f} USD"
    out.print(
        f"{summary.executions:,} executions of {summary.tasks:,} tasks, {rate} successful, "
        f"cost {cost} ({summary.unknown_costs:,} unknown), {summary.pending:,} pending; "
        f"as of {publication.as_of[:10]}",
        highlight=False,
    )
    for mart in found.marts:
        table = Table(
            title=f"\n{mart.name}: {len(mart.rows):,} of {mart.total:,} rows",
            title_justify="left",
            title_style="bold",
            header_style="bold",
            box=None,
            pad_edge=False,
        )
        for column in mart.columns:
            justify, heading = HEADINGS[column]
            table.add_column(heading, justify=justify, no_wrap=True, overflow="ellipsis")
        for row in mart.rows:
            table.add_row(*(_shown(value) for value in row))
        _print_table(table)


def _print_table(table: Table) -> None:
    # A pipe has no width of its own to fit.
    console = out if out.is_terminal else Console(width=PIPE_WIDTH)
    console.print(table, markup=False, highlight=False, soft_wrap=False)


HEADINGS: dict[str, tuple[Literal["left", "right"], str]] = {
    "repo": ("left", "repo"),
    "model_tier": ("left", "tier"),
    "task_type": ("left", "task type"),
    "date": ("left", "date"),
    "pool_type": ("left", "pool"),
    "hour": ("left", "hour"),
    "solution_summary": ("left", "solution"),
    "task_types": ("left", "task types"),
    "total_executions": ("right", "runs"),
    "successful_count": ("right", "ok"),
    "total_tasks": ("right", "runs"),
    "successful_tasks": ("right", "ok"),
    "usage_count": ("right", "uses"),
    "success_count": ("right", "ok"),
    "avg_duration": ("right", "mean s"),
    "p95_duration": ("right", "p95 s"),
    "avg_cost": ("right", "mean USD"),
    "avg_quality": ("right", "quality"),
    "success_rate": ("right", "success"),
    "first_seen": ("left", "first seen"),
    "last_seen": ("left", "last seen"),
}
"""How a person reads each column: its side and its heading, with the unit."""


def _shown(value: object) -> str:
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
    return " ".join(str(value).split())  # one row, one line


def _cell(value: object) -> object:
    if isinstance(value, list):
        return "|".join(value)
    return _iso(value) if isinstance(value, date) else value


def _iso(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _bytes(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def main() -> None:
    """Run the command line; an error is one line on standard error."""
    try:
        app()
    except OrbLearningError as error:
        err.print(f"error: {error}", markup=False, highlight=False)
        sys.exit(1 if isinstance(error, TransientError) else 2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        err.print(f"error: {error}", markup=False, highlight=False)
        sys.exit(2)
