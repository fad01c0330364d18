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
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from orb_learning.errors import HomeError, OrbLearningError, TransientError
from orb_learning.home import Home
from orb_learning.logs import configure

if TYPE_CHECKING:
    from orb_learning.staging import MigrationReport
    from orb_learning.status import Status

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
migrate = typer.Typer(no_args_is_help=True, help="Bring the staging schema to another version.")
app.add_typer(migrate, name="migrate")
quarantine = typer.Typer(no_args_is_help=True, help="See what could not be loaded, and load it.")
app.add_typer(quarantine, name="quarantine")

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
def schedule(
    context: typer.Context,
    interval: Annotated[
        float, typer.Option(min=1, max=240, help="Seconds between the beginnings of two turns.")
    ] = 60,
    tests_every: Annotated[
        float,
        typer.Option(min=0, help="Minutes between two builds with tests; 0 tests every refresh."),
    ] = 60,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds a running refresh gets to end after a signal.")
    ] = 30,
    embeds: Annotated[
        bool,
        typer.Option(
            "--embed/--no-embed", help="Embed between refreshes, where that is installed."
        ),
    ] = True,
) -> None:
    """Refresh again and again, with dbt kept warm, until SIGTERM or SIGINT.

    A turn with nothing new is skipped. One that fails is tried again, after 5 seconds at first and
    up to a minute or the interval later; the last publication stands. The first build runs all
    tests; until they pass nothing is published.

    Exit codes: 0 after a signal, with the running refresh finished or rolled back; 143 or 130 if it
    would not end.

    `orb-learning schedule --interval 60`
    """
    from orb_learning.schedule import schedule as run_schedule

    home: Home = context.obj
    run_schedule(
        home.root,
        interval_seconds=interval,
        tests_every_minutes=tests_every,
        grace_seconds=grace,
        embeds=embeds,
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
            f"{_moment(publication.published_at)}, load {publication.load_id}, "
            f"as of {publication.as_of[:10]}, {publication.rows['executions']:,} executions"
            if publication
            else "never"
        ),
        **_scheduled(state),
        **{f"size of {name}": _bytes(size) for name, size in state.sizes.items()},
    }
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in lines.items():
        table.add_row(name, value)
    _print_table(table)


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
        "marts fresh at": f"{_moment(found.fresh_at)}, tested {_moment(found.tested_at)}",
    }
    if found.failures:
        lines["refresh fails"] = (
            f"{found.failures} in a row, last {_moment(found.failed_at)}: {found.error}"
        )
    return lines


def _moment(time: str | None) -> str:
    return f"{time[:19].replace('T', ' ')} UTC" if time else "never"


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


Plan = Annotated[bool, typer.Option("--plan", help="Only show what would be done.")]
Sure = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@migrate.command()
def upgrade(
    context: typer.Context,
    to: Annotated[int | None, typer.Option(help="Version to stop at. Default: newest.")] = None,
    plan: Plan = False,
) -> None:
    """Apply the migrations that are pending. Loads and refreshes do so by themselves.

    `orb-learning migrate upgrade --plan`
    """
    from orb_learning import staging

    _print_migrations(staging.migrate_up(context.obj, to, is_plan=plan), plan)


@migrate.command()
def downgrade(
    context: typer.Context,
    to: Annotated[int, typer.Option(min=0, help="Version to go back to.")],
    plan: Plan = False,
) -> None:
    """Take back the migrations above a version, after a backup. The data they hold is lost.

    `orb-learning migrate downgrade --to 1`
    """
    from orb_learning import staging

    _print_migrations(staging.migrate_down(context.obj, to, is_plan=plan), plan)


@migrate.command()
def reset(context: typer.Context, plan: Plan = False, yes: Sure = False) -> None:
    """Empty staging, after a backup, and make its schema anew.

    What the spool still holds is loaded again by the next refresh.

    `orb-learning migrate reset --yes`
    """
    from orb_learning import staging

    home: Home = context.obj
    if not plan and not yes:
        typer.confirm(f"Empty {home.staging}?", abort=True)
    _print_migrations(staging.reset(home, is_plan=plan), plan)


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


def _print_migrations(report: MigrationReport, is_plan: bool) -> None:
    would = "would " if is_plan else ""
    if report.backup:
        out.print(f"backup {report.backup}", highlight=False)
    for verb, migrations in (
        (f"{would}take back" if is_plan else "took back", report.taken_back),
        (f"{would}apply" if is_plan else "applied", report.applied),
    ):
        for migration in migrations:
            out.print(f"{verb} {migration.version:04} {migration.name}", highlight=False)
    if not report.applied and not report.taken_back:
        out.print("nothing to do")


@quarantine.command(name="list")
def quarantine_list(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 50,
) -> None:
    """List what could not be loaded, and why.

    `orb-learning quarantine list`
    """
    from orb_learning import staging

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "load", "kind", "segment", "byte", "reason"):
        table.add_column(heading, overflow="fold")
    for row in staging.list_quarantine(context.obj, limit=limit):
        table.add_row(
            str(row.quarantine_id),
            str(row.load_id),
            row.claimed_type or "-",
            row.segment,
            f"{row.byte_offset:,}",
            _shown(row.reason),
        )
    _print_table(table)


@quarantine.command()
def show(
    context: typer.Context,
    quarantine_id: Annotated[UUID, typer.Argument(metavar="ID", help="Which one.")],
) -> None:
    """Show one line in quarantine whole.

    `orb-learning quarantine show 0199c3a0-0000-7000-8000-000000000000`
    """
    from orb_learning import staging

    rows = staging.list_quarantine(context.obj, only=quarantine_id)
    if not rows:
        raise HomeError(f"{quarantine_id} is not in quarantine; see `orb-learning quarantine list`")
    (row,) = rows
    out.print(
        f"{row.quarantine_id}, load {row.load_id}, {row.segment} from byte {row.byte_offset:,}\n"
        f"{row.reason}",
        markup=False,
        highlight=False,
    )
    sys.stdout.write(row.line.decode("utf-8", "backslashreplace") + "\n")


@quarantine.command()
def replay(
    context: typer.Context,
    quarantine_id: Annotated[
        UUID | None, typer.Argument(metavar="[ID]", help="Only this one.")
    ] = None,
) -> None:
    """Load what this release can read, as if it had never been refused.

    `orb-learning quarantine replay`
    """
    from orb_learning import staging

    report = staging.replay_quarantine(context.obj, only=quarantine_id)
    out.print(
        f"{report.loaded:,} loaded, {report.duplicates:,} duplicates, "
        f"{len(report.still_invalid):,} still invalid",
        highlight=False,
    )
    for number, (row, reason) in enumerate(report.still_invalid.items()):
        if number < 10:
            err.print(f"still invalid: {row}: {reason}", markup=False, highlight=False)


@app.command()
def backup(
    context: typer.Context,
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default="<home>/backups", help="Where to.")
    ] = None,
) -> None:
    """Copy staging, the system of record, and read the copy back.

    Hooks go on capturing meanwhile.

    `orb-learning backup --to /mnt/backups`
    """
    from orb_learning import staging

    made = staging.backup(context.obj, to)
    out.print(f"{made.path}: load {made.load_id}, {made.events:,} events", highlight=False)


@app.command()
def restore(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(show_default="the newest in <home>/backups", help="The backup."),
    ] = None,
    yes: Sure = False,
) -> None:
    """Put a backup in the place of staging; the next refresh builds everything else from it.

    What was loaded since comes from the segments that are still there. Erasures stay in force.
    The replaced file is kept beside the backups.

    `orb-learning restore --yes`
    """
    from orb_learning import staging

    home: Home = context.obj
    if not yes:
        typer.confirm(f"Replace {home.staging}?", abort=True)
    restored = staging.restore(home, file)
    out.print(
        f"restored load {restored.load_id}, {restored.events:,} events; run `orb-learning refresh`",
        highlight=False,
    )


@app.command()
def prune(
    context: typer.Context,
    raw_days: Annotated[
        int | None, typer.Option(help="Days that raw events stay.", show_default="dbt var, 90")
    ] = None,
    derived_days: Annotated[
        int | None, typer.Option(help="Days that executions stay.", show_default="dbt var, 90")
    ] = None,
    segment_days: Annotated[int, typer.Option(help="Days that loaded segments stay.")] = 7,
) -> None:
    """Remove what is older than its retention, and publications that are not in force.

    Raw events go by whole tasks. The next refresh builds the warehouse anew.

    `orb-learning prune --raw-days 180 --derived-days 90`
    """
    from orb_learning import staging
    from orb_learning.project import retention_days

    raw, derived = retention_days()
    report = staging.prune(
        context.obj,
        raw_days=raw if raw_days is None else raw_days,
        derived_days=derived if derived_days is None else derived_days,
        segment_days=segment_days,
    )
    out.print(
        f"removed {sum(report.rows.values()):,} raw events, {report.segments:,} loaded segments, "
        f"{report.publications:,} publications; {_bytes(report.freed_bytes)} freed",
        highlight=False,
    )


@app.command()
def erase(
    context: typer.Context,
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="A task, by its UUID or the host's name; repeatable."),
    ] = None,
    user: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="A user; repeatable.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Kept with the tombstone.")] = None,
) -> None:
    """Forget tasks or users: after the next refresh nothing of them is left.

    Nothing that arrives later brings them back. Backups made before keep them.

    `orb-learning erase --task 5f0c3f1e-8f6b-4c51-9d6a-0d3b6a3f7f10`
    """
    from orb_learning.staging import request_erasure

    count = request_erasure(context.obj, tasks=task or [], users=user or [], reason=reason)
    out.print(f"{count:,} to be erased by the next refresh", highlight=False)


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
