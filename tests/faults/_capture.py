"""F1: producers that die while they capture."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path
from uuid import UUID

from orb_learning import Telemetry
from orb_learning.home import Home
from orb_learning.upkeep import take_in

from ._homes import audit, settle
from ._processes import Child, call
from ._result import Result

ROUNDS = 4
WIDTH = 128
"""Bytes of an acknowledgement: a producer is only so many ahead of the pipe's reader."""


def acknowledgement(event: UUID) -> bytes:
    return event.bytes.ljust(WIDTH, b".")


def acknowledged(told: bytes) -> set[UUID]:
    whole = len(told) // WIDTH * WIDTH
    return {UUID(bytes=told[at : at + 16]) for at in range(0, whole, WIDTH)}


def produce(root: Path, tell: int, seed: int, *, threads: int, forks: bool, segment: int) -> None:
    """Capture until killed, and tell of each event after its hook has returned."""
    telemetry = Telemetry(root, max_segment_bytes=segment)

    def work(number: int) -> None:
        chance = random.Random(seed * 64 + number)
        while True:
            summary = "x" * chance.choice((0, 3, 40, 400, 3000))
            event = telemetry.capture_routing_outcome_sync(
                task_id=UUID(int=chance.getrandbits(128)), success=True, solution_summary=summary
            )
            if event is not None:
                os.write(tell, acknowledgement(event.event_id))

    if forks:
        for _ in range(3):
            event = telemetry.capture_routing_outcome_sync(task_id="fork", success=True)
            if event is not None:
                os.write(tell, acknowledgement(event.event_id))
        if os.fork() == 0:
            threads, seed = 1, seed + 1
    for number in range(1, threads):
        threading.Thread(target=work, args=(number,), daemon=True).start()
    work(0)


def capture(seed: int, folder: Path) -> Result:
    """Kill one to four producers at a time, some of them read by a loader meanwhile."""
    chance = random.Random(seed)
    result = Result()
    home = Home(folder / "home")
    owed: set[UUID] = set()
    unacknowledged = 0
    for _ in range(ROUNDS):
        segment = chance.choice((4_000, 20_000, 1 << 26))
        children = []
        for number in range(chance.choice((1, 1, 2, 3, 4))):
            threads, forks = chance.choice((1, 1, 2, 4)), chance.random() < 0.25
            unacknowledged += threads + forks
            children.append(
                Child(
                    lambda tell, threads=threads, forks=forks, number=number, segment=segment: (
                        produce(
                            home.root,
                            tell,
                            seed + number,
                            threads=threads,
                            forks=forks,
                            segment=segment,
                        )
                    )
                )
            )
        told = [child.read(WIDTH) for child in children]
        if not all(told):
            result.fail("a producer ended by itself")
        if chance.random() < 0.2:
            settle(result, "load beside producers", lambda: take_in(home))
        for child, first in zip(children, told, strict=True):
            data = first + child.drain() + child.read(WIDTH * chance.choice((1, 3, 10, 60)))
            result.trials += 1
            result.faults += child.kill()
            data += child.read(1 << 30)
            child.close()
            owed |= acknowledged(data)
    ended = call(lambda: take_in(home))
    if not ended.is_done:
        result.fail(f"load: {ended}")
    found = audit(result, home, owed, "capture")
    if found is not None:
        if found.ids.total() > len(owed) + unacknowledged:
            result.fail(f"{found.ids.total()} rows, {len(owed)} acknowledged")
        for _, segment_name, reason in found.quarantined:
            if not reason.startswith("torn: "):
                result.fail(f"a bad line within {segment_name}: {reason}")
    return result
