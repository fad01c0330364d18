"""Segments written by hand, and staging read back; whatever is loaded is accounted for."""

from __future__ import annotations

import fcntl
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest

from orb_learning import _database
from orb_learning._database import literal
from orb_learning._files import replacing
from orb_learning.events import EVENT_TYPES, Event, PoolCreated
from orb_learning.home import Home
from orb_learning.staging import LoadReport, open_staging
from orb_learning.upkeep import take_in

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

UNBALANCED = """
select segment from ledger.segments where lines != loaded + duplicates + quarantined
union all
select 'load ' || load_id from ledger.loads
where lines != loaded + duplicates + quarantined or lines = 0
union all
select 'sum of segments' where
    (select (sum(lines), sum(loaded), sum(duplicates), sum(quarantined)) from ledger.segments)
    is distinct from
    (select (sum(lines), sum(loaded), sum(duplicates), sum(quarantined)) from ledger.loads)
union all
select 'quarantine' where
    (select coalesce(sum(quarantined), 0) from ledger.loads) - (
        select coalesce(sum(row_count), 0) from ledger.removals
        where table_name = 'ledger.quarantine'
    ) != (select count(*) from ledger.quarantine)
union all
select 'load ids' where
    (select count(*) from ledger.loads) != (select coalesce(max(load_id), 0) from ledger.loads)
"""

LOADED = (
    "(select coalesce(sum(loaded), 0) from ledger.loads) - (select coalesce(sum(row_count), 0)"
    " from ledger.removals where table_name != 'ledger.quarantine')"
)


class Spool:
    """Writes segments as no writer would."""

    def __init__(self, home: Home) -> None:
        self.folder = home.spool

    def write(self, name: str, *lines: Event | bytes, end: bytes = b"\n") -> Path:
        """Write a whole segment, or more of one; nobody holds it, so it is sealed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        texts = [line.to_line() if isinstance(line, Event) else line for line in lines]
        with (self.folder / name).open("ab") as file:
            file.write(b"\n".join(texts) + (end if lines else b""))
        return self.folder / name


@functools.cache
def _reader(_: int) -> duckdb.DuckDBPyConnection:
    """Open a database to attach others to, once for a process: opening one takes ten times that."""
    return duckdb.connect(config={"threads": 1})


class Staging:
    """What the loader made, read back."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def load(self) -> LoadReport:
        """Load, and check that the ledger and the tables account for every line."""
        report = take_in(self._home)
        stored = " + ".join(f"(select count(*) from raw.{kind})" for kind in EVENT_TYPES)
        with self._read() as connection:
            wrong = f"{UNBALANCED} union all select 'rows' where {LOADED} != {stored}"
            assert connection.execute(wrong).fetchall() == []
            newest = connection.execute("select coalesce(max(load_id), 0) from ledger.loads")
            assert newest.fetchall() == [(report.load_id,)]
        return report

    def query(self, query: str) -> list[tuple[Any, ...]]:
        with self._read() as connection:
            return connection.execute(query).fetchall()

    @contextmanager
    def _read(self) -> Iterator[duckdb.DuckDBPyConnection]:
        reader = _reader(os.getpid())
        reader.execute(f"attach {literal(self._home.staging)} as staging (read_only)")
        try:
            reader.execute("use staging")
            yield reader
        finally:
            reader.execute("use memory")
            reader.execute("detach staging")

    def pools(self) -> list[str]:
        """Return the names of the pools created, one for each row, in order."""
        return [name for (name,) in self.query("select pool_id from raw.pool_created order by 1")]

    def reasons(self) -> list[str]:
        query = "select reason from ledger.quarantine order by load_id, segment, byte_offset"
        return [reason for (reason,) in self.query(query)]

    def segments(self) -> dict[str, tuple[int, int, int, int, bool]]:
        """Return what the ledger says: lines, loaded, duplicates, quarantined, is_complete."""
        query = "select segment, (lines, loaded, duplicates, quarantined, is_complete)"
        return dict(self.query(f"{query} from ledger.segments"))


@pytest.fixture(scope="session")
def empty_staging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("empty") / "home")
    with open_staging(home):
        return home.staging


@pytest.fixture
def migrated(empty_staging: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each new staging file be a copy of one with this release's schema.

    Every test that loads something would migrate an empty file otherwise, for as long as it loads.
    """
    create = _database._create

    def copy(path: Path) -> None:
        if path.name != empty_staging.name:
            create(path)
            return
        with replacing(path) as fresh:
            fresh.write_bytes(empty_staging.read_bytes())

    monkeypatch.setattr(_database, "_create", copy)


@pytest.fixture
def spool(home: Home) -> Spool:
    return Spool(home)


@pytest.fixture
def staging(home: Home) -> Staging:
    return Staging(home)


@pytest.fixture(scope="session")
def pool() -> Callable[..., PoolCreated]:
    """Return an event that is the same for the same number."""

    def made(number: int, **values: object) -> PoolCreated:
        fixed = {
            "event_id": UUID(int=number),
            "occurred_at": NOON,
            "captured_at": NOON,
            "pool_id": f"pool-{number:04}",
        }
        return PoolCreated.model_validate({**fixed, **values})

    return made


@pytest.fixture
def hold() -> Iterator[Callable[[Path], int]]:
    """Hold segments as a live writer does, until their descriptors are closed."""
    held: list[int] = []

    def lock(path: Path) -> int:
        held.append(os.open(path, os.O_WRONLY | os.O_APPEND))
        fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        return held[-1]

    yield lock
    for fd in held:
        os.close(fd)
