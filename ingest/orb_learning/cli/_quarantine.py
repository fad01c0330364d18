"""`orb-learning quarantine`: what could not be loaded."""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Annotated
from uuid import UUID

import typer

from orb_learning.cli._json import AsJson, print_json
from orb_learning.cli._options import Sure, ask, say_if_new
from orb_learning.cli._show import err, out, shown
from orb_learning.cli._words import StatusWords, taught
from orb_learning.errors import HomeError, printable

SHOWN_LINES = 5
"""Of one reason, where people read."""

app = typer.Typer(no_args_is_help=True, help="See what could not be loaded, and load it.")


@app.command(name="list")
def quarantine_list(
    context: typer.Context,
    limit: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="At most so many, the newest first.")
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """List what could not be loaded, by the reason, the newest first.

    `orb-learning quarantine list`
    """
    from orb_learning import staging

    say_if_new(context.obj)
    rows = staging.list_quarantine(context.obj, limit=limit)
    if as_json:
        print_json(rows)
        return
    of_reason = defaultdict(list)
    for row in rows:
        of_reason[row.reason].append(row)
    for reason, lines in of_reason.items():
        plural = "" if len(lines) == 1 else "s"
        out.print(f"{len(lines):,} line{plural}: {shown(reason)}", soft_wrap=False)
        for row in lines[:SHOWN_LINES]:
            out.print(f"  {row.quarantine_id}  load {row.load_id}  {shown(row.claimed_type)}")
        if len(lines) > SHOWN_LINES:
            out.print(f"  and {len(lines) - SHOWN_LINES:,} more; --json has them all")


@app.command()
def show(
    context: typer.Context,
    quarantine_id: Annotated[UUID, typer.Argument(metavar="ID", help="Which one.")],
    as_json: AsJson = False,
) -> None:
    """Show one line in quarantine whole.

    `orb-learning quarantine show 0199c3a0-0000-7000-8000-000000000000`
    """
    from orb_learning import staging

    say_if_new(context.obj)
    rows = staging.list_quarantine(context.obj, only=quarantine_id)
    if not rows:
        raise HomeError(f"{quarantine_id} is not in quarantine; see `orb-learning quarantine list`")
    (row,) = rows
    if as_json:
        print_json(row)
        return
    out.print(
        f"{row.quarantine_id}, load {row.load_id}, {row.segment} from byte {row.byte_offset:,}\n"
        f"{printable(row.reason)}",
    )
    sys.stdout.write(printable(row.line.decode("utf-8", "backslashreplace"), keep="\n\t") + "\n")


@app.command()
def replay(
    context: typer.Context,
    quarantine_id: Annotated[
        UUID | None, typer.Argument(metavar="[ID]", help="Only this one.")
    ] = None,
    status_word: StatusWords = None,
    as_json: AsJson = False,
) -> None:
    """Load what this release can read, as if it had never been refused.

    `orb-learning quarantine replay --status-word green=success`
    """
    from orb_learning import staging

    report = staging.replay_quarantine(
        context.obj, only=quarantine_id, status_words=taught(status_word)
    )
    if as_json:
        print_json(report)
        return
    out.print(
        f"{report.loaded:,} loaded, {report.duplicates:,} duplicates, "
        f"{len(report.still_invalid):,} still invalid",
    )
    for number, (row, reason) in enumerate(report.still_invalid.items()):
        if number < 10:
            err.print(f"still invalid: {row}: {printable(reason)}")


@app.command()
def discard(
    context: typer.Context,
    *,
    quarantine_id: Annotated[
        list[UUID] | None, typer.Argument(metavar="[ID]...", help="Only these.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only those with this in their reason.")
    ] = None,
    import_id: Annotated[
        str | None,
        typer.Option("--import", metavar="ID", help="Only what this import had refused."),
    ] = None,
    yes: Sure = False,
    as_json: AsJson = False,
) -> None:
    """Take lines that nobody will mend out of quarantine and spool, for good.

    `orb-learning quarantine discard --import runs-20261130-1f0c2a --yes`
    """
    from orb_learning import upkeep

    if not (quarantine_id or reason or import_id):
        raise typer.BadParameter("name lines by ID, --reason or --import")
    say_if_new(context.obj)
    lines = upkeep.in_quarantine(
        context.obj, ids=quarantine_id or (), reason=reason, import_id=import_id
    )
    discarded = 0
    if lines:
        ask(f"Discard {len(lines):,} lines for good?", is_sure=yes)
        discarded = upkeep.discard(context.obj, lines)
    if as_json:
        print_json({"discarded": discarded})
    elif lines:
        out.print(f"{discarded:,} discarded")
    else:
        out.print("nothing in quarantine is like that")
