"""Locks that processes hold on files, and that end with them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
import weakref
from pathlib import Path

LOCK_POLL_SECONDS = 0.05


class FileLock:
    """A file that one process holds at a time, and any number of times; its death frees the file.

    The threads of the process hold it together. A fork's child holds nothing.

    Where there is a turn, another file, whoever wants the lock takes that first, and keeps it until
    the lock is its own: who gives the lock back and wants it at once stands behind who waits.
    """

    # By `flock`, as filelock does it: of that, hosts ask for releases that exclude each other.

    def __init__(self, path: Path, turn: Path | None = None) -> None:
        """Make a lock; its files are made when it is first taken."""
        self._path = path
        self._turn = turn
        self._mutex = threading.Lock()
        self._holds = 0
        self._fd = -1
        self._turn_fd = -1
        _locks.add(self)

    def acquire(self, timeout_seconds: float = 0) -> bool:
        """Take the lock, or return False if another process keeps it for all that time.

        Raises:
            OSError: a file cannot be made or locked.
        """
        until = time.monotonic() + timeout_seconds
        has_turn = False  # this thread: another one may have it for the process
        try:
            while True:
                with self._mutex:
                    if self._turn and not self._holds and self._turn_fd < 0:
                        self._turn_fd = _taken(self._turn)
                        has_turn = self._turn_fd >= 0
                    if not self._holds and (has_turn or not self._turn):
                        self._fd = _taken(self._path)
                    if self._fd >= 0:
                        self._holds += 1
                        return True
                left = until - time.monotonic()
                if left <= 0:
                    return False
                time.sleep(min(left, LOCK_POLL_SECONDS))
        finally:
            if has_turn:
                with self._mutex:
                    self._turn_fd = _given_back(self._turn_fd)

    def release(self) -> None:
        """Give back what one `acquire` took; harmless if it is not held."""
        with self._mutex:
            self._holds = max(0, self._holds - 1)
            if not self._holds:
                self._fd = _given_back(self._fd)

    def _after_fork_in_child(self) -> None:
        for fd in (self._fd, self._turn_fd):
            if fd >= 0:
                os.close(fd)
        # Another thread of the parent may have held the mutex; here nobody will let go of it.
        self._mutex = threading.Lock()
        self._holds = 0
        self._fd = self._turn_fd = -1


def _taken(path: Path) -> int:
    """Return a descriptor that locks the file, or -1 if another one does."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink:  # who removes the file meanwhile lets others lock a new one
            return fd
    except BlockingIOError:
        pass
    except OSError:
        os.close(fd)
        raise
    os.close(fd)
    return -1


def _given_back(fd: int) -> int:
    """Free what a descriptor locks, and return -1 in its place."""
    if fd >= 0:
        # A child that is just forked has a copy: closing alone would leave it locked.
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)
    return -1


_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for lock in list(_locks):
        lock._after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
