"""The options of every command, and `main`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from copy import copy
from enum import StrEnum
from functools import partial
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from orb_learning._interrupt import end_at_interrupt, run_beside
from orb_learning.cli import (
    _ask,
    _bring,
    _imports,
    _migrate,
    _quarantine,
    _query,
    _read,
    _report,
    _run,
    _upkeep,
)
from orb_learning.cli._show import err, is_plain, out
from orb_learning.errors import OrbLearningError, TransientError, printable
from orb_learning.home import Home
from orb_learning.logs import configure


class Commands(TyperGroup):
    """The commands, each beside the main thread, which is free to answer Ctrl-C.

    Each takes the options that stand before its name behind it, too, but for one that hands on
    everything behind its name.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        shared = [option for option in self.params if option.name in SHARED]
        for command in self.commands.values():
            _pass_on(command, shared)


SHARED = ("home", "verbose", "log_format")

_ANSWERS_SIGNALS = ("schedule",)
"""What handles them itself, which only the main thread can."""


def _pass_on(command: Any, options: list[Any]) -> None:
    if command.context_settings.get("ignore_unknown_options"):
        return
    for option in options:
        own = copy(option)
        own.default = own.envvar = None  # what is not said here was said before, or nowhere
        own.expose_value = False
        own.callback = _take
        own.rich_help_panel = "Options of every command"
        command.params.append(own)
    for inner in (inside := getattr(command, "commands", {})).values():
        _pass_on(inner, options)
    if not inside and command.name not in _ANSWERS_SIGNALS:
        command.invoke = partial(_invoke, command.invoke)


def _invoke(command: Callable[[typer.Context], object], context: typer.Context) -> object:
    result: object = None
    raised: BaseException | None = None

    def work() -> None:
        nonlocal result, raised
        try:
            with context.scope(cleanup=False):  # each thread has a current one of its own
                result = command(context)
        except BaseException as error:
            raised = error

    run_beside(work)
    if raised is not None:
        raise raised
    return result


def _take(context: typer.Context, option: Any, value: object) -> None:
    if value:
        root = context.find_root()
        root.params[option.name] = value
        context.obj = _set_up(root.params)


def _set_up(given: dict[str, Any]) -> Home:
    is_verbose, style = given.get("verbose"), given.get("log_format") or LogStyle.TEXT
    configure(logging.DEBUG if is_verbose else logging.WARNING, LogStyle(style).value)
    home = Home.locate(given.get("home"))
    home.check_owner()
    return home


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
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
    input or the set-up must change first; 130 it was interrupted.
    """
    context.obj = _set_up({"home": home, "verbose": verbose, "log_format": log_format})


PANELS = {
    "Bring in": (_bring.app,),
    "Build": (_run.app,),
    "Ask": (_report.app, _ask.app, _query.app, _read.app),
    "Look after": (_upkeep.app,),
}
"""The commands in the order of the help."""

for panel, groups in PANELS.items():
    for group in groups:
        for command in group.registered_commands:
            command.rich_help_panel = panel
        app.add_typer(group)
app.add_typer(_imports.app, name="imports", rich_help_panel="Bring in")
app.add_typer(_quarantine.app, name="quarantine", rich_help_panel="Look after")
app.add_typer(_migrate.app, name="migrate", rich_help_panel="Look after")


def main() -> None:
    """Run the command line; an error is one line on standard error, and so is Ctrl-C."""
    end_at_interrupt()
    if isinstance(sys.stdout, TextIOWrapper) and is_plain():
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except OrbLearningError as error:
        err.print(f"error: {error}")
        sys.exit(1 if isinstance(error, TransientError) else 2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        err.print(f"error: {printable(str(error))}")
        sys.exit(2)
