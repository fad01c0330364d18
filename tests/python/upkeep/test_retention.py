"""Pruning removes whole tasks, loaded segments and old publications, and nothing else."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta
from hashlib import sha512
from uuid import UUID

import duckdb
import pytest

from orb_learning.errors import HomeError
from orb_learning.events import PoolClosed, PoolCreated, RoutingDecision, RoutingOutcome
from orb_learning.home import Home
from orb_learning.staging import lower_floor
from orb_learning.upkeep import _retention, prune, take_in

TODAY = date(2026, 6, 15)


def days_ago(days: int, hour: int = 12) -> datetime:
    return datetime(2026, 6, 15, hour, tzinfo=UTC) - timedelta(days=days)


def decided(number: int, when: datetime) -> RoutingDecision:
    return RoutingDecision(
        task_id=UUID(int=number), occurred_at=when, task_type="t", repo="r", model_tier="m"
    )


def ended(number: int, when: datetime) -> RoutingOutcome:
    return RoutingOutcome(task_id=UUID(int=number), occurred_at=when, success=True)


def history(home: Home, spool, *days: int) -> None:
    """Capture and load an event so many days ago each, one after the other."""
    for ago in days:
        number = take_in(home).load_id + 1
        spool.write(f"{number}.jsonl", decided(number, days_ago(200)))
        take_in(home)
        with duckdb.connect(str(home.staging)) as connection:
            moment = days_ago(ago)
            connection.execute(
                "update ledger.loads set loaded_at = ? where load_id = ?", [moment, number]
            )
            connection.execute(
                "update raw.routing_decision set captured_at = ? where load_id = ?",
                [moment, number],
            )


def captured(number: int, when: datetime) -> RoutingDecision:
    return decided(number, days_ago(200)).model_copy(update={"captured_at": when})


def refusal(home: Home, **arguments: object) -> str:
    with pytest.raises(HomeError) as refused:
        prune(home, **arguments)
    return str(refused.value)


def test_a_task_goes_whole_or_not_at_all(home, spool, staging):
    spool.write(
        "a.jsonl",
        decided(1, days_ago(200)),
        ended(1, days_ago(91)),
        decided(2, days_ago(200)),
        ended(2, days_ago(90)),
        decided(3, days_ago(1)),
    )
    staging.load()
    home.warehouse.write_bytes(b"built")

    report = prune(home, today=TODAY, is_sure=True)

    assert report.rows == {"routing_decision": 1, "routing_outcome": 1}
    assert report.executions_from == TODAY - timedelta(days=90)
    assert staging.query("select task_id from raw.routing_decision order by 1") == [
        (UUID(int=2),),
        (UUID(int=3),),
    ]
    assert not home.warehouse.exists()
    assert staging.load().lines == 0, "what is pruned is not loaded again"


def test_pruning_again_changes_nothing(home, spool, staging):
    spool.write("a.jsonl", decided(1, days_ago(200)), decided(2, days_ago(1)))
    prune(home, today=TODAY, is_sure=True)
    home.warehouse.write_bytes(b"built")
    report = prune(home, today=TODAY, is_sure=True)
    assert (report.rows, report.executions_from) == ({}, None)
    assert home.warehouse.exists()
    assert staging.query("select count(*) from ledger.retention") == [(1,)]


def test_a_pool_goes_with_its_closing_and_an_open_one_stays(home, spool, staging):
    spool.write(
        "a.jsonl",
        PoolCreated(pool_id="old", occurred_at=days_ago(300)),
        PoolClosed(pool_id="old", occurred_at=days_ago(200)),
        PoolCreated(pool_id="open", occurred_at=days_ago(300)),
        PoolCreated(pool_id="new", occurred_at=days_ago(300)),
        PoolClosed(pool_id="new", occurred_at=days_ago(2)),
    )
    prune(home, today=TODAY, is_sure=True)
    assert staging.query("select pool_id from raw.pool_created order by 1") == [("new",), ("open",)]


def test_a_pool_that_came_up_again_keeps_its_new_creation(home, spool, staging):
    spool.write(
        "a.jsonl",
        PoolCreated(pool_id="again", occurred_at=days_ago(300)),
        PoolClosed(pool_id="again", occurred_at=days_ago(200)),
        PoolCreated(pool_id="again", occurred_at=days_ago(2)),
    )
    prune(home, today=TODAY, is_sure=True)
    assert staging.query("select occurred_at::date from raw.pool_created") == [
        (days_ago(2).date(),)
    ]
    assert staging.query("from raw.pool_closed") == []


@pytest.mark.parametrize(("days", "left"), [(90, 3), (91, 0)])
def test_a_pool_stays_as_many_days_after_its_last_closing_as_events_do(
    home, spool, staging, days, left
):
    spool.write(
        "a.jsonl",
        PoolCreated(pool_id="a", occurred_at=days_ago(300)),
        PoolClosed(pool_id="a", occurred_at=days_ago(200)),
        PoolClosed(pool_id="a", occurred_at=days_ago(days, hour=0)),
    )
    prune(home, today=TODAY, is_sure=True)
    assert staging.query(
        "select (select count(*) from raw.pool_created) + (select count(*) from raw.pool_closed)"
    ) == [(left,)]


def test_each_retention_is_counted_in_days_of_its_own(home, spool, staging):
    """Raw events 365 days, executions 30, segments 2; and what is just so old stays."""
    for number, days in enumerate((365, 366)):
        spool.write("a.jsonl", decided(number, days_ago(days)))
    for days in (2, 3):
        path = spool.write(f"{days}.jsonl", decided(days, days_ago(1)))
        os.utime(path, (days_ago(days, hour=0).timestamp(),) * 2)
    report = prune(home, raw_days=365, derived_days=30, segment_days=2, today=TODAY, is_sure=True)
    assert (report.rows, report.executions_from) == (
        {"routing_decision": 1},
        date(2026, 5, 16),
    )
    assert staging.query("select min(occurred_at) from raw.routing_decision") == [
        (days_ago(365).replace(tzinfo=None),)
    ]
    assert report.segments == 1
    assert sorted(path.name for path in home.spool.iterdir()) == ["2.jsonl", "a.jsonl"]


def test_by_default_raw_events_and_executions_stay_90_days_and_segments_7(home, spool):
    for days in (7, 8):
        path = spool.write(f"{days}.jsonl", decided(days, days_ago(1)))
        os.utime(path, (days_ago(days, hour=23).timestamp(),) * 2)
    report = prune(home, today=TODAY, is_sure=True)
    assert report.executions_from == TODAY - timedelta(days=90)
    assert report.segments == 1
    assert [path.name for path in home.spool.iterdir()] == ["7.jsonl"]


@pytest.mark.parametrize(("old", "is_rewritten"), [(1, False), (2, True)])
def test_staging_is_written_anew_where_more_than_a_fifth_of_its_rows_went(
    home, spool, old, is_rewritten
):
    spool.write("a.jsonl", *(decided(n, days_ago(200 if n < old else 1)) for n in range(5)))
    take_in(home)
    before = home.staging.stat().st_ino
    assert prune(home, today=TODAY, is_sure=True).rows == {"routing_decision": old}
    assert (home.staging.stat().st_ino != before) is is_rewritten


def test_only_loaded_segments_that_are_old_are_deleted(home, spool, staging, pool, hold):
    old = (days_ago(30)).timestamp()
    for name in ("done.jsonl", "held.jsonl", "young.jsonl"):
        path = spool.write(name, pool(len(name)))
        if name != "young.jsonl":
            os.utime(path, (old, old))
    os.utime(home.spool / "young.jsonl", (days_ago(3).timestamp(),) * 2)
    hold(home.spool / "held.jsonl")
    spool.write("link.jsonl").unlink()
    (home.spool / "link.jsonl").symlink_to(home.spool / "done.jsonl")

    report = prune(home, today=TODAY, is_sure=True)

    assert report.segments == 1
    assert sorted(path.name for path in home.spool.iterdir()) == [
        "held.jsonl",
        "link.jsonl",
        "young.jsonl",
    ]
    assert len(staging.pools()) == 2  # two names are equally long


def test_a_segment_that_grew_after_it_was_done_is_kept(home, spool, pool):
    spool.write("a.jsonl", pool(1))
    take_in(home)
    take_in(home)
    path = spool.write("a.jsonl", b"written by nobody who may")
    os.utime(path, (days_ago(30).timestamp(),) * 2)
    assert prune(home, today=TODAY, is_sure=True).segments == 0
    assert path.exists()


def test_a_large_delete_gives_its_space_back(home, spool, staging):
    def filler(number: int) -> str:
        return "".join(sha512(b"%d %d" % (number, part)).hexdigest() for part in range(5))

    spool.write(
        "a.jsonl",
        *(
            decided(number, days_ago(200)).model_copy(update={"metadata": {"note": filler(number)}})
            for number in range(30_000)
        ),
        decided(90_001, days_ago(1)),
    )
    take_in(home)
    before = home.staging.stat().st_size

    report = prune(home, today=TODAY, is_sure=True)

    assert report.rows == {"routing_decision": 30_000}
    assert home.staging.stat().st_size < before / 2
    assert staging.query("select count(*) from raw.routing_decision") == [(1,)]


def test_a_failure_takes_back_what_was_removed(home, spool, staging, monkeypatch):
    spool.write("a.jsonl", decided(1, days_ago(200)))

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(_retention, "raise_floor", fail)
    with pytest.raises(ZeroDivisionError):
        prune(home, today=TODAY, is_sure=True)
    assert staging.query("select count(*) from raw.routing_decision") == [(1,)]


def test_days_may_be_a_thousand_years(home):
    prune(home, raw_days=365_000, derived_days=365_000, segment_days=365_000)


@pytest.mark.parametrize("name", ["raw_days", "derived_days", "segment_days"])
@pytest.mark.parametrize("days", [-1, 365_001, 10**20])
def test_days_are_at_most_a_thousand_years(home, name, days):
    with pytest.raises(HomeError, match=f"{name} must be between 0 and 365,000, not {days}"):
        prune(home, **{name: days})
    assert not home.staging.exists()


@pytest.mark.parametrize(("days", "left"), [(90, [UUID(int=1)]), (91, [])])
def test_a_task_of_which_a_line_may_yet_be_replayed_stays_whole(home, spool, staging, days, left):
    spool.write("a.jsonl", decided(1, days_ago(100)), decided(2, days_ago(100)))
    outcome = {"event_type": "routing_outcome", "task_id": str(UUID(int=1)), "user_id": "maria"}
    spool.write("b.jsonl", json.dumps(outcome).encode())
    take_in(home)
    with duckdb.connect(str(home.staging)) as connection:
        connection.execute("update ledger.loads set loaded_at = ?", [days_ago(days)])
    prune(home, today=TODAY, is_sure=True)
    assert staging.query("select task_id from raw.routing_decision") == [(task,) for task in left]


def test_a_log_that_was_put_aside_goes_with_the_segments_of_its_day(home, spool, pool):
    spool.write("a.jsonl", pool(1))
    take_in(home)
    logs = [home.staging.with_name(f"staging.duckdb.wal.damaged-{n}") for n in "12"]
    for log, days in zip(logs, (30, 0), strict=True):
        log.write_bytes(b"lines that were loaded again")
        os.utime(log, (days_ago(days).timestamp(),) * 2)
    prune(home, today=TODAY, is_sure=True)
    assert [log.exists() for log in logs] == [False, True]


def test_executions_do_not_outlive_their_events(home):
    with pytest.raises(HomeError, match="executions cannot stay 91 days where raw events stay 90"):
        prune(home, derived_days=91)


def test_today_is_the_default_day(home, spool, monkeypatch):
    history(home, spool, 0)
    with duckdb.connect(str(home.staging)) as connection:
        connection.execute("update raw.routing_decision set occurred_at = ?", [days_ago(0, hour=0)])
    monkeypatch.setattr(_retention, "utc_now", lambda: days_ago(0, hour=23))
    assert prune(home, raw_days=0, derived_days=0).executions_from == TODAY
    monkeypatch.setattr(_retention, "utc_now", lambda: days_ago(-1, hour=0))
    assert prune(home, raw_days=0, derived_days=0).rows == {"routing_decision": 1}


# Whether the clock is right


@pytest.mark.parametrize("days", [0, 31])
def test_a_day_that_follows_on_the_newest_load_is_believed(home, spool, days):
    history(home, spool, days)
    assert prune(home, today=TODAY).rows == {"routing_decision": 1}


@pytest.mark.parametrize(
    ("days", "loaded"), [(32, "2026-05-14"), (3650, "2016-06-17"), (-1, "2026-06-16")]
)
def test_a_day_that_does_not_is_refused_before_anything_is_loaded_unless_one_is_sure(
    home, spool, staging, days, loaded
):
    history(home, spool, days)
    spool.write("more.jsonl", decided(9, days_ago(1)))
    home.warehouse.write_bytes(b"built")

    assert refusal(home, today=TODAY).startswith(
        f"today would be 2026-06-15, but the newest load is of {loaded} and the newest event of "
    )
    assert "run `orb-learning prune --today 2026-06-15 --yes`" in refusal(home, today=TODAY)

    assert home.warehouse.exists()
    assert staging.query("select count(*) from ledger.loads") == [(1,)]
    assert staging.query("select count(*) from raw.routing_decision") == [(1,)]
    assert prune(home, today=TODAY, is_sure=True).rows == {"routing_decision": 1}


def test_being_sure_is_about_a_day_that_is_named(home, spool):
    history(home, spool, 0)  # months before the clock of whoever runs this
    assert "the newest load is of 2026-06-15" in refusal(home, is_sure=True)


def test_an_event_dated_after_its_own_load_is_no_witness(home, spool):
    history(home, spool, 60)
    with duckdb.connect(str(home.staging)) as connection:
        connection.execute("update raw.routing_decision set occurred_at = ?", [days_ago(2)])
    assert "the newest event of no day" in refusal(home, today=TODAY)


def test_an_event_of_the_moment_of_its_load_is_one(home, spool):
    history(home, spool, 40)
    with duckdb.connect(str(home.staging)) as connection:
        connection.execute("update raw.routing_decision set occurred_at = ?", [days_ago(40)])
    assert "the newest event of 2026-05-06" in refusal(home, today=TODAY)


def test_an_event_as_old_as_the_longest_pause_is_a_witness(home, spool):
    """The newest load is older, as one that a clock set back has dated."""
    for days, is_believed in ((31, True), (32, False)):
        history(home, spool, 1, 60)
        with duckdb.connect(str(home.staging)) as connection:
            connection.execute("update raw.routing_decision set occurred_at = ?", [days_ago(days)])
        if is_believed:
            prune(home, today=TODAY)
        else:
            assert "the newest event of 2026-05-14" in refusal(home, today=TODAY)


def test_a_load_that_a_clock_set_back_dated_does_not_hide_newer_events(home, spool):
    history(home, spool, 1, 60)
    with duckdb.connect(str(home.staging)) as connection:
        connection.execute(
            "update raw.routing_decision set occurred_at = ? where load_id = 1", [days_ago(2)]
        )
    assert prune(home, today=TODAY).executions_from == TODAY - timedelta(days=90)


def test_a_wrong_clock_that_was_set_right_is_forgotten(home, spool):
    history(home, spool, 1, -3650)
    assert "the newest load is of 2036-06-12" in refusal(home, today=TODAY)
    history(home, spool, 0)
    prune(home, today=TODAY)


def test_an_empty_home_is_pruned_by_any_clock(home):
    assert prune(home, today=date(2200, 1, 1)).rows == {}


def test_old_executions_imported_today_are_pruned_today(home, spool):
    spool.write("a.jsonl", decided(1, days_ago(4000)), decided(2, days_ago(900)))
    assert prune(home).rows == {"routing_decision": 2}


# The floor


def floor(staging) -> date | None:
    return staging.query("select max(executions_from) from ledger.retention")[0][0]


def test_a_floor_in_the_future_is_taken_back_by_the_next_load_with_a_word(
    home, spool, staging, caplog
):
    history(home, spool, 0)
    prune(home, today=TODAY)
    prune(home, today=date(2200, 6, 15), is_sure=True)
    assert floor(staging) == date(2200, 3, 17)
    home.warehouse.write_bytes(b"built")

    take_in(home)

    assert floor(staging) == date(2026, 3, 17), "the one that was right stands"
    assert not home.warehouse.exists()
    assert "executions were kept only from 2200-03-17 on, which is yet to come" in caplog.text


def test_a_floor_that_the_ledger_has_reached_waits_for_a_load_under_the_right_clock(
    home, spool, staging
):
    history(home, spool, 0, -100_000)
    prune(home, today=date(2300, 3, 31), is_sure=True)
    home.warehouse.write_bytes(b"built")
    take_in(home)
    assert floor(staging) == date(2299, 12, 31)
    assert home.warehouse.exists()

    spool.write("new.jsonl", decided(9, days_ago(0)))
    take_in(home)
    assert floor(staging) is None
    assert not home.warehouse.exists()


def test_a_floor_of_the_day_of_the_newest_load_is_not_yet_to_come(home, spool, staging):
    history(home, spool, -100_000)
    newest = TODAY + timedelta(days=100_000)
    for later, is_kept in ((0, True), (1, False)):
        with duckdb.connect(str(home.staging)) as connection:
            connection.execute(
                "insert into ledger.retention values (now(), ?)", [newest + timedelta(days=later)]
            )
        home.warehouse.write_bytes(b"built")
        take_in(home)
        assert floor(staging) == newest
        assert home.warehouse.exists() is is_kept


def test_the_floor_can_be_lowered_and_only_lowered(home, spool, staging):
    history(home, spool, 0)
    for days in (40, 20):
        prune(home, derived_days=days, today=TODAY)
    home.warehouse.write_bytes(b"built")

    lower_floor(home, date(2026, 5, 16))

    assert floor(staging) == date(2026, 5, 16)
    assert not home.warehouse.exists()
    for day in (16, 17):
        with pytest.raises(HomeError, match="are kept from 2026-05-16 on: a floor is only lowered"):
            lower_floor(home, date(2026, 5, day))
    prune(home, today=TODAY, derived_days=20)
    assert floor(staging) == date(2026, 5, 26)


def test_without_a_floor_there_is_none_to_lower(home):
    with pytest.raises(HomeError, match="are kept from the first on: a floor is only"):
        lower_floor(home, TODAY)


def test_a_floor_whose_lowering_fails_stands(home, spool, staging, monkeypatch):
    history(home, spool, 0)
    prune(home, today=TODAY)

    def fail(_: Home) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("orb_learning.staging._floor.drop_warehouse", fail)
    with pytest.raises(ZeroDivisionError):
        lower_floor(home, date(2026, 1, 1))
    assert floor(staging) == date(2026, 3, 17)
