"""The home directory: where each of the four stores lives, and the lock that orders their writers.

<home>/spool/            segments, written by the hooks, read by the loader
<home>/staging.duckdb    raw events and the load ledger, written by the loader
<home>/warehouse.duckdb  what dbt builds; `warehouse.size.json` tells when it is bloated
<home>/backups/          copies of staging
<home>/published/<id>/   one publication each; `published/current` links to the one in force
<home>/embeddings/       vectors of what was executed, kept by the embedder
<home>/learning.db       a fixed link to the database of the current publication
<home>/schedule.json     what a scheduler did last
<home>/target/, logs/    what dbt compiles and documents, and its own log
<home>/spill/            what DuckDB puts to disk while it works; see `_spill`
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orb_learning._locks import FileLock
from orb_learning.errors import BusyError, HomeError

HOME_VARIABLE = "ORB_LEARNING_HOME"
LOCK_TIMEOUT_VARIABLE = "ORB_LEARNING_LOCK_TIMEOUT"
DEFAULT_LOCK_TIMEOUT_SECONDS = 600.0

logger = logging.getLogger("orb_learning.home")


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of one home directory; making one touches nothing on disk."""

    root: Path

    @classmethod
    def locate(cls, root: str | os.PathLike[str] | None = None) -> Home:
        """Return the home at `root`, else at $ORB_LEARNING_HOME, else at ./data.

        Raises:
            HomeError: it begins with `~` and a name that no user has, or it is relative to a
                directory that is gone.
        """
        chosen = root or os.environ.get(HOME_VARIABLE) or "data"
        return cls(absolute(chosen, "home"))

    @property
    def spool(self) -> Path:
        """Where the hooks write segments."""
        return self.root / "spool"

    @property
    def staging(self) -> Path:
        """The raw events and the load ledger."""
        return self.root / "staging.duckdb"

    @property
    def warehouse(self) -> Path:
        """What dbt builds."""
        return self.root / "warehouse.duckdb"

    @property
    def warehouse_damage(self) -> Path:
        """Stands while the warehouse is known to be damaged: the next run builds it anew."""
        return self.root / "warehouse.damaged"

    @property
    def warehouse_size(self) -> Path:
        """The warehouse's smallest size, by which is told whether it has grown."""
        return self.root / "warehouse.size.json"

    @property
    def backups(self) -> Path:
        """Where copies of staging go by default."""
        return self.root / "backups"

    @property
    def published(self) -> Path:
        """Where every publication has its directory."""
        return self.root / "published"

    @property
    def current(self) -> Path:
        """The link to the publication in force."""
        return self.published / "current"

    @property
    def learning_db(self) -> Path:
        """The fixed link to the database in force."""
        return self.root / "learning.db"

    @property
    def embeddings(self) -> Path:
        """Where the embedder keeps vectors and their index."""
        return self.root / "embeddings"

    @property
    def target(self) -> Path:
        """Where dbt puts what it compiles and documents."""
        return self.root / "target"

    @property
    def logs(self) -> Path:
        """Where dbt writes its own log."""
        return self.root / "logs"

    @property
    def lock_file(self) -> Path:
        """What every writer but the hooks locks."""
        return self.root / "refresh.lock"

    @property
    def lock_holder(self) -> Path:
        """Who holds the lock, for messages."""
        return self.root / "refresh.pid"

    @property
    def spill(self) -> Path:
        """Where DuckDB puts what does not fit into memory."""
        return self.root / "spill"

    @property
    def schedule(self) -> Path:
        """What a scheduler did last, for `orb-learning status`."""
        return self.root / "schedule.json"

    @property
    def schedule_lock(self) -> Path:
        """What a scheduler locks for as long as it lives."""
        return self.root / "schedule.lock"

    def create(self) -> None:
        """Make the directories that are missing, private to their owner.

        Raises:
            HomeError: the home cannot be made or written, or see `make_root`.
        """
        try:
            make_root(self.root)
            for directory in (self.spool, self.published):
                directory.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise HomeError(
                f"cannot use {self.root} as home: {error.strerror}; "
                f"make it writable or point {HOME_VARIABLE} elsewhere"
            ) from error
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise HomeError(
                f"cannot write to home {self.root}; "
                f"make it writable or point {HOME_VARIABLE} elsewhere"
            )

    def check_owner(self) -> None:
        """See to it that what is read there was not put there by another user.

        Raises:
            HomeError: the home is another user's, and this is not root.
        """
        with contextlib.suppress(OSError):  # it is not there yet, or cannot be looked at
            _refuse_foreign(self.root, self.root.stat())

    @contextlib.contextmanager
    def locked(self, timeout_seconds: float | None = None) -> Iterator[None]:
        """Hold the lock that every writer of staging, warehouse and publication holds.

        The lock is re-entrant within a process and is freed by the operating system when its
        holder dies.

        Args:
            timeout_seconds: how long to wait; default $ORB_LEARNING_LOCK_TIMEOUT, else 600.

        Raises:
            BusyError: another process kept the lock for all that time.
        """
        self.acquire_lock(timeout_seconds)
        try:
            yield
        finally:
            self.release_lock()

    def acquire_lock(self, timeout_seconds: float | None = None) -> None:
        """Take the lock; pair each call with one of `release_lock`. See `locked`."""
        if timeout_seconds is None:
            timeout_seconds = _lock_timeout()
        self.create()
        try:
            lock = _lock_at(self.root.resolve() / self.lock_file.name)
            if not lock.acquire():
                logger.warning(
                    "%s holds %s; waiting up to %g s for it",
                    self._holder(),
                    self.lock_file,
                    timeout_seconds,
                )
                if not lock.acquire(timeout_seconds):
                    raise BusyError(
                        f"{self._holder()} still holds {self.lock_file} after {timeout_seconds:g} "
                        "s; try again when it has finished"
                    )
        except OSError as error:
            raise HomeError(
                f"cannot lock {self.lock_file}: {error.strerror}; "
                "make it a writable file or remove it"
            ) from error
        # The holder's id only serves messages: a full disk must not leave the lock taken.
        with contextlib.suppress(OSError):
            _write_own(self.lock_holder, str(os.getpid()))

    def release_lock(self) -> None:
        """Give back what one `acquire_lock` took."""
        _lock_at(self.root.resolve() / self.lock_file.name).release()

    def _holder(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            holder = int(self.lock_holder.read_text())
            if holder != os.getpid():  # it was ours, and is the next one's before that is noted
                return f"process {holder}"
        return "another process"


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a directory; links count nothing."""
    inside = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    size = 0
    for file in (path, *inside):
        # What another process removes meanwhile has no size.
        with contextlib.suppress(FileNotFoundError):
            found = file.lstat()
            size += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return size


def absolute(path: str | os.PathLike[str], what: str) -> Path:
    """Return a path from the root on, its `~` replaced.

    Raises:
        HomeError: no user has the name after `~`, or the current directory is gone.
    """
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:
        why = "there is no such user, or the user has no home directory"
    except OSError:
        why = "it is relative to the current directory, which is gone"
    raise HomeError(f"{what} {os.fspath(path)}: {why}; name it from / on")


def make_root(root: Path) -> None:
    """Make a home's own directory, private to its owner, unless it is there.

    Raises:
        HomeError: not every store can lie at that path; or another user owns the directory, or may
            write to it, and so could put files of theirs there or replace ours.
        OSError: it cannot be made.
    """
    if fault := _fault_of(str(root)):
        raise HomeError(
            f"cannot use {str(root)!r} as home: {fault}; "
            f"rename it or point {HOME_VARIABLE} elsewhere"
        )
    # One by one: `parents=True` leaves the mode of what it makes on the way to the umask.
    root.parent.mkdir(parents=True, exist_ok=True)
    try:
        root.mkdir(mode=0o700)
        root.chmod(0o700)
    except FileExistsError:
        if not root.is_dir():
            raise
    found = root.stat()
    _refuse_foreign(root, found)
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise HomeError(
            f"others may write to home {root}; run `chmod go-w {root}`, "
            f"or point {HOME_VARIABLE} elsewhere"
        )


def _refuse_foreign(root: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid() != 0:
        raise HomeError(
            f"home {root} belongs to another user (uid {found.st_uid}); run as that user, "
            f"or point {HOME_VARIABLE} elsewhere"
        )


def _fault_of(path: str) -> str:
    """Return why DuckDB, or dbt, would take a path for something else, or an empty text."""
    if "#" in path or "?" in path:  # dbt-duckdb reads it as a URL
        return "dbt and DuckDB cannot open a path with # or ? in it"
    if "ducklake:" in path.lower():
        return "dbt takes a path with ducklake: in it for something else"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "DuckDB cannot open a path that is not UTF-8"
    return "a path holds no zero byte" if "\0" in path else ""


def _write_own(path: Path, text: str) -> None:
    """Write a file that belongs here, and not what a link in its place points to."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


@functools.cache
def _lock_at(path: Path) -> FileLock:
    """Return the one lock of a file in this process."""
    return FileLock(path, path.with_suffix(".turn"))


def _lock_timeout() -> float:
    text = os.environ.get(LOCK_TIMEOUT_VARIABLE, "")
    try:
        seconds = float(text) if text else DEFAULT_LOCK_TIMEOUT_SECONDS
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:  # so that NaN is refused too
        raise HomeError(f"{LOCK_TIMEOUT_VARIABLE} must be seconds from 0 on, not {text!r}")
    return seconds
