"""F2 and F5: loaders that die, and loaders that die while they recover from that."""

from __future__ import annotations

import fcntl
import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from orb_learning import _faults
from orb_learning.home import Home
from orb_learning.staging import _loader
from orb_learning.upkeep import take_in

from ._disks import killed_at_a_call, no_injection
from ._homes import audit, new_uuid, outcome_line, pool_line, settle, write_segment
from ._processes import Child, Ended, Pace
from ._result import Result

STEPS = 6
POINTS = tuple(point for point in _faults.POINTS if point.startswith("load."))

pace = Pace()


def armed(home: Home, point: str) -> Ended:
    """Load in a process that dies when it reaches a crash point, unless it never does."""

    def work(_: int) -> None:
        _faults.arm(point)
        _small_load(home)

    return Child(work).wait()


def killed_load(home: Home, chance: random.Random, result: Result) -> None:
    """Kill one load at a crash point, as it enters a system call, or at random."""
    draw = chance.random()
    if draw < 0.2 and not no_injection():
        folder = home.root.parent
        ended = killed_at_a_call(lambda: _small_load(home), chance, folder)
    elif draw < 0.6:
        ended = armed(home, f"{chance.choice(POINTS)}:{chance.choice((1, 1, 2, 3))}")
    else:
        ended = pace.kill_at_random("load", lambda: _small_load(home), chance, every=8)
    if ended.is_hung:
        result.hang("a load")
    elif ended.error:
        result.fail(f"a load failed: {ended.error}")
    result.trials += 1
    result.faults += ended.is_killed


def _small_load(home: Home) -> None:
    _loader.MAX_LOAD_LINES = 40
    take_in(home)


def _held(path: Path) -> int:
    """Lock a segment as its living writer does."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


@dataclass
class Written:
    """A spool with a bit of everything, and what is in it."""

    home: Home
    chance: random.Random
    owed: set[UUID] = field(default_factory=set)
    lines: int = 0
    bad: int = 0
    _growing: list[int] = field(default_factory=list)

    def write(self) -> None:
        """Write some segments, and more into those whose writer still lives."""
        chance = self.chance
        self.finish()
        for _ in range(chance.randrange(1, 4)):
            lines = [self._line() for _ in range(chance.randrange(1, 40))]
            self.lines += len(lines)
            text = b"\n".join(lines) + b"\n"
            path = write_segment(self.home, f"{chance.getrandbits(40):010x}.jsonl", [text], b"")
            if chance.random() < 0.3:
                self._growing.append(_held(path))

    def finish(self) -> None:
        """Let the writers that still live write once more, and go."""
        for fd in self._growing:
            os.write(fd, self._line() + b"\n")
            os.close(fd)
            self.lines += 1
        self._growing.clear()

    def _line(self) -> bytes:
        chance = self.chance
        draw = chance.random()
        if draw < 0.1:
            self.bad += 1
            return b'{"event_id":"bad %d"}' % chance.getrandbits(64)
        if draw < 0.25 and self.owed:
            return self._again(chance.choice(sorted(self.owed)))
        event = new_uuid(chance)
        self.owed.add(event)
        return self._again(event)

    def _again(self, event: UUID) -> bytes:
        return pool_line(event) if event.int % 3 else outcome_line(event, text="x" * 50)


def check(result: Result, written: Written, what: str) -> None:
    """Load the rest without a kill, and compare with what was written."""
    written.finish()
    settle(result, f"{what}: the load afterwards", lambda: take_in(written.home))
    found = audit(result, written.home, written.owed, what, also=set())
    if found is not None:
        result.lose(written.lines - found.lines, f"{what}: lines never read")
        result.double(found.lines - written.lines, f"{what}: lines read twice")
        if len(found.quarantined) != written.bad:
            result.fail(f"{what}: {len(found.quarantined)} in quarantine instead of {written.bad}")


def loading(seed: int, folder: Path) -> Result:
    """Kill several loads of a growing spool, at crash points and at any other moment."""
    chance = random.Random(seed)
    result = Result()
    written = Written(Home(folder / "home"), chance)
    for step in range(STEPS):
        written.write()
        killed_load(written.home, chance, result)
        # Not always: opening the file to look is itself a way to recover it.
        if chance.random() < 0.3 and written.home.staging.exists():
            audit(result, written.home, written.owed, f"loader, step {step}", is_loaded=False)
    check(result, written, "loader")
    return result


def recovering(seed: int, folder: Path) -> Result:
    """Kill a load, and the loads that recover from it, before they are through."""
    chance = random.Random(seed)
    result = Result()
    written = Written(Home(folder / "home"), chance)
    written.write()
    if chance.random() < 0.5:
        settle(result, "the load before", lambda: take_in(written.home))
        written.write()
    killed_load(written.home, chance, result)
    for _ in range(chance.randrange(1, 4)):
        killed_load(written.home, chance, result)
    check(result, written, "recovery of the loader")
    return result
