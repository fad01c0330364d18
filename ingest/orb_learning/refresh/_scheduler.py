"""Scheduling: one process that keeps dbt warm and refreshes a home at an interval.

    Scheduler ── runs ──► RefreshLoop ── refreshes ──► Refresher    (a thread, one turn at a time)
        └────── starts ──► Embedder ── starts ──► `orb-learning embed`    (a process, low priority)

A turn says when the next one is due, so turns can neither overlap nor pile up. The thread waits by
the monotonic clock: a wall clock that is set changes nothing. The main thread waits for a signal.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from queue import Empty, SimpleQueue
from types import FrameType

from orb_learning.errors import PermanentError, ProjectError
from orb_learning.refresh._embedder import Embedder
from orb_learning.refresh._loop import LONGEST_INTERVAL_SECONDS, RefreshLoop
from orb_learning.refresh._refresher import Refresher
from orb_learning.refresh._state import ScheduleState, only_scheduler, write_state
from orb_learning.refresh._turns import OnTurn

INTERVAL_SECONDS = 60.0
TESTS_EVERY_MINUTES = 60.0
GRACE_SECONDS = 30.0

ROLL_BACK_SECONDS = 10.0
"""What a refresh gets to end once its queries are interrupted."""

logger = logging.getLogger("orb_learning.schedule")


def schedule(
    home: str | os.PathLike[str] | None = None,
    *,
    interval_seconds: float = INTERVAL_SECONDS,
    tests_every_minutes: float = TESTS_EVERY_MINUTES,
    grace_seconds: float = GRACE_SECONDS,
    embeds: bool = True,
    on_turn: OnTurn | None = None,
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
        on_turn: called after each turn that did not fail, in another thread.

    Raises:
        PermanentError: an argument is out of its range.
        ProjectError: dbt is not installed, or there is no project.
        HomeError: the home cannot be made or written.
        BusyError: another scheduler works on this home.
    """
    if not 1 <= interval_seconds <= LONGEST_INTERVAL_SECONDS:
        raise PermanentError(f"interval: expected 1 to {LONGEST_INTERVAL_SECONDS:g} seconds")
    if not tests_every_minutes >= 0:
        raise PermanentError("tests-every: expected minutes from 0 on")
    if not grace_seconds >= 0:
        raise PermanentError("grace: expected seconds from 0 on")
    if find_spec("dbt") is None:
        raise ProjectError("dbt is not installed; run: pip install 'orb-learning[dbt]'")
    refresher = Refresher(home)
    refresher.home.create()
    with only_scheduler(refresher.home):
        can_embed = embeds and find_spec("sentence_transformers") is not None
        embedder = Embedder(refresher.home) if can_embed else None
        state = ScheduleState(os.getpid(), interval_seconds)
        write_state(refresher.home, state)
        loop = RefreshLoop(
            refresher,
            state,
            tests_every_seconds=tests_every_minutes * 60,
            vectors=embedder.vectors if embedder else tuple,
            on_turn=on_turn,
        )
        Scheduler(refresher, loop, embedder, grace_seconds=grace_seconds).run()


class Scheduler:
    """Runs turns in a thread of its own until a signal arrives."""

    def __init__(
        self,
        refresher: Refresher,
        loop: RefreshLoop,
        embedder: Embedder | None,
        *,
        grace_seconds: float,
    ) -> None:
        """Start nothing yet. See `schedule`."""
        self._refresher = refresher
        self._loop = loop
        self._embedder = embedder
        self._grace_seconds = grace_seconds
        self._thread = threading.Thread(target=self._work, name="refresh", daemon=True)
        self._signals: SimpleQueue[int] = SimpleQueue()  # its `put` may interrupt anything
        self._stopping = threading.Event()

    def run(self) -> None:
        """Work until SIGTERM or SIGINT."""
        with _handling((signal.SIGTERM, signal.SIGINT), self._note_signal):
            self._thread.start()
            number = self._signals.get()
            logger.info("%s: stopping", signal.Signals(number).name)
            self._stop(number)

    def _note_signal(self, number: int, _: FrameType | None) -> None:
        self._signals.put(number)

    def _work(self) -> None:
        while not self._stopping.is_set():
            delay = self._loop.run_once()
            if self._embedder is not None and not self._loop.state.failures:
                self._start(self._embedder)
            self._stopping.wait(delay)

    def _start(self, embedder: Embedder) -> None:
        if not self._stopping.is_set():
            try:
                embedder.start_if_due()
            except OSError as error:
                logger.warning("embedding cannot be started: %s", error)

    def _stop(self, number: int) -> None:
        self._stopping.set()
        if self._embedder is not None:
            self._embedder.stop()
        if self._ends_within(self._grace_seconds):
            return
        logger.warning("the refresh goes on after %g s: rolling it back", self._grace_seconds)
        self._loop.is_abandoned = True
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
        while True:
            self._thread.join(0.05)
            if not self._thread.is_alive():
                return True
            if self._loop.is_waiting:
                _leave(0)  # for another process's lock: there is nothing to finish
            if time.monotonic() >= deadline or not self._signals.empty():
                with suppress(Empty):
                    self._signals.get_nowait()
                return False
            urge()


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
