"""What several commands have: an answer before they act, a word about a home that is new."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orb_learning.cli._show import err
from orb_learning.errors import HomeError
from orb_learning.home import Home

Sure = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def ask(question: str, *, is_sure: bool) -> None:
    """Ask before something is done that cannot be taken back.

    Raises:
        typer.Abort: the answer is no.
        HomeError: there is nobody to answer.
    """
    if is_sure:
        return
    try:
        answer = typer.confirm(question)
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        raise HomeError("nothing was done, for nobody answered; add --yes to do it") from None
    if not answer:
        raise typer.Abort


def say_if_new(home: Home) -> None:
    """Say that a home is not there yet: its name may be misspelled."""
    if not home.root.exists():
        err.print(f"note: {home.root} is a new home: there is no such directory yet")
