"""What a scheduler leaves for others to read: its state, and the lock that says it is at work."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from orb_learning._files import replacing
from orb_learning._locks import FileLock
from orb_learning.errors import BusyError
from orb_learning.home import Home


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """What `schedule.json` says of the scheduler that wrote it. All times are ISO 8601, UTC.

    Attributes:
        process: its process id.
        interval_seconds: between the beginnings of two turns.
        fresh_at: the publication holds everything that was captured up to then; None before the
            first refresh.
        refreshed_at: when it last published.
        tested_at: when a build with tests last passed.
        failures: refreshes that failed in a row; 0 while all is well.
        failed_at: when the newest of them failed.
        error: why.
    """

    process: int
    interval_seconds: float
    fresh_at: str | None = None
    refreshed_at: str | None = None
    tested_at: str | None = None
    failures: int = 0
    failed_at: str | None = None
    error: str | None = None


def read_state(home: Home) -> ScheduleState | None:
    """Return what the newest scheduler of a home wrote; None if there is nothing to read."""
    try:
        return ScheduleState(**json.loads(home.schedule.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_state(home: Home, state: ScheduleState) -> None:
    """Replace `schedule.json` whole."""
    with replacing(home.schedule) as fresh:
        fresh.write_text(json.dumps(asdict(state), indent=2) + "\n")
        fresh.chmod(0o600)


def is_scheduled(home: Home) -> bool:
    """Tell whether a scheduler works on this home now."""
    try:
        descriptor = os.open(home.schedule_lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def only_scheduler(home: Home) -> Iterator[None]:
    lock = FileLock(home.schedule_lock)
    if not lock.acquire(timeout_seconds=1):
        raise BusyError(f"another scheduler works on {home.root}; stop it first")
    try:
        yield
    finally:
        lock.release()


def version_of(*files: Path) -> tuple[tuple[int, int, int] | None, ...]:
    """Return what changes whenever one of these files does: inode, size and time of change."""
    found: list[tuple[int, int, int] | None] = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)
