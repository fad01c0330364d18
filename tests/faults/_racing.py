"""F11: loaders, refreshes, producers and readers that work at the same time."""

from __future__ import annotations

import os
import random
from pathlib import Path
from uuid import UUID

from orb_learning.errors import BusyError, RefreshError
from orb_learning.home import LOCK_TIMEOUT_VARIABLE, Home
from orb_learning.upkeep import read_status, take_in

from . import _building, _loading, _publishing
from ._homes import new_uuid, settle
from ._processes import Child, Ended
from ._refusing import capture_some
from ._result import Result


def loaders(seed: int, folder: Path) -> Result:
    """Two or three loaders beside producers and readers: none doubles what another loads."""
    chance = random.Random(seed)
    result = Result(trials=1, faults=1)
    written = _loading.Written(Home(folder / "home"), chance)
    for _ in range(chance.randrange(1, 4)):
        written.write()
    settle(result, "the first publish", lambda: _first(written.home))
    timeout = chance.choice(("0", "0.01", "60"))

    def load_some() -> None:
        os.environ[LOCK_TIMEOUT_VARIABLE] = timeout
        for _ in range(3):
            take_in(written.home)

    racers = [Child(lambda _: load_some()) for _ in range(chance.choice((2, 2, 3)))]
    producers = [
        Child(lambda _, number=number: capture_some(written.home, seed + number, 60))
        for number in range(chance.randrange(3))
    ]
    readers = [Child(lambda _: _look_around(written.home)) for _ in range(4)]
    for racer in racers:
        _one_waits_or_says_so(racer.wait(), result, "a loader")
    acknowledged: set[UUID] = set()
    for producer in producers:
        ended = producer.wait()
        if not ended.is_done or ended.value.refused:
            result.fail(f"a producer beside loaders: {ended.error or ended.value.refused}")
            continue
        acknowledged |= ended.value.acknowledged
    for reader in readers:
        ended = reader.wait()
        if not ended.is_done:
            result.fail(f"a reader beside loaders: {ended.error or 'it hangs'}")
    written.finish()
    written.owed |= acknowledged
    written.lines += len(acknowledged)
    _loading.check(result, written, "loaders at once")
    return result


def _first(home: Home) -> None:
    take_in(home)
    _publishing.publish_run(home, 1)


def _look_around(home: Home) -> None:
    for _ in range(3):
        read_status(home)
        _publishing.look(home)


def _one_waits_or_says_so(ended: Ended, result: Result, what: str) -> None:
    if ended.is_hung:
        result.hang(f"{what} beside another")
    elif ended.is_killed:
        result.fail(f"{what} beside another died")
    elif ended.error and not (
        ended.error.startswith((BusyError.__name__, RefreshError.__name__))
        and "try again when it has finished" in ended.error
    ):
        result.fail(f"{what} beside another: {ended.error}")


def refreshes(seed: int, folder: Path) -> Result:
    """Two runs of the models at once, in any order: one waits, or says what it waits for."""
    chance = random.Random(seed)
    result = Result(trials=1, faults=1)
    warehouse = _building.fresh(folder / "home", result)
    new = [new_uuid(chance) for _ in range(40)]
    warehouse.write(new, chance)
    timeout = chance.choice(("0", "60"))

    def run() -> None:
        os.environ[LOCK_TIMEOUT_VARIABLE] = timeout
        warehouse.run()

    racers = [Child(lambda _: run()) for _ in range(2)]
    ends = [racer.wait() for racer in racers]
    for ended in ends:
        _one_waits_or_says_so(ended, result, "a run")
    if not any(ended.is_done for ended in ends):
        result.fail(f"no run of two came through: {[ended.error for ended in ends]}")
    if any(ended.error for ended in ends):
        settle(result, "the run afterwards", warehouse.run)
    _building.check_tasks(result, warehouse, {*new, *_building.TEMPLATE_TASKS}, "runs at once")
    settle(result, "the publication", warehouse.published)
    return result
