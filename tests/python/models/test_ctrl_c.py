"""Ctrl-C at any moment of a refresh: one line, 130, and the next refresh is whole."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from orb_learning import Telemetry
from orb_learning.home import Home
from orb_learning.publication import Publication, current
from orb_learning.refresh import Refresher
from orb_learning.staging import faults
from warm_dbt import leave_parse

from .test_dbt_is_the_job import PROJECT

PROGRAM = "from orb_learning.__main__ import main; main()"

# At a crash point the work is not killed: it goes no further, as if what follows took for ever.
HANGING = f"""
import os, sys, threading, types
from orb_learning import _faults
def hang(*_):
    open(os.environ["REACHED"], "w").close()
    threading.Event().wait()
_faults.os = types.SimpleNamespace(getpid=os.getpid, kill=hang)
{PROGRAM}
"""


@pytest.fixture(autouse=True)
def not_ignored() -> Iterator[None]:
    """Let children begin with a SIGINT that works, though this one may run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def start(home: Home, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    running = []

    def run(*arguments: str, hang_at: str = "") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                HANGING if hang_at else PROGRAM,
                "--home",
                home.root,
                *arguments,
            ],
            env={
                **os.environ,
                "ORB_LEARNING_PROJECT": str(PROJECT),
                "ORB_LEARNING_CRASH_AT": hang_at,
                "REACHED": str(tmp_path / hang_at),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def until(reached: Callable[[subprocess.Popen[str]], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not reached(process):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def interrupt(process: subprocess.Popen[str]) -> None:
    """Send Ctrl-C, and see the process end as it should."""
    process.send_signal(signal.SIGINT)
    # Two seconds of a machine that gives this process its turns: one that does not stretches these
    # sleeps as it stretches the other's end.
    for _ in range(200):
        if process.poll() is not None:
            break
        time.sleep(0.01)
    assert process.poll() == 130
    said, complaint = process.communicate()
    assert said == ""
    assert re.fullmatch(r"interrupted; [^\n]+\n", complaint)


def readable(home: Home) -> tuple[Publication, int]:
    """Return what is in force, and how many executions its readers find."""
    with duckdb.connect(str(home.learning_db), read_only=True) as reader:
        ((rows,),) = reader.execute("select count(*) from executions").fetchall()
    assert current(home).rows["executions"] == rows
    return current(home), rows


def test_a_refresh_ends_at_any_moment_and_leaves_nothing_half_published(
    home, start, tmp_path, parsed
):
    leave_parse(parsed, home)
    tasks = 0

    def capture() -> None:
        nonlocal tasks
        tasks += 1
        with Telemetry(home.root, strict=True) as telemetry:
            telemetry.capture_routing_outcome_sync(task_id=f"task-{tasks}", success=True)

    capture()
    first = start("refresh")
    assert first.wait(600) == 0, first.communicate()
    published = readable(home)
    log = home.root / "logs" / "dbt.log"

    def loads(library: str) -> Callable[[subprocess.Popen[str]], bool]:
        return lambda process: library in Path(f"/proc/{process.pid}/maps").read_text()

    def logs(text: str) -> Callable[[subprocess.Popen[str]], bool]:
        begin = log.stat().st_size
        return lambda _: text in log.read_text()[begin:]

    capture()
    # While the command is loaded, then dbt; while dbt parses, then builds.
    for sign, text in (
        *((loads, "/pydantic_core/"), (loads, "/_duckdb")),
        *((logs, "Running with dbt="), (logs, "Concurrency: ")),
    ):
        reached = sign(text)
        running = start("refresh")
        until(reached, running)
        interrupt(running)
        assert readable(home) == published
    for command, point in (
        ("load", "load.begun"),
        ("refresh", "publish.copied"),
        ("refresh", "publish.current"),
    ):
        capture()  # so that there is something to load
        running = start(command, hang_at=point)
        until(lambda _, point=point: (tmp_path / point).exists(), running)
        interrupt(running)
        assert readable(home)[1] == (tasks if point == "publish.current" else published[1])

    capture()
    last = start("refresh")
    assert last.wait(600) == 0, last.communicate()
    assert readable(home)[1] == tasks
    assert list(home.published.glob(".*")) == []
    with duckdb.connect(str(home.staging), read_only=True) as staging:
        assert faults(staging) == []


@pytest.mark.parametrize("command", [("load",), ("backup",), ("prune", "--yes")], ids=" ".join)
def test_a_command_that_waits_for_another_process_ends_too(home, start, command):
    with home.locked():
        running = start(*command)
        assert "; waiting up to" in running.stderr.readline()
        interrupt(running)


def test_a_command_that_a_shell_started_in_the_background_goes_on_ignoring_it(home, start):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with home.locked():
        running = start("load")
        assert "; waiting up to" in running.stderr.readline()
        running.send_signal(signal.SIGINT)
    assert running.wait(60) == 0


def test_the_library_handles_no_signals(home, parsed):
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    refresher = Refresher(home.root)
    refresher._manifest = parsed._manifest
    refresher.refresh()
    assert [signal.getsignal(number) for number in signal.valid_signals()] == handlers
