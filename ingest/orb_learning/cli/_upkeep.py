"""Commands for the life of the data: backup, restore, prune, erase."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal

from orb_learning.cli._json import AsJson, print_json
from orb_learning.cli._options import Sure, ask, say_if_new
from orb_learning.cli._show import err, out, progress
from orb_learning.errors import printable
from orb_learning.home import Home, size_of

if TYPE_CHECKING:
    from orb_learning.staging import Found

app = typer.Typer()


@app.command()
def backup(
    context: typer.Context,
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default="<home>/backups", help="Where to.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy staging, the system of record, and read the copy back.

    Hooks go on capturing meanwhile.

    `orb-learning backup --to /mnt/backups`
    """
    from orb_learning import upkeep

    home: Home = context.obj
    with progress(f"copying {decimal(size_of(home.staging))}"):
        made = upkeep.backup(home, to)
    if as_json:
        print_json(made)
        return
    out.print(f"{made.path}: load {made.load_id}, {made.events:,} events")


@app.command()
def restore(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(show_default="the newest in <home>/backups", help="The backup."),
    ] = None,
    yes: Sure = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the place of staging; the next refresh builds everything else from it.

    What was loaded since comes from the segments that are still there. Erasures stay in force.
    The replaced file is kept beside the backups.

    `orb-learning restore --yes`
    """
    from orb_learning import upkeep

    home: Home = context.obj
    ask(f"Replace {home.staging}?", is_sure=yes)
    restored = upkeep.restore(home, file)
    if as_json:
        print_json(restored)
        return
    out.print(
        f"restored load {restored.load_id}, {restored.events:,} events; run `orb-learning refresh`",
    )


@app.command()
def prune(
    context: typer.Context,
    *,
    raw_days: Annotated[
        int | None, typer.Option(help="Days that raw events stay.", show_default="dbt var, 90")
    ] = None,
    derived_days: Annotated[
        int | None, typer.Option(help="Days that executions stay.", show_default="dbt var, 90")
    ] = None,
    segment_days: Annotated[int, typer.Option(help="Days that loaded segments stay.")] = 7,
    today: Annotated[
        datetime | None,
        typer.Option(
            metavar="DATE",
            formats=["%Y-%m-%d"],
            help="The day to count from (UTC), whatever was loaded. Default: today.",
        ),
    ] = None,
    floor: Annotated[
        datetime | None,
        typer.Option(
            metavar="DATE",
            formats=["%Y-%m-%d"],
            help="Remove nothing; show executions from this day on again.",
        ),
    ] = None,
    yes: Sure = False,
    as_json: AsJson = False,
) -> None:
    """Remove what is older than its retention, and publications that are not in force.

    Raw events go by whole tasks. The next refresh builds the warehouse anew. A clock that does not
    fit what was loaded and captured is refused, unless --today says that it is right.

    `orb-learning prune --raw-days 180 --derived-days 90 --yes`
    """
    from orb_learning import upkeep
    from orb_learning.refresh import retention_days
    from orb_learning.staging import lower_floor

    if floor:
        if today or raw_days is not None or derived_days is not None:
            raise typer.BadParameter("--floor removes nothing, so it takes no other option")
        lower_floor(context.obj, floor.date())
        if as_json:
            print_json(upkeep.PruneReport(executions_from=floor.date()))
            return
        out.print(
            f"executions are kept from {floor:%Y-%m-%d} on; the next whole refresh builds "
            "everything anew, and a prune may raise that day again",
        )
        return
    raw, derived = retention_days()
    day = f" on {today:%Y-%m-%d}" if today else ""
    ask(f"Remove what is older than its retention{day}?", is_sure=yes)
    report = upkeep.prune(
        context.obj,
        raw_days=raw if raw_days is None else raw_days,
        derived_days=derived if derived_days is None else derived_days,
        segment_days=segment_days,
        today=today.date() if today else None,
        is_sure=today is not None,
    )
    if as_json:
        print_json(report)
        return
    out.print(
        f"removed {sum(report.rows.values()):,} raw events, {report.segments:,} loaded segments, "
        f"{report.publications:,} publications; {decimal(report.freed_bytes)} freed"
        + (
            f"; kept are executions from {report.executions_from}" if report.executions_from else ""
        ),
    )


@app.command()
def erase(
    context: typer.Context,
    *,
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="A task, by its UUID or the host's name; repeatable."),
    ] = None,
    user: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="A user; repeatable.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Kept with the tombstone.")] = None,
    yes: Sure = False,
    as_json: AsJson = False,
) -> None:
    """Forget tasks or users: after the next refresh nothing of them is left.

    A user's tasks go whole. What was found is shown first. Nothing that arrives later brings them
    back. Backups made before keep them.

    `orb-learning erase --task 5f0c3f1e-8f6b-4c51-9d6a-0d3b6a3f7f10 --yes`
    """
    from orb_learning.upkeep import preview_erasure, request_erasure

    home: Home = context.obj
    say_if_new(home)
    found = preview_erasure(home, tasks=task or [], users=user or [])
    (err if as_json else out).print(_told(found))
    named = [f"task {name}" for name in task or ()] + [f"user {name}" for name in user or ()]
    ask(printable(f"Forget {', '.join(named)} for good?"), is_sure=yes)
    count = request_erasure(home, tasks=task or [], users=user or [], reason=reason)
    if as_json:
        print_json({"found": found, "requested": count})
        return
    out.print(f"{count:,} to be erased by the next refresh")


def _told(found: Found) -> str:
    if not found:
        return "nothing of them was found; what arrives later goes at once"
    parts = [
        f"{_count(found.tasks, 'task')}"
        + (f" ({found.shared_tasks:,} of them another user's too)" if found.shared_tasks else ""),
        f"{_count(found.feedback, 'feedback')} on other tasks",
        f"{_count(found.quarantined, 'line')} in quarantine",
    ]
    return f"found {', '.join(parts)}; {_count(found.events, 'event')} in all"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 or what == 'feedback' else 's'}"
