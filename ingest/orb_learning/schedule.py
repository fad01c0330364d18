"""Scheduling: one process that keeps dbt warm and refreshes a home at an interval.

    Scheduler ── takes ──► Turns ── refreshes ──► Refresher    (a thread, one turn at a time)
        └────── minds ──► Embedder ── starts ──► `orb-learning embed`    (a process, low priority)

Each turn plans its successor when it ends, so turns can neither overlap nor pile up: one that is
late is one turn, at once. The main thread only waits for a signal.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, timedelta
from importlib.util import find_spec
from queue import Empty, SimpleQueue
from types import FrameType

from orb_learning._types import utc_now
from orb_learning.errors import BusyError, NotPublishedError, PermanentError, ProjectError
from orb_learning.home import Home
from orb_learning.publication import current
from orb_learning.refresh import Refresher
from orb_learning.turns import (
    LONGEST_INTERVAL_SECONDS,
    ScheduleState,
    Turns,
    version_of,
    write_state,
)

INTERVAL_SECONDS = 60.0
TESTS_EVERY_MINUTES = 60.0
GRACE_SECONDS = 30.0

ROLL_BACK_SECONDS = 10.0
"""What a refresh gets to end once its queries are interrupted."""

EMBED_EVERY_SECONDS = 60.0
"""Between the beginnings of two embedding runs at least: most of a short one is loading."""

_CHILD_SECONDS = 5.0
_WATCH_SECONDS = 5.0
_NICEST = 19

logger = logging.getLogger("orb_learning.schedule")


def schedule(
    home: str | os.PathLike[str] | None = None,
    *,
    interval_seconds: float = INTERVAL_SECONDS,
    tests_every_minutes: float = TESTS_EVERY_MINUTES,
    grace_seconds: float = GRACE_SECONDS,
    embeds: bool = True,
) -> None:
    """Refresh a home at an interval until SIGTERM or SIGINT; call it in the main thread.

    At a signal the running refresh is finished. After the grace period, or at a second signal, it
    is rolled back; if even that takes more than ten seconds, or at a third one, the process ends
    with code 143 or 130. The last publication stands in every case.

    Args:
        home: the home directory; default $ORB_LEARNING_HOME, else ./data.
        interval_seconds: between the beginnings of two turns, 1 to 240.
        tests_every_minutes: between two builds with tests at least; 0 tests every refresh.
        grace_seconds: what a running refresh gets to end after a signal, from 0 on.
        embeds: embed what was executed, where the extra `embeddings` is installed.

    Raises:
        PermanentError: an argument is out of its range.
        ProjectError: dbt or APScheduler is not installed, or there is no project.
        HomeError: the home cannot be made or written.
        BusyError: another scheduler works on this home.
    """
    if not 1 <= interval_seconds <= LONGEST_INTERVAL_SECONDS:
        raise PermanentError(f"interval: expected 1 to {LONGEST_INTERVAL_SECONDS:g} seconds")
    if not tests_every_minutes >= 0:
        raise PermanentError("tests-every: expected minutes from 0 on")
    if not grace_seconds >= 0:
        raise PermanentError("grace: expected seconds from 0 on")
    for package in ("apscheduler", "dbt"):
        if find_spec(package) is None:
            raise ProjectError(f"{package} is not installed; run: pip install 'orb-learning[dbt]'")
    refresher = Refresher(home)
    refresher.home.create()
    with _only_one(refresher.home):
        can_embed = embeds and find_spec("sentence_transformers") is not None
        embedder = Embedder(refresher.home) if can_embed else None
        state = ScheduleState(os.getpid(), interval_seconds)
        write_state(refresher.home, state)
        turns = Turns(
            refresher,
            state,
            tests_every_seconds=tests_every_minutes * 60,
            vectors=embedder.vectors if embedder else tuple,
        )
        Scheduler(refresher, turns, embedder, grace_seconds=grace_seconds).run()


class Scheduler:
    """Runs turns in a thread of its own until a signal arrives."""

    def __init__(
        self,
        refresher: Refresher,
        turns: Turns,
        embedder: Embedder | None,
        *,
        grace_seconds: float,
    ) -> None:
        """Start nothing yet. See `schedule`."""
        from apscheduler.executors.pool import ThreadPoolExecutor
        from apscheduler.schedulers.background import BackgroundScheduler

        self._refresher = refresher
        self._turns = turns
        self._embedder = embedder
        self._grace_seconds = grace_seconds
        self._planner = BackgroundScheduler(
            timezone=UTC, executors={"default": ThreadPoolExecutor(1)}
        )
        self._signals: SimpleQueue[int] = SimpleQueue()  # its `put` may interrupt anything
        self._running = threading.Lock()
        self._stopping = threading.Event()
        self._due = time.monotonic()

    def run(self) -> None:
        """Work until SIGTERM or SIGINT."""
        with _handling((signal.SIGTERM, signal.SIGINT), self._note_signal):
            self._plan(0.0)
            self._planner.start()
            number = self._wait_for_signal()
            logger.info("%s: stopping", signal.Signals(number).name)
            self._stop(number)

    def _note_signal(self, number: int, _: FrameType | None) -> None:
        self._signals.put(number)

    def _plan(self, delay_seconds: float) -> None:
        self._due = time.monotonic() + delay_seconds
        self._planner.add_job(
            self._turn,
            "date",
            run_date=utc_now() + timedelta(seconds=delay_seconds),
            id="turn",
            replace_existing=True,
            misfire_grace_time=None,  # late is better than never
        )

    def _turn(self) -> None:
        with self._running:
            if self._stopping.is_set():
                return
            delay = self._turns.take()
            if self._stopping.is_set():
                return
            self._plan(delay)
            if self._embedder is not None and not self._turns.state.failures:
                self._embedder.mind()

    def _wait_for_signal(self) -> int:
        while True:
            with suppress(Empty):
                return self._signals.get(timeout=_WATCH_SECONDS)
            # APScheduler goes by the wall clock: were that set back, the next turn would be too.
            overdue = time.monotonic() - self._due
            if overdue > _WATCH_SECONDS and not self._running.locked():
                logger.warning(
                    "a turn is %.0f s late: the clock was set, or the machine slept", overdue
                )
                self._plan(0.0)

    def _stop(self, number: int) -> None:
        self._stopping.set()
        self._planner.shutdown(wait=False)
        if self._embedder is not None:
            self._embedder.stop()
        if self._ends_within(self._grace_seconds):
            return
        logger.warning("the refresh goes on after %g s: rolling it back", self._grace_seconds)
        self._turns.is_abandoned = True
        if self._ends_within(ROLL_BACK_SECONDS, self._interrupt):
            return
        logger.error("the refresh does not end; the next one takes back what it left half done")
        _leave(128 + number)

    def _interrupt(self) -> None:
        # A query that has just ended, or a connection just closed, is as good as interrupted.
        with suppress(Exception):
            self._refresher.interrupt()

    def _ends_within(self, seconds: float, urge: Callable[[], None] = lambda: None) -> bool:
        """Wait for the running turn; another signal cuts the wait short."""
        deadline = time.monotonic() + seconds
        while not self._running.acquire(timeout=0.05):
            if self._turns.is_waiting:
                _leave(0)  # for another process's lock: there is nothing to finish
            if time.monotonic() >= deadline or not self._signals.empty():
                with suppress(Empty):
                    self._signals.get_nowait()
                return False
            urge()
        self._running.release()
        return True


class Embedder:
    """Embeds between turns, in a process of the lowest priority that nothing waits for."""

    def __init__(self, home: Home) -> None:
        """Start nothing yet."""
        self._home = home
        self._child: subprocess.Popen[bytes] | None = None
        self._load_id = 0
        self._done_for = 0
        self._not_before = time.monotonic()
        self._vectors = self._stored()

    def vectors(self) -> object:
        """Return the version of what is stored; of a run at work, the one it began with."""
        if self._child is None or self._child.poll() is not None:
            return self._stored()
        return self._vectors

    def mind(self) -> None:
        """Start a run if none is at work and something may be missing."""
        try:
            published = current(self._home)
        except NotPublishedError:
            return
        if self._child is not None:
            if (code := self._child.poll()) is None:
                return
            self._child = None
            if code:
                logger.warning("embedding ended with code %d; trying again after new events", code)
            # A run that changed something may have met its limit; one that did not is the last.
            if code or self._stored() == self._vectors:
                self._done_for = self._load_id
        if published.load_id == self._done_for or not published.rows.get("executions"):
            return
        if time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + EMBED_EVERY_SECONDS
        self._load_id = published.load_id
        self._vectors = self._stored()
        command = "from orb_learning.cli import main; main()"
        self._child = subprocess.Popen(  # noqa: S603 - this very interpreter and package
            [sys.executable, "-c", command, "--home", str(self._home.root), "embed"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is ours to pass on
        )
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, self._child.pid, _NICEST)
        logger.debug("embedding in process %d", self._child.pid)

    def stop(self) -> None:
        """End a run at work; what it has committed stays."""
        if self._child is None:
            return
        self._child.terminate()
        try:
            self._child.wait(_CHILD_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _stored(self) -> object:
        folder = self._home.embeddings
        return version_of(folder / "vectors.duckdb", folder / "store.json")


def is_scheduled(home: Home) -> bool:
    """Tell whether a scheduler works on this home now."""
    try:
        descriptor = os.open(home.schedule_lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def _only_one(home: Home) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(home.schedule_lock, mode=0o600)
    try:
        lock.acquire(timeout=1)
    except Timeout:
        raise BusyError(f"another scheduler works on {home.root}; stop it first") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _handling(
    numbers: tuple[signal.Signals, ...], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def _leave(code: int) -> None:
    """End the process beside a thread that does not end."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)
