"""The command that shows the state of a home: `status`."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import typer
from rich.filesize import decimal
from rich.table import Table

from orb_learning.cli._json import AsJson, print_json
from orb_learning.cli._options import say_if_new
from orb_learning.cli._show import print_table
from orb_learning.errors import printable
from orb_learning.home import Home

if TYPE_CHECKING:
    from orb_learning.upkeep import Status

app = typer.Typer()


@app.command()
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show what waits, what was loaded and published last, and how big it all is.

    `orb-learning status`
    """
    from orb_learning.upkeep import read_status

    home: Home = context.obj
    say_if_new(home)
    state = read_status(home)
    if as_json:
        names = (field.name for field in fields(state))
        print_json({"home": home.root, **{name: getattr(state, name) for name in names}})
        return
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
