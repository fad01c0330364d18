"""The spool writer: one event is one line is one write to an append-only file.

The line reaches the operating system before `append` returns, so it outlives a kill of the
process. A segment whose write fell short is never written again, or the next event would be glued
to the fragment.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
import time
import weakref
from datetime import UTC, datetime
from pathlib import Path

from orb_learning.errors import SpoolWriteError

MAX_LINE_BYTES = 256 * 1024
"""Longest line that is written or read, its newline included."""

MAX_SEGMENT_BYTES = 64 * 1024 * 1024

_CREATE = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class SpoolWriter:
    """Appends lines to segments of its own; safe for threads, and for a fork."""

    def __init__(
        self,
        directory: Path,
        *,
        max_segment_bytes: int = MAX_SEGMENT_BYTES,
        fsync_interval_seconds: float | None = None,
    ) -> None:
        """Make a writer; nothing is opened before the first line.

        Args:
            directory: where the segments go; made, private to its owner, when it is missing.
            max_segment_bytes: a new segment is begun beyond this size.
            fsync_interval_seconds: when set, no line stays longer than this, and the next write,
                without being forced to the disk; 0 forces every line.
        """
        self._directory = directory
        self._max_segment_bytes = max_segment_bytes
        self._fsync_interval = fsync_interval_seconds
        self._lock = threading.RLock()
        self._fd: int | None = None
        self._segment_bytes = 0
        self._synced_at = time.monotonic()
        _writers.add(self)

    def append(self, line: bytes) -> None:
        """Write one line, without its newline, and return once the system has it.

        Raises:
            SpoolWriteError: the line is not stored.
        """
        data = line + b"\n"
        with self._lock:
            try:
                fd = self._fd
                if (
                    fd is None
                    or self._segment_bytes + len(data) > self._max_segment_bytes
                    # Removed with its directory: it would swallow the line.
                    or os.fstat(fd).st_nlink == 0
                ):
                    fd = self._begin_segment()
                written = os.write(fd, data)
                if written < len(data):
                    raise OSError(f"only {written} of {len(data)} bytes written")
                self._segment_bytes += written
                if self._fsync_interval is not None:
                    self._fsync_when_due(fd, self._fsync_interval)
            except (OSError, ValueError) as error:  # ValueError: a path that no system can spell
                with contextlib.suppress(OSError):
                    self._end_segment()
                raise SpoolWriteError(
                    f"cannot write to spool {self._directory}: {error}"
                ) from error

    def close(self) -> None:
        """End the current segment; a later `append` begins a new one."""
        with self._lock:
            self._end_segment()

    def _begin_segment(self) -> int:
        self._end_segment()
        # One by one: `parents=True` leaves the mode of what it makes on the way to the umask.
        self._directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory.mkdir(mode=0o700, exist_ok=True)
        now = datetime.now(UTC)
        name = f"{now:%Y%m%dT%H%M%S%f}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        # A segment gets its name only once it is locked: a loader that can lock a segment knows
        # that its writer is gone.
        hidden = self._directory / f".{name}"
        fd = os.open(hidden, _CREATE, 0o600)
        try:
            os.fchmod(fd, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            hidden.rename(self._directory / name)
        except OSError:
            os.close(fd)
            raise
        self._fd = fd
        return fd

    def _end_segment(self) -> None:
        fd = self._fd
        self._fd = None
        self._segment_bytes = 0
        if fd is not None:
            try:
                if self._fsync_interval is not None:
                    os.fsync(fd)
            finally:
                os.close(fd)

    def _fsync_when_due(self, fd: int, interval: float) -> None:
        now = time.monotonic()
        if now - self._synced_at >= interval:
            os.fsync(fd)
            self._synced_at = now

    def _after_fork_in_child(self) -> None:
        fd = self._fd
        # Another thread of the parent may have held the lock; here nobody will let go of it.
        self._lock = threading.RLock()
        self._fd = None
        self._segment_bytes = 0
        if fd is not None:
            os.close(fd)


_writers: weakref.WeakSet[SpoolWriter] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for writer in list(_writers):
        writer._after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
