"""What a refresh costs, by what is new and by how long the history is.

    python benchmarks/refresh.py --sizes 100000 1000000 --write docs/benchmarks.md

Every part runs in processes of its own. Histories are built once and kept in `--folder`.
"""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

import duckdb
from cold import cold
from history import UNTIL, Wanted, build_history
from loading import loading
from peer import peer
from report import Part, alone, kept_in, megabytes, parts_parser, run_parts, seeded, table
from warm import TEXTS, TURNS, Measured, Turn, Warm, capture, peak_of

from orb_learning.home import Home
from orb_learning.publication import current

SIZES = (100_000, 1_000_000, 10_000_000)
EVENTS = 60
"""How many captures are followed to a reader: one in twenty may be slower than the 95th centile."""

CASES = {
    "nothing new": (0, 0),
    "1,000 new events": (1_000, 0),
    "10,000 new events": (10_000, 0),
    "1,000 late or correcting": (0, 1_000),
}


def measured_steady(root: Path, indexes: bool) -> dict[str, Measured]:
    """Refresh a warm home again and again."""
    warm = Warm(root, indexes=indexes)
    before = current(Home(root)).load_id  # an earlier run may have captured into this history
    for number in range(4):  # parses, and makes as many publications as are kept
        capture(root, 100, 0, seed=f"{before} {number}")
        warm.run()
    found = {}
    for case, (new, late) in CASES.items():
        found[case] = Measured()
        for number in range(TURNS):
            capture(root, new, late, seed=f"{before} {case} {number}")
            with peak_of(found[case]):
                found[case].turns.append(warm.run())
    return found


def steady(wanted: Wanted) -> list[str]:
    """Refreshes of histories of several sizes."""
    rows = []
    for size in wanted.sizes:
        root = wanted.history(size, TEXTS)
        found = alone(measured_steady, root, wanted.indexes)
        for case, measured in found.items():
            turns = measured.turns
            rows.append(
                [
                    f"{size:,}: {case}",
                    *(
                        f"{median(step):.2f}"
                        for step in (
                            [turn.load for turn in turns],
                            [turn.models for turn in turns],
                            [turn.load + turn.models for turn in turns],
                            [turn.publish for turn in turns],
                            [turn.total for turn in turns],
                        )
                    ),
                    megabytes(median(turn.written for turn in turns)),
                    megabytes(measured.peak),
                ]
            )
    return [
        f"Median of {TURNS} warm refreshes, seconds; indexes {'on' if wanted.indexes else 'off'}.",
        "",
        *table(
            ["", "load", "models", "load + models", "publish", "all", "written", "peak RSS"], rows
        ),
    ]


def measured_full(root: Path, indexes: bool) -> tuple[Turn, int]:
    """Build everything from scratch, in a process that has done nothing before."""
    measured = Measured()
    warm = Warm(root, indexes=indexes)
    with peak_of(measured):
        turn = warm.run("--full-refresh")
    return turn, measured.peak


def refreshed(root: Path, indexes: bool) -> dict[str, tuple[Any, ...]]:
    """Refresh what other parts may have left at another moment; return its fingerprints."""
    Warm(root, indexes=indexes).run()
    return fingerprints(root)


def fingerprints(root: Path) -> dict[str, tuple[Any, ...]]:
    """Return for each table of the warehouse how many rows it has, and a hash of them."""
    with duckdb.connect(str(root / "warehouse.duckdb"), read_only=True) as connection:
        tables = connection.execute(
            "select schema_name || '.' || table_name from duckdb_tables() order by all"
        ).fetchall()
        return {
            table: connection.execute(
                f"select count(*), sum(cast(hash(built) as hugeint)) from {table} as built"
            ).fetchall()[0]
            for (table,) in tables
        }


def full(wanted: Wanted) -> list[str]:
    """Full refreshes."""
    rows = []
    for size in wanted.sizes:
        root = wanted.history(size, TEXTS)
        built = alone(refreshed, root, wanted.indexes)
        turn, peak = alone(measured_full, root, wanted.indexes)
        is_equal = built == alone(fingerprints, root)
        warehouse = (root / "warehouse.duckdb").stat().st_size
        rows.append(
            [
                f"{size:,}",
                f"{turn.models:.1f}",
                f"{turn.publish:.1f}",
                megabytes(peak),
                megabytes(turn.written),
                megabytes(warehouse),
                "yes" if is_equal else "NO",
            ]
        )
    return [
        "`--full-refresh` in a fresh process, seconds; the project is parsed within the models."
        " Equal: every table has the rows that the refreshes before had built.",
        "",
        *table(
            [
                "executions",
                "models",
                "publish",
                "peak RSS",
                "written",
                "warehouse.duckdb",
                "equal",
            ],
            rows,
        ),
    ]


def measured_growth(root: Path, refreshes: int) -> list[tuple[str, int, int]]:
    """Refresh many times, then compare each file with one that is written anew."""
    import shutil

    from orb_learning.upkeep import take_in

    warm = Warm(root, indexes=False)
    for number in range(refreshes):
        capture(root, 80, 20, seed=number)
        warm.run()
    sizes = {
        name: (root / name).stat().st_size
        for name in ("staging.duckdb", "warehouse.duckdb", "learning.db")
    }
    fresh = root.with_name(f"{root.name}-fresh")
    shutil.copytree(root / "spool", fresh / "spool")
    shutil.copy(root / "staging.duckdb", fresh / "staging.duckdb")
    take_in(Home(fresh))
    from orb_learning.staging import rewrite

    rewrite(Home(fresh))
    Warm(fresh, indexes=False).run("--full-refresh")
    return [(name, size, (fresh / name).stat().st_size) for name, size in sizes.items()]


def growth(wanted: Wanted) -> list[str]:
    """What many refreshes leave behind."""
    with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
        root = Path(folder) / "home"
        alone(build, root, 100_000)
        found = alone(measured_growth, root, wanted.refreshes)
    return [
        f"After {wanted.refreshes:,} refreshes of 100 events each, a fifth of them late or"
        " correcting, beside a file that is written anew from the same events.",
        "",
        *table(
            ["", "after", "anew", "ratio"],
            [
                [name, megabytes(size), megabytes(anew), f"{size / anew:.2f}"]
                for name, size, anew in found
            ],
        ),
    ]


def measured_visible(root: Path, events: int) -> list[float]:
    """Return the seconds from each event's capture until a reader sees its task."""
    import asyncio
    import subprocess
    import sys

    from orb_learning import Telemetry
    from orb_learning.events import ExecutionRecorded
    from orb_learning.serving import LearningDatabase

    chance = seeded(5)
    command = "from orb_learning.cli import main; main()"
    scheduler = subprocess.Popen(
        [sys.executable, "-c", command, "--home", str(root), "schedule", "--interval", "1",
         "--no-embed"],
    )  # fmt: skip

    async def watch() -> list[float]:
        times = []
        async with LearningDatabase(root) as learning:
            with Telemetry(root, strict=True) as telemetry:
                for number in range(events + 1):
                    task = UUID(int=chance.getrandbits(128), version=4)
                    await asyncio.sleep(chance.uniform(0, 3))
                    begin = time.perf_counter()
                    telemetry.capture_sync(
                        ExecutionRecorded(
                            task_id=task, timestamp=datetime.now(UTC), task_type="bug_fix",
                            task_description="see it", repo="acme/api", model_tier="small",
                            pool_type="solo", routing_confidence=0.5, success=True,
                        )
                    )  # fmt: skip
                    while await learning.get_execution(task) is None:
                        if scheduler.poll() is not None or time.perf_counter() - begin > 300:
                            raise RuntimeError("the scheduler does not publish")
                        await asyncio.sleep(0.02)
                    if number:  # the first waits for the scheduler's start
                        times.append(time.perf_counter() - begin)
        return times

    try:
        return asyncio.run(watch())
    finally:
        scheduler.terminate()
        scheduler.wait()


def visible(wanted: Wanted) -> list[str]:
    """From a hook's return to a reader's answer."""
    rows = []
    for size in wanted.at_most(1_000_000):
        root = wanted.history(size, TEXTS)
        times = alone(measured_visible, root, EVENTS)
        rows.append(
            [
                f"{size:,}",
                f"{median(times):.1f}",
                f"{sorted(times)[int(0.95 * len(times))]:.1f}",
                f"{max(times):.1f}",
            ]
        )
    return [
        "`orb-learning schedule --interval 1`: seconds from the capture of a single event, at any"
        f" moment, until `get_execution` of another process returns it; {EVENTS} events.",
        "",
        *table(["executions", "p50", "p95", "max"], rows),
    ]


def build(root: Path, executions: int) -> None:
    """Build a history without indexes."""
    build_history(root, executions=executions, texts=20_000, until=UNTIL, indexes=False)


PARTS: dict[str, Part] = {
    "loading": ("Loading", loading),
    "steady": ("Steady state", steady),
    "visible": ("From capture to reader", visible),
    "cold": ("Cold `dbt run`", cold),
    "full": ("Full refresh", full),
    "peer": ("The mission's own design", peer),
    "growth": ("Growth", growth),
}


def main() -> None:
    """Parse the command line."""
    parser = parts_parser(__doc__, PARTS, SIZES)
    parser.add_argument("--indexes", action="store_true", help="the var `indexes` is on")
    parser.add_argument("--refreshes", type=int, default=1000, help="of the part growth")
    given = parser.parse_args()
    with kept_in(given.folder) as folder:
        wanted = Wanted(folder, given.sizes, given.indexes, given.refreshes)
        run_parts("refresh", PARTS, wanted, given)


if __name__ == "__main__":
    main()
