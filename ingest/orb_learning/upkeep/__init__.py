"""Keeping a home: intake, erasure, retention, backups, migrations, and its state."""

from orb_learning.upkeep._aside import refresh_into
from orb_learning.upkeep._backup import Backup, backup, restore
from orb_learning.upkeep._discard import discard, in_quarantine
from orb_learning.upkeep._imports import Import, find_import, list_imports, undo_import
from orb_learning.upkeep._intake import take_in
from orb_learning.upkeep._retention import PruneReport, prune
from orb_learning.upkeep._schema import MigrationReport, migrate_down, migrate_up, reset
from orb_learning.upkeep._status import Status, read_status
from orb_learning.upkeep._tombstones import preview_erasure, request_erasure

__all__ = [
    "Backup",
    "Import",
    "MigrationReport",
    "PruneReport",
    "Status",
    "backup",
    "discard",
    "find_import",
    "in_quarantine",
    "list_imports",
    "migrate_down",
    "migrate_up",
    "preview_erasure",
    "prune",
    "read_status",
    "refresh_into",
    "request_erasure",
    "reset",
    "restore",
    "take_in",
    "undo_import",
]
