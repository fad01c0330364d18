"""F4, F5, F12: publishers that die, that die again while they recover, and readers beside them."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from pathlib import Path
from typing import Any

import duckdb

from orb_learning import _faults
from orb_learning.errors import NotPublishedError
from orb_learning.home import Home
from orb_learning.publication import KEPT, current, publish
from orb_learning.serving import LearningDatabase
from orb_learning.upkeep import take_in

from ._disks import killed_at_a_call, no_injection
from ._homes import new_uuid, pool_line, settle, write_segment
from ._processes import Child, Ended, Pace
from ._result import Result

STEPS = 5
TABLES = ("first", "second", "third")
POINTS = tuple(point for point in _faults.POINTS if point.startswith("publish."))

pace = Pace()


def prepare(home: Home) -> None:
    """Make a home with one load, ready to publish."""
    write_segment(home, "one.jsonl", [pool_line(new_uuid(random.Random(0)))])
    take_in(home)
    duckdb.connect(str(home.warehouse)).close()


def publish_run(home: Home, run: int, rows: int = 300) -> str:
    """Build a small warehouse that says which run it is, and publish it."""
    with duckdb.connect(str(home.warehouse), config={"threads": 1}) as connection:
        connection.execute(f"attach '{home.staging}' as staging (read_only)")
        for table in TABLES:
            connection.execute(
                f"create or replace table {table} as"
                f" select {run} as run, range as n from range({rows + run})"
            )
        connection.execute("create index if not exists idx_first on first (run, n)")
        as_of = "2026-06-15T00:00:00+00:00"
        return publish(connection, home, schema="main", as_of=as_of).id


def look(home: Home, rows: int = 300) -> int | None:
    """Return the run that is published, None for none; raise where it is not one whole run."""
    try:
        publication = current(home)
    except NotPublishedError:
        if os.path.lexists(home.current):
            raise
        return None
    with duckdb.connect(str(home.learning_db), read_only=True) as reader:
        runs = set()
        for table in TABLES:
            found = reader.execute(f"select min(run), max(run), count(*) from {table}").fetchall()
            least, most, count = found[0]
            if least != most or count != rows + least:
                raise ValueError(f"{table} mixes runs {least} to {most}, {count} rows")
            if publication.rows[table] != count:
                raise ValueError(f"{table} has {count} rows, the manifest {publication.rows}")
            runs.add(least)
    if len(runs) != 1:
        raise ValueError(f"runs {sorted(runs)} are mixed")
    return int(runs.pop())


def killed_publish(home: Home, run: int, chance: random.Random, result: Result) -> None:
    """Kill one publish at a crash point, as it enters a system call, or at random."""
    draw = chance.random()
    if draw < 0.3 and not no_injection():
        ended = killed_at_a_call(lambda: publish_run(home, run), chance, home.root.parent)
    elif draw < 0.65:
        point = chance.choice(POINTS)

        def work(_: int) -> None:
            _faults.arm(point)
            publish_run(home, run)

        ended = Child(work).wait()
    else:
        ended = pace.kill_at_random("publish", lambda: publish_run(home, run), chance)
    _count(ended, result)


def _count(ended: Ended, result: Result) -> None:
    result.trials += 1
    result.faults += ended.is_killed
    if ended.is_hung:
        result.hang("a publish")
    elif ended.error:
        result.fail(f"a publish failed: {ended.error}")


def check(home: Home, before: int | None, run: int, result: Result, what: str) -> int | None:
    """Verify that the publication before or the new one is in force, whole."""
    looked = Child(lambda _: look(home)).wait()
    if looked.is_hung:
        result.hang(f"{what}: reading the publication")
    elif not looked.is_done:
        result.half_publish(f"{what}: {looked.error or 'the reader died'}")
    elif before is not None and (looked.value is None or not before <= looked.value <= run):
        result.half_publish(f"{what}: {looked.value} is published, it was {before}, built {run}")
    return looked.value


def finish(home: Home, before: int | None, run: int, result: Result, what: str) -> None:
    """Publish without a kill; it must be in force, and nothing of the dead may be left."""
    settle(result, f"{what}: the publish afterwards", lambda: publish_run(home, run))
    if check(home, before, run, result, what) != run:
        result.half_publish(f"{what}: the publish afterwards is not in force")
    names = {entry.name for entry in home.published.iterdir()} - {"current"}
    left = {name for name in names if name.startswith(".")}
    left |= {entry.name for entry in home.root.iterdir() if entry.name.startswith(".learning")}
    if left or len(names) > KEPT:
        result.fail(f"{what}: left behind: {sorted(left or names)}")


def publishing(seed: int, folder: Path) -> Result:
    """Kill several publishes one after the other, and verify after each."""
    chance = random.Random(seed)
    result = Result()
    home = _prepared(folder, result)
    before = None
    for step in range(1, STEPS + 1):
        killed_publish(home, step, chance, result)
        before = check(home, before, step, result, f"publish {step}")
    finish(home, before, STEPS + 1, result, "publish")
    return result


def republishing(seed: int, folder: Path) -> Result:
    """Kill a publish, and those that come after it, without a look in between."""
    chance = random.Random(seed)
    result = Result()
    home = _prepared(folder, result)
    before = None
    if chance.random() < 0.7:
        settle(result, "the first publish", lambda: publish_run(home, 1))
        before = 1
    kills = chance.randrange(2, 5)
    for step in range(kills):
        killed_publish(home, 2 + step, chance, result)
    before = check(home, before, 1 + kills, result, "recovery of a publish")
    finish(home, before, 2 + kills, result, "recovery of a publish")
    return result


def reading(seed: int, folder: Path) -> Result:
    """Two readers of each kind ask all the time while one process publishes."""
    chance = random.Random(seed)
    result = Result()
    home = _prepared(folder, result)
    settle(result, "the first publish", lambda: publish_run(home, 1))
    runs = chance.randrange(3, 6)
    done = folder / "done"
    readers = [
        Child(lambda _, read=read: read(home, done))
        for read in (_read_on, _read_on, _read_with_duckdb, _read_with_duckdb)
    ]
    for run in range(2, 2 + runs):
        if chance.random() < 0.3:
            killed_publish(home, run, chance, result)
        else:
            settle(result, "a publish", lambda run=run: publish_run(home, run))
            result.trials += 1
            result.faults += 1
    done.touch()
    for reader in readers:
        ended = reader.wait()
        if ended.is_hung:
            result.hang("a reader")
        elif not ended.is_done:
            result.half_publish(f"a reader: {ended.error or 'died'}")
        elif not ended.value:
            result.fail("a reader read nothing")
    return result


_ONE_RUN = "select " + ", ".join(
    f"(select (min(run), max(run), count(*) - 300) from {table})" for table in TABLES
)


def _whole(row: tuple[Any, ...], seen: int) -> int:
    numbers = {number for triple in row for number in _values(triple)}
    if len(numbers) != 1:
        raise ValueError(f"one read saw several runs: {row}")
    run = numbers.pop()
    if run < seen:
        raise ValueError(f"run {run} was read after {seen}")
    return int(run)


def _values(triple: Any) -> Any:
    return triple.values() if isinstance(triple, dict) else triple


def _read_on(home: Home, done: Path) -> int:
    async def read() -> int:
        reads = seen = 0
        async with LearningDatabase(home.root, pool_size=1, threads=1) as learning:
            while not os.path.exists(done) or not reads:  # noqa: PTH110, ASYNC240
                answer = await learning.query(_ONE_RUN)
                (row,) = answer.rows
                seen = _whole(tuple(row), seen)
                reads += 1
        return reads

    return asyncio.run(read())


def _read_with_duckdb(home: Home, done: Path) -> int:
    reads = seen = 0
    while not done.exists() or not reads:
        # As one who opens the link's target by its name, which may be pruned meanwhile.
        with duckdb.connect(str(home.learning_db), read_only=True) as reader:
            (row,) = reader.execute(_ONE_RUN).fetchall()
        seen = _whole(row, seen)
        reads += 1
    return reads


def _prepared(folder: Path, result: Result) -> Home:
    template = folder.parent / f"template-{os.getpid()}"
    if not template.exists():
        settle(result, "the template", lambda: prepare(Home(template)))
    shutil.copytree(template, folder / "home")
    return Home(folder / "home")
