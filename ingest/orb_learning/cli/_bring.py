"""The commands that bring histories in: `import` and `demo`."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from orb_learning.cli._json import AsJson, print_json
from orb_learning.cli._program import as_typed, this_program
from orb_learning.cli._report import print_answers
from orb_learning.cli._show import cut, err, out, print_table, progress
from orb_learning.cli._words import StatusWords, taught
from orb_learning.errors import ProjectError, printable
from orb_learning.events import UNHASHED
from orb_learning.home import Home

if TYPE_CHECKING:
    from orb_learning.demo import Week
    from orb_learning.importer import ImportReport

app = typer.Typer()

LONGEST_SHOWN = 200

ENOUGH_TO_LEARN_FROM = 2_000
"""Tasks of a demonstration from which on its router asks; below, there is nothing to be told."""

_NOT_SHOWN = {"event_id", "event_type", "schema_version", *UNHASHED}


def _list_presets(name: str | None) -> str | None:
    """Describe the presets and end, if that is what is asked for."""
    if name == "list":
        from orb_learning.importer import PRESETS

        for preset in PRESETS.values():
            out.print(f"{preset.name}: {preset.files}")
            if preset.say:
                out.print(f"  to be said with --map: {', '.join(preset.say)}")
            for source in preset.written_from:
                out.print(f"  written from {source}")
            out.print(f"  a real export was read: {preset.tried or 'no'}")
        raise typer.Exit
    return name


@app.command(name="import")
def import_(
    context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(help="JSON, CSV or Parquet, packed or not; - is standard input."),
    ],
    *,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NAME",
            help="Read files of another tool by its preset; `--from list` shows them.",
            callback=_list_presets,
            is_eager=True,
        ),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=PATH",
            help="Take a field from elsewhere in the row, or say it: FIELD='TEXT'; repeatable.",
        ),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Where in a JSON object the rows are; . is all of it."),
    ] = None,
    assume_utc: Annotated[
        bool | None,
        typer.Option(
            "--assume-utc/--no-assume-utc",
            help="Read times without an offset as UTC.",
            show_default="no, or what the preset says",
        ),
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The zone of times without an offset, as Europe/Berlin."),
    ] = None,
    time_format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT", help="How times are written, as '%m/%d/%Y %I:%M %p' (strptime)."
        ),
    ] = None,
    attempts_from: Annotated[
        int, typer.Option(min=0, max=1, help="The number of a task's first attempt in the files.")
    ] = 1,
    quality_scale: Annotated[
        int | None,
        typer.Option(
            help="The best quality score: 100, or 1 where they are from 0 to 1.",
            show_default="100, or what the preset says",
        ),
    ] = None,
    status_word: StatusWords = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing; show what would be recorded.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Record finished executions from files.

    Rows go to the spool and are loaded by the next refresh; rows that cannot be accepted go to
    quarantine with the reason, and the exit code is 2. A file that holds no runs is refused whole.
    Importing a file twice in the same way changes nothing; `imports undo` takes an import back.
    docs/importing.md has every field and form.

    `orb-learning import 'runs/*.csv' --map model_tier=Model --map "task_type='bench'"`
    """
    from orb_learning._telemetry import Telemetry
    from orb_learning.capture import QUALITY_SCALES
    from orb_learning.importer import FieldMap, import_files, preset_named

    home: Home = context.obj
    preset = None if from_ is None else preset_named(from_)
    if not dry_run:
        home.create()
    field_map = FieldMap(map_ or [], preset)
    # What is said here comes last and so wins.
    words = {**(preset.words if preset else {}), **taught(status_word)}
    if assume_utc is None:
        assume_utc = bool(preset and preset.assume_utc)
    if quality_scale is None:
        quality_scale = preset.quality_scale if preset else 100
    if quality_scale not in QUALITY_SCALES:
        raise typer.BadParameter("expected 1 or 100", param_hint="--quality-scale")
    with (
        Telemetry(home.root, status_words=words, quality_scale=quality_scale) as telemetry,
        progress("reading", "rows") as bar,
    ):
        report = import_files(
            telemetry,
            files,
            field_map=field_map,
            rows=rows,
            assume_utc=assume_utc,
            timezone=timezone,
            time_format=time_format,
            attempts_from=attempts_from,
            dry_run=dry_run,
            on_progress=bar.count,
            on_share=bar.reach,
        )
    if as_json:
        print_json(report)
    else:
        _show(report, dry_run)
    for reason in report.reasons:
        err.print(f"rejected: {printable(reason)}")
    if report.rows and not dry_run:
        program = this_program()
        if context.find_root().params.get("home"):
            program += f" --home {as_typed(home.root)}"
        err.print(f"note: `{program} imports undo {report.import_id}` takes this back")
    _tell_of_retention(home, report)
    if report.rejected:
        raise typer.Exit(2)


def _show(report: ImportReport, dry_run: bool) -> None:
    if dry_run:
        _show_first(report)
    out.print(
        f"{report.rows:,} rows: {report.recorded:,} recorded, {report.rejected:,} rejected"
        + ("; nothing was written, for this was a dry run" if dry_run else ""),
    )
    if report.replaced:
        out.print(f"{report.replaced:,} of them replace others of the same task and attempt")
    if report.misfits:
        out.print(f"{report.misfits:,} values that no field takes are kept in the metadata")


def _show_first(report: ImportReport) -> None:
    """Print the first rows as they would be recorded, and which columns no field takes."""
    for number, event in enumerate(report.first, start=1):
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column()
        table.add_column(overflow="fold")
        said = event.model_dump(mode="json", exclude_none=True, exclude=_NOT_SHOWN)
        for name, value in said.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            table.add_row(name, cut(text, LONGEST_SHOWN))
        out.print(f"recorded row {number}:")
        print_table(table)
    if report.unused:
        out.print(f"in the metadata only: {', '.join(report.unused)}")


def _tell_of_retention(home: Home, report: ImportReport) -> None:
    """Say of runs that are not shown, or are not for long, that they are too old."""
    from orb_learning.refresh import retention_days
    from orb_learning.upkeep import read_status

    floor = read_status(home).executions_from
    if floor and (hidden := report.before(floor)):
        err.print(
            f"note: {hidden:,} of them began before {floor}, from where executions are kept, and "
            f"will not be shown; `orb-learning prune --floor {min(report.days)}` shows them again"
        )
    try:
        _, days = retention_days()
    except ProjectError:
        return
    first = datetime.now(UTC).date() - timedelta(days=days)
    if old := report.before(first) - report.before(floor or date.min):
        err.print(
            f"note: {old:,} of them began more than {days} days ago; the next `orb-learning prune` "
            "removes them, unless its --derived-days and --raw-days say otherwise"
        )


FIRST_SEED = 7


@app.command()
def demo(
    context: typer.Context,
    tasks: Annotated[int, typer.Option(min=1, help="Tasks to simulate.")] = 20_000,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Equal seeds give equal histories.",
            show_default=f"{FIRST_SEED}, with --keep the next one",
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Add to what the home holds instead of beginning anew.")
    ] = False,
) -> None:
    """Simulate an orchestrator, refresh, and show the report.

    Drives the real hooks for 20,000 tasks over the last 30 days, in a home of its own unless one
    is named. From the middle on its router asks what was learned so far. What an earlier demo
    simulated there is removed first; a home that holds other events is left alone.

    `orb-learning demo`
    """
    import asyncio

    from orb_learning._telemetry import Telemetry
    from orb_learning.demo import (
        Learner,
        Mark,
        Simulation,
        adding_history,
        clear,
        simulate,
        weeks_of,
    )
    from orb_learning.refresh import locate_project, require_dbt
    from orb_learning.refresh import refresh as run_refresh
    from orb_learning.serving import build_report

    home: Home = context.obj
    if context.parent is None or context.parent.params.get("home") is None:
        home = Home(home.root / "demo")
    require_dbt()
    locate_project()
    until = datetime.combine(datetime.now(UTC).date(), time(), UTC)
    with home.locked():
        if not keep:
            clear(home)
        simulation = Simulation(
            tasks=tasks, seed=FIRST_SEED + Mark.of(home).histories if seed is None else seed
        )
        with (
            adding_history(home) as spooled,
            Telemetry(spooled) as telemetry,
            progress("simulating", "tasks", total=tasks) as bar,
        ):
            learner = Learner(spooled) if tasks >= ENOUGH_TO_LEARN_FROM else None
            simulated = asyncio.run(
                simulate(telemetry, simulation, until=until, on_progress=bar.count, learner=learner)
            )
            captured = telemetry.stats()
        out.print(
            f"simulated {simulated.tasks:,} tasks in {simulated.attempts:,} attempts; the hooks "
            f"wrote {captured.captured:,} events",
        )
        with progress("refreshing") as bar:
            refreshed = run_refresh(
                home.root,
                as_of=until.date().isoformat(),
                publish=True,
                on_progress=bar.pass_node,
            )
    out.print(f"refreshed in {refreshed.seconds:.1f} s")
    print_answers(build_report(home, marts=()))
    if learner:
        _print_weeks(weeks_of(home))
    program = f"{this_program()} --home {as_typed(home.root)}"
    out.print("\nlook around:")
    for command in (
        "status",
        "recommend bug_fix --value 2.4",
        "report --mart solution_patterns",
        "dbt docs generate",
    ):
        out.print(f"  {program} {command}")
    out.print(f"  {program} dbt docs serve")


def _print_weeks(weeks: list[Week]) -> None:
    """Print how tasks turned out before and after the router asked the recommender."""
    out.print("\nby week, before and after the router asked what was learned", style="bold")
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("week of")
    for heading in ("tasks", "advised", "solved", "USD a task", "tries a task"):
        table.add_column(heading, justify="right")
    for week in weeks:
        table.add_row(
            f"{week.first_day}",
            f"{week.tasks:,}",
            f"{week.advised:.0%}",
            f"{week.success_rate:.1%}",
            "unknown" if week.mean_cost is None else f"{week.mean_cost:.4f}",
            f"{week.mean_tries:.2f}",
        )
    print_table(table, out.width)
