"""Bringing a home's staging to another schema version, with a backup before data may be lost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orb_learning.home import Home
from orb_learning.staging import (
    Migration,
    downgrade,
    erased_subjects,
    known_migrations,
    look_at_staging,
    open_staging_file,
    upgrade,
    without_tombstone,
)
from orb_learning.upkeep._backup import backup_as_it_is
from orb_learning.upkeep._intake import take_in
from orb_learning.upkeep._tombstones import tell_again
from orb_learning.warehouse import drop_warehouse


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What was done, or with a plan would be.

    Attributes:
        applied: migrations applied, in order.
        taken_back: migrations taken back before, in order.
        backup: the copy made before anything was taken back.
    """

    applied: list[Migration]
    taken_back: list[Migration]
    backup: Path | None = None


def migrate_up(home: Home, to: int | None = None, *, is_plan: bool = False) -> MigrationReport:
    """Apply what is pending. The warehouse is dropped, for its tables follow the schema.

    Raises:
        BusyError, HomeError, MigrationError: see `open_staging` and `upgrade`.
    """
    with (look_at_staging if is_plan else open_staging_file)(home) as connection:
        applied = upgrade(connection, to, is_plan=is_plan)
        if applied and not is_plan:
            drop_warehouse(home)
    return MigrationReport(applied, [])


def migrate_down(home: Home, to: int, *, is_plan: bool = False) -> MigrationReport:
    """Take back what is above a version, after a backup. See `migrate_up`."""
    if is_plan:
        with look_at_staging(home) as connection:
            return MigrationReport([], downgrade(connection, to, is_plan=True))
    with home.locked():
        with open_staging_file(home) as connection:
            doomed = downgrade(connection, to, is_plan=True)
        if not doomed:
            return MigrationReport([], doomed)
        is_newest = not migrate_up(home, is_plan=True).applied
        with open_staging_file(home) as connection:
            # What the older schema has no room for is told again by the spool.
            if to < 1:
                erased = erased_subjects(connection)
            else:
                erased = without_tombstone(connection) if is_newest else frozenset()
        tell_again(home, erased)
        if is_newest:
            take_in(home)  # so that a tombstone that was given is in force
        saved = backup_as_it_is(home)
        with open_staging_file(home) as connection:
            doomed = downgrade(connection, to)
            drop_warehouse(home)
    return MigrationReport([], doomed, saved)


def reset(home: Home, *, is_plan: bool = False) -> MigrationReport:
    """Take everything back and make the schema anew, empty, after a backup.

    Segments that the spool still holds are loaded again by the next refresh. See `migrate_up`.
    """
    if is_plan:
        return MigrationReport(known_migrations(), migrate_down(home, 0, is_plan=True).taken_back)
    with home.locked():
        down = migrate_down(home, 0)
        up = migrate_up(home)
    return MigrationReport(up.applied, down.taken_back, down.backup)
