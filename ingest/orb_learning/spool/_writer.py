"""The spool writer: one event is one line is one write to an append-only file.

The line reaches the operating system before `append` returns, so it outlives a kill of the
process. Threads write without waiting for each other: the kernel appends each write whole, and a
segment is replaced under the very file descriptor that other threads may be about to use. Only a
write that fell short can be glued to another thread's line, which the loader takes apart again;
the segment is given up at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
import threading
import time
import weakref
from datetime import UTC, datetime
from pathlib import Path

from orb_learning.errors import SpoolWriteError
from orb_learning.home import make_root
from orb_learning.spool._limits import LARGEST_SEGMENT_BYTES, MAX_SEGMENT_BYTES

RECHECK_SECONDS = 0.02
"""How long a segment is trusted to be still in its directory."""

_CREATE = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_NO_SEGMENT = -1
_NO_MARKS = str.maketrans("", "", "-:.")
_NEVER = float("-inf")


def _write(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    if written < len(data):
        raise OSError(f"only {written} of {len(data)} bytes written")


class SpoolWriter:
    """Appends lines to segments of its own.

    It may be called from any thread, after a fork, and from a signal handler or `__del__` that
    interrupts a call of its own.

    Attributes:
        lines: how many lines were stored.
        written_bytes: their bytes, newlines included.
    """

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
            max_segment_bytes: a new segment is begun beyond this size, or beyond 512 MiB.
            fsync_interval_seconds: when set, no line stays longer than this, and the next write,
                without being forced to the disk; 0 forces every line.
        """
        self.lines = 0
        self.written_bytes = 0
        self._directory = directory
        self._max_segment_bytes = min(max_segment_bytes, LARGEST_SEGMENT_BYTES)
        self._fsync_interval = fsync_interval_seconds
        self._synced_at = time.monotonic()
        self._lock = threading.RLock()
        self._is_busy = False
        # The number of the open segment, and the same number kept taken while none is open, so
        # that a thread about to write to it can never hit a file of the host's.
        self._fd = _NO_SEGMENT
        self._kept_fd = _NO_SEGMENT
        self._full_at = 0  # counted in `written_bytes`
        self._check_at = _NEVER
        _writers.add(self)

    def append(self, line: bytes) -> None:
        """Write one line, without its newline, and return once the system has it.

        Raises:
            SpoolWriteError: the line is not stored.
        """
        data = line + b"\n"
        size = len(data)
        fd = self._fd
        if (
            fd < 0
            or self.written_bytes + size > self._full_at
            or time.monotonic() >= self._check_at
        ):
            self._append_with_care(data)
            return
        try:
            is_whole = os.write(fd, data) == size
        except OSError:
            is_whole = False
        if is_whole:
            self.written_bytes += size
            self.lines += 1
        else:
            self._abandon(fd)
            self._append_with_care(data)

    def close(self) -> None:
        """End the current segment; a later `append` begins a new one."""
        with self._lock:
            self._end_segment()

    def __del__(self) -> None:
        # Nobody can be writing any more, so the number may go back to the system; the finalizer of
        # another object may yet write, to a segment of its own.
        with contextlib.suppress(Exception):
            kept = self._kept_fd
            self._fd = self._kept_fd = _NO_SEGMENT
            if kept >= 0:
                os.close(kept)

    def _append_with_care(self, data: bytes) -> None:
        with self._lock:
            if self._is_busy:
                # What interrupts a change of segments gets one of its own.
                self._write_to_new_segment(data, is_kept=False)
                return
            self._is_busy = True
            try:
                if not self._write_to_open_segment(data):
                    self._write_to_new_segment(data, is_kept=True)
            finally:
                self._is_busy = False

    def _write_to_open_segment(self, data: bytes) -> bool:
        """Write where the last line went, or end that segment and return False."""
        fd = self._fd
        if fd < 0:
            return False
        try:
            # Removed with its directory, the segment would swallow the line.
            is_in_place = os.fstat(fd).st_nlink > 0
            if is_in_place and self.written_bytes + len(data) <= self._full_at:
                _write(fd, data)
                self._stored(data)
                return True
        except OSError:
            pass  # another segment may take the line
        try:
            self._end_segment()
        except OSError as error:
            raise self._refusal(error) from error
        return False

    def _write_to_new_segment(self, data: bytes, *, is_kept: bool) -> None:
        try:
            fd, path = self._open_segment()
            try:
                _write(fd, data)
            except OSError:
                # Nobody else has written to it yet.
                path.unlink(missing_ok=True)
                os.close(fd)
                raise
            if is_kept:
                self._use(fd)
                self._stored(data)
            else:
                os.close(fd)
                self.written_bytes += len(data)
                self.lines += 1
        except Exception as error:  # a full disk, or an interpreter that is half gone
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> SpoolWriteError:
        return SpoolWriteError(f"cannot write to spool {self._directory}: {error}")

    def _stored(self, data: bytes) -> None:
        now = time.monotonic()
        self._check_at = now + RECHECK_SECONDS
        if self._fsync_interval is not None:
            if now - self._synced_at >= self._fsync_interval:
                self._force()
                self._synced_at = now
            self._check_at = min(self._check_at, self._synced_at + self._fsync_interval)
        self.written_bytes += len(data)
        self.lines += 1

    def _force(self) -> None:
        try:
            os.fsync(self._fd)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._end_segment()
            raise self._refusal(error) from error

    def _abandon(self, fd: int) -> None:
        """Let nobody write behind what a failed write left behind."""
        with self._lock, contextlib.suppress(OSError):
            if self._fd == fd and not self._is_busy:
                self._end_segment()

    def _use(self, fd: int) -> None:
        if self._kept_fd < 0:
            self._kept_fd = fd
        else:
            try:
                os.dup2(fd, self._kept_fd, inheritable=False)
            finally:
                os.close(fd)
        self._fd = self._kept_fd
        self._full_at = self.written_bytes + self._max_segment_bytes

    def _end_segment(self) -> None:
        fd = self._fd
        self._fd = _NO_SEGMENT
        if fd < 0:
            return
        try:
            if self._fsync_interval is not None:
                os.fsync(fd)
        finally:
            nowhere = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            os.dup2(nowhere, fd, inheritable=False)
            os.close(nowhere)

    def _open_segment(self) -> tuple[int, Path]:
        directory = self._open_directory()
        try:
            # Not by strftime, which imports a module: a process that ends cannot.
            now = datetime.now(UTC).isoformat(timespec="microseconds").partition("+")[0]
            stamp = now.translate(_NO_MARKS)
            name = f"{stamp}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
            # A segment gets its name only once it is locked: a loader that can lock a segment
            # knows that its writer is gone.
            hidden = f".{name}"
            fd = os.open(hidden, _CREATE, 0o600, dir_fd=directory)
            try:
                os.fchmod(fd, 0o600)
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.rename(hidden, name, src_dir_fd=directory, dst_dir_fd=directory)
            except OSError:
                os.close(fd)
                raise
            return fd, self._directory / name
        finally:
            os.close(directory)

    def _open_directory(self) -> int:
        """Open the spool, made and private, itself and not what a link points to."""
        make_root(self._directory.parent)
        with contextlib.suppress(FileExistsError):
            self._directory.mkdir(mode=0o700)
            self._directory.chmod(0o700)
        fd = os.open(self._directory, _DIRECTORY)
        try:
            found = os.fstat(fd)
            if stat.S_IMODE(found.st_mode) != 0o700 and found.st_uid == os.geteuid():
                os.fchmod(fd, 0o700)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _after_fork_in_child(self) -> None:
        kept = self._kept_fd
        # Another thread of the parent may have held the lock; here nobody will let go of it.
        self._lock = threading.RLock()
        self._is_busy = False
        self._fd = self._kept_fd = _NO_SEGMENT
        if kept >= 0:
            os.close(kept)


_writers: weakref.WeakSet[SpoolWriter] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for writer in list(_writers):
        writer._after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
