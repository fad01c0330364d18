"""The commands that are not of a group, and `main`."""

from __future__ import annotations

import csv
import json
import logging
import sys
from dataclasses import asdict
from datetime import UTC, datetime, time
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from orb_learning.cli import _migrate, _quarantine, _upkeep
from orb_learning.cli._options import AsOf
from orb_learning.cli._show import (
    bytes_text,
    cell,
    err,
    iso,
    out,
    print_report,
    print_table,
    printable,
    progress,
)
from orb_learning.errors import OrbLearningError, TransientError
from orb_learning.home import Home
from orb_learning.logs import configure

if TYPE_CHECKING:
    from orb_learning.status import Status

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"orb-learning {version('orb-learning')}")
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
    with Telemetry(home.root) as telemetry, progress("rows") as advance:
        report = import_files(
            telemetry, files, field_map=field_map, assume_utc=assume_utc, on_progress=advance
        )
    out.print(
        f"{report.rows:,} rows: {report.recorded:,} recorded, {report.rejected:,} rejected",
    )
    for reason in report.reasons:
        err.print(f"rejected: {printable(reason)}")
    if report.rejected and not report.recorded:
        raise typer.Exit(2)


@app.command()
def load(context: typer.Context) -> None:
    """Load the spool into staging.

    `dbt run`, `dbt build` and `orb-learning refresh` do this by themselves.

    `orb-learning load`
    """
    from orb_learning.staging import load as load_spool

    with progress("lines") as advance:
        report = load_spool(context.obj, on_progress=advance)
    out.print(
        f"load {report.load_id}: {report.lines:,} lines, {report.loaded:,} loaded, "
        f"{report.duplicates:,} duplicates, {report.quarantined:,} quarantined",
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
        err.print(f"warning: {name}")
    publication = report.publication
    out.print(
        f"published {publication.id}: {publication.rows['executions']:,} executions, "
        f"load {publication.load_id}, {report.seconds:.1f} s",
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

    with progress("texts") as advance:
        report = run_embed(
            context.obj, embedding_batch_limit=limit, model=model, on_progress=advance
        )
    out.print(
        f"embedded {report.embedded:,} texts, {report.remaining:,} remaining; "
        f"dropped {report.dropped:,}, {report.indexed:,} indexed",
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
        sys.stdout.write(json.dumps(document, default=iso, indent=2) + "\n")
    elif format_ is ReportFormat.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        for one in found.marts:
            writer.writerow(["mart", *one.columns])
            for row in one.rows:
                writer.writerow([one.name, *(cell(value) for value in row)])
    else:
        print_report(found)


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
        **(
            {"hidden events": f"{state.hidden_events:,} from before {state.executions_from}"}
            if state.executions_from
            else {}
        ),
        "last publication": (
            f"{_moment(publication.published_at)}, load {publication.load_id}, "
            f"as of {publication.as_of[:10]}, {publication.rows['executions']:,} executions"
            if publication
            else "never"
        ),
        **_scheduled(state),
        **{f"size of {name}": bytes_text(size) for name, size in state.sizes.items()},
    }
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in lines.items():
        table.add_row(name, value)
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
        with progress("tasks", total=tasks) as advance:
            simulated = asyncio.run(
                simulate(
                    telemetry, Simulation(tasks=tasks, seed=seed), until=until, on_progress=advance
                )
            )
        captured = telemetry.stats()
    out.print(
        f"simulated {simulated.tasks:,} tasks in {simulated.attempts:,} attempts; the hooks wrote "
        f"{captured.captured:,} events",
    )
    with err.status("refreshing"):
        refreshed = run_refresh(home.root, as_of=until.date().isoformat())
    out.print(f"refreshed in {refreshed.seconds:.1f} s")
    print_report(build_report(home, limit=10))
    out.print(f"\nlook around: orb-learning --home {home.root} status")


# After the commands above, which is the order of the help.
app.add_typer(_upkeep.app)
app.add_typer(_migrate.app, name="migrate")
app.add_typer(_quarantine.app, name="quarantine")


def main() -> None:
    """Run the command line; an error is one line on standard error."""
    try:
        app()
    except OrbLearningError as error:
        err.print(f"error: {error}")
        sys.exit(1 if isinstance(error, TransientError) else 2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        err.print(f"error: {error}")
        sys.exit(2)
