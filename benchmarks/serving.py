"""What readers wait for: reads, look-ups, searches, embeddings, and readers beside refreshes.

    make bench-serving              # every table, printed and written to docs/benchmarks.md
    python benchmarks/serving.py --folder /tmp/histories --parts reads lookups --sizes 100000

Every part of every history runs in a process of its own, after warm-up calls, on files that the
system has in its cache. With `--folder`, histories and finished parts are kept: a later run makes
again only the parts that it is asked for.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from hashlib import md5
from pathlib import Path
from typing import Any
from uuid import UUID

import vectors
from history import UNTIL, Wanted, some_repo
from report import (
    CALLS,
    PATIENT,
    Part,
    alone,
    kept_in,
    megabytes,
    milliseconds,
    parts_parser,
    run_parts,
    seeded,
    table,
    timed,
)

from orb_learning.home import Home
from orb_learning.serving import LearningDatabase

SIZES = (100_000, 1_000_000, 10_000_000)
CALLERS = 16

LOOKUPS = {
    "newest 50 of a repository and kind of task": (
        "idx_executions_repo_task",
        "select task_id, timestamp, model_tier, success from executions"
        " where repo = $repo and task_type = $task_type order by timestamp desc limit 50",
    ),
    "a tier's share of success over 10 days": (
        "idx_executions_tier_success",
        "select avg(cast(success as integer)) from executions"
        " where model_tier = $tier and timestamp >= cast($since as timestamp)",
    ),
    "a pool's p95 duration of what succeeded": (
        "idx_executions_pool_duration",
        "select quantile_cont(duration_seconds, 0.95) from executions"
        " where pool_type = $pool and success",
    ),
    "a repository's average quality by day, 30 days": (
        "idx_executions_quality_trend",
        "select cast(timestamp as date) as day, avg(quality_score) from executions"
        " where repo = $repo and timestamp >= cast($month as timestamp) group by day order by day",
    ),
}

Call = Callable[[LearningDatabase, random.Random], Awaitable[Any]]


def some_task(chance: random.Random, executions: int) -> UUID:
    """Return the id of one of the executions."""
    return UUID(md5(f"task {chance.randrange(executions)}".encode()).hexdigest())  # noqa: S324


def questions(executions: int) -> dict[str, Call]:
    """Return each typed read, with arguments chosen at random."""
    return {
        "get_execution": lambda learning, chance: learning.get_execution(
            some_task(chance, executions)
        ),
        **{
            f"{name}, {whose}": lambda learning, chance, name=name, whose=whose: getattr(
                learning, name
            )(some_repo(chance) if whose == "one repository" else None)
            for name in (
                "get_tier_performance",
                "get_pool_performance",
                "get_solution_patterns",
                "get_quality_trend",
            )
            for whose in ("one repository", "all")
        },
    }


def measured_reads(root: Path, executions: int) -> list[tuple[str, list[float], float]]:
    """Return each read's name, its calls' seconds, and the rows it returned."""

    async def work() -> list[tuple[str, list[float], float]]:
        async with LearningDatabase(root, timeout_seconds=PATIENT) as learning:
            return [
                (name, *await timed(partial(call, learning)))
                for name, call in questions(executions).items()
            ]

    return asyncio.run(work())


def reads(wanted: Wanted) -> list[str]:
    """Every typed read, alone."""
    rows: dict[str, list[str]] = {}
    for size in wanted.sizes:
        root = wanted.history(size, max(1, size // 5))
        for name, times, found in alone(measured_reads, root, size):
            rows.setdefault(name, [name]).extend([*milliseconds(times), f"{found:,.0f}"])
    header = [f"{size:,} executions: p50" for size in wanted.sizes]
    return [
        f"One caller, default arguments, {CALLS} calls each. The optional indexes are"
        f" {'on' if wanted.indexes else 'off'}.",
        "",
        *table(
            ["ms a call", *(cell for first in header for cell in (first, "p95", "rows"))],
            list(rows.values()),
        ),
    ]


def measured_lookups(root: Path) -> list[list[float]]:
    """Return the seconds of the calls of each look-up."""

    def lookup(sql: str) -> Call:
        async def call(learning: LearningDatabase, chance: random.Random) -> Any:
            values = {
                "repo": some_repo(chance),
                "task_type": chance.choice(["bug_fix", "refactor", "feature", "test", "docs"]),
                "tier": chance.choice(["small", "medium", "large"]),
                "pool": chance.choice(["swarm", "hive", "solo"]),
                "since": (UNTIL - timedelta(days=10)).isoformat(),
                "month": (UNTIL - timedelta(days=30)).isoformat(),
            }
            used = {name: value for name, value in values.items() if f"${name}" in sql}
            return (await learning.query(sql, used)).rows

        return call

    async def work() -> list[list[float]]:
        async with LearningDatabase(root, timeout_seconds=PATIENT) as learning:
            return [(await timed(partial(lookup(sql), learning)))[0] for _, sql in LOOKUPS.values()]

    return asyncio.run(work())


def lookups(wanted: Wanted) -> list[str]:
    """The four look-ups that composite indexes are meant for, with and without them."""
    (size,) = wanted.at_most(1_000_000)
    roots = [wanted.history(size, max(1, size // 5), indexes=on) for on in (True, False)]
    found = [alone(measured_lookups, root) for root in roots]
    rows = [
        [name, f"`{index}`", *milliseconds(on), *milliseconds(off)]
        for (name, (index, _)), on, off in zip(LOOKUPS.items(), *found, strict=True)
    ]
    on, off = (Home(root).learning_db.resolve().stat().st_size for root in roots)
    rows.append(["size of `learning.db`", "", megabytes(on), "", megabytes(off), ""])
    return [
        f"{size:,} executions, {CALLS} calls each.",
        "",
        *table(["ms a call", "index", "indexes on: p50", "p95", "off: p50", "p95"], rows),
    ]


def measured_concurrent(root: Path, executions: int) -> tuple[dict[str, list[float]], float]:
    """Return the seconds of the calls of each read, and of all of them together."""
    calls = [
        (name, call) for name, call in questions(executions).items() if not name.endswith(", all")
    ]
    times: dict[str, list[float]] = {name: [] for name, _ in calls}

    async def caller(learning: LearningDatabase, number: int, count: int) -> None:
        chance = seeded(number)
        for _ in range(count):
            name, call = chance.choice(calls)
            begin = time.perf_counter()
            await call(learning, chance)
            times[name].append(time.perf_counter() - begin)

    async def work() -> float:
        async with LearningDatabase(root, timeout_seconds=PATIENT) as learning:
            await asyncio.gather(*(caller(learning, number, 2) for number in range(CALLERS)))
            for one in times.values():
                one.clear()
            begin = time.perf_counter()
            await asyncio.gather(*(caller(learning, number, 30) for number in range(CALLERS)))
            return time.perf_counter() - begin

    seconds = asyncio.run(work())
    return times, seconds


def concurrent(wanted: Wanted) -> list[str]:
    """Many callers of one event loop at the same time."""
    (size,) = wanted.at_most(1_000_000)
    root = wanted.history(size, max(1, size // 5))
    times, seconds = alone(measured_concurrent, root, size)
    every = [one for some in times.values() for one in some]
    rows = [
        [name, f"{len(some):,}", *milliseconds(some), f"{max(some) * 1000:,.1f}"]
        for name, some in {"all": every, **times}.items()
        if some
    ]
    return [
        f"{size:,} executions, {CALLERS} callers at once, 30 calls each, mixed at random, the wait"
        f" for a thread included: {len(every) / seconds:,.0f} calls/s.",
        "",
        *table(["ms a call", "calls", "p50", "p95", "max"], rows),
    ]


def refresh_often(root: Path, refreshes: int) -> None:
    """Record new executions and refresh, again and again."""
    from orb_learning import Telemetry
    from orb_learning.records import ExecutionRecord
    from orb_learning.refresh import Refresher

    refresher, chance = Refresher(root), seeded(1)
    with Telemetry(root, strict=True) as telemetry:
        for number in range(refreshes):
            for _ in range(50):
                execution = ExecutionRecord(
                    task_type="bug_fix",
                    task_description=f"fix case {chance.randrange(1000)}",
                    repo=some_repo(chance),
                    model_tier="small",
                    pool_type="solo",
                    routing_confidence=0.5,
                    success=chance.random() < 0.8,
                    duration_seconds=chance.uniform(1, 100),
                    cost_estimate=0.1,
                    actual_cost=0.1,
                    metadata={"refresh": number},
                )
                telemetry.record_execution_sync(execution)
            refresher.refresh()


def swaps(wanted: Wanted) -> list[str]:
    """Readers that never stop while another process publishes again and again."""
    both = (
        "select (select count(*) from executions), (select max(load_id) from executions),"
        " (select count(*) from tasks), (select max(load_id) from tasks)"
    )
    seen: dict[str, tuple[Any, ...]] = {}
    counts = {"calls": 0, "errors": 0, "mixed": 0, "backwards": 0}
    is_over = asyncio.Event()

    async def reader(learning: LearningDatabase) -> None:
        last = ""
        while not is_over.is_set():
            counts["calls"] += 1
            try:
                result = await learning.query(both)
            except Exception as error:
                print(f"a reader failed: {error!r}", flush=True)
                counts["errors"] += 1
                continue
            (row,) = result.rows
            is_whole = row[:2] == row[2:] and seen.setdefault(result.publication_id, row) == row
            counts["mixed"] += not is_whole
            counts["backwards"] += result.publication_id < last
            last = result.publication_id

    async def work(root: Path) -> None:
        async with LearningDatabase(root) as learning:
            readers = [asyncio.create_task(reader(learning)) for _ in range(CALLERS)]
            try:
                await asyncio.to_thread(alone, refresh_often, root, wanted.refreshes)
            finally:
                is_over.set()
                await asyncio.gather(*readers)

    with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
        root = Path(folder)
        alone(refresh_often, root, 1)
        asyncio.run(work(root))
    return [
        f"{CALLERS} readers of one process call without a pause while another process records 50"
        f" executions and refreshes, {wanted.refreshes} times. Each call compares the rows and"
        " the newest load of two tables with each other, and with what the same publication"
        " gave before.",
        "",
        *table(
            ["", "calls", "errors", "mixed", "went back", "publications seen"],
            [["readers", *(f"{count:,}" for count in counts.values()), f"{len(seen):,}"]],
        ),
    ]


PARTS: dict[str, Part] = {
    "reads": ("Reads", reads),
    "lookups": ("Look-ups and indexes", lookups),
    "concurrent": ("Concurrent reads", concurrent),
    "vectors": ("Ways to find the nearest vectors", vectors.nearest),
    "search": ("Similarity search, end to end", vectors.search),
    "embedding": ("Embedding", vectors.embedding),
    "swaps": ("Reading while publications are swapped", swaps),
    "size": ("Size of a publication", vectors.size),
}


def main() -> None:
    """Parse the command line."""
    parser = parts_parser(__doc__, PARTS, SIZES)
    parser.add_argument("--no-indexes", action="store_true", help="the var `indexes` is off")
    parser.add_argument("--refreshes", type=int, default=20, help="of the part swaps")
    given = parser.parse_args()
    with kept_in(given.folder) as folder:
        wanted = Wanted(folder, given.sizes, not given.no_indexes, given.refreshes)
        run_parts("serving", PARTS, wanted, given)


if __name__ == "__main__":
    main()
