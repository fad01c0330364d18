"""What stands exactly on an edge of the models, built by one run with the project's own vars."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import duckdb
import pytest

from orb_learning._types import task_uuid
from orb_learning.errors import RefreshError
from orb_learning.events import (
    Event,
    ExecutionRecorded,
    Feedback,
    PoolClosed,
    PoolCreated,
    PoolExecutionStart,
    QualityPolicyAdjusted,
    RoutingDecision,
    RoutingOutcome,
    SolutionExtracted,
    TaskCompleted,
)
from orb_learning.refresh import Refresher

from .warehouse import Warehouse

AS_OF = "2026-06-15T00:00:00"
TODAY = datetime(2026, 6, 15, tzinfo=UTC)
SEEN = datetime(2026, 6, 14, tzinfo=UTC)
LAST_MOMENT = timedelta(days=1) - timedelta(microseconds=1)
AGES = (-1, 0, 7, 8, 30, 31, 90, 91)


def days_ago(days: int) -> datetime:
    return TODAY - timedelta(days=days)


def run(name: str, at: datetime, **values: Any) -> ExecutionRecorded:
    fixed = {
        "task_id": task_uuid(name), "occurred_at": SEEN, "captured_at": SEEN, "timestamp": at,
        "task_type": "fix", "task_description": name, "repo": "edges", "model_tier": "large",
        "pool_type": "local", "routing_confidence": 0.25, "success": True, "actual_cost": 1.0,
        "duration_seconds": 10.0, "cost_estimate": 3.0,
    }  # fmt: skip
    return ExecutionRecorded(**{**fixed, **values})


def routed(kind: type[Event], name: str, seconds: float, **values: Any) -> Event:
    at = SEEN + timedelta(seconds=seconds)
    if kind is RoutingDecision:
        values = {"task_type": "fix", "repo": "tries", "model_tier": "large", **values}
    return kind(task_id=task_uuid(name), occurred_at=at, captured_at=at, **values)


def aged() -> list[Event]:
    """Two executions a day, of its first and its last moment; the days around each window."""
    return [
        run(f"{days} {part}", days_ago(days) + after, success=part == 0)
        for days in AGES
        for part, after in enumerate((timedelta(), LAST_MOMENT))
    ]


def used() -> list[Event]:
    """Solutions that are used as often as a pattern must be, or once less in the window."""
    uses = {
        "five": [1] * 5,
        "four": [1] * 4,
        "five, one as old as may be": [1, 1, 1, 1, 90],
        "five, one too old": [1, 1, 1, 1, 91],
    }
    return [
        run(f"{text} {n}", days_ago(days), repo="used", solution_summary=text, success=n < 3)
        for text, ages in uses.items()
        for n, days in enumerate(ages)
    ]


def tried() -> list[Event]:
    """Quick tries whose outcomes and decisions lie just within twice the skew, and just not."""
    told = []
    for name, last in (("within", 10.0), ("beyond", 10.000001)):
        told += [
            routed(RoutingDecision, name, 0),
            routed(RoutingDecision, name, last),
            routed(RoutingOutcome, name, 1, success=False),
            routed(RoutingOutcome, name, 2, success=True),
        ]
    return told


def measured() -> list[Event]:
    """Of an outcome at the moment of its start the duration is known, and it is nothing."""
    told = []
    for name, end in (("at once", 5.0), ("before", 4.999999)):
        told += [
            routed(PoolExecutionStart, name, 5),
            routed(TaskCompleted, name, end, success=True),
        ]
    return told


def judged() -> list[Event]:
    types = ("thumbs_up", "accepted", "thumbs_down", "rejected", "rating", "comment", "other")
    return [
        *(routed(TaskCompleted, f"judged {type_}", 0, success=True) for type_ in types),
        *(routed(Feedback, f"judged {type_}", 1, feedback_type=type_) for type_ in types),
    ]


def moment(seconds: float, captured: float, serial: int) -> dict[str, Any]:
    """Return the times and the id by which one event is after another."""
    return {
        "occurred_at": SEEN + timedelta(seconds=seconds),
        "captured_at": SEEN + timedelta(seconds=captured),
        "event_id": UUID(int=serial),
    }


LATER = {
    "occurred": (moment(0, 9, 9), moment(1, 0, 1)),
    "captured": (moment(0, 0, 9), moment(0, 1, 1)),
    # Several, for what comes after the id, a hash, may be in the same order.
    **{f"id {n}": (moment(0, 0, 10 + 2 * n), moment(0, 0, 11 + 2 * n)) for n in range(6)},
}
"""Two events of which the second counts, by the first of the keys that differs."""


def repeated() -> list[Event]:
    """A feedback, solution and policy said twice, and pools that closed and opened."""
    told: list[Event] = []
    for serial, (key, moments) in enumerate(LATER.items(), 1):
        about = UUID(int=serial << 64)
        for number, at in enumerate(moments):
            said = f"{key} {number}"
            told += [
                Feedback(
                    task_id=task_uuid("judged"), feedback_id=about, feedback_type="comment",
                    comment=said, **at,
                ),
                SolutionExtracted(
                    pattern_id=about, task_context=said, solution_summary="s", success_rate=0.5,
                    **at,
                ),
                QualityPolicyAdjusted(
                    policy_id=about, repo="edges", project_maturity="new",
                    coverage_threshold=0.5, strictness_level="strict", adjustment_reason=said,
                    **at,
                ),
            ]  # fmt: skip
        first, then = moments
        told += [
            PoolClosed(pool_id=f"open {key}", reason="idle", **first),
            PoolCreated(pool_id=f"open {key}", **then),
            PoolCreated(pool_id=f"closed {key}", **first),
            PoolClosed(pool_id=f"closed {key}", reason="done", **then),
            PoolClosed(pool_id=f"twice {key}", reason="done", **first),
            PoolClosed(pool_id=f"twice {key}", **then),
        ]
    return told


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, parsed: Refresher) -> Warehouse:
    warehouse = Warehouse(tmp_path_factory.mktemp("edges") / "home", parsed)
    # In the order against what counts: rows must not come right by the order they lie in.
    told = [*aged(), *used(), *tried(), *measured(), *judged(), *repeated()]
    warehouse.write(reversed(told))
    warehouse.run(as_of=AS_OF)
    return warehouse


@pytest.fixture
def ask(built: Warehouse) -> Any:
    def read(query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(built.home.learning_db), read_only=True) as copy:
            return copy.execute(query).fetchall()

    return read


@pytest.mark.parametrize(
    ("mart", "window"),
    [("tier_performance", 30), ("pool_performance", 7), ("quality_trend", 90)],
)
def test_a_window_has_its_first_and_its_last_day_whole_and_no_other(ask, mart, window):
    total = {"pool_performance": "total_tasks", "quality_trend": "executions"}.get(
        mart, "total_executions"
    )
    good = {"pool_performance": "successful_tasks", "quality_trend": "successful"}.get(
        mart, "successful_count"
    )
    found = ask(
        f"select date_diff('day', date, date '2026-06-15') as age, sum({total}), sum({good})"
        f" from {mart} where repo = 'edges' group by age order by age"
    )
    assert found == [(days, 2, 1) for days in AGES if 0 <= days <= window]


def test_an_hour_has_its_first_moment_and_not_that_of_the_next(ask):
    assert ask(
        "select strftime(hour, '%d %H:%M') from pool_performance where repo = 'edges'"
        " and date >= '2026-06-15' order by 1"
    ) == [("15 00:00",), ("15 23:00",)]


def test_a_pattern_has_its_uses_within_the_window(ask):
    assert ask(
        "select solution_summary, usage_count, success_count, success_rate,"
        " date_diff('day', first_seen, timestamp '2026-06-15'),"
        " date_diff('day', last_seen, timestamp '2026-06-15')"
        " from solution_patterns order by 1"
    ) == [("five", 5, 3, 0.6, 1, 1), ("five, one as old as may be", 5, 3, 0.6, 90, 1)]


def test_tries_within_twice_the_skew_go_by_their_order_and_beyond_by_the_clocks(ask):
    tries = "select attempt, success, attempt_is_ambiguous from executions where {} order by 1"
    within, beyond = (
        f"coalesce(parent_task_id, task_id) = '{task_uuid(name)}'" for name in ("within", "beyond")
    )
    assert ask(tries.format(within)) == [(1, False, False), (2, True, False)]
    assert ask(tries.format(beyond)) == [(1, True, False)]
    assert ask("select count(*) from pending_executions where repo = 'tries'") == [(1,)]


def test_an_outcome_at_the_moment_of_its_start_took_no_time(ask):
    found = {
        name: ask(
            "select duration_seconds, known_duration_seconds from executions"
            f" where task_id = '{task_uuid(name)}'"
        )
        for name in ("at once", "before")
    }
    assert found == {"at once": [(0.0, 0.0)], "before": [(0.0, None)]}


def test_what_nobody_said_has_the_value_that_the_docs_say(ask):
    assert ask(
        "select task_type, task_description, repo, file_count, estimated_tokens, model_tier,"
        " pool_type, routing_confidence, complexity_score, cost_estimate, actual_cost, cost_source,"
        f" known_cost, attempt, metadata from executions where task_id = '{task_uuid('at once')}'"
    ) == [
        (
            "unknown", "", "unknown", 0, 0, "unknown", "unknown", 0.5, 50, 0.0, 0.0, "unknown",
            None, 1, "{}",
        )
    ]  # fmt: skip


def test_each_kind_of_feedback_says_what_it_says(ask):
    accepted = {
        type_: ask(
            f"select user_accepted from executions where task_id = '{task_uuid(f'judged {type_}')}'"
        )[0][0]
        for type_ in ("thumbs_up", "accepted", "thumbs_down", "rejected", "rating", "comment")
    }
    assert accepted == {
        "thumbs_up": True, "accepted": True, "thumbs_down": False, "rejected": False,
        "rating": None, "comment": None,
    }  # fmt: skip


@pytest.mark.parametrize("key", LATER)
def test_of_two_events_the_later_counts_by_occurrence_then_capture_then_id(ask, key):
    latest = [(f"{key} 1",)]
    like = f"like '{key} %'"
    assert ask(f"select comment from feedback where comment {like}") == latest
    assert ask(f"select task_context from solutions where task_context {like}") == latest
    assert (
        ask(f"select adjustment_reason from quality_policies where adjustment_reason {like}")
        == latest
    )
    pools = ask(
        "select pool_id, is_open, closed_at, close_reason from pools"
        f" where pool_id like '% {key}' order by pool_id"
    )
    at = LATER[key][1]["occurred_at"].replace(tzinfo=None)
    assert pools == [
        (f"closed {key}", False, at, "done"),
        (f"open {key}", True, None, None),
        (f"twice {key}", False, at, None),
    ]


LEAST = {
    "routing_confidence": 0, "complexity_score": 0, "duration_seconds": 0, "quality_score": 0,
    "cost_estimate": 0, "actual_cost": 0, "user_rating": 1, "attempt": 1,
}  # fmt: skip
MOST = {"routing_confidence": 1, "complexity_score": 100, "quality_score": 100, "user_rating": 5}
"""What the data tests of `executions` let a value be."""


def test_a_value_on_a_bound_passes_the_data_tests_and_one_beyond_does_not(built, parsed, tmp_path):
    root = shutil.copytree(built.home.root, tmp_path / "home", symlinks=True)
    copy = Warehouse(root, parsed)

    def failed(values: dict[str, float]) -> int:
        """Return how many tests fail where all executions have these values."""
        with duckdb.connect(str(copy.home.warehouse)) as connection:
            changes = ", ".join(f"{name} = {value}" for name, value in values.items())
            connection.execute(f"update executions set {changes}")
        try:
            copy.refresher.invoke(["test", "--select", "executions,test_name:accepted_range"])
        except RefreshError as error:
            more = re.search(r"\(and (\d+) more\)", str(error))
            return 1 + int(more[1] if more else 0)
        return 0

    assert failed({**LEAST, **MOST}) == 0
    assert failed({name: value + 1 for name, value in MOST.items()}) == len(MOST)
    assert failed(LEAST) == 0
    assert failed({name: value - 1 for name, value in LEAST.items()}) == len(LEAST)
