"""A few trials of every row, and proof that a broken promise is seen; see `make faults`."""

from __future__ import annotations

import os
import random
from pathlib import Path

import duckdb
import pytest

from orb_learning.home import Home
from orb_learning.upkeep import take_in

from . import _publishing
from ._disks import injected, no_injection, no_mounts
from ._homes import audit, new_uuid, pool_line, settle, warm_up, write_segment
from ._processes import Child, Pace, call
from ._result import Result
from .rows import ROWS, Part, Row, try_part
from .run import SEED

PARTS = [
    pytest.param(row, part, id=f"{row.key}-{part.trial.__name__}")
    for row in ROWS
    for part in row.parts
]


@pytest.mark.parametrize(("row", "part"), PARTS)
def test_nothing_is_lost_doubled_or_half_published(row: Row, part: Part, tmp_path: Path) -> None:
    warm_up(tmp_path)
    result = try_part(part, part.short, range(SEED, SEED + 5 * part.short + 10), tmp_path)
    assert result.is_good, f"{row.title}: {result}"
    assert result.faults >= part.short, "the faults really hit"


def test_disks_can_be_filled_here() -> None:
    if no_mounts():
        pytest.skip(no_mounts())


def test_system_calls_can_be_made_to_fail_here() -> None:
    if no_injection():
        pytest.skip(no_injection())


@pytest.fixture
def loaded(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    write_segment(home, "a.jsonl", [pool_line(event) for event in EVENTS] + [b"bad"])
    assert call(lambda: take_in(home)).is_done
    return home


EVENTS = [new_uuid(random.Random(number)) for number in range(5)]


def change(home: Home, statement: str) -> None:
    def work() -> None:
        with duckdb.connect(str(home.staging)) as connection:
            connection.execute(statement)

    assert call(work).is_done


def test_the_audit_finds_nothing_where_nothing_is_wrong(loaded: Home) -> None:
    result = Result()
    audit(result, loaded, set(EVENTS), "here", also=set())
    assert result.is_good, result


def test_the_audit_counts_what_is_lost(loaded: Home) -> None:
    result = Result()
    audit(result, loaded, {*EVENTS, new_uuid(random.Random(99))}, "here")
    assert (result.lost, result.doubled, result.is_good) == (1, 0, False)


def test_the_audit_counts_what_is_doubled(loaded: Home) -> None:
    change(loaded, "insert into raw.pool_created from raw.pool_created limit 2")
    result = Result()
    audit(result, loaded, set(EVENTS), "here")
    assert (result.lost, result.doubled) == (0, 2)
    assert "7 in the tables" in str(result.notes)


def test_the_audit_finds_what_nobody_wrote(loaded: Home) -> None:
    result = Result()
    audit(result, loaded, set(EVENTS[1:]), "here", also=set())
    assert result.other == 1


def test_the_audit_finds_a_ledger_that_does_not_add_up(loaded: Home) -> None:
    change(loaded, "delete from ledger.quarantine")
    result = Result()
    audit(result, loaded, set(EVENTS), "here")
    assert result.other == 1


@pytest.fixture
def published(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    for work in (
        lambda: _publishing.prepare(home),
        lambda: _publishing.publish_run(home, 1),
        lambda: _publishing.publish_run(home, 2),
    ):
        ended = call(work)
        assert ended.is_done, ended
    return home


def test_the_look_finds_a_publication_that_is_missing(published: Home) -> None:
    published.learning_db.unlink()
    result = Result()
    _publishing.check(published, 2, 3, result, "here")
    assert result.half_published == 1


def test_the_look_finds_an_older_publication(published: Home) -> None:
    result = Result()
    _publishing.check(published, 3, 4, result, "here")
    assert result.half_published == 1


def test_the_look_finds_a_publication_that_mixes_runs(published: Home) -> None:
    copy = published.learning_db.resolve()
    copy.chmod(0o600)

    def mix() -> None:
        with duckdb.connect(str(copy)) as connection:
            connection.execute("update second set run = 1 where n < 9")

    assert call(mix).is_done
    result = Result()
    _publishing.check(published, 2, 2, result, "here")
    assert "mixes runs" in str(result.notes)


def test_a_process_that_does_not_end_is_a_hang() -> None:
    reader, _writer = os.pipe()
    child = Child(lambda _: os.read(reader, 1))
    assert child.wait(0.2).is_hung


def test_what_a_process_raises_is_told() -> None:
    result = Result()
    settle(result, "this", lambda: 1 // 0)
    assert result.other == 1
    assert "ZeroDivisionError" in result.notes[0]


def test_a_random_kill_hits_within_the_work() -> None:
    """The first run ends and is counted; the others wait at their end, however late the kill is."""
    pace, chance = Pace(), random.Random(1)
    reader, _writer = os.pipe()
    is_counted = False

    def work() -> None:
        assert [abs(n) for n in range(2000)]
        if is_counted:
            os.read(reader, 1)

    assert pace.kill_at_random("sum", work, chance).is_done
    is_counted = True
    for _ in range(19):
        assert pace.kill_at_random("sum", work, chance).is_killed


@pytest.mark.parametrize("number", range(1, 9))
def test_a_first_load_killed_at_any_write_is_healed_by_the_next(
    tmp_path: Path, number: int
) -> None:
    if no_injection():
        pytest.skip(no_injection())
    home = Home(tmp_path / "home")
    write_segment(home, "a.jsonl", [pool_line(event) for event in EVENTS])

    ended, _ = injected(lambda: take_in(home), "pwrite64", "signal=SIGKILL", str(number), tmp_path)

    assert ended.is_killed
    result = Result()
    settle(result, "the next load", lambda: take_in(home))
    audit(result, home, set(EVENTS), "after the kill", also=set())
    assert result.is_good, result
