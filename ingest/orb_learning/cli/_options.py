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
    """Ask, on standard error, before something is done that cannot be taken back.

    Raises:
        typer.Abort: the answer is no.
        HomeError: there is nobody to answer.
    """
    if is_sure:
        return
    while True:
        # Not `typer.confirm`, which writes a space to standard output, where results are.
        err.print(f"{question} [y/N]: ", end="")
        answer = sys.stdin.readline()
        if not answer:
            err.print()
            if sys.stdin.isatty():
                raise typer.Abort
            raise HomeError("nothing was done, for nobody answered; add --yes to do it")
        said = answer.strip().lower()
        if said in ("y", "yes"):
            return
        if said in ("", "n", "no"):
            raise typer.Abort


def say_if_new(home: Home) -> None:
    """Say that a home is not there yet: its name may be misspelled."""
    if not home.root.exists():
        err.print(f"note: {home.root} is a new home: there is no such directory yet")
