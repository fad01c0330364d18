"""Events a second from the spool into staging, beside bare readers."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from history import Wanted
from report import alone, table


def measured_load(folder: Path, events: int) -> list[tuple[str, float, float, int]]:
    """Load one spool in several ways, each into a home of its own.

    Returns:
        what, wall-clock and processor seconds, and rows.
    """
    import json

    import duckdb
    from pydantic import TypeAdapter

    from orb_learning.events import AnyEvent
    from orb_learning.home import Home
    from orb_learning.upkeep import take_in
    from spool import write_spool

    spool = Home(folder / "spooled")
    write_spool(spool, events, 1)
    files = sorted(spool.spool.iterdir())
    found = []

    def time_of(what: str, work: Callable[[], int]) -> None:
        begin, busy = time.perf_counter(), time.process_time()
        rows = work()
        found.append((what, time.perf_counter() - begin, time.process_time() - busy, rows))

    time_of("`load`", lambda: take_in(spool).loaded)

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
