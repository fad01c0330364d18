"""What the hooks promise: an event that was acknowledged is in the spool, whole, once."""

from __future__ import annotations

import os
import threading
from uuid import UUID

import pytest

from orb_learning import Telemetry
from orb_learning.events import parse_line
from orb_learning.staging._segments import segment_names

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
