"""Where DuckDB puts what does not fit into memory: a private, locked folder for each open database.

<home>/spill/<process>-<random>/    DuckDB's files, and `lock`, which is held while they are used

DuckDB's own choice is a folder beside the file, or in the current directory, which stays there when
its process is killed, and others may read it.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from orb_learning._locks import FileLock
from orb_learning.errors import HomeError
from orb_learning.home import Home

_LOCK = "lock"
_NAME = re.compile(r"\d+-[0-9a-f]{8}")


class SpillFolder:
    """A folder of one database that this process has open."""

    def __init__(self, home: Home) -> None:
        """Make it.

        Raises:
            HomeError: the home cannot be written.
        """
        self._made_by = os.getpid()
        try:
            while not self._make(home.spill):
                pass
        except OSError as error:
            raise HomeError(f"cannot make {error.filename}: {error.strerror}") from error

    def _make(self, folder: Path) -> bool:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.path = folder / f"{self._made_by}-{secrets.token_hex(4)}"
        self.path.mkdir(mode=0o700)
        self._lock = FileLock(self.path / _LOCK)
        # Before it is locked, another process takes it for a left one and deletes it.
        try:
            return self._lock.acquire()
        except FileNotFoundError:
            return False

    def delete(self) -> None:
        """Delete it, once its database is closed; a fork's child leaves its parent's alone."""
        if self._made_by == os.getpid():
            shutil.rmtree(self.path, ignore_errors=True)
            self._lock.release()


def delete_left_spills(home: Home) -> None:
    """Delete what processes that are gone have spilled, and what was spilled beside the stores."""
    for file in (home.staging, home.warehouse):
        empty_own_spill(file)
    try:
        found = [folder for folder in home.spill.iterdir() if _NAME.fullmatch(folder.name)]
    except OSError:
        return  # nothing was ever spilled
    for folder in found:
        lock = FileLock(folder / _LOCK)
        with suppress(OSError):  # another process deletes it too
            if lock.acquire():
                shutil.rmtree(folder, ignore_errors=True)
                lock.release()


def own_spill(file: Path) -> Path:
    """Return where DuckDB spills by itself: for an earlier release, or who uses other tools."""
    return file.with_name(f"{file.name}.tmp")


def empty_own_spill(file: Path) -> None:
    """Delete what DuckDB spilled by itself; the folder stays for who may have the file open."""
    folder = own_spill(file)
    if not folder.is_symlink():
        for left in folder.glob("duckdb_temp_*"):
            with suppress(OSError):
                left.unlink()
