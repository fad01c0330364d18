"""The home of a demonstration: how it is known, made anew, and given another history.

Nothing says of a directory that it may be emptied but what is in it. `demo.json` lists the segments
that demonstrations wrote, and staging's ledger every segment that was ever loaded: where the ledger
names another, somebody's own events are there and nothing is removed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orb_learning._database import wal
from orb_learning._files import replacing
from orb_learning.errors import HomeError
from orb_learning.home import Home
from orb_learning.spool import segment_names
from orb_learning.staging import damaged_logs, open_staging
from orb_learning.upkeep import take_in
from orb_learning.warehouse import drop_warehouse

if TYPE_CHECKING:
    import duckdb

MARK = "demo.json"

SIMULATING = ".simulating"
"""The home that the hooks write to until a simulation is whole; a killed one leaves it behind."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a home's mark says.

    Attributes:
        histories: how many simulations its events are of.
        segments: all that demonstrations have written there, those of removed histories included:
            a backup may bring these back.
    """

    histories: int = 0
    segments: tuple[str, ...] = ()

    @classmethod
    def of(cls, home: Home) -> Mark:
        """Return the mark of a home; one that is missing or unreadable says nothing."""
        try:
            said = json.loads((home.root / MARK).read_text())
            return cls(int(said["histories"]), tuple(map(str, said["segments"])))
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def write(self, home: Home) -> None:
        """Make it the mark of a home."""
        with replacing(home.root / MARK) as file:
            file.write_text(json.dumps(asdict(self), indent=1))
            file.chmod(0o600)


def clear(home: Home) -> None:
    """Remove what earlier demonstrations put into a home; hold the home's lock.

    The publication stays until the next refresh replaces it, and so does whatever else is there.

    Raises:
        HomeError: the home holds events that no demonstration wrote; nothing was removed.
        BusyError, MigrationError: see `load`.
    """
    if not (home.staging.exists() or segment_names(home.spool)):
        return
    mark = Mark.of(home)
    take_in(home)  # so that the ledger knows of all there is
    with open_staging(home) as connection:
        loaded = _loaded_segments(connection, home, mark)
    if not loaded:
        return
    for name in loaded:
        (home.spool / name).unlink(missing_ok=True)
    drop_warehouse(home)
    staging = home.staging.resolve()
    for gone in (wal(staging), *damaged_logs(home), staging):
        gone.unlink(missing_ok=True)
    Mark(segments=mark.segments).write(home)


def _loaded_segments(connection: duckdb.DuckDBPyConnection, home: Home, mark: Mark) -> list[str]:
    """Return the segments that were loaded, if no events but those of demonstrations were."""
    segments = connection.execute(
        "select segment, loaded + quarantined from ledger.segments where lines > 0"
    ).fetchall()
    others = sum(events for name, events in segments if name not in mark.segments)
    # An erasure of what was simulated is nobody's data either.
    ((erasures,),) = connection.execute(
        "select (select count(*) from raw.task_erased) + (select count(*) from raw.user_erased)"
    ).fetchall()
    if others > erasures:
        raise HomeError(
            f"{home.root} holds {others - erasures:,} events that no demo wrote, so nothing was "
            "removed; name another directory with --home, or add to this one with --keep"
        )
    return [name for name, _ in segments]


@contextmanager
def adding_history(home: Home) -> Iterator[Path]:
    """Yield where hooks may write; at the end it is the home's; hold the home's lock.

    A simulation that is killed or fails leaves the home as it was.
    """
    aside = Home(home.root / SIMULATING)
    shutil.rmtree(aside.root, ignore_errors=True)
    try:
        yield aside.root
        written = segment_names(aside.spool)
        mark = Mark.of(home)
        Mark(mark.histories + 1, (*mark.segments, *written)).write(home)
        for name in written:
            (aside.spool / name).rename(home.spool / name)
    finally:
        shutil.rmtree(aside.root, ignore_errors=True)
