"""When dbt is woken, when tests run, when the next turn is due; the clock is a number."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from orb_learning import Telemetry
from orb_learning.errors import RefreshError
from orb_learning.home import Home
from orb_learning.publication import Publication
from orb_learning.refresh import RefreshReport, ScheduleState, Turn, read_state
from orb_learning.refresh._loop import RefreshLoop

BEGIN = datetime(2026, 3, 1, 12, 10, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.seconds)


class Refreshes:
    """Stands where dbt would: takes its time, and fails when it is told to."""

    def __init__(self, home: Home, clock: Clock) -> None:
        self.home = home
        self.clock = clock
        self.takes_seconds = 2.0
        self.fails: Callable[[bool], bool] = lambda _: False
        self.warnings: list[str] = []
        self.tested: list[bool] = []

    def refresh(self, *, with_tests: bool) -> RefreshReport:
        self.tested.append(with_tests)
        self.clock.seconds += self.takes_seconds
        if self.fails(with_tests):
            raise RefreshError("executions ended as error: disk full")
        self.home.staging.write_text(f"{len(self.tested)} loads")
        made = Publication("1", self.clock.now().isoformat(), "", 1, {}, "")
        return RefreshReport(made, self.warnings if with_tests else [], self.takes_seconds)


class Scene:
    def __init__(self, home: Home) -> None:
        home.create()
        self.home = home
        self.clock = Clock()
        self.refreshes = Refreshes(home, self.clock)
        self.vectors = 0
        self.told: list[Turn] = []
        self.turns = self.begin()

    def begin(self, interval: float = 60.0, tests_every: float = 3600.0) -> RefreshLoop:
        self.turns = RefreshLoop(
            self.refreshes,
            ScheduleState(os.getpid(), interval),
            tests_every_seconds=tests_every,
            vectors=lambda: self.vectors,
            on_turn=self.told.append,
            clock=lambda: self.clock.seconds,
            now=self.clock.now,
        )
        return self.turns

    def event(self) -> None:
        with Telemetry(self.home.root) as telemetry:
            telemetry.capture_feedback_sync("t", feedback_type="thumbs_up")

    def next(self) -> list[bool]:
        """Take a turn, let the time until the next one pass, and return what was refreshed."""
        before = len(self.refreshes.tested)
        delay = self.turns.run_once()
        self.clock.seconds += delay
        return self.refreshes.tested[before:]


@pytest.fixture
def scene(home: Home, caplog: pytest.LogCaptureFixture) -> Iterator[Scene]:
    root = logging.getLogger("orb_learning")
    before = root.propagate
    root.propagate = True
    caplog.set_level(logging.DEBUG, "orb_learning.schedule")
    yield Scene(home)
    root.propagate = before


SKIPPED: list[bool] = []


def test_the_first_refresh_is_tested_and_those_with_nothing_new_are_skipped(scene, caplog):
    assert scene.next() == [True]
    assert scene.next() == SKIPPED
    assert caplog.records[-1].levelno == logging.DEBUG
    assert "nothing new since 2026-03-01T12:10:02" in caplog.messages[-1]
    scene.event()
    assert scene.next() == [False]
    assert scene.next() == SKIPPED


def test_each_turn_that_did_not_fail_is_told(scene):
    scene.next()
    scene.next()
    scene.event()
    scene.refreshes.fails = lambda _: True
    scene.next()
    assert scene.told == [
        Turn(BEGIN, 1, None, 2.0, 58.0),
        Turn(BEGIN + timedelta(minutes=1), None, None, 0.0, 60.0),
    ]


def test_a_new_hour_is_news(scene):
    scene.next()
    scene.clock.seconds = 49 * 60.0
    assert scene.next() == SKIPPED
    assert scene.next() == [False]
    assert scene.next() == SKIPPED


def test_what_arrives_while_a_refresh_runs_is_left_to_the_next_turn(scene):
    scene.refreshes.fails = lambda _: scene.event()
    assert scene.next() == [True]
    scene.refreshes.fails = lambda _: False
    assert scene.next() == [False]
    assert scene.next() == SKIPPED


@pytest.mark.parametrize("what", ["vectors", "staging", "publication"])
def test_what_others_changed_is_news(scene, what):
    scene.next()
    if what == "vectors":
        scene.vectors += 1
    elif what == "staging":
        scene.home.staging.write_text("restored from a backup")
    else:
        scene.home.current.symlink_to("another")
    assert scene.next() == [False]
    assert scene.next() == SKIPPED


def test_tests_run_again_once_their_time_has_come_and_something_was_published_without(scene):
    scene.begin(interval=240, tests_every=700)
    scene.next()
    ran = []
    for _ in range(4):
        scene.event()
        ran += scene.next()
    assert ran == [False, False, True, False]
    # Nothing new, but what was published last is still to be tested.
    assert [scene.next() for _ in range(3)] == [SKIPPED, [True], SKIPPED]


@pytest.mark.parametrize(("seconds", "with_tests"), [(599.9, False), (600, True)])
def test_tests_run_again_just_when_their_time_has_come(scene, seconds, with_tests):
    scene.begin(tests_every=600)
    scene.turns.run_once()
    scene.clock.seconds += seconds
    scene.event()
    assert scene.next() == [with_tests]


def test_zero_minutes_test_every_refresh(scene):
    scene.begin(tests_every=0)
    scene.next()
    scene.event()
    assert scene.next() == [True]
    assert scene.next() == SKIPPED


def test_until_a_failed_test_passes_every_turn_tests(scene):
    scene.refreshes.fails = lambda with_tests: with_tests
    assert [scene.next() for _ in range(3)] == [[True]] * 3
    scene.refreshes.fails = lambda _: False
    assert scene.next() == [True]
    assert scene.next() == SKIPPED


def test_a_test_that_fails_later_stops_the_refreshes_without(scene):
    scene.begin(interval=240, tests_every=200)
    scene.next()
    scene.event()
    scene.refreshes.fails = lambda with_tests: with_tests
    assert [scene.next() for _ in range(3)] == [[True]] * 3
    assert scene.turns.state.tested_at < scene.turns.state.failed_at


def test_a_failed_refresh_is_repeated_though_nothing_new_came(scene):
    scene.next()
    scene.event()
    scene.refreshes.fails = lambda _: True
    assert scene.next() == [False]
    scene.refreshes.fails = lambda _: False
    assert scene.next() == [False]
    assert scene.next() == SKIPPED


def test_turns_keep_their_interval_and_a_late_one_is_one(scene):
    assert scene.turns.run_once() == 58
    assert scene.turns.run_once() == 60
    scene.event()
    scene.refreshes.takes_seconds = 200
    assert scene.turns.run_once() == 0, "the next one is due, and stands behind whoever waits"


@pytest.mark.parametrize(
    ("interval", "delays"),
    [(1, [5, 10, 20, 40, 60, 60]), (60, [5, 10, 20, 40, 60, 60]), (240, [5, 10, 20, 40, 80, 160])],
)
def test_a_failed_refresh_is_tried_again_ever_later(scene, interval, delays):
    scene.begin(interval=interval)
    scene.refreshes.fails = lambda _: True
    assert [scene.turns.run_once() for _ in delays] == delays
    for _ in range(20):
        assert scene.turns.run_once() <= max(60, interval)


def test_a_failure_is_one_line_and_a_recovery_another(scene, caplog):
    scene.refreshes.fails = lambda _: True
    scene.next()
    scene.next()
    assert caplog.messages[-1] == (
        "refresh failed (2 in a row), next try in 10 s: executions ended as error: disk full"
    )
    assert caplog.records[-1].levelno == logging.ERROR
    assert read_state(scene.home) == ScheduleState(
        process=os.getpid(),
        interval_seconds=60,
        failures=2,
        failed_at="2026-03-01T12:10:09+00:00",
        error="executions ended as error: disk full",
    )
    scene.refreshes.fails = lambda _: False
    scene.next()
    assert caplog.messages[-1] == "refreshed again after 2 failures"
    assert read_state(scene.home) == ScheduleState(
        process=os.getpid(),
        interval_seconds=60,
        fresh_at="2026-03-01T12:10:19+00:00",
        refreshed_at="2026-03-01T12:10:21+00:00",
        tested_at="2026-03-01T12:10:21+00:00",
    )


def test_a_skipped_turn_says_that_the_marts_are_fresh(scene):
    scene.next()
    scene.next()
    state = read_state(scene.home)
    assert (state.fresh_at, state.refreshed_at) == (
        "2026-03-01T12:11:00+00:00",
        "2026-03-01T12:10:02+00:00",
    )


def test_marts_that_may_be_staler_than_they_should_are_told(scene, caplog):
    scene.refreshes.takes_seconds = 240
    scene.next()
    assert "stale" not in caplog.text
    scene.event()
    scene.refreshes.takes_seconds = 241
    scene.next()
    assert "marts may be 301 s stale" in caplog.messages[-1]


def test_tests_that_warn_are_told_once(scene, caplog):
    scene.begin(tests_every=0)
    scene.refreshes.warnings = ["feedback_tasks_exist"]
    for _ in range(3):
        scene.event()
        scene.next()
    assert caplog.messages.count("tests that warn: feedback_tasks_exist") == 1


def test_a_refresh_that_was_rolled_back_is_no_failure(scene, caplog):
    scene.refreshes.fails = lambda _: True
    scene.turns.is_abandoned = True
    scene.turns.run_once()
    assert scene.turns.state.failures == 0
    assert caplog.messages[-1] == "the refresh was rolled back; the last publication stands"


def test_the_state_is_private_and_one_that_cannot_be_written_stops_nothing(scene, caplog):
    scene.next()
    assert stat.S_IMODE(scene.home.schedule.stat().st_mode) == 0o600
    scene.home.schedule.unlink()
    scene.home.schedule.mkdir()
    scene.event()
    assert scene.next() == [False]
    assert "cannot write" in caplog.messages[-1]
    assert read_state(scene.home) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"process": 1, "other": 2}'])
def test_a_state_that_is_none_is_not_read(home, text):
    home.create()
    home.schedule.write_text(text)
    assert read_state(home) is None
