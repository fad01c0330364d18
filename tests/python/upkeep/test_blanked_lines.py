"""Lines that an erasure has blanked say nothing: whoever reads them again passes them over."""

from __future__ import annotations

import os
from uuid import UUID

import duckdb
import pytest

from orb_learning import _faults
from orb_learning.events import RoutingOutcome
from orb_learning.spool import blank_segment
from orb_learning.staging import LoadReport, faults, load
from orb_learning.staging import _loader as loader
from orb_learning.upkeep import backup, request_erasure, reset, restore, take_in

GONE = UUID("9d3a1c52-4f9b-4a9e-8f7e-0c5d4e2b1a00")


def outcomes(first: int, count: int) -> list[RoutingOutcome]:
    """Return outcomes of different tasks, the same ones for the same numbers."""
    return [
        RoutingOutcome(
            event_id=UUID(int=number),
            task_id=GONE if number == first else UUID(int=number),
            occurred_at="2026-03-01T12:00:00Z",
            captured_at="2026-03-01T12:00:00Z",
            success=True,
        )
        for number in range(first, first + count)
    ]


@pytest.fixture
def erased(home, spool, staging):
    """A home that has loaded and blanked lines, one of them from quarantine."""
    refused = b'{"event_id": "x", "task_id": "%s"}' % str(GONE).encode()
    spool.write("a.jsonl", *outcomes(1, 3), refused, b"no event at all")
    spool.write("b.jsonl", *outcomes(11, 1))
    backup(home)
    request_erasure(home, tasks=[str(GONE)])
    take_in(home)
    assert len(staging.reasons()) == 1
    return home


def audit(home, staging) -> None:
    """See that every load and segment adds up, and that quarantine tells of no blanks."""
    for table in ("loads", "segments"):
        for row in staging.query(
            f"select lines, loaded, duplicates, quarantined from ledger.{table}"
        ):
            assert row[0] == sum(row[1:])
    with duckdb.connect(str(home.staging), read_only=True) as connection:
        assert faults(connection) == []
    assert len(staging.reasons()) == 1
    assert "erased" not in staging.reasons()[0]


def test_after_a_reset_they_are_neither_quarantined_nor_counted(erased, staging):
    reset(erased)
    report = take_in(erased)
    audit(erased, staging)
    segments = staging.segments()
    assert segments["a.jsonl"] == (3, 2, 0, 1, True)
    assert segments["b.jsonl"] == (0, 0, 0, 0, True)
    tombstones = report.lines - 3
    assert (report.loaded, report.duplicates, report.quarantined) == (2 + tombstones, 0, 1)
    assert take_in(erased).lines == 0


def test_after_a_restore_they_are_neither_quarantined_nor_counted(erased, staging):
    reset(erased)
    restore(erased)
    take_in(erased)
    audit(erased, staging)


@pytest.mark.parametrize("point", ["load.noted", "load.committed", "erase.blanked"])
def test_a_load_of_them_that_is_killed_is_done_again(erased, staging, children, point):
    def load_and_die() -> None:
        _faults.arm(point)
        take_in(erased)

    reset(erased)
    pid = children.start(load_and_die)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    children.kill(pid)
    take_in(erased)
    audit(erased, staging)
    assert staging.query("select count(*) from raw.routing_outcome") == [(2,)]


def test_a_load_of_nothing_else_goes_on_behind_them(home, spool, staging, monkeypatch):
    file = spool.write("a.jsonl", *outcomes(1, 7))
    assert blank_segment(file, file.stat().st_size, [], lambda line: True)
    spool.write("b.jsonl", *outcomes(11, 1))
    monkeypatch.setattr(loader, "MAX_LOAD_LINES", 2)
    report = load(home)
    assert report == LoadReport(4, lines=1, loaded=1)
    assert staging.segments()["a.jsonl"] == (0, 0, 0, 0, True)
    assert load(home).lines == 0


def test_the_beginning_of_a_blank_is_one_and_an_empty_line_is_none(home, spool, staging):
    file = spool.write("a.jsonl", b"by bob", b"", b"erased by bob", b"x")
    assert blank_segment(file, len(b"by bob\n"), [], lambda line: True)
    report = load(home)
    assert (report.lines, report.quarantined) == (3, 3)
    assert staging.segments()["a.jsonl"] == (3, 0, 0, 3, True)
