"""From import to exit: light, re-entrant, and never in the host's way."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import threading
import tracemalloc
from uuid import UUID

import pytest

TASK = UUID("0198a3a0-0000-7000-8000-000000000001")


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_importing_the_package_loads_nothing_heavy():
    heavy = ["duckdb", "dbt", "torch", "numpy", "pandas", "asyncio", "filelock", "typer", "re2"]
    done = run(f"import sys, orb_learning; print([m for m in {heavy} if m in sys.modules])")
    assert done.stdout == "[]\n", done.stderr


def test_capturing_loads_nothing_heavy(tmp_path):
    heavy = ["duckdb", "dbt", "torch", "numpy", "pandas", "filelock", "typer"]
    done = run(
        "import sys; from orb_learning import Telemetry;"
        "Telemetry(sys.argv[1]).capture_routing_outcome_sync(task_id='x', success=True);"
        f"print([m for m in {heavy} if m in sys.modules])",
        str(tmp_path),
    )
    assert done.stdout == "[]\n", done.stderr


def test_a_process_that_forgets_to_close_ends_at_once_and_loses_nothing(tmp_path, whole_lines_in):
    done = run(
        """
import asyncio, sys, threading
from orb_learning import Telemetry, instrument_router

class Bus:
    def subscribe(self, message_type, handler): ...
    async def publish(self, message):
        await asyncio.Event().wait()

class Router:
    def route_task(self, task):
        return "large"

telemetry = Telemetry(sys.argv[1])

async def main():
    telemetry.subscribe(Bus())
    router = Router()
    instrument_router(router, telemetry)
    router.route_task({"prompt": "x"})
    await asyncio.to_thread(telemetry.capture_routing_outcome_sync, task_id="x", success=True)
    await telemetry.execution(task_type="x").__aenter__()

asyncio.run(main())
assert threading.active_count() == 1, threading.enumerate()

class Late:
    def __del__(self, capture=telemetry.capture_routing_outcome_sync):
        capture(task_id="at exit", success=True)

late = Late()
late.itself = late
""",
        str(tmp_path),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(whole_lines_in(tmp_path / "spool")) == 4


def test_a_signal_handler_may_capture_whatever_it_interrupts(home, events_in):
    from orb_learning import Telemetry

    telemetry = Telemetry(home.root, max_segment_bytes=5000)
    handled = []

    def handle(*_: object) -> None:
        handled.append(telemetry.capture_feedback_sync(TASK, feedback_type="from the handler"))
        signal.setitimer(signal.ITIMER_REAL, 0.0003)

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0003)
    captured = []
    try:
        while len(handled) < 200:
            captured.append(telemetry.capture_routing_outcome_sync(task_id=TASK, success=True))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    telemetry.close()

    assert None not in captured
    assert None not in handled
    written = {event.event_id for event in events_in(home.spool)}
    assert written == {event.event_id for event in [*captured, *handled]}
    assert telemetry.stats().captured == len(written)


def test_a_destructor_may_capture_while_a_hook_is_at_work(telemetry, home, events_in):
    class Dying:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            telemetry.capture_feedback_sync(TASK, feedback_type="from the destructor")

    before = gc.get_threshold()
    gc.set_threshold(5, 2, 2)
    try:
        for _ in range(300):
            Dying()
            telemetry.capture_routing_outcome_sync(
                task_id=TASK, success=True, metadata={"a": [{}, {}, {}]}, note="x"
            )
    finally:
        gc.set_threshold(*before)
    gc.collect()
    kinds = [event.type_name for event in events_in(home.spool)]
    assert (kinds.count("feedback"), kinds.count("routing_outcome")) == (300, 300)


def test_a_thousand_coroutines_capture_side_by_side(telemetry, home, events_in):
    async def work(number: int) -> UUID:
        decision = await telemetry.capture_routing_decision(task_type=f"kind {number}")
        await asyncio.sleep(0)
        outcome = await telemetry.capture_routing_outcome(success=True)
        assert decision is not None
        assert outcome is not None
        assert outcome.task_id == decision.task_id
        return decision.task_id

    async def all_of_them() -> list[UUID]:
        return await asyncio.gather(*(work(number) for number in range(1000)))

    assert len(set(asyncio.run(all_of_them()))) == 1000
    assert len(events_in(home.spool)) == 2000


def test_memory_stays_flat(telemetry):
    def capture(count: int) -> int:
        for number in range(count):
            telemetry.capture_routing_decision_sync(task_id=f"task {number}", task_type="x")
            telemetry.capture_routing_outcome_sync(task_id=f"task {number}", success=True)
            telemetry.capture_feedback_sync(f"task {number}", feedback_type="x", rating=9)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        capture(1100)  # the cache of task ids is full
        assert capture(2000) - capture(2000) < 20_000
    finally:
        tracemalloc.stop()


def test_hooks_start_no_thread(telemetry):
    before = threading.active_count()
    telemetry.capture_routing_outcome_sync(task_id=TASK, success=True)
    telemetry.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("many", [1, 2])
def test_closing_is_idempotent(telemetry, many):
    telemetry.capture_routing_outcome_sync(task_id=TASK, success=True)
    for _ in range(many):
        telemetry.close()
    assert telemetry.capture_routing_outcome_sync(task_id=TASK, success=True) is not None
