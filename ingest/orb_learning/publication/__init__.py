"""The publication: the read-only copy of the warehouse that everybody reads."""

from orb_learning.publication._as_of import later_day_published, moment_of
from orb_learning.publication._manifest import (
    DATABASE,
    MANIFEST,
    Publication,
    current,
    manifest_of,
)
from orb_learning.publication._publish import Companion, publish
from orb_learning.publication._swap import KEPT, adopt, delete_older
from orb_learning.publication._update import CannotUpdateError, Keyed

__all__ = [
    "DATABASE",
    "KEPT",
    "MANIFEST",
    "CannotUpdateError",
    "Companion",
    "Keyed",
    "Publication",
    "adopt",
    "current",
    "delete_older",
    "later_day_published",
    "manifest_of",
    "moment_of",
    "publish",
]
