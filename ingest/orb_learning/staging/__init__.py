"""The system of record: raw event tables, the load ledger, quarantine, and their schema."""

from orb_learning.staging._backup import Backup, backup, restore
from orb_learning.staging._batch import LoadReport
from orb_learning.staging._columns import LOADER_COLUMNS, raw_columns
from orb_learning.staging._file import open_staging, open_staging_file
from orb_learning.staging._floor import lower_floor
from orb_learning.staging._loader import load
from orb_learning.staging._migrations import (
    Migration,
    MigrationState,
    downgrade,
    known_migrations,
    status,
    upgrade,
    validate,
)
from orb_learning.staging._quarantine import (
    Quarantined,
    ReplayReport,
    list_quarantine,
    replay_quarantine,
)
from orb_learning.staging._retention import PruneReport, prune
from orb_learning.staging._schema import MigrationReport, migrate_down, migrate_up, reset
from orb_learning.staging._tombstones import request_erasure

__all__ = [
    "LOADER_COLUMNS",
    "Backup",
    "LoadReport",
    "Migration",
    "MigrationReport",
    "MigrationState",
    "PruneReport",
    "Quarantined",
    "ReplayReport",
    "backup",
    "downgrade",
    "known_migrations",
    "list_quarantine",
    "load",
    "lower_floor",
    "migrate_down",
    "migrate_up",
    "open_staging",
    "open_staging_file",
    "prune",
    "raw_columns",
    "replay_quarantine",
    "request_erasure",
    "reset",
    "restore",
    "status",
    "upgrade",
    "validate",
]
