"""Backups of staging: one file each, consistent, and read back before they count."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orb_learning._database import connect, sync
from orb_learning._types import utc_now
from orb_learning.errors import HomeError, OrbLearningError
from orb_learning.home import Home
from orb_learning.staging import _migrations
from orb_learning.staging._erasure import erase_all_rows
from orb_learning.staging._file import Contents, copy_database, drop_warehouse, faults, verify
from orb_learning.staging._loader import load

if TYPE_CHECKING:
    import duckdb

logger = logging.getLogger("orb_learning.staging")


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy of staging.

    Attributes:
        path: its file.
        load_id: the newest load in it.
        events: rows of all raw tables.
    """

    path: Path
    load_id: int
    events: int


def backup(home: Home, to: Path | None = None) -> Backup:
    """Copy staging, with all that the spool holds, into a file that is read back and synced.

    Hooks go on capturing meanwhile; loads and refreshes wait.

    Args:
        home: whose staging.
        to: a directory; default `<home>/backups`.

    Raises:
        BusyError, HomeError, MigrationError: see `load`; or the copy cannot be written or is not
            as it should be, and is removed again.
    """
    folder = to or home.backups
    with home.locked():
        load(home)  # so that a tombstone that was given is in force
        target, making = _copy(home, folder)
        with connect(making, read_only=True) as connection:
            made = _described(connection, target)
        _finish(making, target)
    return made


def backup_as_it_is(home: Home) -> Path:
    """Copy staging, of whatever schema version, before a migration that may lose data."""
    with home.locked():
        target, making = _copy(home, home.backups)
        _finish(making, target)
    return target


def restore(home: Home, source: Path | None = None) -> Backup:
    """Put a backup in staging's place, and have everything else built from it.

    What was loaded since is loaded again from the segments that the spool still holds. Erasures
    that the replaced file knows stay in force. The replaced file is kept beside the backups.

    Args:
        home: whose staging.
        source: the backup; default the newest in `<home>/backups`.

    Raises:
        HomeError: there is no backup, or it is damaged; nothing was changed.
        BusyError: another process is at work.
    """
    import duckdb

    chosen = source or _newest(home.backups)
    with home.locked():
        held = verify(chosen)
        fresh = home.root / f".{home.staging.name}-{secrets.token_hex(4)}"
        try:
            copy_database(chosen, fresh)
            _refuse_unless_equal(held, verify(fresh), fresh)
            with connect(fresh) as connection:
                _migrations.upgrade(connection)
                _keep_erasures(connection, home)
                if wrong := faults(connection):
                    raise HomeError(f"{chosen} is damaged: {wrong[0]}; take another backup")
                restored = _described(connection, home.staging)
            # The warehouse first, whose loads may be newer than the backup's; and staging is never
            # missing, or the next load would begin with an empty one.
            drop_warehouse(home)
            _set_aside(home)
            fresh.replace(home.staging)
            sync(home.root)
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0]
            raise HomeError(f"cannot restore {chosen}: {reason}; nothing was changed") from error
        finally:
            for left in (fresh, fresh.with_name(f"{fresh.name}.wal")):
                left.unlink(missing_ok=True)
    return restored


def _copy(home: Home, folder: Path) -> tuple[Path, Path]:
    """Return where a backup goes, and where it lies until it is finished."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HomeError(f"cannot make {folder}: {error.strerror}; name another") from error
    target = folder / f"staging-{utc_now():%Y%m%dT%H%M%S%f}.duckdb"
    making = folder / f".{target.name}"
    try:
        copy_database(home.staging, making)
        _refuse_unless_equal(verify(home.staging), verify(making), making)
    except (OSError, OrbLearningError):
        for left in (making, making.with_name(f"{making.name}.wal")):
            left.unlink(missing_ok=True)
        raise
    return target, making


def _finish(making: Path, target: Path) -> None:
    try:
        making.replace(target)
        sync(target.parent)
    except OSError as error:
        making.unlink(missing_ok=True)
        raise HomeError(f"cannot write {target}: {error.strerror}") from error


def _refuse_unless_equal(held: Contents, copied: Contents, path: Path) -> None:
    wrong = sorted(name for name in held if held[name] != copied.get(name))
    if wrong:
        raise HomeError(f"{path} does not hold what was copied into its {wrong[0]}; try again")


def _newest(folder: Path) -> Path:
    found = sorted(folder.glob("staging-*.duckdb"))
    if not found:
        raise HomeError(f"there is no backup in {folder}; name the file to restore")
    return found[-1]


def _set_aside(home: Home) -> None:
    """Keep the replaced file, whatever state it is in."""
    home.backups.mkdir(mode=0o700, exist_ok=True)
    kept = home.backups / f"replaced-{utc_now():%Y%m%dT%H%M%S%f}.duckdb"
    log = home.staging.with_name(f"{home.staging.name}.wal")
    if log.exists():
        log.replace(kept.with_name(f"{kept.name}.wal"))
    if home.staging.exists():
        kept.hardlink_to(home.staging)  # its own name is about to be another file's


def _keep_erasures(connection: duckdb.DuckDBPyConnection, home: Home) -> None:
    """Take over what the file to be replaced knows of erasures, and erase again."""
    for subject, value in _erasures_of(home.staging):
        connection.execute(
            "insert into ledger.erasures"
            " select ?, ?, coalesce(max(load_id), 0), false from ledger.loads"
            " where (?, ?) not in (select subject, subject_hash from ledger.erasures)",
            [subject, value, subject, value],
        )
    if connection.execute("select 1 from ledger.erasures limit 1").fetchone():
        connection.execute("begin")
        erase_all_rows(connection)
        connection.execute("commit")


def _erasures_of(path: Path) -> list[tuple[str, str]]:
    import duckdb

    if not path.exists():
        return []
    try:
        with connect(path, read_only=True) as replaced:
            return replaced.execute("select subject, subject_hash from ledger.erasures").fetchall()
    except (duckdb.Error, OrbLearningError) as error:
        reason = str(error).partition("\n")[0]
        logger.warning(
            "what was erased since the backup cannot be read from %s and comes back unless the "
            "spool still holds the requests: %s",
            path,
            reason,
        )
        return []


def _described(connection: duckdb.DuckDBPyConnection, path: Path) -> Backup:
    ((load_id, events),) = connection.execute(
        "select coalesce(max(load_id), 0), coalesce(sum(loaded), 0)"
        " - (select coalesce(sum(row_count), 0) from ledger.removals"
        "    where table_name != 'ledger.quarantine')"
        " from ledger.loads"
    ).fetchall()
    return Backup(path, int(load_id), int(events))
