"""What a scheduler does each time it wakes.

A turn looks whether anything is new, and only then runs dbt. Most refreshes build the models
alone; now and then, and always at first, a whole build with its tests has to pass. Until it does,
every turn is one, so that nothing is published that was built on what a test refused.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from orb_learning._types import utc_now
from orb_learning.home import Home
from orb_learning.refresh._refresher import RefreshReport
from orb_learning.refresh._state import ScheduleState, version_of, write_state
from orb_learning.refresh._turns import OnTurn, Turn, events_since, last_load
from orb_learning.spool import segment_sizes

MAX_STALENESS_SECONDS = 300.0
"""How far the shortest-lived mart, `tier_performance`, may lag behind what was captured."""

LONGEST_INTERVAL_SECONDS = 240.0
"""Leaves a minute of that for the refresh itself."""

FIRST_RETRY_SECONDS = 5.0
RETRY_CAP_SECONDS = 60.0

logger = logging.getLogger("orb_learning.schedule")


class Refreshes(Protocol):
    """What a turn needs of a `Refresher`."""

    @property
    def home(self) -> Home:
        """The home that it refreshes."""
        ...

    def refresh(self, *, with_tests: bool) -> RefreshReport:
        """See `Refresher.refresh`."""
        ...


class RefreshLoop:
    """One scheduler's turns; take them one at a time."""

    def __init__(
        self,
        refresher: Refreshes,
        state: ScheduleState,
        *,
        tests_every_seconds: float,
        vectors: Callable[[], object] = tuple,
        on_turn: OnTurn | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Nothing is done yet.

        Args:
            refresher: what refreshes.
            state: what is known at the beginning.
            tests_every_seconds: between two builds with tests at least; 0 tests every refresh.
            vectors: returns another value once there are new vectors to publish.
            on_turn: called after each turn that did not fail.
            clock: seconds that only ever grow.
            now: the time, UTC.
        """
        self.state = state
        self.is_waiting = False
        self.is_abandoned = False
        self._refresher = refresher
        self._home = refresher.home
        self._tests_every_seconds = tests_every_seconds
        self._vectors = vectors
        self._on_turn = on_turn
        self._clock = clock
        self._now = now
        self._reflected: tuple[object, ...] | None = None
        self._tested: float | None = None
        self._is_untested = False
        self._warnings: list[str] = []

    def run_once(self) -> float:
        """Take one turn.

        Returns:
            seconds until the next one is due.
        """
        started = self._clock()
        moment = self._now()
        try:
            report, events = self._refresh_if_needed(moment)
        except Exception as error:  # whatever it is, the last publication stands
            if self.is_abandoned:
                logger.warning("the refresh was rolled back; the last publication stands")
                return 0.0
            return self._failed(error)
        took = self._clock() - started
        if self.state.failures:
            logger.warning("refreshed again after %d failures", self.state.failures)
        self._keep(
            replace(self.state, fresh_at=moment.isoformat(), failures=0, failed_at=None, error=None)
        )
        if took + self.state.interval_seconds > MAX_STALENESS_SECONDS:
            logger.warning(
                "marts may be %.0f s stale: the interval is %g s and this refresh took %.0f s",
                took + self.state.interval_seconds,
                self.state.interval_seconds,
                took,
            )
        delay = max(self.state.interval_seconds - took, 0.0)
        if self._on_turn:
            load_id = report.publication.load_id if report else None
            self._on_turn(Turn(moment, load_id, events, took, delay))
        return delay

    def _refresh_if_needed(self, moment: datetime) -> tuple[RefreshReport | None, int | None]:
        """Return what a refresh did, if there was one, and how many events it brought."""
        is_due = self._tested is None or self._clock() - self._tested >= self._tests_every_seconds
        is_same = self._reflected == (*self._inputs(moment), *self._stores())
        if is_same and not (is_due and self._is_untested):
            logger.debug("nothing new since %s; not refreshed", self.state.refreshed_at)
            return None, None
        self._reflected = None
        self.is_waiting = True
        events = None
        with self._home.locked():
            self.is_waiting = False
            before = last_load(self._home) if self._on_turn else 0
            inputs = self._inputs(moment)  # before the load, so that what comes later is news
            report = self._refresher.refresh(with_tests=is_due)
            if self._on_turn:
                events = events_since(self._home, before, report.publication)
            self._reflected = (*inputs, *self._stores())
        self._is_untested = not is_due
        published = report.publication.published_at
        self.state = replace(self.state, refreshed_at=published)
        logger.debug("refreshed in %.1f s, tests: %s", report.seconds, is_due)
        if is_due:
            self._tested = self._clock()
            self.state = replace(self.state, tested_at=self._now().isoformat())
            if report.warnings and report.warnings != self._warnings:
                logger.warning("tests that warn: %s", ", ".join(report.warnings))
            self._warnings = report.warnings
        return report, events

    def _inputs(self, moment: datetime) -> tuple[object, ...]:
        """Return what a refresh starts from; the windows of the marts end with the hour."""
        hour = moment.replace(minute=0, second=0, microsecond=0)
        return hour, segment_sizes(self._home.spool), self._vectors()

    def _stores(self) -> tuple[object, ...]:
        """Return what a refresh leaves behind, and other commands may have changed since."""
        link = self._home.current
        return version_of(self._home.staging, self._home.learning_db), link.is_symlink() and (
            link.readlink()
        )

    def _failed(self, error: Exception) -> float:
        self.is_waiting = False
        failures = self.state.failures + 1
        reason = " ".join(str(error).split()) or type(error).__name__
        cap = max(self.state.interval_seconds, RETRY_CAP_SECONDS)
        delay = min(FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 10), cap)
        logger.error("refresh failed (%d in a row), next try in %g s: %s", failures, delay, reason)
        self._keep(
            replace(self.state, failures=failures, failed_at=self._now().isoformat(), error=reason)
        )
        return delay

    def _keep(self, state: ScheduleState) -> None:
        self.state = state
        try:
            write_state(self._home, state)
        except OSError as error:
            logger.warning("cannot write %s: %s", self._home.schedule, error.strerror)
