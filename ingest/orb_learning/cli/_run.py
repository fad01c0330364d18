"""The commands that keep the marts fresh: `load`, `refresh`, `schedule`, `embed` and `dbt`."""

from __future__ import annotations

import shlex
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orb_learning.cli._json import AsJson, print_json
from orb_learning.cli._show import err, out, progress
from orb_learning.home import Home

if TYPE_CHECKING:
    from orb_learning.refresh import Turn

app = typer.Typer()


@app.command()
def load(context: typer.Context, as_json: AsJson = False) -> None:
    """Load the spool into staging.

    `dbt run`, `dbt build` and `orb-learning refresh` do this by themselves.

    `orb-learning load`
    """
    from orb_learning.upkeep import take_in

    with progress("loading", "lines") as bar:
        report = take_in(context.obj, on_progress=bar.count, on_share=bar.reach)
    if as_json:
        print_json(report)
        return
    out.print(
        f"load {report.load_id}: {report.lines:,} lines, {report.loaded:,} loaded, "
        f"{report.duplicates:,} duplicates, {report.quarantined:,} quarantined",
    )


@app.command()
def refresh(
    context: typer.Context,
    *,
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="The day all windows end, like 2026-06-15 (UTC), tomorrow at the latest.",
            show_default="today",
        ),
    ] = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Build every table from scratch.")
    ] = False,
    publish: Annotated[
        bool, typer.Option("--publish", help="Publish also as of a day before the publication's.")
    ] = False,
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Build and publish in this directory instead; the home's publication stays. "
            "`--home DIR` reads it.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Load, build, test and publish.

    Does what `dbt build` does, and says less. As of a day before the publication's, it builds and
    does not publish unless told to, for others read the publication.

    `orb-learning refresh`
    """
    from orb_learning.refresh import refresh as run_refresh
    from orb_learning.upkeep import refresh_into

    home: Home = context.obj
    with progress("refreshing") as bar:
        if into is None:
            report = run_refresh(
                home.root,
                as_of=as_of,
                full_refresh=full_refresh,
                publish=publish,
                on_progress=bar.pass_node,
            )
        else:
            report = refresh_into(home, into, as_of=as_of, on_progress=bar.pass_node)
    for name in report.warnings:
        err.print(f"warning: {name}")
    if as_json:
        print_json(report)
        return
    publication = report.publication
    if not report.is_published:
        out.print(
            f"built as of {as_of} in {report.seconds:.1f} s, not published: the publication is of "
            f"{publication.as_of[:10]}; --publish replaces it, --into DIR makes one beside it",
        )
        return
    out.print(
        f"published {publication.id}: {publication.rows['executions']:,} executions, "
        f"load {publication.load_id}, {report.seconds:.1f} s",
    )
    if into is not None:
        out.print(f"read it with: orb-learning --home {shlex.quote(str(into))} report")


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
    tests; until they pass nothing is published. A terminal shows a line a turn; one that fails is
    in the log, as everywhere.

    Exit codes: 0 after a signal, with the running refresh finished or rolled back; 143 or 130 if it
    would not end.

    `orb-learning schedule --interval 60`
    """
    from orb_learning.refresh import schedule as run_schedule

    home: Home = context.obj
    run_schedule(
        home.root,
        interval_seconds=interval,
        tests_every_minutes=tests_every,
        grace_seconds=grace,
        embeds=embeds,
        on_turn=_print_turn if out.is_terminal else None,
    )


def _print_turn(turn: Turn) -> None:
    if turn.load_id is None:
        did = "nothing new"
    else:
        events = "" if turn.events is None else f", {turn.events:,} new events"
        did = f"load {turn.load_id}{events}, {turn.seconds:.1f} s"
    due = turn.began_at + timedelta(seconds=turn.seconds + turn.next_in_seconds)
    with suppress(OSError):  # of a terminal that is gone; the refreshes go on
        out.print(f"{turn.began_at:%Y-%m-%d %H:%M:%S} UTC: {did}; next at {due:%H:%M:%S}")


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
    as_json: AsJson = False,
) -> None:
    """Embed what was executed, for similarity search.

    Each distinct content is embedded once. Refreshes go on meanwhile; the next one publishes the
    vectors. Needs the extra `embeddings`.

    `orb-learning embed --limit 1000`
    """
    from orb_learning.embeddings import embed as run_embed

    with progress("embedding", "texts") as bar:
        report = run_embed(
            context.obj,
            embedding_batch_limit=limit,
            model=model,
            on_progress=bar.count,
            on_share=bar.reach,
        )
    if as_json:
        print_json(report)
        return
    out.print(
        f"embedded {report.embedded:,} texts, {report.remaining:,} remaining; "
        f"dropped {report.dropped:,}, {report.indexed:,} indexed",
    )


@app.command(
    add_help_option=False,
    context_settings={
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "allow_interspersed_args": False,
        "help_option_names": [],
    },
    options_metavar="ARGS...",
)
def dbt(context: typer.Context) -> None:
    """Run dbt on orb-learning's own project and the home, from anywhere.

    Everything behind `dbt` goes to dbt as it is, `--help` too; `--home` stands before it. The exit
    code is dbt's. What dbt writes is in the home, in `target/` and `logs/`. Needs the extra `dbt`.

    `orb-learning dbt build --select tier_performance+`
    """
    from orb_learning.refresh import run_dbt

    raise typer.Exit(run_dbt(context.obj, context.args))
