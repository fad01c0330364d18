"""The system of record: raw event tables, the load ledger, quarantine, and their schema."""

from orb_learning.staging._columns import LOADER_COLUMNS, raw_columns
from orb_learning.staging._loader import LoadReport, load, open_staging, open_staging_file
from orb_learning.staging._migrations import (
    Migration,
    MigrationState,
    downgrade,
    known_migrations,
    status,
    upgrade,
    validate,
)

__all__ = [
    "LOADER_COLUMNS",
    "LoadReport",
    "Migration",
    "MigrationState",
    "downgrade",
    "known_migrations",
    "load",
    "open_staging",
    "open_staging_file",
    "raw_columns",
    "status",
    "upgrade",
    "validate",
]
