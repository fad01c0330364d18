"""Backups of staging: one file each, consistent, and read back before they count."""

from __future__ import annotations

import logging
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orb_learning._database import connect, copy_database, transaction, wal
from orb_learning._files import sync
from orb_learning._types import utc_now
from orb_learning.errors import BusyError, HomeError, OrbLearningError
from orb_learning.home import Home, absolute
from orb_learning.staging import (
    Contents,
    Erased,
    erase_all_rows,
    erased_subjects,
    faults,
    upgrade,
    verify,
    without_tombstone,
)
from orb_learning.upkeep._abandoned import delete_abandoned
from orb_learning.upkeep._intake import take_in
from orb_learning.upkeep._tombstones import tell_again
from orb_learning.warehouse import drop_warehouse

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
    folder = absolute(to or home.backups, "backup to")
    if folder.resolve() == home.backups.resolve():
        folder = home.backups
    elif folder.resolve().is_relative_to(home.root.resolve()):
        raise HomeError(f"{folder} is the home's own; name a directory outside, or {home.backups}")
    with home.locked():
        take_in(home)  # so that a tombstone that was given is in force
        with _copied(home, folder) as (making, target):
            with connect(making, read_only=True) as connection:
                made = _described(connection, target)
            _finish(making, target)
    return made


def backup_as_it_is(home: Home) -> Path:
    """Copy staging, of whatever schema version, before a migration that may lose data."""
    with home.locked(), _copied(home, home.backups) as (making, target):
        _finish(making, target)
    return target


def restore(home: Home, source: Path | None = None) -> Backup:
    """Put a backup in staging's place, and have everything else built from it.

    What was loaded since is loaded again from the segments that the spool still holds. Erasures
    that the replaced file or any backup knows of stay in force. The replaced file is kept beside
    the backups.

    Args:
        home: whose staging.
        source: the backup; default the newest in `<home>/backups`.

    Raises:
        HomeError: there is no backup, or it is damaged; nothing was changed.
        BusyError: another process is at work.
    """
    import duckdb

    chosen = source or _newest(home.backups)
    if not chosen.is_file():
        raise HomeError(f"{chosen} is no file; name the backup to restore")
    with home.locked():
        held = verify(chosen)
        if "ledger.migrations" not in held:
            raise HomeError(f"{chosen} is no backup of a staging file; nothing was changed")
        erased = _known_erasures(home)
        fresh = home.root / f".{home.staging.name}-{secrets.token_hex(4)}"
        try:
            copy_database(home, chosen, fresh)
            _refuse_unless_equal(held, verify(fresh), fresh)
            with connect(fresh, home) as connection:
                upgrade(connection)
                _keep_erasures(connection, erased)
                if wrong := faults(connection):
                    raise HomeError(f"{chosen} is damaged: {wrong[0]}; take another backup")
                restored = _described(connection, home.staging)
                untold = without_tombstone(connection)
            tell_again(home, untold)
            kept = _set_aside(home)
            # The warehouse first, whose loads may be newer than the backup's; and staging is never
            # missing, or the next load would begin with an empty one.
            drop_warehouse(home)
            wal(home.staging).unlink(missing_ok=True)  # it is kept beside the replaced file
            try:
                fresh.replace(home.staging)
            except OSError:
                kept.unlink(missing_ok=True)  # else what is written to staging is written to it
                raise
            sync(home.root)
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0]
            raise HomeError(f"cannot restore {chosen}: {reason}; nothing was changed") from error
        finally:
            for left in (fresh, wal(fresh)):
                left.unlink(missing_ok=True)
    return restored


@contextmanager
def _copied(home: Home, folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield a copy of staging that was read back, and the name it is to have.

    It lies in a directory that is closed to others from its first byte on.
    """
    target = folder / f"staging-{utc_now():%Y%m%dT%H%M%S%f}.duckdb"
    closed = folder / f".{target.stem}-{secrets.token_hex(4)}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        delete_abandoned(folder, is_ours=folder == home.backups)
        closed.mkdir(mode=0o700)
    except OSError as error:
        raise HomeError(f"cannot make {closed}: {error.strerror}; name another") from error
    try:
        making = closed / target.name
        copy_database(home, home.staging, making)
        _refuse_unless_equal(verify(home.staging), verify(making), making)
        yield making, target
    finally:
        shutil.rmtree(closed, ignore_errors=True)


def _finish(making: Path, target: Path) -> None:
    try:
        making.replace(target)
        sync(target.parent)
    except OSError as error:
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


def _set_aside(home: Home) -> Path:
    """Keep the file to be replaced, whatever state it is in, and its log."""
    kept = home.backups / f"replaced-{utc_now():%Y%m%dT%H%M%S%f}.duckdb"
    try:
        home.backups.mkdir(mode=0o700, exist_ok=True)
        for file, name in ((wal(home.staging), wal(kept)), (home.staging, kept)):
            if file.exists():
                _keep(file, name)
    except OSError as error:
        raise HomeError(
            f"cannot keep the replaced file as {kept}: {error.strerror}; nothing was changed"
        ) from error
    return kept


def _keep(file: Path, name: Path) -> None:
    try:
        name.hardlink_to(file)  # its own name is about to be another file's
    except OSError:  # not on this file system
        name.touch(mode=0o600, exist_ok=False)
        shutil.copyfile(file, name)
        sync(name)


def _keep_erasures(connection: duckdb.DuckDBPyConnection, erased: Erased) -> None:
    """Take over what is known of erasures, and erase again."""
    for subject, value in sorted(erased - erased_subjects(connection)):
        connection.execute(
            "insert into ledger.erasures"
            " select ?, ?, coalesce(max(load_id), 0), false from ledger.loads",
            [subject, value],
        )
    if erased_subjects(connection):
        with transaction(connection):
            erase_all_rows(connection)


def _known_erasures(home: Home) -> Erased:
    """Return what the file to be replaced, and every backup, says was erased."""
    erased: Erased = frozenset()
    others = sorted(home.backups.glob("*.duckdb"))
    for path in (home.staging, *others) if home.staging.exists() else others:
        erased |= _erasures_in(path, may_be_busy=path != home.staging)
    return erased


def _erasures_in(path: Path, *, may_be_busy: bool) -> Erased:
    import duckdb

    try:
        with connect(path, read_only=True) as connection:
            return erased_subjects(connection)
    except (duckdb.Error, OrbLearningError) as error:
        if isinstance(error, BusyError) and not may_be_busy:
            raise
        reason = str(error).partition("\n")[0]
        logger.warning(
            "what was erased cannot be read from %s and comes back unless another backup, or the "
            "spool, still holds the requests: %s",
            path,
            reason,
        )
        return frozenset()


def _described(connection: duckdb.DuckDBPyConnection, path: Path) -> Backup:
    ((load_id, events),) = connection.execute(
        "select coalesce(max(load_id), 0), coalesce(sum(loaded), 0)"
        " - (select coalesce(sum(row_count), 0) from ledger.removals"
        "    where table_name != 'ledger.quarantine')"
        " from ledger.loads"
    ).fetchall()
    return Backup(path, int(load_id), int(events))
