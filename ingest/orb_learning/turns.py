"""Turns: what a scheduler does each time it wakes, and what it leaves for others to read.

A turn looks whether anything is new, and only then runs dbt. Most refreshes build the models
alone; now and then, and always at first, a whole build with its tests has to pass. Until it does,
every turn is one, so that nothing is published that was built on what a test refused.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from orb_learning._types import utc_now
from orb_learning.home import Home
from orb_learning.refresh import RefreshReport
from orb_learning.staging._segments import segment_sizes

STALEST_SECONDS = 300.0
"""How far the shortest-lived mart, `tier_performance`, may lag behind what was captured."""

LONGEST_INTERVAL_SECONDS = 240.0
"""Leaves a minute of that for the refresh itself."""

BREATH_SECONDS = 0.5
"""Between two refreshes at least: others that wait for the home's lock ask every 0.05 s."""

FIRST_RETRY_SECONDS = 5.0
RETRY_CAP_SECONDS = 60.0

logger = logging.getLogger("orb_learning.schedule")


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """What `schedule.json` says of the scheduler that wrote it. All times are ISO 8601, UTC.

    Attributes:
        process: its process id.
        interval_seconds: between the beginnings of two turns.
        fresh_at: the publication holds everything that was captured up to then; None before the
            first refresh.
        refreshed_at: when it last published.
        tested_at: when a build with tests last passed.
        failures: refreshes that failed in a row; 0 while all is well.
        failed_at: when the newest of them failed.
        error: why.
    """

    process: int
    interval_seconds: float
    fresh_at: str | None = None
    refreshed_at: str | None = None
    tested_at: str | None = None
    failures: int = 0
    failed_at: str | None = None
    error: str | None = None


def read_state(home: Home) -> ScheduleState | None:
    """Return what the newest scheduler of a home wrote; None if there is nothing to read."""
    try:
        return ScheduleState(**json.loads(home.schedule.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_state(home: Home, state: ScheduleState) -> None:
    """Replace `schedule.json` whole."""
    fresh = home.schedule.with_name(f".{home.schedule.name}")
    fresh.write_text(json.dumps(asdict(state), indent=2) + "\n")
    fresh.chmod(0o600)
    fresh.replace(home.schedule)


class Refreshes(Protocol):
    """What a turn needs of a `Refresher`."""

    @property
    def home(self) -> Home:
        """The home that it refreshes."""
        ...

    def refresh(self, *, with_tests: bool) -> RefreshReport:
        """See `Refresher.refresh`."""
        ...


class Turns:
    """One scheduler's turns; take them one at a time."""

    def __init__(
        self,
        refresher: Refreshes,
        state: ScheduleState,
        *,
        tests_every_seconds: float,
        vectors: Callable[[], object] = tuple,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Nothing is done yet.

        Args:
            refresher: what refreshes.
            state: what is known at the beginning.
            tests_every_seconds: between two builds with tests at least; 0 tests every refresh.
            vectors: returns another value once there are new vectors to publish.
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
        self._clock = clock
        self._now = now
        self._reflected: tuple[object, ...] | None = None
        self._tested: float | None = None
        self._is_untested = False
        self._warnings: list[str] = []

    def take(self) -> float:
        """Take one turn.

        Returns:
            seconds until the next one is due.
        """
        started = self._clock()
        moment = self._now()
        try:
            self._refresh_if_needed(moment)
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
        if took + self.state.interval_seconds > STALEST_SECONDS:
            logger.warning(
                "marts may be %.0f s stale: the interval is %g s and this refresh took %.0f s",
                took + self.state.interval_seconds,
                self.state.interval_seconds,
                took,
            )
        return max(self.state.interval_seconds - took, BREATH_SECONDS)

    def _refresh_if_needed(self, moment: datetime) -> None:
        is_due = self._tested is None or self._clock() - self._tested >= self._tests_every_seconds
        is_same = self._reflected == (*self._inputs(moment), *self._stores())
        if is_same and not (is_due and self._is_untested):
            logger.debug("nothing new since %s; not refreshed", self.state.refreshed_at)
            return
        self._reflected = None
        self.is_waiting = True
        with self._home.locked():
            self.is_waiting = False
            inputs = self._inputs(moment)  # before the load, so that what comes later is news
            report = self._refresher.refresh(with_tests=is_due)
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


def version_of(*files: Path) -> tuple[tuple[int, int, int] | None, ...]:
    """Return what changes whenever one of these files does: inode, size and time of change."""
    found: list[tuple[int, int, int] | None] = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)
