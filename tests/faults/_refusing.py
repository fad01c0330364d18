"""F6: disks that are full, and what a hook, a load and a publish may say of it."""

from __future__ import annotations

import random
import resource
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from orb_learning import Telemetry
from orb_learning import errors as product_errors
from orb_learning.home import Home
from orb_learning.upkeep import take_in

from . import _loading, _publishing
from ._disks import Ballast, no_mounts, small_disk
from ._homes import audit, settle
from ._processes import Ended, call
from ._result import Result

MEGABYTES = 12
CLEAR = tuple(name for name in vars(product_errors) if name.endswith("Error"))
"""What a load or a publish may raise: an error of ours, in one line that says what to do."""


@dataclass(frozen=True)
class Captured:
    """What one producer got back from its hooks."""

    acknowledged: set[UUID]
    refused: int
    dropped: int
    raised: list[str]


def capture_some(
    home: Home,
    seed: int,
    events: int,
    *,
    threads: int = 1,
    largest: int = 4000,
    between: Callable[[int], None] = lambda number: None,
) -> Captured:
    """Capture from some threads, and call back before each event of the first."""
    telemetry = Telemetry(home.root, max_segment_bytes=random.Random(seed).choice((9000, 1 << 26)))
    acknowledged: set[UUID] = set()
    refused: list[int] = []
    raised: list[str] = []

    def work(thread: int) -> None:
        chance = random.Random(seed * 8 + thread)
        for number in range(events):
            if thread == 0:
                between(number)
            text = "x" * chance.choice((0, 10, 300, chance.randrange(largest)))
            try:
                event = telemetry.capture_routing_outcome_sync(
                    task_id=UUID(int=chance.getrandbits(128)), success=True, solution_summary=text
                )
            except Exception as error:
                raised.append(repr(error))
                continue
            if event is None:
                refused.append(number)
            else:
                acknowledged.add(event.event_id)

    others = [threading.Thread(target=work, args=(thread,)) for thread in range(1, threads)]
    for other in others:
        other.start()
    work(0)
    for other in others:
        other.join()
    return Captured(acknowledged, len(refused), telemetry.stats().dropped, raised)


def check_captured(
    result: Result, home: Home, ended: Ended, what: str, before: set[UUID] | None = None
) -> None:
    """Compare what hooks said with what is loaded once nothing is refused any more."""
    if ended.is_hung:
        result.hang(what)
        return
    if not ended.is_done:
        result.fail(f"{what}: the producer failed: {ended.error}")
        return
    captured: Captured = ended.value
    result.faults += captured.refused > 0
    for text in captured.raised:
        result.fail(f"{what}: a hook raised {text}")
    if captured.refused != captured.dropped:
        result.fail(f"{what}: {captured.refused} refused, {captured.dropped} counted as dropped")
    settle(result, f"{what}: the load afterwards", lambda: take_in(home))
    audit(result, home, captured.acknowledged | (before or set()), what, also=set())


def check_error(result: Result, ended: Ended, what: str) -> None:
    """See that a refused load or publish said so in one clear line."""
    if ended.is_hung:
        result.hang(what)
    elif ended.is_killed:
        result.fail(f"{what}: it died of a signal")
    elif ended.error and not ended.error.startswith(CLEAR):
        result.fail(f"{what}: no error of ours: {ended.error}")


def full(seed: int, folder: Path) -> Result:
    """Fill the disk, or limit the size of files, while something is captured, loaded, published."""
    chance = random.Random(seed)
    result = Result(trials=1)
    stage = chance.choice((_capture_full, _load_full, _publish_full))
    if not no_mounts() and chance.random() < 0.7:
        with small_disk(folder / "disk", MEGABYTES) as disk:
            stage(disk, chance, result, is_limited=False)
    else:
        stage(folder, chance, result, is_limited=True)
    return result


def _limit(size: int) -> None:
    """Let no file grow beyond a size; a write that would is cut short, or refused."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def _capture_full(disk: Path, chance: random.Random, result: Result, *, is_limited: bool) -> None:
    home = Home(disk / "home")
    seed, threads = chance.randrange(1 << 30), chance.choice((1, 2, 4))
    events = 300
    frees_at = chance.randrange(events)

    def work() -> Captured:
        if is_limited:
            _limit(chance.randrange(600, 6000))
            return capture_some(home, seed, events, threads=threads, largest=9000)
        ballast = Ballast(disk, chance.randrange(0, 400_000))

        def between(number: int) -> None:
            if number == frees_at:
                ballast.let_go()

        return capture_some(home, seed, events, threads=threads, between=between)

    ended = call(work)
    (disk / "ballast").unlink(missing_ok=True)
    check_captured(result, home, ended, "capture on a full disk")


def _load_full(disk: Path, chance: random.Random, result: Result, *, is_limited: bool) -> None:
    written = _loading.Written(Home(disk / "home"), chance)
    written.write()
    is_first = chance.random() < 0.5
    if not is_first:
        settle(result, "the load before", lambda: take_in(written.home))
        written.write()
    room = chance.randrange(0, 4_000_000 if is_first else 400_000)

    def work() -> Any:
        if is_limited:
            _limit(room)
        return take_in(written.home)

    ballast = Ballast(disk, room) if not is_limited else None
    ended = call(work)
    result.faults += bool(ended.error)
    check_error(result, ended, "load on a full disk")
    if chance.random() < 0.3:
        check_error(result, call(work), "load on a disk that is still full")
    if ballast:
        ballast.let_go()
    _loading.check(result, written, "load on a full disk")


def _publish_full(disk: Path, chance: random.Random, result: Result, *, is_limited: bool) -> None:
    home = Home(disk / "home")
    settle(result, "the home", lambda: _publishing.prepare(home))
    settle(result, "the publish before", lambda: _publishing.publish_run(home, 1))
    room = chance.randrange(0, 3_000_000)

    def work() -> Any:
        if is_limited:
            _limit(room)
        return _publishing.publish_run(home, 2)

    ballast = Ballast(disk, room) if not is_limited else None
    ended = call(work)
    result.faults += bool(ended.error)
    # Before there is something to publish, this is DuckDB's own refusal to fill the warehouse.
    if ended.is_hung or ended.is_killed:
        check_error(result, ended, "publish on a full disk")
    before = _publishing.check(home, 1, 2, result, "publish on a full disk")
    if ballast:
        ballast.let_go()
    _publishing.finish(home, before, 3, result, "publish on a full disk")
