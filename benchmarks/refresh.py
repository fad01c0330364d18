"""What a refresh costs, by what is new and by how long the history is.

    python benchmarks/refresh.py --sizes 100000 1000000 --write docs/benchmarks.md

Every part runs in processes of its own. Histories are built once and kept in `--folder`.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

from history import UNTIL, Wanted, build_history, some_repo
from report import alone, machine, megabytes, seeded, table, write_section

from orb_learning.refresh import STEADY, WHOLE, Refresher

SIZES = (100_000, 1_000_000, 10_000_000)
TEXTS = 200_000
TURNS = 5
NEW_DAY = datetime(UNTIL.year, UNTIL.month, UNTIL.day, tzinfo=UTC)
AS_OF = NEW_DAY + timedelta(hours=12)


@dataclass
class Turn:
    """What one refresh took.

    Attributes:
        load, models, publish: seconds.
        written: bytes that this process handed to the file system.
    """

    load: float = 0.0
    models: float = 0.0
    publish: float = 0.0
    written: int = 0

    @property
    def total(self) -> float:
        """Seconds of the whole refresh."""
        return self.load + self.models + self.publish


@dataclass
class Measured:
    """Turns of one kind, and the largest resident size during them in bytes."""

    turns: list[Turn] = field(default_factory=list)
    peak: int = 0


class Warm:
    """A refresher that notes what its steps took."""

    def __init__(self, root: Path, *, indexes: bool) -> None:
        from orb_learning import dbt_plugin

        self.refresher = Refresher(root)
        self.variables = f"{{as_of: '{AS_OF:%Y-%m-%dT%H:%M:%S}', indexes: {str(indexes).lower()}}}"
        self.turn = Turn()
        self.selection = WHOLE
        dbt_plugin.load = self._noted(dbt_plugin.load, "load")
        dbt_plugin.publish = self._noted(dbt_plugin.publish, "publish")

    def _noted(self, work: Callable[..., Any], step: str) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            begin = time.perf_counter()
            try:
                return work(*arguments, **named)
            finally:
                setattr(self.turn, step, time.perf_counter() - begin)

        return timed

    def run(self, *options: str) -> Turn:
        """Refresh once and return what it took."""
        self.turn = Turn()
        before, begin = written_bytes(), time.perf_counter()
        with self.refresher.home.locked():
            self.refresher.invoke(["run", "--vars", self.variables, *self.selection, *options])
        self.selection = STEADY  # as `Refresher.refresh` does
        whole = time.perf_counter() - begin
        self.turn.models = whole - self.turn.load - self.turn.publish
        self.turn.written = written_bytes() - before
        return self.turn


def written_bytes() -> int:
    """Return how many bytes this process has handed to the file system so far."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("wchar:"):
            return int(line.partition(":")[2])
    raise ValueError("this system does not count what a process writes")


@contextmanager
def peak_of(measured: Measured) -> Iterator[None]:
    """Note the largest resident size while something runs."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    yield
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            measured.peak = max(measured.peak, int(line.split()[1]) * 1024)


def capture(root: Path, executions: int, new: int, late: int, seed: int) -> None:
    """Capture events: of new executions on the last day, and late or correcting ones.

    Args:
        root: the home.
        executions: how long its history is.
        new: how many of new executions, each a decision and an outcome.
        late: how many that come late, spread over 30 days: half of them of new executions of old
            days, half of them another outcome of an execution that the history has.
        seed: other seeds make other events.
    """
    from orb_learning import Telemetry
    from orb_learning.events import RoutingDecision, RoutingOutcome

    chance = seeded(seed)
    with Telemetry(root, strict=True, max_segment_bytes=2**26) as telemetry:

        def decide(task: UUID, at: datetime) -> None:
            telemetry.capture_sync(
                RoutingDecision(
                    task_id=task,
                    occurred_at=at,
                    task_type="bug_fix",
                    task_description=f"fix case {chance.randrange(100_000)}",
                    repo=some_repo(chance),
                    model_tier=chance.choice(["small", "medium", "large"]),
                    pool_type=chance.choice(["swarm", "hive", "solo"]),
                    cost_estimate=0.1,
                )
            )

        def end(task: UUID, at: datetime) -> None:
            telemetry.capture_sync(
                RoutingOutcome(
                    task_id=task,
                    occurred_at=at,
                    success=chance.random() < 0.8,
                    duration_seconds=round(chance.uniform(1, 100), 3),
                    quality_score=chance.randrange(100),
                    actual_cost=round(chance.uniform(0, 1), 4),
                )
            )

        for _ in range(new // 2):
            task = UUID(int=chance.getrandbits(128), version=4)
            at = NEW_DAY + timedelta(seconds=chance.uniform(0, 40_000))
            decide(task, at)
            end(task, at + timedelta(seconds=30))
        for _ in range(late // 4):
            at = NEW_DAY - timedelta(days=chance.uniform(0.1, 30))
            task = UUID(int=chance.getrandbits(128), version=4)
            decide(task, at)
            end(task, at + timedelta(seconds=30))
        for _ in range(late // 2):
            end(known_task(chance.randrange(executions)), AS_OF)


def known_task(number: int) -> UUID:
    """Return the task of one of a history's executions."""
    import hashlib

    return UUID(hashlib.md5(f"task {number}".encode(), usedforsecurity=False).hexdigest())


CASES = {
    "nothing new": (0, 0),
    "1,000 new events": (1_000, 0),
    "10,000 new events": (10_000, 0),
    "1,000 late or correcting": (0, 1_000),
}


def measured_steady(root: Path, executions: int, indexes: bool) -> dict[str, Measured]:
    """Refresh a warm home again and again."""
    warm = Warm(root, indexes=indexes)
    for number in range(4):  # parses, and makes as many publications as are kept
        capture(root, executions, 100, 0, seed=number)
        warm.run()
    found = {}
    for case, (new, late) in CASES.items():
        found[case] = Measured()
        for number in range(TURNS):
            capture(root, executions, new, late, seed=hash((case, number)) & 0xFFFF)
            with peak_of(found[case]):
                found[case].turns.append(warm.run())
    return found


def steady(wanted: Wanted) -> list[str]:
    """Refreshes of histories of several sizes."""
    rows = []
    for size in wanted.sizes:
        root = wanted.history(size, TEXTS)
        found = alone(measured_steady, root, size, wanted.indexes)
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


def full(wanted: Wanted) -> list[str]:
    """Full refreshes."""
    rows = []
    for size in wanted.sizes:
        root = wanted.history(size, TEXTS)
        turn, peak = alone(measured_full, root, wanted.indexes)
        warehouse = (root / "warehouse.duckdb").stat().st_size
        rows.append(
            [
                f"{size:,}",
                f"{turn.models:.1f}",
                f"{turn.publish:.1f}",
                megabytes(peak),
                megabytes(turn.written),
                megabytes(warehouse),
            ]
        )
    return [
        "`--full-refresh` in a fresh process, seconds; the project is parsed within the models.",
        "",
        *table(
            ["executions", "models", "publish", "peak RSS", "written", "warehouse.duckdb"], rows
        ),
    ]


# The mission's own design: one table with a primary key and the four composite indexes, and three
# "materialized views", which are tables that every refresh makes anew.
_PEER = """
create table executions (
    task_id uuid primary key, timestamp timestamp, task_type varchar, task_description varchar,
    repo varchar, file_count integer, estimated_tokens integer, model_tier varchar,
    pool_type varchar, routing_confidence double, complexity_score integer, success boolean,
    duration_seconds double, quality_score integer, cost_estimate double, actual_cost double,
    error_type varchar, solution_summary varchar, metadata json
);
create index idx_repo_task on executions (repo, task_type, timestamp);
create index idx_tier_success on executions (model_tier, success, timestamp);
create index idx_pool_duration on executions (pool_type, success, duration_seconds);
create index idx_quality_trend on executions (repo, quality_score, timestamp);
"""
_PEER_COLUMNS = (
    "task_id, timestamp, task_type, task_description, repo, file_count, estimated_tokens,"
    " model_tier, pool_type, routing_confidence, complexity_score, success, duration_seconds,"
    " quality_score, cost_estimate, actual_cost, error_type, solution_summary, metadata"
)
_PEER_VIEWS = f"""
create or replace table tier_performance as
select repo, model_tier, task_type, cast(timestamp as date) as date, count(*) as total_executions,
    count(*) filter (where success) as successful_count, avg(duration_seconds) as avg_duration,
    avg(actual_cost) as avg_cost, avg(quality_score) as avg_quality,
    percentile_cont(0.95) within group (order by duration_seconds) as p95_duration
from executions where timestamp >= timestamp '{AS_OF:%Y-%m-%d}' - interval 30 days group by all;
create or replace table pool_performance as
select pool_type, repo, date_trunc('hour', timestamp) as hour, count(*) as total_tasks,
    count(*) filter (where success) as successful_tasks, avg(duration_seconds) as avg_duration,
    avg(actual_cost) as avg_cost, avg(success::integer) as success_rate
from executions where timestamp >= timestamp '{AS_OF:%Y-%m-%d}' - interval 7 days group by all;
create or replace table solution_patterns as
select solution_summary, repo, list(distinct task_type) as task_types, count(*) as usage_count,
    count(*) filter (where success) as success_count, avg(quality_score) as avg_quality,
    min(timestamp) as first_seen, max(timestamp) as last_seen
from executions where solution_summary is not null
    and timestamp >= timestamp '{AS_OF:%Y-%m-%d}' - interval 90 days
group by solution_summary, repo having count(*) >= 5;
"""


def measured_peer(root: Path, folder: Path) -> tuple[float, list[float], float, int, int]:
    """Fill the mission's own design with a history, and refresh it with new rows.

    Returns:
        seconds to fill it; seconds of each refresh with 500 new executions, the same number as
        1,000 events make; seconds until a copy for readers is made; peak memory; bytes of the file.
    """
    import os
    import shutil

    import duckdb

    file = folder / "peer.duckdb"
    measured = Measured()
    with peak_of(measured), duckdb.connect(str(file)) as peer:
        peer.execute(f"attach '{root / 'learning.db'}' as ours (read_only)")
        peer.execute(_PEER)
        begin = time.perf_counter()
        peer.execute(f"insert into executions select {_PEER_COLUMNS} from ours.executions")
        peer.execute(_PEER_VIEWS)
        peer.execute("checkpoint")
        filled = time.perf_counter() - begin
        turns, copies = [], []
        for number in range(TURNS):
            peer.execute(
                "create or replace temp table new as select * replace (uuid() as task_id)"
                f" from (select {_PEER_COLUMNS} from ours.executions"
                f" order by timestamp desc limit 500 offset {number})"
            )
            begin = time.perf_counter()
            peer.execute("insert into executions from new")
            peer.execute(_PEER_VIEWS)
            peer.execute("checkpoint")
            turns.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            shutil.copyfile(file, folder / "copy.duckdb")
            with (folder / "copy.duckdb").open("rb") as copy:
                os.fsync(copy.fileno())
            copies.append(time.perf_counter() - begin)
    return filled, turns, median(copies), measured.peak, file.stat().st_size


def peer(wanted: Wanted) -> list[str]:
    """The mission's own design."""
    rows = []
    for size in wanted.sizes:
        root = wanted.history(size, TEXTS)
        with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
            filled, turns, copied, peak, bytes_ = alone(measured_peer, root, Path(folder))
        rows.append(
            [
                f"{size:,}",
                f"{filled:.1f}",
                f"{median(turns):.2f}",
                f"{copied:.2f}",
                megabytes(peak),
                megabytes(bytes_),
            ]
        )
    return [
        "One table with a primary key and the four composite indexes, and the three views made"
        " anew in full; no ledger, no tests, no deduplication, no late events. Seconds.",
        "",
        *table(
            [
                "executions",
                "filled",
                "refresh with 500 new executions",
                "copy for readers",
                "peak RSS",
                "file",
            ],
            rows,
        ),
    ]


def measured_growth(root: Path, refreshes: int) -> list[tuple[str, int, int]]:
    """Refresh many times, then compare each file with one that is written anew."""
    import shutil

    from orb_learning.staging import load

    warm = Warm(root, indexes=False)
    for number in range(refreshes):
        capture(root, 100_000, 80, 20, seed=number)
        warm.run()
    sizes = {
        name: (root / name).stat().st_size
        for name in ("staging.duckdb", "warehouse.duckdb", "learning.db")
    }
    fresh = root.with_name(f"{root.name}-fresh")
    shutil.copytree(root / "spool", fresh / "spool")
    shutil.copy(root / "staging.duckdb", fresh / "staging.duckdb")
    load(_home(fresh))
    from orb_learning.staging._file import rewrite

    rewrite(_home(fresh))
    Warm(fresh, indexes=False).run("--full-refresh")
    return [(name, size, (fresh / name).stat().st_size) for name, size in sizes.items()]


def _home(root: Path) -> Any:
    from orb_learning.home import Home

    return Home(root)


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


def calibrated() -> float:
    """Return the seconds that this machine takes, now, for ten million additions in Python."""
    begin = time.process_time()
    total = 0
    for number in range(10_000_000):
        total += number
    return time.process_time() - begin


def measured_load(folder: Path, events: int) -> list[tuple[str, float, float, int]]:
    """Load one spool in several ways, each into a home of its own.

    Returns:
        what, wall-clock and processor seconds, and rows.
    """
    import json

    import duckdb
    from pydantic import TypeAdapter
    from spool import write_spool

    from orb_learning.events import AnyEvent
    from orb_learning.home import Home
    from orb_learning.staging import load

    spool = Home(folder / "spooled")
    write_spool(spool, events, 1)
    files = sorted(spool.spool.iterdir())
    found = []

    def time_of(what: str, work: Callable[[], int]) -> None:
        begin, busy = time.perf_counter(), time.process_time()
        rows = work()
        found.append((what, time.perf_counter() - begin, time.process_time() - busy, rows))

    time_of("`load`", lambda: load(spool).loaded)

    def bare() -> int:
        with duckdb.connect(str(folder / "bare.duckdb")) as connection:
            listed = json.dumps([str(file) for file in files]).replace('"', "'")
            connection.execute(
                f"create table events as from read_json({listed}, format='newline_delimited')"
            )
            ((rows,),) = connection.execute("select count(*) from events").fetchall()
        return int(rows)

    time_of("DuckDB's `read_json` alone, nothing checked", bare)

    def validated() -> int:
        validate: Callable[[bytes], object] = TypeAdapter(AnyEvent).validate_json
        return sum(
            validate(line) is not None for file in files for line in file.read_bytes().splitlines()
        )

    time_of("pydantic alone, one core, nothing stored", validated)
    return found


def loading(wanted: Wanted) -> list[str]:
    """Loads."""
    events = 1_000_000
    with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
        found = alone(measured_load, Path(folder), events)
    return [
        f"{events:,} events in canonical lines, half decisions and half outcomes, fresh home.",
        "",
        *table(
            ["", "seconds", "processor seconds", "events/s"],
            [
                [what, f"{wall:.1f}", f"{busy:.1f}", f"{rows / wall:,.0f}"]
                for what, wall, busy, rows in found
            ],
        ),
    ]


EMPTY_PROJECT = """
name: empty
version: "1.0.0"
config-version: 2
profile: empty
flags: {send_anonymous_usage_stats: false}
"""
EMPTY_PROFILE = """
empty:
  target: duckdb
  outputs: {duckdb: {type: duckdb, path: empty.duckdb, threads: 1}}
"""


def cold_run(folder: Path, home: Path) -> float:
    """Return the seconds of a `dbt run` in a process of its own."""
    import os
    import subprocess
    import sys

    begin = time.perf_counter()
    subprocess.run(
        [
            Path(sys.executable).with_name("dbt"), "--quiet", "run",
            "--target-path", home / "target", "--log-path", home / "logs",
        ],
        cwd=folder,
        env={**os.environ, "ORB_LEARNING_HOME": str(home)},
        check=True,
    )  # fmt: skip
    return time.perf_counter() - begin


def cold(wanted: Wanted) -> list[str]:
    """`dbt run` as cron starts it, beside one of a project without any model."""
    with tempfile.TemporaryDirectory(dir=wanted.folder) as name:
        folder = Path(name)
        empty = folder / "empty"
        empty.mkdir()
        (empty / "dbt_project.yml").write_text(EMPTY_PROJECT)
        (empty / "profiles.yml").write_text(EMPTY_PROFILE)
        ours, project = folder / "ours", Path(__file__).parents[1]
        times: dict[str, list[float]] = {"an empty project": [], "this one, 1,000 new events": []}
        for number in range(TURNS + 1):  # the first of each parses
            capture(ours, 1, 1_000, 0, seed=number)
            taken = (cold_run(empty, empty), cold_run(project, ours))
            if number:
                for found, seconds in zip(times.values(), taken, strict=True):
                    found.append(seconds)
    least, most = (median(found) for found in times.values())
    return [
        f"Seconds of a cold `dbt run`, {TURNS} of each by turns, projects parsed before; the load"
        " and the publication are part of ours.",
        "",
        *table(
            ["", "median", "least", "most"],
            [
                [what, f"{median(found):.2f}", f"{min(found):.2f}", f"{max(found):.2f}"]
                for what, found in times.items()
            ],
        ),
        "",
        f"{most / least:.2f} times an empty project's.",
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
        times = alone(measured_visible, root, 20)
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
        " moment, until `get_execution` of another process returns it; 20 events.",
        "",
        *table(["executions", "p50", "p95", "max"], rows),
    ]


def build(root: Path, executions: int) -> None:
    """Build a history without indexes."""
    build_history(root, executions=executions, texts=20_000, until=UNTIL, indexes=False)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="executions")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--folder", type=Path, help="where histories and parts are kept")
    parser.add_argument("--indexes", action="store_true", help="the var `indexes` is on")
    parser.add_argument("--refreshes", type=int, default=1000, help="of the part growth")
    parser.add_argument("--write", type=Path, help="the document whose section is replaced")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = (given.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        wanted = Wanted(folder, given.sizes, given.indexes, given.refreshes)
        for name in (name for name in PARTS if name in given.parts):
            title, part = PARTS[name]
            begin = time.perf_counter()
            speed = f"{machine()}; 10 million additions in Python took {calibrated():.2f} s."
            text = "\n".join([f"### {title}", "", speed, *part(wanted)])
            (folder / f"{name}.md").write_text(text + "\n")
            print(f"{text}\n\n({name}: {time.perf_counter() - begin:.0f} s)\n", flush=True)
            if given.write:
                kept = (folder / f"{name}.md" for name in PARTS)
                done = [file.read_text() for file in kept if file.exists()]
                write_section(given.write, "refresh", "\n" + "\n".join(done))


PARTS: dict[str, tuple[str, Callable[[Wanted], list[str]]]] = {
    "loading": ("Loading", loading),
    "steady": ("Steady state", steady),
    "visible": ("From capture to reader", visible),
    "cold": ("Cold `dbt run`", cold),
    "full": ("Full refresh", full),
    "peer": ("The mission's own design", peer),
    "growth": ("Growth", growth),
}


if __name__ == "__main__":
    main()
