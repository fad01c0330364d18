"""The mission's own design, as the peer of a refresh."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

from history import Wanted
from report import alone, megabytes, table
from warm import AS_OF, TEXTS, TURNS, Measured, peak_of

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
