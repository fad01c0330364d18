"""The command line run in this process, and all of its commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import typer

from orb_learning import cli
from orb_learning.home import HOME_VARIABLE, LOCK_TIMEOUT_VARIABLE


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Return the one JSON document that standard output holds, and nothing else."""
        return json.loads(self.out, parse_constant=pytest.fail)


@pytest.fixture
def run(monkeypatch, capsys, home) -> Callable[..., Ended]:
    """Run the command line in this process, on the test's home unless another is named."""
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    monkeypatch.delenv(LOCK_TIMEOUT_VARIABLE, raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: object, at: object = None) -> Ended:
        options = [] if at == "" else ["--home", str(at or home.root)]
        command = ["orb-learning", *options, *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        # As under the script of that name; `python -m pytest` would be the program of the help.
        monkeypatch.setattr(sys.modules["__main__"], "__package__", "")
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return Ended(ended.value.code or 0, out, err)

    return call


def failed(ended: Ended) -> str:
    """Return the one line that a failure prints."""
    assert ended.out == ""
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    return ended.err.removeprefix("error: ").rstrip()


def _commands(group: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, *path, name)
        else:
            yield (*path, name), command


ROOT = typer.main.get_command(cli.app)
COMMANDS = dict(_commands(ROOT))
