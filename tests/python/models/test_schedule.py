"""Schedules with dbt in them: others get their turn, and what fails or stops leaves nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from orb_learning import Telemetry
from orb_learning.errors import NotPublishedError
from orb_learning.home import Home
from orb_learning.publication import current
from orb_learning.refresh import Refresher, ScheduleState, Turn
from orb_learning.refresh._loop import RefreshLoop
from orb_learning.upkeep import read_status, take_in
from warm_dbt import leave_parse

from .test_dbt_is_the_job import PROJECT, dbt, outcomes
from .warehouse import Warehouse

PROGRAM = [sys.executable, "-c", "from orb_learning.cli import main; main()"]

Start = Callable[..., "subprocess.Popen[str]"]


def until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Poll until something holds; a process that ends meanwhile is a failure."""
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def executions(home: Home) -> int:
    try:
        return current(home).rows["executions"]
    except NotPublishedError:
        return -1


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running = []

    def run(home: Home, *options: str, project: Path = PROJECT) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*PROGRAM, "--home", str(home.root), "schedule", "--no-embed", *options],
            env={**os.environ, "ORB_LEARNING_PROJECT": str(project)},
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def test_a_scheduler_publishes_lets_others_have_their_turn_and_finishes_at_sigterm(
    start: Start, tmp_path: Path, parsed: Refresher
) -> None:
    home = Home(tmp_path / "home")
    leave_parse(parsed, home)
    scheduler = start(home, "--interval", "1")
    until(lambda: executions(home) == 0, scheduler)

    # New events at every moment, so that every turn refreshes and none leaves more than a breath.
    with Telemetry(home.root, strict=True) as telemetry:
        beside = subprocess.Popen(
            [PROGRAM[0], "-c", PROGRAM[2], "--home", str(home.root), "load"],
            stdout=subprocess.PIPE,
            text=True,
        )
        captured = 0
        while beside.poll() is None:
            telemetry.capture_routing_outcome_sync(task_id=f"{captured}", success=True)
            captured += 1
            time.sleep(0.01)
        assert beside.communicate()[0].startswith("load ")
        assert beside.returncode == 0
        second = dbt(home, "run", ORB_LEARNING_LOCK_TIMEOUT="60")
        assert second.returncode == 0, second.stdout

        until(lambda: executions(home) == captured, scheduler)
        state = read_status(home)
        assert state.is_scheduled
        assert state.schedule is not None
        assert (state.schedule.process, state.schedule.failures) == (scheduler.pid, 0)

        refused = subprocess.run(
            [*PROGRAM, "--home", str(home.root), "schedule"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
        assert "another scheduler works on" in refused.stderr

        loaded = home.staging.stat().st_mtime_ns
        telemetry.capture_routing_outcome_sync(task_id="last", success=True)
    until(lambda: home.staging.stat().st_mtime_ns != loaded, scheduler)
    scheduler.send_signal(signal.SIGTERM)
    _, said = scheduler.communicate(timeout=180)

    assert scheduler.returncode == 0, said
    assert [line for line in said.splitlines() if "; waiting up to" not in line] == []
    assert executions(home) == captured + 1
    assert not read_status(home).is_scheduled
    with duckdb.connect(str(home.warehouse)):
        assert take_in(home).lines == 0


def test_a_refresh_that_takes_longer_than_the_grace_is_rolled_back(
    start: Start, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    for part in ("macros", "tests/generic"):
        shutil.copytree(PROJECT / part, project / part)
    for file in ("dbt_project.yml", "profiles.yml", "selectors.yml"):
        shutil.copy(PROJECT / file, project)
    (project / "models" / "staging").mkdir(parents=True)
    endless = "select count(*) as n from range(10000000000) as a, range(10000000000) as b"
    (project / "models" / "staging" / "endless.sql").write_text(
        "{{ config(materialized='table') }} " + endless
    )
    home = Home(tmp_path / "home")
    outcomes(home, 1)
    log = home.root / "logs" / "dbt.log"
    scheduler = start(home, "--grace", "0", project=project)
    until(lambda: log.exists() and "create  table" in log.read_text(), scheduler)

    scheduler.send_signal(signal.SIGINT)
    _, said = scheduler.communicate(timeout=180)

    assert scheduler.returncode == 0, said
    assert said.splitlines() == [
        "WARNING the refresh goes on after 0 s: rolling it back",
        "WARNING the refresh was rolled back; the last publication stands",
    ]
    assert executions(home) == -1
    with duckdb.connect(str(home.warehouse)) as warehouse:
        assert warehouse.execute("select * from duckdb_tables()").fetchall() == []
    assert take_in(home).lines == 0, "what was loaded stays loaded"


def test_until_a_test_passes_nothing_is_published_and_others_get_their_turn(
    tmp_path: Path, parsed: Refresher
) -> None:
    warehouse = Warehouse(tmp_path / "home", parsed)
    home = warehouse.home
    told: list[Turn] = []
    turns = RefreshLoop(
        warehouse.refresher,
        ScheduleState(os.getpid(), 60),
        tests_every_seconds=0,
        on_turn=told.append,
    )
    outcomes(home, 2)
    turns.run_once()
    before = current(home).id
    with duckdb.connect(str(home.staging)) as staging:
        staging.execute("create table main.kept as from raw.routing_outcome limit 1")
        staging.execute(
            "delete from raw.routing_outcome where event_id in (select event_id from main.kept)"
        )

    for failures in (1, 2):
        outcomes(home, 1, tag=f"new-{failures}-")
        assert turns.run_once() in (5, 10)
        assert turns.state.failures == failures
        assert "accounts_for_every_row" in str(turns.state.error)
        assert current(home).id == before
        # A failed run keeps no file: another process may load and open what it likes.
        subprocess.run(
            [*PROGRAM, "--home", str(home.root), "load"],
            check=True,
            timeout=60,
            capture_output=True,
        )
        duckdb.connect(str(home.warehouse)).close()

    with duckdb.connect(str(home.staging)) as staging:
        staging.execute("insert into raw.routing_outcome from main.kept")
        staging.execute("drop table main.kept")
    turns.run_once()

    assert turns.state.failures == 0
    assert executions(home) == 4
    again = current(home).id
    turns.run_once()
    assert current(home).id == again, "nothing new, nothing published"
    newest = current(home).load_id
    assert [(turn.load_id, turn.events) for turn in told] == [(1, 2), (newest, 2), (None, None)]
