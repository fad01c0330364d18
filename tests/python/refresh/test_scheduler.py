"""The scheduler's process: signals, its lock, and the embedder, with dbt left out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from orb_learning.errors import BusyError, HomeError, PermanentError, ProjectError
from orb_learning.home import Home
from orb_learning.refresh import ScheduleState, _embedder, _scheduler, is_scheduled, schedule
from orb_learning.refresh._embedder import Embedder
from orb_learning.refresh._scheduler import Scheduler
from orb_learning.refresh._state import only_scheduler
from publishing import publish_marts

# A scheduler whose turns say when they begin; the first argument is how a turn goes on.
PROGRAM = """
import logging, sys, threading
from orb_learning.refresh._scheduler import Scheduler
from orb_learning.refresh import ScheduleState

logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.WARNING)


class RefreshLoop:
    is_waiting = is_abandoned = False
    state = ScheduleState(1, 1)
    interrupted = threading.Event()

    def run_once(self):
        print("turn", flush=True)
        if sys.argv[1] == "ends":
            return 60.0
        if sys.argv[1] == "waits":
            self.is_waiting = True
        if sys.argv[1] == "finishes":
            while not scheduler._stopping.wait(1):
                pass
            print("finished", flush=True)
            return 0.0
        if sys.argv[1] == "yields":
            self.interrupted.wait()
            return 0.0
        threading.Event().wait()


class Refresher:
    def interrupt(self):
        RefreshLoop.interrupted.set()
        raise RuntimeError("the connection is closed")


scheduler = Scheduler(Refresher(), RefreshLoop(), None, grace_seconds=float(sys.argv[2]))
scheduler.run()
print("done", flush=True)
"""


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    running = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "turn\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("turn", "grace", "said"),
    [
        ("ends", "60", ["done"]),
        ("finishes", "60", ["finished", "done"]),
        ("yields", "0", ["the refresh goes on after 0 s: rolling it back", "done"]),
        ("waits", "60", []),
    ],
)
def test_a_signal_ends_it_with_0(started, number, turn, grace, said):
    process = started(turn, grace)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output.splitlines()) == (0, said)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_refresh_that_does_not_end_is_given_up_at_the_third_signal(started, number, code):
    process = started("stays", "600")
    process.send_signal(number)
    process.send_signal(number)
    # Signals that meet become one, so each waits for what the one before it did.
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(number)
        threading.Event().wait(0.05)
    assert process.returncode == code
    assert process.stdout.read().splitlines() == [
        "the refresh goes on after 600 s: rolling it back",
        "the refresh does not end; the next one takes back what it left half done",
    ]


class TwoTurns:
    """A loop whose second turn is the last."""

    is_waiting = False
    state = ScheduleState(1, 1)

    def __init__(self) -> None:
        self.taken = 0

    def run_once(self) -> float:
        self.taken += 1
        if self.taken == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return 0.01


def test_a_clock_that_is_set_back_puts_no_turn_off(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 0.0)
    loop = TwoTurns()
    Scheduler(None, loop, None, grace_seconds=60).run()
    assert loop.taken >= 2


def test_an_embedder_that_cannot_be_started_keeps_no_turn_from_being_taken(caplog, monkeypatch):
    class Poor:
        def start_if_due(self) -> None:
            raise OSError("too many processes")

        def stop(self) -> None: ...

    monkeypatch.setattr(_scheduler.logger.parent, "propagate", True)
    loop = TwoTurns()
    Scheduler(None, loop, Poor(), grace_seconds=60).run()
    assert loop.taken >= 2
    assert "embedding cannot be started: too many processes" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"interval_seconds": 0.5},
        {"interval_seconds": 241},
        {"interval_seconds": float("nan")},
        {"tests_every_minutes": -1},
        {"grace_seconds": -1},
    ],
)
def test_what_is_out_of_range_is_refused(home, wrong):
    with pytest.raises(PermanentError, match="expected"):
        schedule(home.root, **wrong)
    assert not home.root.exists()


def test_without_dbt_it_says_what_to_install(home, monkeypatch):
    monkeypatch.setattr(_scheduler, "find_spec", lambda _: None)
    with pytest.raises(ProjectError, match="dbt is not installed; run: pip install"):
        schedule(home.root)


def test_a_home_that_others_may_write_is_refused(home):
    home.create()
    home.root.chmod(0o777)
    with pytest.raises(HomeError, match="others may write"):
        schedule(home.root)


def test_one_scheduler_works_on_a_home(home, children):
    home.create()
    assert not is_scheduled(home)
    told, tell = os.pipe()

    def hold() -> None:
        with only_scheduler(home):
            os.write(tell, b"!")
            signal.pause()

    holder = children.start(hold)
    assert os.read(told, 1) == b"!"
    try:
        assert is_scheduled(home)
        with pytest.raises(BusyError, match="another scheduler works on"):
            schedule(home.root)
    finally:
        children.kill(holder)
        os.close(told)
        os.close(tell)
    assert not is_scheduled(home)


@pytest.mark.parametrize("interval", [1, 240])
def test_a_schedule_hands_on_its_seconds_and_minutes(home, monkeypatch, interval):
    made = {}

    class Loop:
        def __init__(self, _: object, state: ScheduleState, **how: object) -> None:
            made.update(how, interval=state.interval_seconds)

    monkeypatch.setattr(_scheduler, "RefreshLoop", Loop)
    monkeypatch.setattr(_scheduler.Scheduler, "run", lambda _: None)
    schedule(home.root, interval_seconds=interval, tests_every_minutes=2, embeds=False)
    assert (made["interval"], made["tests_every_seconds"]) == (interval, 120)
    schedule(home.root, embeds=False)
    assert (made["interval"], made["tests_every_seconds"]) == (60, 3600)


# The embedder


@pytest.fixture
def embedder(home: Home) -> Iterator[Embedder]:
    found = Embedder(home)
    yield found
    found.stop()


def ended(embedder: Embedder) -> int:
    assert embedder._child is not None
    return embedder._child.wait(120)


def test_nothing_is_embedded_before_something_is_published(embedder):
    embedder.start_if_due()
    assert embedder._child is None
    embedder.stop()


def test_a_run_that_fails_is_told_and_waits_for_new_events(embedder, home, monkeypatch, caplog):
    monkeypatch.setenv("ORB_LEARNING_EMBEDDING_MODEL", "/nowhere")
    monkeypatch.setattr(_scheduler.logger.parent, "propagate", True)
    publish_marts(home)
    embedder.start_if_due()
    assert os.getpriority(os.PRIO_PROCESS, embedder._child.pid) == 19
    assert ended(embedder) == 2
    embedder.start_if_due()
    embedder.start_if_due()
    assert embedder._child is None
    assert caplog.messages == ["embedding ended with code 2; trying again after new events"]


def test_nothing_waits_for_a_run_and_stopping_ends_it(embedder, home, monkeypatch):
    publish_marts(home)
    sleeper = subprocess.Popen(["sleep", "600"])
    monkeypatch.setattr(_embedder.subprocess, "Popen", lambda *_, **__: sleeper)
    before = embedder.vectors()
    embedder.start_if_due()
    embedder.start_if_due()
    home.embeddings.mkdir()
    (home.embeddings / "store.json").write_text("{}")
    assert embedder.vectors() == before, "half of a run's vectors are no news"
    embedder.stop()
    assert sleeper.returncode == -signal.SIGTERM
    assert embedder.vectors() != before


def test_a_run_that_does_not_end_is_killed(embedder, home, monkeypatch):
    publish_marts(home)
    script = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(); signal.pause()"
    stubborn = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    monkeypatch.setattr(_embedder.subprocess, "Popen", lambda *_, **__: stubborn)
    monkeypatch.setattr(_embedder, "_CHILD_SECONDS", 0.1)
    with stubborn:
        embedder.start_if_due()
        stubborn.stdout.readline()
        embedder.stop()
    assert stubborn.returncode == -signal.SIGKILL


def test_runs_go_on_until_one_changes_nothing(embedder, home, monkeypatch):
    publish_marts(home)
    home.embeddings.mkdir()
    started = []

    def run(*_: object, **__: object) -> subprocess.Popen[bytes]:
        started.append(1)
        if len(started) < 3:
            (home.embeddings / "store.json").write_text("x" * len(started))
        return real(["true"])

    real = subprocess.Popen
    monkeypatch.setattr(_embedder.subprocess, "Popen", run)
    monkeypatch.setattr(_embedder, "EMBED_EVERY_SECONDS", 0.0)
    for _ in range(6):
        embedder.start_if_due()
        if embedder._child is not None:
            assert ended(embedder) == 0
    assert len(started) == 3


def test_a_host_that_never_stops_does_not_start_a_run_at_every_turn(home, monkeypatch):
    """But at the first turn a minute after the last one, whatever the clock began with."""
    now = 7.0
    monkeypatch.setattr(_embedder.time, "monotonic", lambda: now)
    embedder = Embedder(home)
    publish_marts(home)
    home.embeddings.mkdir()
    started = []
    real = subprocess.Popen

    def run(*_: object, **__: object) -> subprocess.Popen[bytes]:
        started.append(1)
        (home.embeddings / "store.json").write_text("something new")
        return real(["true"])

    monkeypatch.setattr(_embedder.subprocess, "Popen", run)
    embedder.start_if_due()
    assert ended(embedder) == 0
    for now, runs in ((7, 1), (66.9, 1), (67, 2), (126, 2), (500, 3), (559, 3), (560, 4)):
        embedder.start_if_due()
        assert ended(embedder) == 0 if embedder._child else True
        (home.embeddings / "store.json").write_text(f"new at {now}")
        assert len(started) == runs, now


def test_the_command_is_the_embed_command(embedder, home, monkeypatch):
    publish_marts(home)
    commands = []
    environments = []
    real = subprocess.Popen

    def run(command: list[str], env: dict[str, str], **_: object) -> subprocess.Popen[bytes]:
        commands.append(command)
        environments.append(env)
        return real(["true"])

    monkeypatch.setattr(_embedder.subprocess, "Popen", run)
    embedder.start_if_due()
    assert ended(embedder) == 0
    assert commands[0][0] == sys.executable
    assert commands[0][-3:] == ["--home", str(home.root), "embed"]
    assert environments == [{**os.environ, "TTY_COMPATIBLE": "0"}], "no bar between our lines"
