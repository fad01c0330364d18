"""The staging schema's versions: numbered pairs of SQL files, applied in order.

`migrations/NNNN_name.up.sql` brings the schema from the version before to NNNN and
`NNNN_name.down.sql` takes it back. Each step and its row in `ledger.migrations` are one
transaction. A released file is never edited: its checksum is kept and compared.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Literal

from orb_learning._database import transaction
from orb_learning._types import utc_now
from orb_learning.errors import MigrationError

if TYPE_CHECKING:
    import duckdb

_NAME = re.compile(r"^(\d{4})_(\w+)\.up\.sql\Z")

_LEDGER = """
create schema if not exists ledger;
create table if not exists ledger.migrations (
    version INTEGER primary key,
    name VARCHAR not null,
    checksum VARCHAR not null,
    applied_at TIMESTAMP not null
);
"""


Applied = dict[int, tuple[str, str]]
"""By version, the name and the checksum of what was applied."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    up: str
    down: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(f"{self.up}\0{self.down}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class MigrationState:
    """Where one known or applied migration stands."""

    version: int
    name: str
    state: Literal["applied", "pending", "changed", "unknown"]


def known_migrations() -> list[Migration]:
    """Return the migrations that this release ships, in order."""
    folder = resources.files("orb_learning.staging") / "migrations"
    found = []
    for entry in folder.iterdir():
        if match := _NAME.match(entry.name):
            down = folder / entry.name.replace(".up.sql", ".down.sql")
            found.append(
                Migration(
                    int(match[1]),
                    match[2],
                    entry.read_text(encoding="utf-8"),
                    down.read_text(encoding="utf-8"),
                )
            )
    return sorted(found, key=lambda migration: migration.version)


def status(connection: duckdb.DuckDBPyConnection) -> list[MigrationState]:
    """Return the state of every migration that is known here or applied there."""
    return _states(known_migrations(), _applied(connection) or {})


def validate(connection: duckdb.DuckDBPyConnection) -> None:
    """Check that what is applied is what this release knows.

    Raises:
        MigrationError: a version is newer than this release, or its files were edited since.
    """
    _validate(known_migrations(), _applied(connection) or {})


def _states(known: list[Migration], applied: Applied) -> list[MigrationState]:
    states = []
    for migration in known:
        checksum = applied.get(migration.version, ("", ""))[1]
        state: Literal["applied", "pending", "changed"] = "applied"
        if migration.version not in applied:
            state = "pending"
        elif checksum != migration.checksum:
            state = "changed"
        states.append(MigrationState(migration.version, migration.name, state))
    unknown = applied.keys() - {migration.version for migration in known}
    states += [MigrationState(version, applied[version][0], "unknown") for version in unknown]
    return sorted(states, key=lambda state: state.version)


def _validate(known: list[Migration], applied: Applied) -> None:
    for state in _states(known, applied):
        if state.state == "unknown":
            raise MigrationError(
                f"staging has schema version {state.version} ({state.name}), which this release "
                "does not know; upgrade orb-learning"
            )
        if state.state == "changed":
            raise MigrationError(
                f"migration {state.version:04} ({state.name}) was edited after it was applied; "
                "restore the file and add a new migration instead"
            )


def upgrade(
    connection: duckdb.DuckDBPyConnection, to: int | None = None, *, is_plan: bool = False
) -> list[Migration]:
    """Apply the pending migrations, up to and including version `to` or all, and return them.

    Args:
        connection: staging.
        to: the version to stop at; default the newest.
        is_plan: only return them.

    Raises:
        MigrationError: see `validate`; there is no version `to`; or a step failed and was rolled
            back.
    """
    known = known_migrations()
    _refuse_unknown(known, to)
    applied = _applied(connection)
    if applied is None and not is_plan:
        connection.execute(_LEDGER)
    _validate(known, applied or {})
    pending = [
        migration
        for migration in known
        if migration.version not in (applied or {}) and (to is None or migration.version <= to)
    ]
    for migration in [] if is_plan else pending:
        _step(
            connection,
            migration,
            migration.up,
            "insert into ledger.migrations values (?, ?, ?, ?)",
            [migration.version, migration.name, migration.checksum, utc_now().replace(tzinfo=None)],
        )
    return pending


def downgrade(
    connection: duckdb.DuckDBPyConnection, to: int, *, is_plan: bool = False
) -> list[Migration]:
    """Take back every applied migration above version `to`, newest first, and return them.

    Args:
        connection: staging.
        to: the version to go back to; 0 takes back everything.
        is_plan: only return them.

    Raises:
        MigrationError: see `upgrade`.
    """
    known = known_migrations()
    _refuse_unknown(known, to)
    applied = _applied(connection) or {}
    _validate(known, applied)
    doomed = [
        migration
        for migration in reversed(known)
        if migration.version in applied and migration.version > to
    ]
    for migration in [] if is_plan else doomed:
        _step(
            connection,
            migration,
            migration.down,
            "delete from ledger.migrations where version = ?",
            [migration.version],
        )
    return doomed


def _refuse_unknown(known: list[Migration], version: int | None) -> None:
    newest = max((migration.version for migration in known), default=0)
    if version is not None and not 0 <= version <= newest:
        raise MigrationError(
            f"there is no schema version {version}; this release knows 0 to {newest}"
        )


def _step(
    connection: duckdb.DuckDBPyConnection,
    migration: Migration,
    script: str,
    note: str,
    values: list[object],
) -> None:
    import duckdb

    try:
        with transaction(connection):
            connection.execute(script)
            connection.execute(note, values)
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0]
        raise MigrationError(
            f"migration {migration.version:04} ({migration.name}) failed and was rolled back: "
            f"{reason}"
        ) from error


def _applied(connection: duckdb.DuckDBPyConnection) -> Applied | None:
    """Return what is applied, or None where nothing ever was."""
    import duckdb

    try:
        found = connection.execute("select version, name, checksum from ledger.migrations")
    except duckdb.CatalogException:
        return None
    rows = found.fetchall()
    return {version: (name, checksum) for version, name, checksum in rows}
