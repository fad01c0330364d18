"""How work goes on: told on standard error, where that is a terminal, and nowhere else."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from commands import Ended
from orb_learning import embeddings, refresh, upkeep
from orb_learning.cli import _bring, _run, _show
from orb_learning.cli._show import DataConsole, progress
from orb_learning.embeddings import EmbeddingReport
from orb_learning.home import Home
from orb_learning.refresh import RefreshReport, Turn
from orb_learning.upkeep import Backup
from publishing import publish_marts
from test_importer import ROW, write_json

Run = Callable[..., Ended]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Make standard error a terminal; return what it shows, without the commands to it."""
    written = io.StringIO()
    console = DataConsole(file=written, force_terminal=True, width=80)
    for module in (_show, _bring, _run):
        monkeypatch.setattr(module, "err", console)
    return lambda: re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", written.getvalue())


def shown(terminal: Callable[[], str], work: Callable[[Any], object], *how: Any) -> str:
    with progress(*how) as bar:
        work(bar)
    return terminal()


def test_a_count_and_a_share_are_shown(terminal):
    def work(bar: Any) -> None:
        bar.count(1_500)
        bar.reach(30, 60)

    assert "1,500 rows 50 %" in shown(terminal, work, "reading", "rows")


def test_a_count_of_a_known_number_is_a_share(terminal):
    assert "3 tasks 75 %" in shown(terminal, lambda bar: bar.count(3), "simulating", "tasks", 4)


def test_without_a_share_there_is_none(terminal):
    text = shown(terminal, lambda bar: bar.say("[bold] \x1b[2J"), "copying")
    assert "[bold]" in text
    assert "%" not in text


def test_the_rest_of_the_time_is_told_once_a_speed_is_known(terminal):
    def work(bar: Any) -> None:
        for done in range(1, 5):
            bar.reach(done, 8)

    text = shown(terminal, work, "loading")
    assert re.search(r"50 %, 0:[0-9]{2}:[0-9]{2} left", text)


def test_an_import_a_load_and_a_backup_tell_how_far_they_are(run, home, tmp_path, terminal):
    file = write_json(tmp_path / "runs.jsonl", [ROW] * 3)
    run("import", file)
    assert "3 rows 100 %" in terminal()
    run("load")
    assert "3 lines 100 %" in terminal()
    run("backup")
    assert re.search(r"copying [0-9.]+ [kM]?B", terminal())


def test_nothing_of_it_is_shown_where_the_terminal_is_anothers(monkeypatch):
    """As a scheduler says to the embedding run that it starts."""
    monkeypatch.setenv("TTY_COMPATIBLE", "0")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert not DataConsole(stderr=True).is_terminal


def test_a_refresh_names_the_model_and_then_publishes(run, home, terminal, monkeypatch, tmp_path):
    said: list[str] = []

    def work(*_: Any, on_progress: Any, **__: Any) -> RefreshReport:
        on_progress("executions", 1, 4)
        said.append("begun")
        if into:
            on_progress("executions", 4, 4)
        return RefreshReport(publish_marts(Home(home.root)), [], 1.0)

    monkeypatch.setattr(refresh, "refresh", work)
    monkeypatch.setattr(upkeep, "refresh_into", work)
    into: list[object] = []
    run("refresh")
    assert "1 of 4: executions 25 %" in terminal()
    into = ["--into", tmp_path / "june"]
    run("refresh", *into)
    assert "publishing 100 %" in terminal()
    assert said == ["begun", "begun"]


def test_an_embedding_run_tells_how_far_it_is(run, terminal, monkeypatch):
    def work(*_: Any, on_progress: Any, on_share: Any, **__: Any) -> EmbeddingReport:
        on_progress(512)
        on_share(512, 1024)
        return EmbeddingReport(512, 0, 0, 0)

    monkeypatch.setattr(embeddings, "embed", work)
    run("embed")
    assert "512 texts 50 %" in terminal()


def test_nothing_of_it_is_shown_in_a_pipe(run, home, tmp_path, monkeypatch):
    monkeypatch.setattr(upkeep, "backup", lambda *_: Backup(Path("a"), 1, 1))
    file = write_json(tmp_path / "runs.jsonl", [ROW])
    assert run("import", file).err.startswith("note: ")
    assert (run("load").err, run("backup").err) == ("", "")


# A scheduler's turns


@pytest.mark.parametrize(
    ("turn", "line"),
    [
        (Turn(NOON, 12, 1_234, 3.21, 56.79), "load 12, 1,234 new events, 3.2 s; next at 12:01:00"),
        (Turn(NOON, 12, None, 3.21, 0.0), "load 12, 3.2 s; next at 12:00:03"),
        (Turn(NOON, None, None, 0.01, 59.99), "nothing new; next at 12:01:00"),
    ],
)
def test_a_scheduler_shows_a_line_a_turn_on_a_terminal(run, monkeypatch, turn, line):
    written = io.StringIO()
    monkeypatch.setattr(_run, "out", DataConsole(file=written, force_terminal=True, width=80))
    monkeypatch.setattr(refresh, "schedule", lambda *_, on_turn, **__: on_turn(turn))
    run("schedule")
    assert written.getvalue() == f"2026-03-01 12:00:00 UTC: {line}\n"
