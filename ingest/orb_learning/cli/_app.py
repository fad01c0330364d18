"""The options of every command, and `main`."""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from orb_learning.cli import _bring, _migrate, _quarantine, _read, _run, _upkeep
from orb_learning.cli._show import err, out
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


# In the order of the help.
for commands in (_bring, _run, _read, _upkeep):
    app.add_typer(commands.app)
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
