"""What the hooks promise: an event that was acknowledged is in the spool, whole, once."""

from __future__ import annotations

import os
import random
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from orb_learning import Telemetry
from orb_learning.errors import InvalidEventError
from orb_learning.events import parse_line
from orb_learning.spool import read_event, segment_names
from orb_learning.staging import load

TASK = UUID("0198a3a0-0000-7000-8000-000000000001")


def test_four_threads_lose_and_tear_nothing(home, events_in):
    telemetry = Telemetry(home.root, max_segment_bytes=100_000)
    start = threading.Barrier(4)
    acknowledged: list[list[UUID]] = [[] for _ in range(4)]

    def capture(mine: list[UUID]) -> None:
        start.wait()
        for _ in range(2000):
            event = telemetry.capture_routing_outcome_sync(task_id=TASK, success=True)
            assert event is not None
            mine.append(event.event_id)

    threads = [threading.Thread(target=capture, args=(mine,)) for mine in acknowledged]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    telemetry.close()

    written = [event.event_id for event in events_in(home.spool)]
    assert len(written) == 8000
    assert set(written) == {made for mine in acknowledged for made in mine}
    assert len(segment_names(home.spool)) > 4, "segments were rotated under the threads"
    stats = telemetry.stats()
    assert (stats.captured, stats.quarantined, stats.dropped) == (8000, 0, 0)
    assert stats.written_bytes == sum(file.stat().st_size for file in home.spool.iterdir())


@pytest.mark.parametrize("least", [1, 10, 100, 300])
def test_a_killed_process_loses_no_acknowledged_event(home, children, whole_lines_in, least):
    reader, writer = os.pipe()

    def capture_for_ever() -> None:
        telemetry = Telemetry(home.root, max_segment_bytes=20_000)
        while True:
            event = telemetry.capture_routing_outcome_sync(
                task_id=TASK, success=False, error_message="x" * 500
            )
            assert event is not None
            os.write(writer, event.event_id.bytes)

    pid = children.start(capture_for_ever)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        acknowledged = pipe.read(16 * least)
        children.kill(pid)
        acknowledged += pipe.read()

    events = [parse_line(line) for line in whole_lines_in(home.spool)]
    written = [event.event_id for event in events]
    owed = {UUID(bytes=acknowledged[at : at + 16]) for at in range(0, len(acknowledged), 16)}
    assert len(owed) >= least
    assert owed <= set(written)
    assert len(written) == len(set(written)) <= len(owed) + 1, "at most one is not acknowledged"


def test_a_fork_inherits_hooks_that_work(telemetry, home, children, events_in):
    telemetry.capture_feedback_sync(TASK, feedback_type="from the parent")

    def capture() -> None:
        assert telemetry.capture_feedback_sync(TASK, feedback_type="from the child") is not None

    for _ in range(3):
        children.run(capture)
    telemetry.capture_feedback_sync(TASK, feedback_type="from the parent")

    kinds = [event.feedback_type for event in events_in(home.spool)]
    assert sorted(kinds) == ["from the child"] * 3 + ["from the parent"] * 2
    assert len(segment_names(home.spool)) == 4


class Writers:
    """Four processes of four threads each, which capture until they are killed."""

    def __init__(self, home: Path, children: object) -> None:
        self._home = home
        self._children = children
        self._ends: list[tuple[int, int]] = []
        for _ in range(4):
            # One after the other, so that nobody else keeps a pipe's writing end open.
            told, tell = os.pipe()
            pid = children.start(lambda tell=tell: self._capture(tell))
            os.close(tell)
            self._ends.append((pid, told))

    def _capture(self, tell: int) -> None:
        telemetry = Telemetry(self._home, max_segment_bytes=30_000)
        chance = random.Random(os.getpid())

        def work() -> None:
            while True:
                event = telemetry.capture_routing_outcome_sync(
                    task_id=TASK, success=False, error_message="x" * chance.randrange(1, 6000)
                )
                if event is not None:
                    os.write(tell, event.event_id.bytes)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        threads[0].join()

    def kill_after(self, acknowledged: int) -> set[UUID]:
        """Kill each process after so many acknowledgements; return all it has given."""
        given: set[UUID] = set()
        for pid, told in self._ends:
            with os.fdopen(told, "rb") as pipe:
                data = pipe.read(16 * acknowledged)
                self._children.kill(pid)
                data += pipe.read()
            given |= {UUID(bytes=data[at : at + 16]) for at in range(0, len(data) // 16 * 16, 16)}
        return given


def test_three_hundred_killed_processes_lose_no_acknowledged_event(tmp_path, children):
    chance = random.Random(7)
    torn = events = 0
    for trial in range(75):
        home = tmp_path / str(trial)
        acknowledged = Writers(home, children).kill_after(chance.randrange(1, 60))
        written = []
        for name in segment_names(home / "spool"):
            *whole, tail = (home / "spool" / name).read_bytes().split(b"\n")
            written += [read_event(line)[0].event_id for line in whole]
            torn += bool(tail)
        assert len(written) == len(set(written)), "none is doubled"
        assert acknowledged <= set(written), "none is lost"
        assert len(written) <= len(acknowledged) + 16, "at most one a thread was not told of"
        events += len(acknowledged)
    assert events > 75 * 4
    assert torn <= 300, "at most one torn tail a segment that was open"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only the superuser can mount a small file system")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_costs_only_what_was_reported_as_not_captured(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 600_000)
    telemetry = Telemetry(small_disk / "home", max_segment_bytes=100_000)
    acknowledged: list[UUID] = []
    refused: list[int] = []
    is_full, may_go_on = threading.Event(), threading.Event()

    def capture(thread: int) -> None:
        for number in range(1500):
            if number == 1000:
                is_full.set()
                may_go_on.wait()
            event = telemetry.capture_routing_outcome_sync(
                task_id=TASK, success=True, solution_summary="x" * (number % 200 + 1)
            )
            if event is None:
                refused.append(number)
            else:
                acknowledged.append(event.event_id)

    threads = [threading.Thread(target=capture, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    is_full.wait()
    ballast.unlink()  # while the others still fill it
    may_go_on.set()
    for thread in threads:
        thread.join()
    telemetry.close()

    assert refused, "the disk was full"
    assert telemetry.stats().dropped == len(refused)
    assert telemetry.stats().captured == len(acknowledged) == len(set(acknowledged))
    written = set()
    for name in segment_names(small_disk / "home/spool"):
        for line in (small_disk / "home/spool" / name).read_bytes().split(b"\n"):
            try:
                written.add(read_event(line)[0].event_id)
            except InvalidEventError:
                assert b"}" not in line, "only fragments are no events"
    assert set(acknowledged) == written


def test_what_is_captured_beside_a_full_disk_loads_once_there_is_room(small_disk, tmp_path):
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1_000_000)
    telemetry = Telemetry(small_disk / "home")
    while telemetry.capture_routing_outcome_sync(task_id=TASK, success=True) is not None:
        pass
    assert telemetry.stats().dropped == 1
    captured = telemetry.stats().captured
    ballast.unlink()
    assert telemetry.capture_routing_outcome_sync(task_id=TASK, success=True) is not None
    telemetry.close()
    (small_disk / "home").rename(small_disk / "moved")
    subprocess.run(["cp", "-a", str(small_disk / "moved"), str(tmp_path / "moved")], check=True)
    assert load(Telemetry(tmp_path / "moved").home).loaded == captured + 1
