"""The system of record: raw event tables, the load ledger, quarantine, and their schema."""

from orb_learning.staging._batch import LoadReport
from orb_learning.staging._columns import LOADER_COLUMNS, raw_columns
from orb_learning.staging._erasure import (
    TOMBSTONES,
    Refused,
    erase_all_rows,
    erased_subjects,
    has_one_of,
    is_refused_about,
    note_removal,
    refused_lines,
    was_held,
    without_tombstone,
)
from orb_learning.staging._file import (
    Contents,
    checkpoint,
    damaged_logs,
    faults,
    look_at_staging,
    open_staging,
    open_staging_file,
    rewrite,
    verify,
    with_remedy,
)
from orb_learning.staging._floor import (
    floor_of,
    hidden_events,
    lower_floor,
    newest_load,
    raise_floor,
)
from orb_learning.staging._found import Found, find
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
from orb_learning.staging._owners import Erased
from orb_learning.staging._quarantine import Quarantined, list_quarantine
from orb_learning.staging._replay import ReplayReport, replay_quarantine
from orb_learning.staging._subjects import imported_row, named_by_event, named_by_refused

__all__ = [
    "LOADER_COLUMNS",
    "TOMBSTONES",
    "Contents",
    "Erased",
    "Found",
    "LoadReport",
    "Migration",
    "MigrationState",
    "Quarantined",
    "Refused",
    "ReplayReport",
    "checkpoint",
    "damaged_logs",
    "downgrade",
    "erase_all_rows",
    "erased_subjects",
    "faults",
    "find",
    "floor_of",
    "has_one_of",
    "hidden_events",
    "imported_row",
    "is_refused_about",
    "known_migrations",
    "list_quarantine",
    "load",
    "look_at_staging",
    "lower_floor",
    "named_by_event",
    "named_by_refused",
    "newest_load",
    "note_removal",
    "open_staging",
    "open_staging_file",
    "raise_floor",
    "raw_columns",
    "refused_lines",
    "replay_quarantine",
    "rewrite",
    "status",
    "upgrade",
    "validate",
    "verify",
    "was_held",
    "with_remedy",
    "without_tombstone",
]
